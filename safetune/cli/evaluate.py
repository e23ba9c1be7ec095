"""Measure a run's model again on its held-out prompts, and its base model beside it; or an agent over episodes.

The run's evaluation.json (and a model's samples.jsonl) are written anew. With --video, an agent is filmed instead: the
safeguard's state, what holds and what is broken stand beside each frame.
"""

import argparse
from pathlib import Path

from safetune.cli.extras import needing
from safetune.cli.train import show_result
from safetune.cli.worlds import host_of, world_of
from safetune.errors import RecipeError
from safetune.recipe import GameRecipe, Recipe, load_recipe
from safetune.run import Run, writing


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
    parser.add_argument("--video", metavar="FILE", help="film an agent: a name that ends in .mp4 or .gif")
    parser.add_argument("--episodes", metavar="N", type=int, help="episodes to film (default: 1)")
    parser.add_argument("--every", metavar="N", type=int, help="film every N-th step (default: 1), for a smaller file")


def run(args: argparse.Namespace) -> int:
    """Evaluate and show the table, or make a film."""
    from safetune.progress import Progress

    for name, value in (("--episodes", args.episodes), ("--every", args.every)):
        if value is not None and (args.video is None or value < 1):
            raise RecipeError(f"eval: got {name} {value}, expected at least 1, and a --video that it is for")
    with Run.load(args.run) as opened:
        _check_overrides(opened.recipe, args.overrides)
        recipe = load_recipe(opened.recipe.source, args.overrides)
        if args.video is not None:
            _film(recipe, opened, Path(args.video), args.episodes or 1, args.every or 1)
            return 0
        host = host_of(recipe, "evaluating")
        with writing(opened.path), Progress() as progress:
            host.evaluate_run(recipe, opened, progress)
        show_result(opened)
    return 0


def _check_overrides(recipe: Recipe, overrides: list[str]) -> None:
    open_keys = world_of(recipe).open_keys
    for override in overrides:
        if not override.startswith(open_keys):
            wanted = " or ".join(f"{key}…=value" if key.endswith(".") else f"{key}=value" for key in open_keys)
            raise RecipeError(
                f"command line: got '{override}', expected {wanted}: the rest of a run's recipe is settled"
            )


def _film(recipe: Recipe, opened: Run, path: Path, episodes: int, every: int) -> None:
    from safetune.progress import Progress

    if not isinstance(recipe, GameRecipe):
        raise RecipeError(f"{opened.path}: --video: this run is of a language model; only an agent can be filmed")
    with needing("games", "filming an agent"):
        from safetune.games.video import film_run
    with Progress() as progress:
        frames = film_run(recipe, opened, progress, path, episodes, every)
    print(f"wrote {path}: {frames} frames")
