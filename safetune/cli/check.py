"""Look for mistakes in specs and recipes.

Each finding is a line. The exit code is 2 when a file cannot be used at all (the others are checked all the same),
else 1 when a finding is an error: a rule that cannot be kept, or that is enforced nowhere.
"""

import argparse
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from safetune.cli.extras import MissingExtra
from safetune.cli.specs import checked_spec, finding_text
from safetune.cli.worlds import host_of
from safetune.errors import SafetuneError
from safetune.recipe import Recipe, load_recipe


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="spec or recipe files")


def run(args: argparse.Namespace) -> int:
    """Check each file; the worst of them decides the exit code."""
    return max(_checked(name) for name in args.files)


def _checked(name: str) -> int:
    """Check one file; one that cannot be used does not keep the others from being checked."""
    try:
        return _check_file(name)
    except SafetuneError as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        return 2


def _check_file(name: str) -> int:
    if is_recipe(Path(name)):
        recipe = load_recipe(name)
        code = _check_spec(recipe.spec, for_text=recipe.kind == "llm")
        if code == 0:  # the plan below refuses rules that cannot be kept
            for fact in _recipe_facts(recipe):
                print(f"{name}: {fact}")
        return code
    return _check_spec(name)


def is_recipe(path: Path) -> bool:
    """Whether the file has a recipe's `kind`; a file that is no TOML is left to the spec's reader to complain of."""
    try:
        return "kind" in tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):
        return False


def _check_spec(name: str, *, for_text: bool = False) -> int:
    guard, findings, text_states = found = checked_spec(name, for_text=for_text)
    size = f"{_count(len(guard.rules), 'rule')}, {_count(guard.n_states, 'state')}"
    if text_states is not None:
        size += f", text bindings of {_count(text_states, 'state')}"
    print(f"{name}: {size}, {_count(len(findings), 'finding')}")
    for finding in findings:
        print(f"{name}: {finding.severity}: {finding_text(finding)}")
    return int(bool(found.errors))


def _recipe_facts(recipe: Recipe) -> Iterator[str]:
    """What can be found out without training; raises for what is wrong."""
    try:
        host = host_of(recipe, "checking")
    except MissingExtra as error:
        yield f"not checked: {error}"
        return
    for key, value in host.plan(recipe).items():
        if key not in ("spec", "rules"):
            yield f"{key}: {value}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
