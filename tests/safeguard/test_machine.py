"""The safeguard's own contract, on small specs: steps, runs, danger, distance, refusals."""

import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from safetune import Safeguard
from safetune.errors import DataError
from safetune.safeguard import Spec, Step

SPEC = """
name = "lava"
[propositions]
lava = "the agent stands in lava"
suit = "the agent wears the suit"
boss = "the boss is met"
[[rule]]
name = "suit before lava"
always = "lava -> once suit"
cost = 2.0
[[rule]]
name = "end with the boss met"
always = "end -> once boss"
"""


@pytest.fixture
def guard() -> Safeguard:
    return Safeguard.from_spec(Spec.parse(SPEC))


def test_a_step_gives_the_state_the_cost_and_the_rules_broken(guard: Safeguard) -> None:
    assert guard.step(guard.initial, {"lava", "end"}) == Step(
        guard.initial, 3.0, ("suit before lava", "end with the boss met")
    )
    dressed = guard.step(guard.initial, ["suit"]).state
    assert guard.state_names[dressed] == "once suit"
    assert guard.step(dressed, {"lava"}) == Step(dressed, 0.0, ())


def test_end_stands_last_and_only_where_a_formula_speaks_of_it(guard: Safeguard) -> None:
    assert guard.propositions == ("lava", "suit", "boss", "end")
    without = Spec.parse(SPEC.replace("end -> once boss", "!boss"))
    assert Safeguard.from_spec(without).propositions == ("lava", "suit", "boss")


def test_labels_have_names_and_bits(guard: Safeguard) -> None:
    assert guard.encode({"end", "lava"}) == 0b1001
    assert guard.decode(0b1001) == ("lava", "end")
    assert guard.rule_names(0b10) == ("end with the boss met",)


def test_danger_and_distance_tell_how_near_a_violation_is(guard: Safeguard) -> None:
    assert guard.danger(guard.initial).tolist() == [True, False, False, True]
    dressed = guard.step(guard.initial, {"suit"}).state
    assert guard.danger(dressed).tolist() == [False, False, False, True]
    safe = guard.step(dressed, {"boss"}).state
    assert guard.distance[[guard.initial, dressed, safe]].tolist() == [1, 1, np.inf]


def test_distance_counts_the_steps_of_a_longer_way() -> None:
    spec = 'name="x"\n[propositions]\na="a"\n[[rule]]\nname="thrice"\nalways="!(a & previously (a & previously a))"'
    assert sorted(Safeguard.from_spec(Spec.parse(spec)).distance.tolist()) == [1, 2, 3]


def test_a_run_goes_on_where_another_stopped(guard: Safeguard) -> None:
    labels = np.array([[0, 2, 1, 8], [4, 1, 8, 3]])
    whole, first = guard.run(labels), guard.run(labels[:, :2])
    second = guard.run(labels[:, 2:], first.states[:, -1])
    np.testing.assert_array_equal(whole.cost, np.concatenate([first.cost, second.cost], axis=1))
    np.testing.assert_array_equal(whole.states[:, 2:], second.states)
    assert whole.states.shape == (2, 5)


def test_nothing_runs_as_well_as_something(guard: Safeguard) -> None:
    assert guard.run([]).states.tolist() == [guard.initial]
    assert guard.run(np.zeros((0, 3), dtype=int)).cost.shape == (0, 3)
    assert guard.run(np.zeros((3, 0), dtype=int)).states.shape == (3, 1)


def test_a_safeguard_cannot_be_changed(guard: Safeguard) -> None:
    copy = pickle.loads(pickle.dumps(guard))
    for one in (guard, copy):
        with pytest.raises(FrozenInstanceError):
            one.initial = 1  # type: ignore[misc]
        for table in (one.next_state, one.cost, one.broken, one.distance):
            with pytest.raises(ValueError, match="read-only"):
                table[0] = 0
    np.testing.assert_array_equal(copy.next_state, guard.next_state)
    assert copy.spec == guard.spec
    assert copy.spec.source == guard.spec.source


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (
            {"lav"},
            "labels: unknown proposition 'lav'. Valid names: 'boss', 'end', 'lava', 'suit'. Did you mean 'lava'?",
        ),
        ("lava", "labels: expected a set of names, such as {'lava'}, got the string 'lava'"),
        (16, "labels: expected 0 to 15, got 16"),
        (-1, "labels: expected 0 to 15, got -1"),
        (0.5, "labels: expected a whole number, got 0.5"),
    ],
)
def test_wrong_labels_of_a_step_are_refused(guard: Safeguard, labels: object, says: str) -> None:
    with pytest.raises(DataError) as caught:
        guard.step(guard.initial, labels)  # type: ignore[arg-type]
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "state", "says"),
    [
        ([16], None, "labels: expected 0 to 15, got 16 to 16"),
        ([0.5], None, "labels: expected whole numbers, got float64"),
        ([[[0]]], None, "labels: expected shape (T,) or (B, T), got (1, 1, 1)"),
        ([[0, 1], [0]], None, "labels: "),
        ([0], 4, "state: expected 0 to 3, got 4 to 4"),
        ([[0], [0]], [0, 0, 0], "state: expected one state or shape (2,), got (3,)"),
        ([0], [0, 0], "state: expected one state or shape (), got (2,)"),
    ],
)
def test_wrong_labels_of_a_run_are_refused(guard: Safeguard, labels: object, state: object, says: str) -> None:
    assert guard.n_states == 4
    with pytest.raises(DataError) as caught:
        guard.run(labels, state)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_a_state_beyond_the_last_is_refused(guard: Safeguard) -> None:
    for call in (lambda: guard.step(4, 0), lambda: guard.danger(-1)):
        with pytest.raises(DataError, match="state: expected 0 to 3"):
            call()


def test_it_loads_from_a_file_and_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lava.toml"
    path.write_text(SPEC)
    guard = Safeguard.load(path)
    assert guard.spec.source == str(path)
    assert guard.spec.folder == tmp_path
    assert repr(guard) == "<Safeguard 'lava': ('lava', 'suit', 'boss', 'end'), 2 rules, 4 states>"
