"""Labellers: what holds at a step of a world, as bits in the order of the safeguard's propositions.

A labeller speaks of the step just made, the last of an episode as well, and answers the same for the same step: what
it needs of earlier steps must stand in `info["facts"]`. It never sets the bit of the built-in `end`: the wrapper does.
A set of labels is one integer, bit i for `guard.propositions[i]`. N environments side by side, A actions.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError, choices, nearest
from safetune.games.functions import FunctionLabeller
from safetune.safeguard import Safeguard

WORLDS: dict[str, str] = {
    "craft": "safetune.games.craft.labeller:labeller",
    "doom": "safetune.games.doom.labeller:labeller",
    "minigrid": "safetune.games.minigrid:labeller",
}
"""World to the function `(guard, env) -> Labeller` that reads its `[bind.<world>]` table."""


@runtime_checkable
class Labeller(Protocol):
    """Labels of one environment's steps; the protocols below are what a labeller may offer besides."""

    def labels(self, observation: Any, action: Any, info: dict[str, Any], /) -> int:
        """The labels of the step just made."""
        ...


@runtime_checkable
class BatchLabeller(Protocol):
    """Labels of N environments at once, from arrays, without a loop over the environments."""

    def batch_labels(self, observations: Any, actions: Any, infos: dict[str, Any], /) -> NDArray[np.int64]:
        """(N,) the labels of the step just made; `infos` has an array (N, …) for each key."""
        ...


@runtime_checkable
class ForeseeingLabeller(Protocol):
    """Knows what an action would bring, so that actions can be masked.

    It may have `certain(env)` as well, bools of the same shape: where the labels are sure to come true. Conformance
    is checked there alone.
    """

    def foresee(self, env: Any, /) -> NDArray[np.int64]:
        """(A,), or (N, A) for a vector environment: the labels each action would bring now, as far as is known."""
        ...


def build_labeller(guard: Safeguard, env: Any, world: str | None = None) -> Labeller:
    """The labeller of a world, from the spec's `[bind.<world>]`.

    `world` is one of `WORLDS`, or `module:function` with the signature `(guard, env) -> Labeller`; by default it is
    what the environment says of itself (`env.unwrapped.world`).
    """
    name = world_of(env) if world is None else world
    if name is None:
        raise GameError(
            f"labeller: {called(env)} does not say which world it is (no attribute 'world'); give a labeller, a dict "
            f"of functions, 'module:function', or one of {choices(WORLDS)}"
        )
    if name not in WORLDS and ":" not in name:
        valid = choices(WORLDS) + " or 'module:function'." + nearest(name, WORLDS)
        raise GameError(f"labeller: unknown world '{name}'. Valid: {valid}")
    return _checked(load_function(WORLDS.get(name, name), "labeller")(guard, env), f"'{name}' built")


def as_labeller(guard: Safeguard, env: Any, given: Any = None) -> Labeller:
    """What a caller may give as a labeller: nothing, a world's name, `module:function`, functions by name, or one."""
    if given is None or isinstance(given, str):
        return build_labeller(guard, env, given)
    if isinstance(given, Mapping):
        return FunctionLabeller(guard, given)
    return _checked(given, "got")


def world_of(env: Any) -> str | None:
    """The world that an environment says it belongs to; of a vector environment, the first of its environments."""
    inner = env.unwrapped
    world = getattr(inner, "world", None)
    if world is None and getattr(inner, "envs", None):
        return world_of(inner.envs[0])
    if world is None and any(cls.__module__.startswith("minigrid.") for cls in type(inner).__mro__):
        return "minigrid"
    return world if isinstance(world, str) else None


def load_function(name: str, where: str) -> Callable[..., Any]:
    """A function from its `module:function`; `where` is the key or argument that errors name."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise GameError(f"{where}: got '{name}', expected 'module:function'")
    folder = str(Path.cwd())
    sys.path.append(folder)  # a console script does not look in the working folder by itself
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in (module_name.partition(".")[0], ""):
            raise  # the module is there, and something that it needs is not
        raise GameError(f"{where}: cannot import '{module_name}': {error}") from error
    finally:
        sys.path.remove(folder)
    function = getattr(module, attribute, None)
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        hint = nearest(attribute, public)
        raise GameError(f"{where}: '{module_name}' has no function '{attribute}'; it has {choices(public)}.{hint}")
    return function


def _checked(labeller: Any, verb: str) -> Labeller:
    if not isinstance(labeller, Labeller):
        raise GameError(
            f"labeller: {verb} {labeller!r}, expected an object with the method labels(observation, action, info)"
        )
    return labeller


def called(env: Any) -> str:
    """What errors call an environment: its id, or its class."""
    spec = getattr(env, "spec", None)
    return f"'{spec.id}'" if spec is not None else type(env.unwrapped).__name__
