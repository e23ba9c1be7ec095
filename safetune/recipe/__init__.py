"""Recipes: what to train, on what, under which spec. TOML files read into frozen, checked values.

Precedence, said once: defaults < file < `key=value` on the command line.
Every problem with a recipe is a `RecipeError` that names the file (or the command line) and the key.
Whether the files that a recipe names are there and right is found out by those who read them.
"""

from safetune.recipe.arguments import check_arguments
from safetune.recipe.loading import fault, load_recipe, resolved_table, resolved_toml
from safetune.recipe.schema import (
    Agent,
    Environment,
    Evaluate,
    GameEvaluate,
    GameRecipe,
    GameReward,
    LlmRecipe,
    Lora,
    Model,
    Prompts,
    Recipe,
    Reward,
)

__all__ = [
    "Agent",
    "Environment",
    "Evaluate",
    "GameEvaluate",
    "GameRecipe",
    "GameReward",
    "LlmRecipe",
    "Lora",
    "Model",
    "Prompts",
    "Recipe",
    "Reward",
    "check_arguments",
    "fault",
    "load_recipe",
    "resolved_table",
    "resolved_toml",
]
