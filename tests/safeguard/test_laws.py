"""The laws of the machine, on random formulas, machines and traces. The laws of rewards are in test_shaping.py."""

from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.safeguard import Safeguard, Spec
from safetune.safeguard.formula import PRECEDENCE, Binary, Constant, Formula, Prop, Unary, propositions_of
from safetune.safeguard.memory import Memory
from safetune.safeguard.minimise import equivalence_classes, explore, quotient
from safetune.safeguard.parser import parse

NAMES = ("a", "b", "c", "end")

formulas = st.recursive(
    st.sampled_from([*map(Prop, NAMES), Constant(True), Constant(False)]),
    lambda inner: st.one_of(
        st.builds(Unary, st.sampled_from(["!", "previously", "once", "historically"]), inner),
        st.builds(Unary, st.just("once"), inner, st.integers(0, 3)),
        st.builds(Binary, st.sampled_from(sorted(PRECEDENCE)), inner, inner),
    ),
    max_leaves=7,
)
rule_lists = st.lists(formulas, min_size=1, max_size=3)
words = st.lists(st.sets(st.sampled_from(NAMES)).map(frozenset), min_size=1, max_size=9)


def spec_of(
    rules: list[Formula], order: tuple[str, ...] = NAMES[:3], costs: tuple[float, ...] = (1.0, 2.0, 4.0)
) -> Spec:
    """A spec of these rules; a last rule that always holds speaks of every proposition, so that none is unused."""
    every = " | ".join(order)
    texts = [*map(str, rules), f"({every}) | !({every})"]
    lines = ['name = "drawn"', "[propositions]", *(f'{name} = "drawn"' for name in order)]
    for index, text in enumerate(texts):
        lines += ["[[rule]]", f'name = "r{index}"', f'always = "{text}"', f"cost = {2.0**index}"]
    return Spec.parse("\n".join(lines))


def guard_of(rules: list[Formula], order: tuple[str, ...] = NAMES[:3]) -> Safeguard:
    return Safeguard.from_spec(spec_of(rules, order))


def encode(guard: Safeguard, word: list[frozenset[str]]) -> list[int]:
    """The labels of a word; `end` is dropped where the machine has no such proposition."""
    return [guard.encode(labels & set(guard.propositions)) for labels in word]


def direct_truths(formula: Formula, word: list[frozenset[str]]) -> list[bool]:
    """The formula's truth at each step, from the definitions alone."""

    @cache
    def at(node: Formula, now: int) -> bool:
        match node:
            case Constant(value=value):
                return value
            case Prop(name=name):
                return name in word[now]
            case Unary(op="!", arg=p):
                return not at(p, now)
            case Unary(op="previously", arg=p):
                return now > 0 and at(p, now - 1)
            case Unary(op="historically", arg=p):
                return all(at(p, step) for step in range(now + 1))
            case Unary(op="once", arg=p, within=k):
                first = 0 if k is None else max(0, now - k)
                return any(at(p, step) for step in range(first, now + 1))
            case Binary(op="since", left=p, right=q):
                return any(
                    at(q, step) and all(at(p, later) for later in range(step + 1, now + 1)) for step in range(now + 1)
                )
            case Binary(op="&", left=p, right=q):
                return at(p, now) and at(q, now)
            case Binary(op="|", left=p, right=q):
                return at(p, now) or at(q, now)
            case Binary(op="->", left=p, right=q):
                return not at(p, now) or at(q, now)
            case Binary(op="<->", left=p, right=q):
                return at(p, now) == at(q, now)
        raise AssertionError(node)

    return [at(formula, now) for now in range(len(word))]


@settings(max_examples=1000)
@given(formulas)
def test_the_text_of_a_formula_reads_back_as_the_same_formula(formula: Formula) -> None:
    assert parse(str(formula)) == formula


