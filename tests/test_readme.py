"""What the README says is so: its example is a right spec, its commands exist, its links lead somewhere."""

import re
from pathlib import Path

import pytest

from safetune.cli.main import COMMANDS
from safetune.cli.specs import checked_spec

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_the_example_is_a_right_spec(tmp_path: Path) -> None:
    (spec,) = blocks("toml")
    (tmp_path / "example.toml").write_text(spec)
    assert checked_spec(str(tmp_path / "example.toml"), for_text=True).findings == []


def test_every_command_is_in_the_table_and_no_other() -> None:
    assert re.findall(r"^\| `safetune (\w+)", README, flags=re.MULTILINE) == list(COMMANDS)
    assert set(re.findall(r"safetune (\w+) [\w./-]+", "".join(blocks("sh")))) <= set(COMMANDS)


def test_files_that_are_named_are_there() -> None:
    linked = re.findall(r"\]\(([\w./-]+)\)", README)
    called = re.findall(r"(?:specs|recipes|scripts)/[\w.]+", "".join(blocks("sh")))
    folders = re.findall(r"^\| `(\w[\w/]*/)`", README, flags=re.MULTILINE)
    assert [name for name in [*linked, *called, *folders] if not (ROOT / name).exists()] == []


def test_every_folder_is_named() -> None:
    parts = {f"safetune/{path.name}/" for path in (ROOT / "safetune").iterdir() if (path / "__init__.py").exists()}
    assert [name for name in sorted(parts) if f"`{name}`" not in README] == []


@pytest.mark.slow
def test_the_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "specs").symlink_to(ROOT / "specs")
    monkeypatch.chdir(tmp_path)
    for number, source in enumerate(blocks("python")):
        exec(compile(source, f"README.md, Python block {number + 1}", "exec"), {"__name__": "readme"})
