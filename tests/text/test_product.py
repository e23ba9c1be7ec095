import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.errors import SpecError
from safetune.safeguard import Safeguard, Spec
from safetune.text.automaton import END, ByteAutomaton
from safetune.text.product import ByteSafeguard, compose

LETTERS = b"ab \xc3\xa9"  # all other bytes behave like a space in the automata drawn below


def guard_of(*rules: str, binds: str = "", names: str = "pq") -> Safeguard:
    lines = ['name = "test"', "[propositions]", *(f'{name} = "drawn"' for name in names)]
    for number, rule in enumerate(rules):
        lines += ["[[rule]]", f'name = "rule {number}"', f'always = "{rule}"', f"cost = {2.0**number}"]
    return Safeguard.from_spec(Spec.parse("\n".join([*lines, "[bind.text]", binds])))


def verdicts(machine: ByteSafeguard, text: bytes) -> tuple[list[float], float]:
    """What each byte is charged with, late verdicts put on the byte before, and what the end itself costs."""
    cost, state, out = [0.0] * len(text), machine.initial, machine.outcomes
    for place, byte in enumerate(text):
        edge = machine.edge[state, byte]
        if out.late_count[edge]:
            cost[place - 1] += out.late_cost[edge]
        cost[place] += out.now_cost[edge]
        state = machine.next_state[state, byte]
    end = machine.end[state]
    if out.late_count[end]:
        cost[-1] += out.late_cost[end]
    return cost, float(out.now_cost[end])


def expected(guard: Safeguard, automaton: ByteAutomaton, text: bytes) -> tuple[list[float], float]:
    """The same by the definition: the guard steps over the non-empty labels of all positions but the first."""
    labels = automaton.read(text)[1:].tolist()
    events = [place for place, held in enumerate(labels) if held]
    end = guard.encode(["end"]) if "end" in guard.propositions else 0
    trace = guard.run([labels[place] for place in events] + [end])
    cost = [0.0] * len(text)
    for place, charge in zip(events, trace.cost.tolist(), strict=False):
        cost[place] = charge
    return cost, float(trace.cost[-1])


GUARDS = [
    guard_of("!p", "q -> once p"),
    guard_of("p -> !previously p", "!(p & q)"),
    guard_of("end -> once p", "q -> !once[1] p"),
    guard_of("(p since q) | !p", "once (p & q)"),
]


@st.composite
def automata(draw: st.DrawFn, most: int = 5) -> ByteAutomaton:
    """Any tables at all, a column for each of LETTERS and one for the other bytes; some states know at once."""
    size = draw(st.integers(1, most))
    states, labels = st.integers(0, size - 1), st.sampled_from([0, 0, 0, 1, 2, 3])
    next_state, label = np.zeros((size, 256), int), np.zeros((size, 257), int)
    for state in range(size):
        next_state[state], label[state] = draw(states), draw(labels)
        for byte in LETTERS:
            next_state[state, byte] = draw(states)
        if draw(st.booleans()):
            for column in (*LETTERS, END):
                label[state, column] = draw(labels)
    return ByteAutomaton(draw(states), next_state, label)


texts = st.lists(st.sampled_from(LETTERS), max_size=12).map(bytes)


@given(automaton=automata(), guard=st.sampled_from(GUARDS), text=texts)
@settings(max_examples=300)
def test_product_steps_the_guard_at_events(automaton: ByteAutomaton, guard: Safeguard, text: bytes) -> None:
    assert verdicts(compose(guard, automaton), text) == expected(guard, automaton, text)


@given(automaton=automata(), guard=st.sampled_from(GUARDS), text=texts)
def test_spec_state_is_the_guard_before_what_is_pending(
    automaton: ByteAutomaton, guard: Safeguard, text: bytes
) -> None:
    machine, state = compose(guard, automaton), 0
    for byte in text:
        state = machine.next_state[state, byte]
    known = (automaton.labels == automaton.labels[:, :1]).all(axis=1)
    labels = automaton.read(text)[1:]
    if len(text) and not known[automaton.states(text)[-1]]:
        labels = labels[:-1]
    assert machine.spec_state[state] == guard.run(labels[labels != 0]).states[-1]


