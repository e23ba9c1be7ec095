"""The example scripts run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(script: Path, *arguments: str) -> str:
    path = {**os.environ, "PYTHONPATH": str(script.parents[2])}
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, env=path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_environment_of_ones_own(repository: Path) -> None:
    said = run(repository / "scripts" / "examples" / "own_environment.py").splitlines()
    assert said[0].startswith("LabellerReport(steps=500")
    assert len([line for line in said if line.startswith("episode")]) == 3
    assert any("cost 0" not in line for line in said[1:])


@pytest.mark.slow
def test_minigrid(repository: Path) -> None:
    pytest.importorskip("minigrid")
    said = run(repository / "scripts" / "examples" / "minigrid_lava.py", "--steps", "1024", "--episodes", "4")
    assert [line.split(":")[0].strip() for line in said.splitlines()] == ["unguarded", "then", "guarded", "then"]
