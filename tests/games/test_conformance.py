"""The conformance check: it passes what keeps the protocol, and says what does not."""

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from safetune.errors import GameError
from safetune.games import FunctionLabeller, check_labeller


@pytest.mark.parametrize("name", ["plain", "end"])
def test_a_labeller_that_keeps_the_protocol(guards: Any, drawn: Any, bits_labeller: Any, name: str) -> None:
    env = drawn()
    env.action_space = type(env.action_space)(3)
    report = check_labeller(env, guards[name], AlwaysFirst(bits_labeller()), steps=300)
    assert report.steps == 300
    assert report.episodes > 20
    assert set(report.held) == {"fuel", "spark", "water"}
    assert all(100 < count < 200 for count in report.held.values())
    assert 50 < report.foreseen < 150


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.name)
def test_one_in_a_vector_environment(guards: Any, bits_labeller: Any, side_by_side: Any, mode: Any) -> None:
    report = check_labeller(side_by_side(4, mode), guards["end"], AlwaysFirst(bits_labeller()), steps=200)
    assert report.episodes > 20
    assert report.foreseen > 20
    assert report.steps <= 200


class AlwaysFirst:
    """Another labeller, with one part of it replaced."""

    def __init__(self, inner: Any, **parts: Any) -> None:
        self._inner = inner
        vars(self).update(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def counting() -> Any:
    calls = iter(range(10**6))
    return lambda observation, action, info: next(calls) % 2


def forgets_the_last(env_class: type) -> Any:
    class Forgets(env_class):  # type: ignore[misc]
        def step(self, action: Any) -> Any:
            observation, reward, ended, cut, info = super().step(action)
            return observation, reward, ended, cut, {} if ended or cut else info

    return Forgets()


def says_less_at_the_last(env_class: type) -> Any:
    class SaysLess(env_class):  # type: ignore[misc]
        def step(self, action: Any) -> Any:
            *others, info = super().step(action)
            if not (others[2] or others[3]):
                info["facts"]["position"] = 3
            return *others, info

    return SaysLess()


def always(answer: Any) -> Any:
    return lambda *step: answer


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"labels": always(8)}, r"Drawn: step 1: the labeller returned 8, expected a whole number from 0 to 7"),
        ({"labels": always(0.0)}, "returned 0.0, expected a whole number"),
        ({"labels": always(None)}, "returned None, expected a whole number"),
        ({"labels": counting()}, r"returned 0, and for the same step once more 1; .* must stand in info\['facts'\]"),
        ({"foresee": always(np.zeros(2, dtype=int))}, r"foresee: got int64 of shape \(2,\)"),
        ({"certain": always(np.ones(3))}, r"step 1: certain: got float64 of shape \(3,\), expected bool"),
        (
            {"certain": always(np.ones(3, dtype=bool))},
            r"foresee was certain of \(.*\) for action \d, and what",
        ),
    ],
)
def test_what_a_labeller_does_wrong(guards: Any, drawn: Any, bits_labeller: Any, parts: Any, message: str) -> None:
    with pytest.raises(GameError, match=message):
        check_labeller(drawn(), guards["end"], AlwaysFirst(bits_labeller(), **parts), steps=50)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"batch_labels": always(np.zeros(3, dtype=int))},
            r"environment \d: batch_labels says \(\), and labels",
        ),
        ({"batch_labels": always(np.zeros(3))}, r"returned float64 of shape \(3,\)"),
        ({"labels": always(7)}, r"batch_labels says .* for this environment alone, \('fuel', 'spark', 'water'\)"),
    ],
)
def test_what_it_does_wrong_in_a_batch(
    guards: Any, bits_labeller: Any, side_by_side: Any, parts: Any, message: str
) -> None:
    with pytest.raises(GameError, match=message):
        check_labeller(side_by_side(3), guards["plain"], AlwaysFirst(bits_labeller(), **parts), steps=50)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (forgets_the_last, "failed with KeyError: 'facts', at the last step of an episode, whose info must say"),
        (says_less_at_the_last, r"at the last step of an episode info\['facts'\] lacks position"),
    ],
)
def test_an_environment_that_says_less_at_the_last_step(
    guards: Any, drawn: Any, bits_labeller: Any, spoil: Any, message: str
) -> None:
    with pytest.raises(GameError, match=message):
        check_labeller(spoil(drawn), guards["plain"], bits_labeller(), steps=50)


def test_functions_of_arrays_can_be_checked(guards: Any, side_by_side: Any) -> None:
    functions = {
        name: (lambda observations, actions, infos, bit=bit: (infos["facts"]["bits"] >> bit & 1).astype(bool))
        for bit, name in enumerate(("fuel", "spark", "water"))
    }
    assert check_labeller(side_by_side(3), guards["plain"], FunctionLabeller(guards["plain"], functions, arrays=True))


def test_at_least_one_step(guards: Any, drawn: Any, bits_labeller: Any) -> None:
    with pytest.raises(GameError, match="steps: expected at least 1, got 0"):
        check_labeller(drawn(), guards["plain"], bits_labeller(), steps=0)
