"""Which class an algorithm's name stands for, and what `[trainer]` may say to it."""

import inspect
from importlib import import_module
from typing import Any, NamedTuple

from safetune.errors import RecipeError, choices, nearest
from safetune.recipe import GameRecipe, check_arguments, fault
from safetune.recipe.arguments import Range, check_finite, check_ranges


class Algorithm(NamedTuple):
    """Where an algorithm's class is; it is imported only when it is used."""

    module: str
    name: str
    policies: tuple[str, str, str]
    """The policies for vectors, images and dictionaries of both."""


_PLAIN = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy")
_LSTM = ("MlpLstmPolicy", "CnnLstmPolicy", "MultiInputLstmPolicy")
ALGORITHMS: dict[str, Algorithm] = {
    "ppo": Algorithm("stable_baselines3", "PPO", _PLAIN),
    "maskable-ppo": Algorithm("sb3_contrib", "MaskablePPO", _PLAIN),
    "recurrent-ppo": Algorithm("sb3_contrib", "RecurrentPPO", _LSTM),
    "ppo-lagrangian": Algorithm("safetune.games.agents.lagrangian", "PPOLagrangian", _PLAIN),
    "tabular-q": Algorithm("safetune.games.agents.tabular", "QSettings", ("", "", "")),
}
# What a run decides itself: a recipe that sets one of these would be silently overruled.
OWNED = {
    "env": "[env]",
    "seed": "the recipe's 'seed'",
    "tensorboard_log": "the run, which logs by itself",
    "verbose": "the run, which logs by itself",
    "stats_window_size": "the run, which logs by itself",
    "_init_setup_model": "the run",
    "rollout_buffer_class": "the algorithm",
    "rollout_buffer_kwargs": "the algorithm",
}


# The hosts check few of these, and only when they train. A `target_kl` or `clip_range_vf` may be left out.
RANGES = {
    **dict.fromkeys(("n_steps", "batch_size", "n_epochs"), Range(1)),
    **dict.fromkeys(("learning_rate", "ent_coef", "vf_coef", "max_grad_norm"), Range(0)),
    **dict.fromkeys(("clip_range", "clip_range_vf", "target_kl"), Range(0, above=True)),
    "gae_lambda": Range(0, 1),
}


def algorithm_class(recipe: GameRecipe) -> type[Any]:
    """The class of the recipe's algorithm."""
    algorithm = ALGORITHMS[recipe.agent.algorithm]
    found: type[Any] = getattr(import_module(algorithm.module), algorithm.name)
    return found


def argument_types(cls: type[Any]) -> dict[str, Any]:
    """The arguments of a class by name, those that it hands on to its base included."""
    types: dict[str, Any] = {}
    for base in inspect.getmro(cls):
        if "__init__" not in vars(base):
            continue
        function: Any = vars(base)["__init__"]
        parameters = inspect.signature(function).parameters
        for name, parameter in list(parameters.items())[1:]:
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                types.setdefault(name, Any if parameter.annotation is parameter.empty else parameter.annotation)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return types


def argument_default(cls: type[Any], name: str) -> Any:
    """The value that an argument has where a recipe says nothing."""
    for base in inspect.getmro(cls):
        if "__init__" in vars(base):
            function: Any = vars(base)["__init__"]
            if (parameter := inspect.signature(function).parameters.get(name)) is not None:
                return parameter.default
    raise KeyError(name)


def check_trainer(recipe: GameRecipe) -> None:
    """Raise `RecipeError`, with the file, for anything wrong in `[trainer]`."""
    cls = algorithm_class(recipe)
    types = argument_types(cls)
    try:
        check_arguments(recipe.trainer, types, cls.__name__, what="an argument")
        check_finite(recipe.trainer)
        check_ranges(recipe.trainer, RANGES)
        for name in recipe.trainer:
            if name in OWNED:
                raise RecipeError(f"[trainer]: '{name}' is decided by {OWNED[name]}; remove it from the recipe")
        gamma = gamma_of(recipe)
        if not 0 <= gamma <= 1:
            raise RecipeError(f"trainer.gamma: got {gamma}, expected a number in [0, 1]")
    except RecipeError as error:
        raise fault(recipe, str(error)) from error


def gamma_of(recipe: GameRecipe) -> float:
    """The learner's discount, which the shaping uses as well."""
    value = recipe.trainer.get("gamma")
    return float(argument_default(algorithm_class(recipe), "gamma") if value is None else value)


def policy_name(recipe: GameRecipe, space: Any) -> str:
    """The policy that the recipe asks for, or the one that fits the observations."""
    from gymnasium.spaces import Dict
    from stable_baselines3.common.preprocessing import is_image_space

    vectors, images, both = ALGORITHMS[recipe.agent.algorithm].policies
    if (wanted := recipe.trainer.get("policy")) is not None:
        valid = (vectors, images, both)
        if wanted not in valid:
            raise fault(
                recipe,
                f"trainer.policy: got '{wanted}', expected one of {choices(valid)}.{nearest(str(wanted), valid)}",
            )
        return str(wanted)
    return both if isinstance(space, Dict) else images if is_image_space(space) else vectors


def policy_settings(recipe: GameRecipe) -> dict[str, Any] | None:
    """`trainer.policy_kwargs`, with an activation given by its name in `torch.nn` turned into the class."""
    from torch import nn

    given = recipe.trainer.get("policy_kwargs")
    if not given or "activation_fn" not in given:
        return dict(given) if given else None
    name = given["activation_fn"]
    cls = getattr(nn, name, None) if isinstance(name, str) else None
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise fault(
            recipe,
            f"trainer.policy_kwargs.activation_fn: got {name!r}, expected the name of a layer of "
            "torch.nn, such as 'ReLU' or 'Tanh'",
        )
    return {**given, "activation_fn": cls}