@given(automaton=automata(most=4), guard=st.sampled_from(GUARDS))
def test_no_two_states_are_alike(automaton: ByteAutomaton, guard: Safeguard) -> None:
    machine = compose(guard, automaton)
    block = [hash((machine.end[s], machine.spec_state[s])) for s in range(machine.n_states)]
    for _ in range(machine.n_states):  # each round looks one byte further
        rows = zip(block, machine.edge[:, [*LETTERS, 0]].tolist(), machine.next_state[:, [*LETTERS, 0]], strict=True)
        block = [hash((own, *edges, *(block[target] for target in targets))) for own, edges, targets in rows]
    assert len(set(block)) == machine.n_states


@given(automaton=automata(), guard=st.sampled_from(GUARDS))
def test_distance_is_the_shortest_way_to_a_verdict(automaton: ByteAutomaton, guard: Safeguard) -> None:
    machine = compose(guard, automaton)
    out = machine.outcomes
    edge_breaks = (out.late_count + out.now_count)[machine.edge].any(axis=1)
    for start in range(machine.n_states):
        seen, frontier, steps, found = {start}, {start}, 0, np.inf
        while frontier and np.isinf(found):
            if any(out.late_count[machine.end[s]] for s in frontier):
                found = steps
            elif any(out.now_count[machine.end[s]] or edge_breaks[s] for s in frontier):
                found = steps + 1  # one step further something pending would be as near, and no nearer
            frontier = {int(t) for s in frontier for t in machine.next_state[s, [*LETTERS, 0]]} - seen
            seen |= frontier
            steps += 1
        assert machine.distance[start] == found


def test_half_a_match_is_nearer_and_a_pending_one_nearest() -> None:
    machine = ByteSafeguard.compile(guard_of("!p", binds=r"p = { regex = '\bcat\b' }", names="p"))
    state, distances = machine.initial, []
    for byte in b"cats":
        distances.append(float(machine.distance[state]))
        state = machine.next_state[state, byte]
    assert distances == [3, 2, 1, 0]
    assert machine.distance[state] == 4  # a space and the word again


def test_distance_is_infinite_where_nothing_can_break() -> None:
    machine = ByteSafeguard.compile(guard_of("p -> historically p", binds="p = { regex = 'x' }", names="p"))
    assert np.isinf(machine.distance).all()


def test_an_eager_match_is_known_at_its_last_byte() -> None:
    machine = ByteSafeguard.compile(guard_of("!p", binds="p = { regex = 'ab' }", names="p"))
    edge = machine.edge[machine.next_state[machine.initial, ord("a")], ord("b")]
    assert machine.outcomes.now_count[edge] == 1
    assert machine.outcomes.late_count.sum() == 0


def test_the_end_is_a_step_even_without_labels() -> None:
    guard = guard_of("once p", binds="p = { regex = 'x' }", names="p")
    machine = ByteSafeguard.compile(guard)
    assert verdicts(machine, b"ab") == ([0, 0], 1)
    assert verdicts(machine, b"ax") == ([0, 0], 0)


def test_too_many_states_is_an_error_that_tells_what_to_do() -> None:
    guard = guard_of("q -> once p", binds="p = { regex = 'abcdef' }\nq = { regex = 'ghijk' }")
    with pytest.raises(SpecError, match=r"'test'.*more than 5 states.*state_limit"):
        ByteSafeguard.compile(guard, state_limit=5)


def test_tables_cannot_be_written() -> None:
    machine = ByteSafeguard.compile(guard_of("!p", binds="p = { regex = 'x' }", names="p"))
    for table in (machine.next_state, machine.edge, machine.end, machine.distance, *machine.outcomes):
        assert not table.flags.writeable
