"""What only the README says: its table of commands and of folders, and the spec that it shows shortened.

Its examples, calls and links are tested with those of the other pages, in `test_documents`.
"""

import re
import tomllib
from pathlib import Path

from safetune.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_spec_shown_is_the_file_but_for_patterns_and_words() -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    shown, whole = tomllib.loads(text), tomllib.loads((ROOT / "specs" / "dose_after_disclaimer.toml").read_text())
    for key in ("name", "about", "text"):
        assert shown[key] == whole[key]
    assert [rule["name"] for rule in shown["rule"]] == [rule["name"] for rule in whole["rule"]]
    assert [rule["always"] for rule in shown["rule"]] == [rule["always"] for rule in whole["rule"]]
    assert list(shown["bind"]["text"]) == list(whole["bind"]["text"]) == list(shown["propositions"])


def test_every_command_is_in_the_table_and_no_other() -> None:
    assert re.findall(r"^\| `safetune (\w+)", README, flags=re.MULTILINE) == list(COMMANDS)


def test_folders_that_are_named_are_there() -> None:
    folders = re.findall(r"^\| `(\w[\w/]*/)`", README, flags=re.MULTILINE)
    assert folders
    assert [name for name in folders if not (ROOT / name).exists()] == []


def test_every_folder_is_named() -> None:
    parts = {f"safetune/{path.name}/" for path in (ROOT / "safetune").iterdir() if (path / "__init__.py").exists()}
    assert [name for name in sorted(parts) if f"`{name}`" not in README] == []


def test_the_picture_comes_before_the_commands() -> None:
    assert README.index("![") < README.index("scripts/quickstart")
