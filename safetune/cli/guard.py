"""Read text and report each violation, as `file:line:column: rule: explanation`.

Line and column (and `offset` with --json) are of the end of what broke the rule: a rule is broken once a match is
complete, and where it began is not known. `offset` is the byte after the match.

Without files, or for the file '-', standard input is read. Memory stays the same however long the text is.
The exit code is 1 when a violation was found.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from safetune.errors import DataError, SpecError

if TYPE_CHECKING:
    from safetune.text.monitor import Monitor, Violation

CHUNK = 1 << 16  # bytes


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("spec", metavar="SPEC", help="a spec file that binds its propositions to text")
    parser.add_argument("files", metavar="FILE", nargs="*", default=[], help="text files; standard input by default")
    parser.add_argument(
        "--json", action="store_true", help="a JSON object a line; line, column and offset mark the end of a match"
    )


def run(args: argparse.Namespace) -> int:
    """Watch each file; each is a text of its own."""
    from safetune.cli.specs import finding_text
    from safetune.safeguard import Safeguard
    from safetune.safeguard.analysis import state_findings
    from safetune.text.monitor import Monitor

    guard = Safeguard.load(args.spec)
    if wrong := [finding_text(finding) for finding in state_findings(guard) if finding.severity == "error"]:
        raise SpecError(f"{args.spec}: machine: {'; '.join(wrong)}")  # nothing would ever be reported
    monitor = Monitor(guard)
    found = False
    for name in args.files or ["-"]:
        shown = "<stdin>" if name == "-" else name
        for violation in _watch(monitor, name):
            found = True
            print(_as_json(shown, violation) if args.json else _as_line(shown, violation), flush=True)
    return int(found)


def _watch(monitor: "Monitor", name: str) -> "Iterator[Violation]":
    """Violations as soon as they are certain, so that a pipe can be watched."""
    monitor.reset()
    for chunk in _chunks(name):
        yield from monitor.feed(chunk)
    yield from monitor.close()


def _chunks(name: str) -> Iterator[bytes]:
    try:
        source: Any = nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb")  # noqa: SIM115
        with source as file:
            # read1 hands over what is there, without waiting for a whole chunk.
            yield from iter(lambda: file.read1(CHUNK), b"")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(f"{name}: cannot read this file: {error.strerror or error}") from None


def _as_line(name: str, violation: "Violation") -> str:
    place = f"(cost {violation.cost:g}): "  # the explanation's own words for place and rule end here
    reason = violation.explanation().partition(place)[2]
    return f"{name}:{violation.line}:{violation.column}: {violation.rule}: {_one_line(reason)}"


def _as_json(name: str, violation: "Violation") -> str:
    fields: dict[str, Any] = {
        "file": name,
        "line": violation.line,
        "column": violation.column,
        "offset": violation.offset,
        "marks": "end of match",
        "rule": violation.rule,
        "cost": violation.cost,
        "excerpt": violation.excerpt,
        "labels": list(violation.labels),
        "path": list(violation.path),
        "explanation": violation.explanation(),
    }
    return json.dumps(fields, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())