@settings(max_examples=300)
@given(rule_lists, words)
def test_verdicts_follow_the_definitions(rules: list[Formula], word: list[frozenset[str]]) -> None:
    guard = guard_of(rules)
    seen = guard.run(encode(guard, word))
    costs = np.zeros(len(word))
    for index, rule in enumerate(rules):
        broken = ~np.array(direct_truths(rule, word))
        assert ((seen.broken >> index & 1) == broken).all(), str(rule)
        costs += guard.rules[index].cost * broken
    assert (seen.broken >> len(rules) == 0).all()
    np.testing.assert_array_equal(seen.cost, costs)


@given(rule_lists)
def test_a_machine_is_total_and_deterministic_and_starts_at_its_first_state(rules: list[Formula]) -> None:
    guard = guard_of(rules)
    shape = (guard.n_states, 2 ** len(guard.propositions))
    assert guard.initial == 0
    assert guard.next_state.shape == guard.cost.shape == guard.broken.shape == shape
    assert guard.next_state.min() >= 0
    assert guard.next_state.max() < guard.n_states
    assert len(set(guard.state_names)) == guard.n_states
    # Numbered breadth-first: read row by row, each state that appears first is the next number.
    first_seen = dict.fromkeys([0, *guard.next_state.ravel().tolist()])
    assert list(first_seen) == list(range(guard.n_states))
    for state, labels in product(range(guard.n_states), range(guard.n_labels)):
        assert guard.step(state, labels) == guard.step(state, guard.decode(labels))


@given(rule_lists, st.data())
def test_a_batch_is_a_loop_of_steps(rules: list[Formula], data: st.DataObject) -> None:
    guard = guard_of(rules)
    streams, length = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 6))
    numbers = st.lists(st.integers(0, guard.n_labels - 1), min_size=streams * length, max_size=streams * length)
    labels = np.array(data.draw(numbers), dtype=np.int64).reshape(streams, length)
    starts = np.array(
        data.draw(st.lists(st.integers(0, guard.n_states - 1), min_size=streams, max_size=streams)), dtype=np.int64
    )
    batch = guard.run(labels, starts)
    for row in range(streams):
        state, alone = int(starts[row]), guard.run(labels[row], int(starts[row]))
        for now in range(length):
            step = guard.step(state, int(labels[row, now]))
            assert (batch.states[row, now], batch.cost[row, now]) == (state, step.cost)
            assert guard.rule_names(batch.broken[row, now]) == step.broken
            state = step.state
        assert batch.states[row, length] == state
        for one, many in zip(alone, batch, strict=True):
            np.testing.assert_array_equal(one, many[row])


@given(formulas, words)
def test_minimising_changes_no_verdict(formula: Formula, word: list[frozenset[str]]) -> None:
    names = propositions_of(formula)
    memory = Memory(formula, names)
    _, next_state, kept = explore(memory.start, memory.step, memory.n_letters, 10_000)
    small_next, small_kept, _ = quotient(next_state, kept, equivalence_classes(next_state, kept))
    assert len(small_next) <= len(next_state)
    large, small = 0, 0
    for labels in word:
        letter = memory.letter_of[sum(1 << names.index(name) for name in labels if name in names)]
        assert kept[large, letter] == small_kept[small, letter]
        large, small = next_state[large, letter], small_next[small, letter]


def distinguishable(next_state: np.ndarray, verdict: np.ndarray) -> np.ndarray:
    """(S, S) which pairs of states some word tells apart, by filling the table of pairs."""
    apart = (verdict[:, None, :] != verdict[None, :, :]).any(axis=2)
    while True:
        more = apart | apart[next_state[:, None, :], next_state[None, :, :]].any(axis=2)
        if (more == apart).all():
            return apart
        apart = more


