import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.errors import BindingError
from safetune.text.automaton import END, ByteAutomaton, breadth_first, minimise, product


@st.composite
def automata(draw: st.DrawFn, bit: int = 1) -> ByteAutomaton:
    """Up to eight states, and few kinds of bytes: `a`, `b`, the others."""
    n_states = draw(st.integers(1, 8))
    state = st.integers(0, n_states - 1)
    kinds = np.array([[draw(state) for _ in range(3)] for _ in range(n_states)])
    label_kinds = np.array([[draw(st.booleans()) for _ in range(4)] for _ in range(n_states)])
    kind = np.full(END + 1, 2)
    kind[ord("a")], kind[ord("b")], kind[END] = 0, 1, 3
    return ByteAutomaton(draw(state), kinds[:, kind[:END]], bit * label_kinds[:, kind])


datas = st.lists(st.sampled_from([b"a", b"b", b"c", b"\xff"]), max_size=12).map(b"".join)


def distinguishable(automaton: ByteAutomaton) -> np.ndarray:
    """The pairs of states that some text tells apart, by the plain fixed point."""
    columns = [ord("a"), ord("b"), ord("c"), END]
    apart = (automaton.labels[:, None, columns] != automaton.labels[None, :, columns]).any(axis=2)
    while True:
        following = automaton.next_state[:, columns[:3]]
        wider = apart | apart[following[:, None], following[None]].any(axis=2)
        if np.array_equal(wider, apart):
            return apart
        apart = wider


@settings(deadline=None, derandomize=True)
@given(automata(), datas)
def test_minimising_keeps_all_labels(automaton: ByteAutomaton, data: bytes) -> None:
    assert minimise(automaton).read(data).tolist() == automaton.read(data).tolist()


@settings(deadline=None, derandomize=True)
@given(automata())
def test_minimal_states_are_reachable_and_tell_apart(automaton: ByteAutomaton) -> None:
    smallest = minimise(automaton)
    assert (distinguishable(smallest) | np.eye(smallest.n_states, dtype=bool)).all()
    assert breadth_first(smallest.next_state, smallest.initial).tolist() == list(range(smallest.n_states))


@settings(deadline=None, derandomize=True)
@given(automata(), st.randoms(use_true_random=False))
def test_the_minimal_automaton_is_canonical(automaton: ByteAutomaton, random: object) -> None:
    order = np.random.default_rng(random.randrange(1000)).permutation(automaton.n_states)  # type: ignore[attr-defined]
    number = np.argsort(order)
    shuffled = ByteAutomaton(
        int(number[automaton.initial]), number[automaton.next_state[order]], automaton.labels[order]
    )
    a, b = minimise(automaton), minimise(shuffled)
    assert np.array_equal(a.next_state, b.next_state)
    assert np.array_equal(a.labels, b.labels)


@settings(deadline=None, derandomize=True)
@given(automata(), automata(bit=2), datas)
def test_a_product_unites_the_labels(a: ByteAutomaton, b: ByteAutomaton, data: bytes) -> None:
    both = product(a, b)
    assert both.read(data).tolist() == (a.read(data) | b.read(data)).tolist()
    assert both.n_states <= a.n_states * b.n_states


def test_a_product_over_the_limit_says_so() -> None:
    ring = np.arange(1, 8)[:, None] % 7
    seven = ByteAutomaton(0, np.repeat(ring, 256, axis=1), np.repeat(ring == 0, END + 1, axis=1))
    other = np.arange(1, 6)[:, None] % 5
    five = ByteAutomaton(0, np.repeat(other, 256, axis=1), np.repeat(other == 0, END + 1, axis=1))
    assert minimise(product(seven, five, 35)).n_states == 35
    with pytest.raises(BindingError, match=r"7 and 5 states has more than 34 states"):
        product(seven, five, 34)


def test_labels_look_one_byte_ahead() -> None:
    labels = np.zeros((1, END + 1), dtype=int)
    labels[0, ord("b")], labels[0, END] = 1, 2
    assert ByteAutomaton(0, np.zeros((1, 256)), labels).read(b"abc").tolist() == [0, 1, 0, 2]


def test_tables_are_read_only() -> None:
    automaton = ByteAutomaton(0, np.zeros((1, 256)), np.zeros((1, END + 1)))
    with pytest.raises(ValueError, match="read-only"):
        automaton.next_state[0, 0] = 1
