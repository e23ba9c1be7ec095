"""From a recipe's kind to the module that trains and measures it, imported only when it is needed."""

from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from safetune.cli.extras import needing
from safetune.recipe import Recipe


class World(NamedTuple):
    """What the commands know of a kind of recipe."""

    module: str
    extra: str
    trained: str
    """What is trained, in words."""
    checked: str
    """What `check` looks at besides the spec, in words."""
    open_keys: tuple[str, ...]
    """What `eval` may still be told: the beginnings of keys; the rest of a run's recipe is settled."""


WORLDS = {
    "llm": World(
        "safetune.llm.train", "llm", "a language model", "prompts and trainer fields", ("evaluate.", "prompts.heldout")
    ),
    "game": World(
        "safetune.games.train", "games", "an agent", "environment and trainer arguments", ("evaluate.", "env.count")
    ),
}


def world_of(recipe: Recipe) -> World:
    """The world of a recipe."""
    return WORLDS[recipe.kind]


def host_of(recipe: Recipe, doing: str) -> ModuleType:
    """The module with `plan`, `train` and `evaluate_run`; `doing` is what needs it, for who lacks a package."""
    world = world_of(recipe)
    with needing(world.extra, f"{doing} {world.checked if doing == 'checking' else world.trained}"):
        return import_module(world.module)
