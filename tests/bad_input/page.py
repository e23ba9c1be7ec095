"""Makes the calls of the table, and writes docs/errors.md: `python -m tests.bad_input.page --write`."""

import contextlib
import errno
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from safetune.cli import main
from tests.bad_input.case import Case
from tests.bad_input.cases import CASES
from tests.bad_input.files import FILES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"


@contextlib.contextmanager
def prepared(case: Case, folder: Path) -> Iterator[None]:
    """The case's files in the working folder, and its disk."""
    for name, content in {**FILES, **case.files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    full = OSError(errno.ENOSPC, "No space left on device")
    disk: Any = (
        mock.patch("safetune.run.files.os.fsync", side_effect=full) if case.full_disk else contextlib.nullcontext()
    )
    with contextlib.chdir(folder), disk, mock.patch.dict(os.environ, {"SAFETUNE_RUNS": str(folder / "runs")}):
        yield


class Outcome(NamedTuple):
    """What a call came to, with the names of its files as if it had been made beside them."""

    code: int
    error: str
    runs: bool
    """Whether it left a run behind."""


@cache
def outcome(case: Case) -> Outcome:
    """Make the case's call, once."""
    err = io.StringIO()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        with prepared(case, folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            code = main(case.call.split())
        message = err.getvalue().replace(f"{folder}/", "").replace(str(folder), ".").replace(f"{ROOT}/", "")
        if "--run" in case.call:  # what a run under way says of itself comes first
            message = message[max(message.find("error: "), 0) :]
        return Outcome(code, message, (folder / "runs").exists())


def page() -> str:
    """The table as Markdown, from what the calls really say."""
    lines = [
        "# Errors",
        "",
        "What wrong specs, recipes and calls are told. Each ends with exit code 2 and one message on standard error.",
        "This page is made by `python -m tests.bad_input.page --write` from the table in `tests/bad_input/cases.py`,",
        "which also shows the files.",
        "",
        "| mistake | call | message |",
        "|---|---|---|",
    ]
    for case in CASES:
        message = outcome(case).error.removeprefix("error: ").rstrip()
        cells = (case.what, f"`safetune {case.call}`", "<br>".join(map(_code, message.splitlines())))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _code(line: str) -> str:
    """A line of a message, blanks and all, inside a cell of a table."""
    fence = "``" if "`" in line else "`"
    return f"{fence}{line}{fence}".replace("|", "\\|") if line.strip() else ""


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")
