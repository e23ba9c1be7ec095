"""What every test starts from: runs go to a folder of the test; drawn cases are the same on every machine."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("stable", deadline=None, derandomize=True)
settings.load_profile("stable")


@pytest.fixture(autouse=True)
def _runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFETUNE_RUNS", str(tmp_path / "runs"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).parent.parent
