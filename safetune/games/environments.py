"""From a recipe's `[env]` to environments that a safeguard watches: many side by side, or one to be filmed."""

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AutoresetMode

from safetune.errors import choices, nearest
from safetune.games.reward import RewardSettings
from safetune.games.vector import SafeguardVectorWrapper
from safetune.games.wrapper import SafeguardWrapper
from safetune.recipe import GameRecipe, fault
from safetune.safeguard import Safeguard

_SHOWN = 40  # more ids than this help nobody


def make_envs(recipe: GameRecipe, guard: Safeguard, reward: RewardSettings, count: int) -> SafeguardVectorWrapper:
    """`count` watched environments side by side, which the caller resets (autoreset mode DISABLED).

    Raises:
        RecipeError: no such environment, or options that it does not take.
        SafetuneError: the labeller or the spec does not fit the environment.
    """
    spec = env_spec(recipe)
    options = recipe.env.options
    disabled: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED}
    if _batched(spec):
        envs = _made(recipe, lambda: gym.make_vec(spec, count, **options, **disabled))
    else:
        settings = {"disable_env_checker": True, **options}
        envs = _made(recipe, lambda: gym.make_vec(spec, count, "sync", vector_kwargs=disabled, **settings))
    return SafeguardVectorWrapper(
        envs,
        guard,
        recipe.env.labeller or None,
        reward=reward,
        observe=recipe.env.observe,
        end_on_violation=recipe.env.end_on_violation,
    )


def make_filmed_env(recipe: GameRecipe, guard: Safeguard, reward: RewardSettings) -> SafeguardWrapper:
    """One watched environment that renders frames."""
    spec = env_spec(recipe)
    settings = {"disable_env_checker": True, **recipe.env.options, "render_mode": "rgb_array"}
    return SafeguardWrapper(
        _made(recipe, lambda: gym.make(spec, **settings)),
        guard,
        recipe.env.labeller or None,
        reward=reward,
        observe=recipe.env.observe,
        end_on_violation=recipe.env.end_on_violation,
    )


def env_spec(recipe: GameRecipe) -> EnvSpec:
    """What Gymnasium knows of the recipe's environment; a module before a colon is imported first."""
    module, _, name = recipe.env.id.rpartition(":")
    if module:
        _import(recipe, module)
    try:
        return gym.spec(name)
    except gym.error.Error:
        known = [key for key in gym.registry if key.partition("/")[0] == name.partition("/")[0]] or list(gym.registry)
        valid = f" Valid ids: {choices(known)}." if len(known) <= _SHOWN else ""
        raise fault(
            recipe,
            f"env.id: unknown environment '{name}'.{valid}{nearest(name, gym.registry)} "
            "One of your own is named 'module:id', where the module registers it",
        ) from None


def _import(recipe: GameRecipe, name: str) -> None:
    folder = str(Path.cwd())
    sys.path.append(folder)  # a console script does not look in the working folder by itself
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise fault(recipe, f"env.id: cannot import '{name}': {error}") from error
    finally:
        sys.path.remove(folder)


def _batched(spec: EnvSpec) -> bool:
    """Whether the environment has a batched form that leaves resetting to the caller."""
    entry = spec.vector_entry_point
    if entry is None:
        return False
    creator = load_env_creator(entry) if isinstance(entry, str) else entry
    return "autoreset_mode" in inspect.signature(creator).parameters


def _made(recipe: GameRecipe, make: Any) -> Any:
    """The environment, with a complaint about its keyword arguments turned into one about `env.options`."""
    try:
        return make()
    except TypeError as error:
        if "keyword argument" not in str(error):
            raise
        raise fault(recipe, f"env.options: {recipe.env.id} does not take them: {error}") from error
    except ModuleNotFoundError as error:
        raise fault(
            recipe, f"env.id: {recipe.env.id} needs the package '{error.name}', which is not installed"
        ) from error
