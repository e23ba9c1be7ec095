"""Finding a labeller: by the environment's world, by name, from functions, or as it is given."""

import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from safetune.errors import GameError
from safetune.games import (
    WORLDS,
    BatchLabeller,
    ForeseeingLabeller,
    FunctionLabeller,
    Labeller,
    as_labeller,
    build_labeller,
    load_function,
    world_of,
)

MODULE = """
class Quiet:
    def labels(self, observation, action, info):
        return 0

def labeller(guard, env):
    return Quiet()

def wrong(guard, env):
    return 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's own, in the working folder."""
    (tmp_path / "toy_labels.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_labels", raising=False)
    return "toy_labels"


def test_a_function_of_the_users_own_builds_it(guards: Any, drawn: Any, module: str) -> None:
    built = build_labeller(guards["plain"], drawn(), f"{module}:labeller")
    assert isinstance(built, Labeller)
    assert str(Path.cwd()) not in sys.path
    assert isinstance(as_labeller(guards["plain"], drawn(), f"{module}:labeller"), Labeller)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crafty", r"labeller: unknown world 'crafty'\. Valid: 'craft', 'doom', .*Did you mean 'craft'\?"),
        ("toy_labels:labeler", r"'toy_labels' has no function 'labeler'; .*Did you mean 'labeller'\?"),
        ("toy_labels:wrong", r"'toy_labels:wrong' built 3, expected an object with the method labels"),
        ("not_there:labeller", "cannot import 'not_there'"),
        (":labeller", "got ':labeller', expected 'module:function'"),
        (None, r"Drawn does not say which world it is \(no attribute 'world'\); give a labeller, a dict"),
    ],
)
def test_what_cannot_be_found(guards: Any, drawn: Any, module: str, name: str | None, message: str) -> None:
    with pytest.raises(GameError, match=message):
        build_labeller(guards["plain"], drawn(), name)


def test_a_module_that_needs_what_is_not_there_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_needy.py").write_text("import not_installed_here\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_installed_here"):
        load_function("toy_needy:f", "labeller")


@pytest.mark.parametrize("given", [3, object()])
def test_what_is_no_labeller(guards: Any, drawn: Any, given: Any) -> None:
    with pytest.raises(GameError, match=r"labeller: got .*, expected an object with the method labels"):
        as_labeller(guards["plain"], drawn(), given)


def test_the_world_is_the_innermost_environments(drawn: Any) -> None:
    class Craft(drawn):  # type: ignore[misc]
        world = "craft"

    assert world_of(gym.wrappers.TimeLimit(Craft(), 5)) == "craft"
    assert world_of(SyncVectorEnv([Craft, Craft])) == "craft"
    assert world_of(drawn()) is None


def test_every_world_has_its_module() -> None:
    for name in WORLDS.values():
        assert callable(load_function(name, "labeller"))


FUNCTIONS = {
    "water": lambda observation, action, info: action == 1,
    "fuel": lambda observation, action, info: observation[0] > 0.5,
    "spark": lambda observation, action, info: info["hot"],
}


def test_functions_are_asked_in_the_propositions_order(guards: Any) -> None:
    labeller = FunctionLabeller(guards["end"], FUNCTIONS)
    assert labeller.labels(np.array([0.9]), 0, {"hot": False}) == 0b001
    assert labeller.labels(np.array([0.1]), 0, {"hot": True}) == 0b010
    assert labeller.labels(np.array([0.1]), 1, {"hot": np.bool_(False)}) == 0b100
    observations, actions = np.array([[0.9], [0.1], [0.9]]), np.array([0, 1, 1])
    infos = {"hot": np.array([True, False, False]), "_hot": np.array([True, True, True])}
    assert labeller.batch_labels(observations, actions, infos).tolist() == [0b011, 0b100, 0b101]


def test_functions_may_take_arrays(guards: Any) -> None:
    functions = FUNCTIONS | {"fuel": lambda observations, actions, infos: observations[:, 0] > 0.5}
    labeller = FunctionLabeller(guards["plain"], functions, arrays=True)
    infos = {"hot": np.array([True, False])}
    assert labeller.batch_labels(np.array([[0.9], [0.1]]), np.array([0, 1]), infos).tolist() == [0b011, 0b100]
    with pytest.raises(GameError, match="these functions take the arrays of a vector environment"):
        labeller.labels(np.array([0.9]), 0, {"hot": False})
    wrong = FunctionLabeller(guards["plain"], functions | {"water": lambda *step: np.ones(2)}, arrays=True)
    with pytest.raises(GameError, match=r"'water' returned float64 of shape \(2,\), expected bool of shape \(2,\)"):
        wrong.batch_labels(np.array([[0.9], [0.1]]), np.array([0, 1]), infos)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"watr": FUNCTIONS["water"]}, r"unknown proposition 'watr'\. Valid: .*Did you mean 'water'\?"),
        ({"end": FUNCTIONS["water"]}, "unknown proposition 'end'"),
        ({"water": True}, r"'water': expected a function \(observation, action, info\), got True"),
    ],
)
def test_functions_must_fit_the_propositions(guards: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(GameError, match=message):
        FunctionLabeller(guards["end"], FUNCTIONS | change)


def test_every_proposition_needs_its_function(guards: Any) -> None:
    with pytest.raises(GameError, match="no function for 'fuel', 'spark'; each proposition of 'fire' needs one"):
        FunctionLabeller(guards["end"], {"water": FUNCTIONS["water"]})


@pytest.mark.parametrize("answer", [1, None, 0.5, np.array([True])])
def test_a_function_answers_true_or_false(guards: Any, answer: Any) -> None:
    labeller = FunctionLabeller(guards["plain"], FUNCTIONS | {"spark": lambda *step: answer})
    with pytest.raises(GameError, match=r"'spark' returned .*, expected True or False"):
        labeller.labels(np.array([0.9]), 0, {})


def test_the_protocols_know_their_own(bits_labeller: Any, guards: Any) -> None:
    assert isinstance(bits_labeller(), Labeller)
    assert isinstance(bits_labeller(), BatchLabeller)
    assert isinstance(bits_labeller(), ForeseeingLabeller)
    assert not isinstance(FunctionLabeller(guards["plain"], FUNCTIONS), ForeseeingLabeller)
