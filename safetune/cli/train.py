"""Train a model or an agent as a recipe says, and measure it before and after.

The run's folder is named after the recipe and its values, so the same command takes up an interrupted run by itself,
and shows the result of a finished one. A run's own recipe.toml, with no other values, means that run.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from safetune.cli.specs import checked_spec
from safetune.cli.worlds import host_of
from safetune.errors import ModelError, SpecError
from safetune.recipe import LlmRecipe, Recipe, load_recipe
from safetune.run import Run, find_run, writing
from safetune.run.checkpoints import checkpoint_step, latest_checkpoint
from safetune.run.folder import RECIPE
from safetune.safeguard import Safeguard


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe file, or a run (its folder or name)")
    parser.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        default=[],
        help="values that beat the file's, as seed=1 lora.rank=16",
    )
    parser.add_argument(
        "--run",
        metavar="DIR",
        help="the run's folder (default: a folder of its own under $SAFETUNE_RUNS\nor ~/.cache/safetune/runs)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew; a run that is there is put aside under another name"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check all that the recipe names, say what would be done, do nothing"
    )


def run(args: argparse.Namespace) -> int:
    """Train, or resume, or show what is there."""
    recipe = load_recipe(_recipe_file(args.recipe), args.overrides)
    _check_spec(recipe)
    if args.dry_run:
        _show_plan(recipe, args.run)
        return 0
    folder = Run.folder_of(recipe, path=args.run)
    if args.fresh or not (folder / "evaluation.json").exists():
        _plan(recipe)  # everything wrong with the recipe is found before a folder is made
    with Run.open(recipe, path=args.run, fresh=args.fresh) as opened:
        if opened.finished:
            _say(f"this run is finished; --fresh begins anew: {opened.path}")
        else:
            _train(opened)
        show_result(opened)
    return 0


def _recipe_file(given: str) -> Path:
    """The recipe, where a run is given the run's own."""
    folder = None if Path(given).is_file() else find_run(given)
    return Path(given) if folder is None else folder / RECIPE


def _check_spec(recipe: Recipe) -> None:
    """Refuse a spec whose rules cannot be kept: nothing can be learnt from it."""
    if errors := checked_spec(recipe.spec, for_text=recipe.kind == "llm").errors:
        raise SpecError(f"{recipe.spec}: " + "; ".join(errors))


def show_result(opened: Run) -> None:
    """Print the table of before and after, and keep it in the run as a page, and in an adapter's card."""
    from rich.console import Console

    from safetune.report import adapter_card, evaluation_page, evaluation_table

    evaluation = opened.read_json("evaluation.json")
    recipe = opened.recipe
    shown = recipe.evaluate.samples_shown if isinstance(recipe, LlmRecipe) else 0
    samples = opened.read_jsonl("samples.jsonl")[:shown]
    opened.write_text("report.md", evaluation_page(recipe.name, evaluation, samples))
    if isinstance(recipe, LlmRecipe) and opened.adapter.is_dir():
        opened.write_text("adapter/README.md", adapter_card(recipe, Safeguard.load(recipe.spec), evaluation))
    console = Console(highlight=False)
    console.print(evaluation_table(evaluation))
    console.print(f"run folder: {opened.path}", soft_wrap=True, markup=False)


def _plan(recipe: Recipe) -> dict[str, Any]:
    facts: dict[str, Any] = host_of(recipe, "training").plan(recipe)
    return facts


def _show_plan(recipe: Recipe, path: str | None) -> None:
    facts = _plan(recipe)
    facts["run folder"] = Run.folder_of(recipe, path=path)
    width = max(map(len, facts))
    for key, value in facts.items():
        print(f"{key:{width}}  {', '.join(map(str, value)) if isinstance(value, list) else value}")


def _train(opened: Run) -> None:
    from safetune.progress import Progress

    host = host_of(opened.recipe, "training")
    for name, (then, now) in opened.changed_versions().items():
        _say(f"note: this run began with {name} {then}, now it is {now}")
    _say(f"run folder: {opened.path}")
    try:
        with writing(opened.path), Progress() as progress:
            host.train(opened.recipe, opened, progress)
    except ModelError:
        opened.discard()  # nothing could begin, so there is no run to take up
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_what_is_kept(opened)) from None


def _what_is_kept(opened: Run) -> str:
    if opened.adapter.exists() or opened.agent.exists():
        return "training is done; the same command measures what was trained"
    if checkpoint := latest_checkpoint(opened.checkpoints):
        return f"the same command resumes after step {checkpoint_step(checkpoint)}"
    return "there is no checkpoint yet, so the same command begins again"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
