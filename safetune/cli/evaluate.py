"""Measure a run's model again on its held-out prompts, and its base model beside it.

The run's evaluation.json and samples.jsonl are written anew.
"""

import argparse

from safetune.cli.extras import needing
from safetune.cli.train import show_result
from safetune.errors import RecipeError
from safetune.recipe import load_recipe
from safetune.run import Run, writing

ALLOWED = ("evaluate.", "prompts.heldout")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its name as `safetune list runs` shows it")
    parser.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        default=[],
        help="other evaluate.… values, or other prompts.heldout",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate and show the table."""
    for override in args.overrides:
        if not override.startswith(ALLOWED):
            raise RecipeError(
                f"command line: got '{override}', expected evaluate.…=value or prompts.heldout=value: "
                "the rest of a run's recipe is settled"
            )
    from safetune.progress import Progress

    with Run.load(args.run) as opened:
        recipe = load_recipe(opened.recipe.source, args.overrides)
        with needing("llm", "evaluating a language model"):
            from safetune.llm.train import evaluate_run
        with writing(opened.path), Progress() as progress:
            evaluate_run(recipe, opened, progress)
        show_result(opened)
    return 0
