"""The comparison script: what is set for an arm reaches it, and nothing is dropped without a word."""

import subprocess
import sys
from pathlib import Path


def test_a_mistyped_arm_is_an_error(repository: Path, tmp_path: Path) -> None:
    script = repository / "scripts" / "compare_guards.py"
    where = ["--out", str(tmp_path / "runs"), "--page", str(tmp_path / "page")]
    command = [sys.executable, str(script), "recipe.toml", *where, "--set", "lagrngian:trainer.cost_limit=0.3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "unknown arm 'lagrngian'; the arms are unguarded, guarded, hidden, lagrangian, maskable" in done.stderr
    assert not (tmp_path / "runs").exists()
