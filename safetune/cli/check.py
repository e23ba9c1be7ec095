"""Look for mistakes in specs and recipes.

A file that cannot be used at all ends the command with exit code 2. Otherwise each finding is a line, and the exit
code is 1 when one of them is an error: a rule that cannot be kept.
"""

import argparse
import tomllib
from collections.abc import Iterator
from pathlib import Path

from safetune.cli.extras import MissingExtra, needing
from safetune.cli.specs import checked_spec, finding_text
from safetune.recipe import Recipe, load_recipe


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="spec or recipe files")


def run(args: argparse.Namespace) -> int:
    """Check each file; the worst of them decides the exit code."""
    return max(_check_file(name) for name in args.files)


def _check_file(name: str) -> int:
    if _is_recipe(Path(name)):
        recipe = load_recipe(name)
        code = _check_spec(recipe.spec, for_text=True)
        if code == 0:  # the plan below refuses rules that cannot be kept
            for fact in _recipe_facts(recipe):
                print(f"{name}: {fact}")
        return code
    return _check_spec(name)


def _is_recipe(path: Path) -> bool:
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
        with needing("llm", "checking prompts and trainer fields"):
            from safetune.llm.train import plan
    except MissingExtra as error:
        yield f"not checked: {error}"
        return
    for key, value in plan(recipe).items():
        if key not in ("spec", "rules"):
            yield f"{key}: {value}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
