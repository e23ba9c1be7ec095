"""Wrong specs, recipes and calls: each gets one `error:` that says what is wrong where, and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_input.case import Case
from tests.bad_input.cases import CASES, CHECK, DRY
from tests.bad_input.game_cases import GAME_FILES
from tests.bad_input.page import PAGE, outcome, page

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_mistake_gets_a_message_and_exit_code_2(case: Case) -> None:
    code, error, left_a_run = outcome(case)
    assert code == 2, error
    assert error.startswith("error: ")
    assert error.count("error: ") == 1
    assert "Traceback" not in error
    for words in case.says:
        assert words in error
    assert not left_a_run


@pytest.mark.parametrize("right", [CHECK, DRY, "check recipe.toml"])
def test_the_right_files_are_right(right: str) -> None:
    """Else the cases could fail for another reason than the one they name."""
    assert outcome(Case("no mistake", right, ())).code == 0


@pytest.mark.parametrize("right", ["check game.toml", "train own.toml --dry-run", "check doom.toml", "check lava.toml"])
def test_the_right_games_are_right(right: str) -> None:
    assert outcome(Case("no mistake", right, (), GAME_FILES)).code == 0


def test_a_mistake_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "safetune", "check", "none.toml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: none.toml: cannot read this spec file: No such file or directory\n"


@pytest.mark.slow
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], capture_output=True)
    if mount.returncode:
        pytest.skip("mounting a small disk needs rights that this process does not have")
    try:
        code, error, _ = outcome(Case("a full disk", f"train recipe.toml --run {disk / 'run'}", ()))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert code == 2
    assert "the disk is full" in error


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="Python's own words in some messages change with it")
def test_the_page_of_errors_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.bad_input.page --write`"
