from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.errors import DataError
from safetune.safeguard import Rule, Safeguard, Spec
from safetune.safeguard.analysis import (
    Unkeepable,
    check,
    doomed_states,
    idle_propositions,
    implied_rules,
    unkeepable_rules,
    unreachable_states,
    vacuous_rules,
)

ANY_SPEC = Spec.parse('name = "any"\n[propositions]\na = "a"\n[[rule]]\nname = "r"\nalways = "a"')


def spec(*rules):
    """A safeguard with these formulas as rules, each named by its own text."""
    declared = "".join(
        f'{p} = "{p}"\n' for p in "abc" if p in {word.strip("()!") for rule in rules for word in rule.split()}
    )
    text = "".join(f'[[rule]]\nname = "{rule}"\nalways = "{rule}"\n' for rule in rules)
    return Safeguard.from_spec(Spec.parse(f'name = "any"\n[propositions]\n{declared}{text}'))


@st.composite
def safeguards(draw):
    """Small tables with two rules that are broken often, with and without `end`."""
    propositions = draw(st.sampled_from((("a",), ("a", "b"), ("a", "end"))))
    n_states, n_labels = draw(st.integers(1, 4)), 2 ** len(propositions)
    shape = {"min_size": n_states * n_labels, "max_size": n_states * n_labels}
    next_state = np.array(draw(st.lists(st.integers(0, n_states - 1), **shape)), dtype=np.int32)
    broken = np.array(draw(st.lists(st.sampled_from((0, 0, 1, 2, 3)), **shape)), dtype=np.int64)
    table = (n_states, n_labels)
    names = tuple(f"state {state}" for state in range(n_states))
    rules = (Rule("one", 1.0, ""), Rule("two", 1.0, ""))
    return Safeguard(
        "any",
        propositions,
        rules,
        0,
        next_state.reshape(table),
        np.zeros(table),
        broken.reshape(table),
        names,
        ANY_SPEC,
    )


def walks(guard, state, length):
    """Every way of `length` steps from a state, `end` at the last step only: lists of (labels, broken, state after)."""
    ends = [labels for labels in range(guard.n_labels) if "end" in guard.decode(labels)]
    not_ends = [labels for labels in range(guard.n_labels) if labels not in ends]
    for word in product(*[not_ends] * (length - 1), range(guard.n_labels)) if length else [()]:
        steps, at = [], state
        for labels in word:
            steps.append((labels, int(guard.broken[at, labels]), int(guard.next_state[at, labels])))
            at = steps[-1][2]
        yield steps


def is_doomed(guard, state, bits):
    """By trying every continuation: as long as there are states, or, where `end` is known, to an end no later."""
    if "end" not in guard.propositions:
        return not any(all(b & bits == 0 for _, b, _ in walk) for walk in walks(guard, state, guard.n_states))
    finished = (
        walk
        for length in range(1, guard.n_states + 1)
        for walk in walks(guard, state, length)
        if "end" in guard.decode(walk[-1][0])
    )
    return not any(all(b & bits == 0 for _, b, _ in walk) for walk in finished)


def entered(guard, bits):
    """By trying every word: the fewest steps to each state that can be entered without breaking a rule in `bits`."""
    fewest = {guard.initial: 0}
    for length in range(1, guard.n_states):
        for walk in walks(guard, guard.initial, length):
            if "end" not in guard.decode(walk[-1][0]) and all(b & bits == 0 for _, b, _ in walk):
                fewest.setdefault(walk[-1][2], length)
    return fewest


@settings(deadline=None, derandomize=True, max_examples=150)
@given(safeguards())
def test_vacuous_rules_are_those_that_no_word_breaks(guard):
    seen = [b for length in range(1, guard.n_states + 1) for walk in walks(guard, 0, length) for _, b, _ in walk]
    expected = tuple(rule.name for bit, rule in enumerate(guard.rules) if not any(b >> bit & 1 for b in seen))
    assert vacuous_rules(guard) == expected


@settings(deadline=None, derandomize=True, max_examples=150)
@given(safeguards())
def test_doomed_states_are_those_without_a_safe_continuation(guard):
    for rules, bits in ((["one"], 1), (["two"], 2), (None, 3), ([], 0)):
        expected = [is_doomed(guard, state, bits) for state in range(guard.n_states)]
        assert doomed_states(guard, rules).tolist() == expected


@settings(deadline=None, derandomize=True, max_examples=150)
@given(safeguards())
def test_each_rule_alone_is_unkeepable_where_trying_every_word_says_so(guard):
    found = {item.rules[0]: item for item in unkeepable_rules(guard) if len(item.rules) == 1}
    for bit, rule in enumerate(guard.rules):
        lengths = [n for state, n in entered(guard, 1 << bit).items() if is_doomed(guard, state, 1 << bit)]
        assert (rule.name in found) == bool(lengths)
        if lengths:
            assert len(found[rule.name].word) == min(lengths)
            assert found[rule.name].from_start == is_doomed(guard, guard.initial, 1 << bit)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(safeguards())
def test_two_rules_clash_where_each_alone_could_be_kept(guard):
    found = [item for item in unkeepable_rules(guard) if len(item.rules) == 2]
    never_alone = [is_doomed(guard, guard.initial, bit) for bit in (1, 2)]
    clashing = [
        n
        for state, n in entered(guard, 3).items()
        if is_doomed(guard, state, 3) and not is_doomed(guard, state, 1) and not is_doomed(guard, state, 2)
    ]
    assert len(found) == bool(clashing and not any(never_alone))
    assert not found or len(found[0].word) == min(clashing)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(safeguards())