@given(st.integers(1, 9), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_classes_are_the_states_that_no_word_tells_apart(n_states: int, n_labels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    next_state = rng.integers(0, n_states, size=(n_states, n_labels))
    verdict = (rng.random((n_states, n_labels)) < 0.2).astype(np.int64)
    classes = equivalence_classes(next_state, verdict)
    np.testing.assert_array_equal(classes[:, None] != classes[None, :], distinguishable(next_state, verdict))


@given(rule_lists)
def test_a_safeguard_is_minimal(rules: list[Formula]) -> None:
    guard = guard_of(rules)
    apart = distinguishable(guard.next_state, guard.broken)
    np.testing.assert_array_equal(apart, ~np.eye(guard.n_states, dtype=bool))


@given(rule_lists, words, st.permutations(NAMES[:3]))
def test_permuting_propositions_changes_nothing(
    rules: list[Formula], word: list[frozenset[str]], order: list[str]
) -> None:
    guard, other = guard_of(rules), guard_of(rules, tuple(order))
    seen, again = guard.run(encode(guard, word)), other.run(encode(other, word))
    assert guard.n_states == other.n_states
    np.testing.assert_array_equal(seen.broken, again.broken)
    np.testing.assert_array_equal(seen.cost, again.cost)
    np.testing.assert_array_equal(guard.distance[seen.states], other.distance[again.states])
    position = [other.propositions.index(name) for name in guard.propositions]
    for one, two in zip(seen.states.tolist(), again.states.tolist(), strict=True):
        np.testing.assert_array_equal(guard.danger(one), other.danger(two)[position])


@given(rule_lists)
def test_distance_is_one_step_more_than_that_of_the_nearest_successor(rules: list[Formula]) -> None:
    guard = guard_of(rules)
    at_once = (guard.broken != 0).any(axis=1)
    onward = 1 + guard.distance[guard.next_state].min(axis=1)
    np.testing.assert_array_equal(guard.distance, np.where(at_once, 1.0, onward))
    # In a loop without violations the equation has no finite solution, and a finite one is unique.
    assert np.isinf(guard.distance).all() == (not at_once.any())


STATES = ("calm", "warned", "burning", "flooded")


@given(
    st.lists(st.sampled_from(STATES), min_size=16, max_size=16),
    st.booleans(),
    st.lists(st.integers(0, 3), min_size=1, max_size=8),
)
def test_a_machine_of_transitions_does_what_it_says(targets: list[str], absorbing: bool, labels: list[int]) -> None:
    unsafe = {"burning": 2.0, "flooded": 0.5}
    guards = ["!a & !b", "a & !b", "!a & b", "a & b"]
    lines = ['name = "drawn"', "[propositions]", 'a = "a"', 'b = "b"', "[machine]", 'initial = "calm"']
    lines += [f"absorbing = {str(absorbing).lower()}", "unsafe = { burning = 2, flooded = { cost = 0.5 } }"]
    moves = {}
    for (start, column), target in zip(product(STATES, range(4)), targets, strict=True):
        # Staying needs no transition; from an absorbing unsafe state none may be written.
        if target != start and not (absorbing and start in unsafe):
            moves[start, column] = target
            lines += [
                "[[machine.transition]]",
                f'from = "{start}"',
                f'when = "{guards[column]}"',
                f'to = "{target}"',
            ]
    used = {column for _, column in moves}
    if not used:
        return
    guard = Safeguard.from_spec(Spec.parse("\n".join(lines)))
    state, at = "calm", guard.initial
    for column in labels:
        stuck = absorbing and state in unsafe
        state = state if stuck else moves.get((state, column), state)
        charged = state in unsafe and not stuck
        step = guard.step(at, column)
        assert step.broken == ((state,) if charged else ())
        assert step.cost == (unsafe[state] if charged else 0.0)
        at = step.state
    apart = distinguishable(guard.next_state, guard.broken)
    np.testing.assert_array_equal(apart, ~np.eye(guard.n_states, dtype=bool))


@pytest.mark.parametrize("bound", [0, 1, 7, 500])
def test_a_bounded_once_costs_one_state_a_step(bound: int) -> None:
    guard = guard_of([parse(f"once[{bound}] a")])
    assert guard.n_states == bound + 1
