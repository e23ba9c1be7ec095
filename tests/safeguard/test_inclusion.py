from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.safeguard import Rule, Safeguard, Spec
from safetune.safeguard.inclusion import equivalent, format_word, included, letters, ordered

ANY_SPEC = Spec.parse('name = "any"\n[propositions]\na = "a"\n[[rule]]\nname = "r"\nalways = "a"')
ALPHABETS = (("a",), ("b",), ("a", "b"), ("b", "a"), ("a", "end"), ("b", "end"))
TRIED_WORDS = 1500


def tables(propositions, next_state, broken, costs=(1.0, 2.0)):
    """A safeguard from plain tables, as if some spec had been compiled to it."""
    broken = np.array(broken, dtype=np.int64)
    cost = sum((broken >> bit & 1) * price for bit, price in enumerate(costs))
    rules = tuple(Rule(f"rule {bit}", price, "") for bit, price in enumerate(costs))
    names = tuple(f"state {state}" for state in range(len(broken)))
    next_state = np.array(next_state, dtype=np.int32)
    return Safeguard("any", tuple(propositions), rules, 0, next_state, np.array(cost, float), broken, names, ANY_SPEC)


@st.composite
def safeguards(draw, max_states=3, alphabets=ALPHABETS):
    propositions = draw(st.sampled_from(alphabets))
    n_states, n_labels = draw(st.integers(1, max_states)), 2 ** len(propositions)
    states = st.lists(st.integers(0, n_states - 1), min_size=n_labels, max_size=n_labels)
    # Mostly safe edges, so that differences hide behind a few steps.
    verdicts = st.lists(st.sampled_from((0, 0, 0, 0, 1, 2, 3)), min_size=n_labels, max_size=n_labels)
    return tables(
        propositions,
        draw(st.lists(states, min_size=n_states, max_size=n_states)),
        draw(st.lists(verdicts, min_size=n_states, max_size=n_states)),
    )


def spec(*rules, name="stage"):
    formulas = " ".join(rules)
    declared = "".join(f'{p} = "{p}"\n' for p in ("wood", "lava", "suit", "creeper") if p in formulas)
    text = "".join(f'[[rule]]\nname = "{rule}"\nalways = "{rule}"\n' for rule in rules)
    return Safeguard.from_spec(Spec.parse(f'name = "{name}"\n[propositions]\n{declared}{text}'))


def all_words(names):
    """Every word over these propositions, shorter ones first, `end` at the last step only, up to some number."""
    steps = [
        frozenset(n for n, held in zip(names, bits, strict=True) if held) for bits in product((0, 1), repeat=len(names))
    ]
    open_steps = [step for step in steps if "end" not in step]
    tried = 0
    for length in range(1, 100):
        tried += len(steps) * len(open_steps) ** (length - 1)
        if tried > TRIED_WORDS:
            return
        for first in product(open_steps, repeat=length - 1):
            yield from ((*first, last) for last in steps)


def verdicts(guard, word):
    """(broken bits, cost) of each step, by stepping through the tables one by one."""
    state, told = guard.initial, []
    for names in word:
        labels = guard.encode(name for name in names if name in guard.propositions)
        told.append((int(guard.broken[state, labels]), float(guard.cost[state, labels])))
        state = int(guard.next_state[state, labels])
    return told


def allowed(guard, word):
    return all(broken == 0 for broken, _ in verdicts(guard, word))


def joint_names(a, b):
    return tuple(dict.fromkeys((*a.propositions, *b.propositions)))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(safeguards(), safeguards())
def test_inclusion_finds_what_trying_every_word_finds(a, b):
    witness = included(a, b)
    clashes = (word for word in all_words(joint_names(a, b)) if allowed(a, word) and not allowed(b, word))
    first = next(clashes, None)
    if witness is None:
        assert first is None
    else:
        assert allowed(a, witness)
        assert not allowed(b, witness)
        assert all("end" not in names for names in witness[:-1])
        assert first is None or len(first) == len(witness)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(safeguards(), safeguards())
def test_equivalence_finds_what_trying_every_word_finds(a, b):
    found = equivalent(a, b)
    first = next((word for word in all_words(joint_names(a, b)) if allowed(a, word) != allowed(b, word)), None)
    if found is None:
        assert first is None
    else:
        assert found.allowed == (allowed(a, found.word), allowed(b, found.word))
        assert found.allowed[0] != found.allowed[1]
        assert first is None or len(first) == len(found.word)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(safeguards(), safeguards())
def test_equivalence_with_costs_finds_what_trying_every_word_finds(a, b):
    def differ(word):
        (broken_a, cost_a), (broken_b, cost_b) = verdicts(a, word)[-1], verdicts(b, word)[-1]
        return cost_a != cost_b or bool(broken_a) != bool(broken_b)

    found = equivalent(a, b, costs=True)
    first = next((word for word in all_words(joint_names(a, b)) if differ(word)), None)
    if found is None:
        assert first is None
    else:
        assert differ(found.word)
        assert found.cost == (verdicts(a, found.word)[-1][1], verdicts(b, found.word)[-1][1])
        assert first is None or len(first) == len(found.word)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(safeguards(), safeguards(), safeguards())