def test_implied_rules_are_broken_only_together_with_the_other(guard):
    seen = [b for length in range(1, guard.n_states + 1) for walk in walks(guard, 0, length) for _, b, _ in walk]
    one_then_two, two_then_one = 1 not in seen, 2 not in seen
    expected = ()
    if 3 in seen and (one_then_two or two_then_one):
        expected = (("two", "one"),) if two_then_one else (("one", "two"),)
    assert implied_rules(guard) == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (["a -> once b"], []),
        # To be broken for ever after a violation is what these say: nothing is wrong with them.
        (["historically !a"], []),
        (["!once a"], []),
        (["a & !a"], [Unkeepable(("a & !a",), ())]),
        (["previously a"], [Unkeepable(("previously a",), ())]),
        (["!previously a | a & !a"], [Unkeepable(("!previously a | a & !a",), (frozenset("a"),))]),
        (["a", "!a"], [Unkeepable(("a", "!a"), ())]),
        (["previously a -> b", "!b"], [Unkeepable(("previously a -> b", "!b"), (frozenset("a"),))]),
        # The end comes some time, so what it asks for must be possible.
        (["end -> once a"], []),
        (["end -> once a", "!a"], [Unkeepable(("end -> once a", "!a"), ())]),
        (["end -> a & !a"], [Unkeepable(("end -> a & !a",), ())]),
        # Of three rules the two that clash, and a rule that clashes with itself beside them.
        (["a", "b -> a", "!a", "c & !c"], [Unkeepable(("c & !c",), ()), Unkeepable(("a", "!a"), ())]),
    ],
)
def test_rules_that_cannot_be_kept(rules, expected):
    assert unkeepable_rules(spec(*rules)) == expected


def test_unknown_rules_are_refused_with_the_nearest_name():
    with pytest.raises(DataError, match=r"unknown rule 'a -> c'.*Did you mean 'a -> b'"):
        doomed_states(spec("a -> b"), ["a -> c"])


def test_propositions_without_effect():
    assert idle_propositions(spec("a & (b | !b)")) == ("b",)
    assert idle_propositions(spec("a -> b")) == ()
    assert idle_propositions(spec("a | !a")) == ()  # then the rule is vacuous, which says it all


MACHINE = """
name = "machine"
[propositions]
go = "go"
back = "back"
[machine]
initial = "home"
absorbing = true
unsafe = { cliff = 2.0, moon = 1.0 }
[[machine.transition]]
from = "home"
when = "go & !back"
to = "path"
[[machine.transition]]
from = "path"
when = "go"
to = "cliff"
[[machine.transition]]
from = "path"
when = "back & !go"
to = "home"
[[machine.transition]]
from = "island"
when = "back"
to = "moon"
"""


def test_states_that_no_transition_reaches():
    assert unreachable_states(Spec.parse(MACHINE)) == ("island", "moon")
    assert unreachable_states(spec("a -> b").spec) == ()
    # A transition that can never be taken leads nowhere.
    never = MACHINE.replace('from = "island"\nwhen = "back"', 'from = "home"\nwhen = "back & !back"')
    assert unreachable_states(Spec.parse(never)) == ("moon",)


def test_the_findings_of_a_machine():
    findings = check(Safeguard.from_spec(Spec.parse(MACHINE)))
    assert [(found.severity, found.rule) for found in findings] == [("error", "moon"), ("warning", None)]
    assert "never entered, whatever happens, so nothing is enforced" in findings[0].message
    assert "'island' is never reached" in findings[1].message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("cliff = 2.0, moon", "clif = 2.0, moon"), [("error", "clif", "cliff"), ("error", "moon", "")]),
        (('to = "path"', 'to = "paths"'), [("error", "cliff", ""), ("error", "moon", ""), ("warning", None, "paths")]),
        (('initial = "home"', 'initial = "hom"'), [("error", None, "home"), ("error", "cliff", "")]),
    ],
)
def test_a_misspelt_state_is_offered_the_nearest_name(change, expected):
    findings = check(Safeguard.from_spec(Spec.parse(MACHINE.replace(*change))))
    named = [(f.severity, f.rule, f.message.partition("Did you mean '")[2].removesuffix("'?")) for f in findings]
    assert named[: len(expected)] == expected


def test_findings_stand_in_the_order_of_gravity():
    findings = check(spec("a | !a", "b & !b", "previously a -> c", "!c"))
    assert [found.severity for found in findings] == ["error", "warning", "warning"]
    assert findings[0].rule == "b & !b"
    assert findings[0].witness == ()
    assert "cannot be kept" in findings[0].message


def test_notes_come_once_the_errors_are_mended():
    (found,) = check(spec("!a", "!(a & b)"))
    assert (found.severity, found.rule) == ("note", "!(a & b)")
    assert "only where '!a' is broken too" in found.message
    assert [found.severity for found in check(spec("!a", "!(a & b)", "c & !c"))] == ["error"]


def test_a_finding_tells_what_leads_to_the_trouble():
    (found,) = check(spec("previously a -> b", "!b"))
    assert found.severity == "warning"
    assert found.rule is None
    assert "'previously a -> b' and '!b' cannot be kept together" in found.message
    assert found.message.endswith("whatever comes after {a}")
    assert found.witness == (frozenset("a"),)


def test_sound_specs_have_no_findings(repository):
    for path in sorted((repository / "specs").rglob("*.toml")):
        assert [found for found in check(Safeguard.load(path)) if found.severity != "note"] == [], path
