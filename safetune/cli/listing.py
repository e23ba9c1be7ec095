"""Recipes, specs, models and runs at hand.

Recipes and specs are looked for in the folders `recipes` and `specs` of the working folder; runs in $SAFETUNE_RUNS or
~/.cache/safetune/runs.
"""

import argparse
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

KINDS = ("recipes", "specs", "models", "runs")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("kinds", metavar="KIND", nargs="*", default=[], help=f"only these: {', '.join(KINDS)}")


def run(args: argparse.Namespace) -> int:
    """Print what there is, kind by kind."""
    from safetune.cli.main import UsageError
    from safetune.errors import choices, nearest

    for kind in args.kinds:
        if kind not in KINDS:
            raise UsageError(f"safetune list: unknown kind '{kind}'. Kinds: {choices(KINDS)}.{nearest(kind, KINDS)}")
    finders: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
        "recipes": lambda: _files("recipes"),
        "specs": lambda: _files("specs"),
        "models": _models,
        "runs": _runs,
    }
    for kind in args.kinds or KINDS:
        rows = list(finders[kind]())
        print(f"{kind}:" if rows else f"{kind}: none")
        width = max((len(name) for name, _ in rows), default=0)
        for name, about in rows:
            print(f"  {name:{width}}  {about}".rstrip())
    return 0


def _files(folder: str) -> Iterator[tuple[str, str]]:
    for path in sorted(Path(folder).rglob("*.toml")):
        yield str(path), str(_table(path).get("about", ""))


def _models() -> Iterator[tuple[str, str]]:
    from safetune.llm.folders import cache_folder
    from safetune.llm.wheels import WHEELS

    yield "pocket", "a small model in the package, for trying things out"
    for wheel in WHEELS.values():
        yield f"pypi:{wheel.package}", "downloaded once with pip"
    for path in sorted((cache_folder() / "models").glob("[!.]*")):
        yield str(path), "in the cache"


def _runs() -> Iterator[tuple[str, str]]:
    from safetune.run import is_run, resume_command, runs_root

    for path in filter(is_run, sorted(runs_root().glob("[!.]*"))):
        finished = (path / "evaluation.json").exists()
        yield path.name, "finished" if finished else f"not finished; to resume it: {resume_command(path)}"


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {"about": "(not valid TOML)"}
