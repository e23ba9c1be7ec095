"""Show a spec: its rules and its machine, as a table, as text for a graph, or as a picture.

With a trace (steps separated by ';', each the propositions that hold there, separated by ','), the steps are shown on
top: 'hazard;;protection' is three steps, nothing holds at the second. JSON is read as well: '[["hazard"],[]]'.
With --text, what the spec's text bindings find in a text.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from safetune.errors import DataError

if TYPE_CHECKING:
    from safetune.safeguard import Safeguard

FORMATS = ("table", "dot", "mermaid")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("spec", metavar="SPEC", help="a spec file, or a recipe for the spec that it names")
    parser.add_argument("trace", metavar="TRACE", nargs="?", help="steps, such as 'hazard;;protection'")
    parser.add_argument("--text", help="a text to follow instead of a trace")
    parser.add_argument("--format", choices=FORMATS, default="table", help="table (default), dot (Graphviz) or mermaid")
    parser.add_argument("--output", metavar="FILE", help="a picture, .svg or .png")


def run(args: argparse.Namespace) -> int:
    """Load the spec and show it."""
    from safetune.cli.check import is_recipe
    from safetune.recipe import load_recipe
    from safetune.safeguard import Safeguard, drawing

    guard = Safeguard.load(load_recipe(args.spec).spec if is_recipe(Path(args.spec)) else args.spec)
    if args.text is not None:
        if args.trace is not None:
            raise DataError("show: got a TRACE and a --text, expected one of them")
        return _show_text(guard, args.text)
    trace = None if args.trace is None else read_trace(args.trace)
    if args.output:
        drawing.save_picture(guard, Path(args.output), trace)
        print(f"wrote {args.output}")
    elif args.format == "dot":
        sys.stdout.write(drawing.to_dot(guard, trace))
    elif args.format == "mermaid":
        sys.stdout.write(drawing.to_mermaid(guard, trace))
    else:
        _show_tables(guard, trace)
    return 0


def read_trace(text: str) -> list[list[str]]:
    """The label sets of a trace given on the command line."""
    if text.lstrip().startswith("["):
        try:
            steps = json.loads(text)
        except ValueError as error:
            raise DataError(f"TRACE: not valid JSON: {error}") from None
        if not all(isinstance(step, list) and all(isinstance(name, str) for name in step) for step in steps):
            raise DataError(f"TRACE: got {text}, expected a list with a list of propositions for each step")
        return steps
    return [[name.strip() for name in step.split(",") if name.strip()] for step in text.split(";")]


def _show_tables(guard: "Safeguard", trace: list[list[str]] | None) -> None:
    from rich.console import Console

    from safetune.safeguard import drawing

    console = Console(highlight=False, markup=False)
    if guard.spec.about:
        console.print(guard.spec.about)
    for name, meaning in guard.spec.propositions.items():
        console.print(f"  {name}: {meaning}")
    for rule in guard.rules:
        console.print(f"  rule '{rule.name}' (cost {rule.cost:g}): {rule.formula}")
    console.print(drawing.table(guard, trace))
    if trace is not None:
        console.print(drawing.trace_table(guard, trace))
    for line in drawing.long_names(guard, trace):
        console.print(line)


def _show_text(guard: "Safeguard", text: str) -> int:
    from safetune.text.monitor import Monitor

    monitor = Monitor(guard)
    for violation in [*monitor.feed(text), *monitor.close()]:
        print(violation.explanation())
    if monitor.ok:
        print("no rule is broken")
    return 0