def test_inclusion_is_an_order(a, b, c):
    assert included(a, a) is None
    assert (included(a, b) is None and included(b, a) is None) == (equivalent(a, b) is None)
    if included(a, b) is None and included(b, c) is None:
        assert included(a, c) is None


@settings(deadline=None, derandomize=True, max_examples=60)
@given(safeguards(max_states=4, alphabets=(("a", "b"), ("a", "b", "end"))))
def test_letters_stand_for_all_label_sets_and_no_two_are_alike(guard):
    alphabet = letters(guard)
    columns = {}
    for labels in range(guard.n_labels):
        table = (
            guard.next_state[:, labels].tobytes(),
            guard.broken[:, labels].tobytes(),
            "end" in guard.decode(labels),
        )
        columns.setdefault(table, labels)
    assert len(alphabet.names) == len(columns)
    assert [frozenset(guard.decode(int(labels))) for labels in alphabet.columns[0]] == list(alphabet.names)


def test_a_word_shows_only_what_matters():
    strict, lax = spec("!lava"), spec("lava -> once suit", "creeper -> once wood")
    assert included(strict, lax) == (frozenset({"creeper"}),)
    assert included(lax, strict) == (frozenset({"lava", "suit"}),)


def test_a_long_shortest_witness():
    n = 300
    ahead = np.minimum(np.arange(n) + 1, n - 1)
    next_state = np.stack([np.zeros(n, int), ahead], axis=1)
    late = np.zeros((n, 2), int)
    late[n - 1, 1] = 1
    word = included(tables("a", next_state, np.zeros((n, 2), int)), tables("a", next_state, late))
    assert word == (frozenset({"a"}),) * n
    assert format_word(word) == "{a} (300 times)"


def test_nothing_follows_the_end():
    # After a step with `end` this machine breaks at once; no word gets there.
    late = tables(("a", "end"), [[0, 0, 1, 1], [1, 1, 1, 1]], [[0, 0, 0, 0], [1, 1, 1, 1]])
    assert equivalent(late, tables("a", [[0, 0]], [[0, 0]])) is None


def test_propositions_that_one_side_does_not_know_are_free():
    assert included(spec("!lava"), spec("!creeper")) == (frozenset({"creeper"}),)
    assert included(spec("!lava", "!creeper"), spec("!creeper")) is None


def test_the_order_of_propositions_makes_no_difference():
    one = tables(("a", "b"), [[0, 0, 0, 0]], [[0, 1, 0, 0]])
    other = tables(("b", "a"), [[0, 0, 0, 0]], [[0, 0, 1, 0]])
    assert equivalent(one, other, costs=True) is None


def test_large_disjoint_alphabets_are_compared_without_multiplying_them():
    rng = np.random.default_rng(0)
    names = [tuple(f"{letter}{i}" for i in range(12)) for letter in "xy"]
    broken = np.zeros((1, 4096), int)
    broken[0, rng.integers(1, 4096, 50)] = 1
    one, other = (tables(own, np.zeros((1, 4096), int), broken) for own in names)
    witness = included(one, other)
    assert len(witness) == 1
    assert witness[0] <= set(names[1])


def test_equivalence_tells_which_rules_differ():
    found = equivalent(spec("!lava", "lava -> suit"), spec("lava -> suit"))
    assert found.word == (frozenset({"lava", "suit"}),)
    assert found.broken == (("!lava",), ())
    assert found.cost == (1.0, 0.0)
    assert found.allowed == (False, True)


def test_equal_languages_may_cost_differently():
    assert equivalent(spec("!lava"), spec("!lava", "!lava & !lava")) is None
    assert equivalent(spec("!lava"), spec("!lava", "!lava & !lava"), costs=True).cost == (1.0, 2.0)
    # One forgives a first violation, the other keeps breaking.
    once, ever = spec("!lava"), spec("historically !lava")
    assert equivalent(once, ever) is None
    assert equivalent(once, ever, costs=True).word == (frozenset({"lava"}), frozenset())


def test_a_progression_is_ordered_when_each_stage_allows_more():
    first = spec("!lava", "!creeper", name="first")
    second = spec("lava -> once suit", "!creeper", name="second")
    third = spec("!lava", "creeper -> once suit", name="third")
    rising, falling = ordered([first, second, third])
    assert (rising.before, rising.after, rising.holds, rising.witness) == ("first", "second", True, None)
    assert (falling.before, falling.after, falling.holds) == ("second", "third", False)
    assert falling.witness == (frozenset({"lava", "suit"}),)
    assert ordered([first]) == ()


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ((), "(nothing at all)"),
        ((frozenset(),), "{}"),
        (
            (frozenset({"wood"}), frozenset(), frozenset(), frozenset({"lava", "iron"})),
            "{wood}, then {} (2 times), then {iron, lava}",
        ),
    ],
)
def test_words_are_written_for_people(word, text):
    assert format_word(word) == text
