"""A recipe of the toy corridor, in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from safetune.recipe import GameRecipe, load_recipe
from tests.games.agents.toy import RECIPE, SPEC


@pytest.fixture
def make_recipe(tmp_path: Path) -> Callable[..., GameRecipe]:
    """A function from overrides to a recipe."""
    (tmp_path / "spec.toml").write_text(SPEC)
    (tmp_path / "corridor.toml").write_text(RECIPE)

    def make(*overrides: str) -> GameRecipe:
        recipe = load_recipe(tmp_path / "corridor.toml", overrides)
        assert isinstance(recipe, GameRecipe)
        return recipe

    return make
