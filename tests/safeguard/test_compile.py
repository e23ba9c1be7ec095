"""What compiling adds to the laws: limits that name the rules to blame, overlaps, names of states."""

import numpy as np
import pytest

from safetune.errors import SpecError
from safetune.safeguard import Safeguard, Spec
from safetune.safeguard.compile import machine_tables

HEAD = 'name = "x"\n[propositions]\na = "a"\nb = "b"\n'
MACHINE = HEAD + '[machine]\ninitial = "calm"\nabsorbing = {absorbing}\nunsafe = {{ fire = 3 }}\n'


def rules(*texts: str) -> Spec:
    parts = (f'[[rule]]\nname = "rule {index}"\nalways = "{text}"\n' for index, text in enumerate(texts))
    return Spec.parse(HEAD + "".join(parts), "x.toml")


def machine(*moves: tuple[str, str, str], absorbing: str = "true") -> Spec:
    parts = (f'[[machine.transition]]\nfrom = "{a}"\nwhen = "{when}"\nto = "{b}"\n' for a, when, b in moves)
    return Spec.parse(MACHINE.format(absorbing=absorbing) + "".join(parts), "x.toml")


def test_a_product_over_the_limit_names_the_rules_that_made_it_large() -> None:
    spec = rules("a | true", "a -> once[30] b", "b -> once[50] a")
    assert Safeguard.from_spec(spec, state_limit=51 * 31).n_states <= 51 * 31
    with pytest.raises(SpecError) as caught:
        Safeguard.from_spec(spec, state_limit=100)
    assert str(caught.value) == (
        "x.toml: rule: more than 100 states together, with 'rule 2' added to the rules before it. States of each rule "
        "alone: 'rule 2' 51, 'rule 1' 31; shorten its 'once[k]', simplify it, or, in Python, give Safeguard.load a "
        "larger state_limit"
    )


@pytest.mark.parametrize("bound", [150, 100_000])
def test_one_rule_over_the_limit_is_named(bound: int) -> None:
    with pytest.raises(SpecError, match=r"^x\.toml: rule 'rule 1': (more than 400|151) states by itself"):
        Safeguard.from_spec(rules("a -> b", f"once[{bound}] a"), state_limit=100)


def test_a_formula_with_too_much_to_remember_is_named() -> None:
    with pytest.raises(SpecError, match="rule 'rule 0': too much to remember: 70 different temporal operators"):
        Safeguard.from_spec(rules("previously " * 70 + "(a | b)"))


def test_states_that_pass_away_in_minimising_do_not_count() -> None:
    assert Safeguard.from_spec(rules("once[60] a | !once[60] a", "b"), state_limit=20).n_states == 1


def test_a_machine_over_the_limit_is_refused() -> None:
    with pytest.raises(SpecError, match=r"x\.toml: machine: 2 states, more than 1"):
        Safeguard.from_spec(machine(("calm", "a | b", "fire")), state_limit=1)


def test_overlapping_guards_are_quoted_with_a_label_set_on_which_they_clash() -> None:
    with pytest.raises(SpecError) as caught:
        Safeguard.from_spec(machine(("calm", "a", "fire"), ("other", "a", "calm"), ("calm", "b | !a & !b", "wet")))
    assert str(caught.value) == (
        "x.toml: machine.transition[2].when: the guard 'b | !a & !b' (to 'wet') overlaps with 'a' (to 'fire'), "
        "transition[0]: from 'calm', both match when {a, b} hold; make guards of one state exclude each other"
    )
    with pytest.raises(SpecError, match="both match when no proposition holds"):
        Safeguard.from_spec(machine(("calm", "!a", "fire"), ("calm", "!b", "wet")))


def test_guards_that_agree_on_the_state_may_both_match() -> None:
    guard = Safeguard.from_spec(machine(("calm", "a", "fire"), ("calm", "b", "fire")))
    assert [guard.step(0, labels).cost for labels in range(4)] == [0, 3, 3, 3]


def test_an_absorbing_unsafe_state_is_charged_once() -> None:
    guard = Safeguard.from_spec(machine(("calm", "a | b", "fire")))
    assert guard.run([0, 1, 1, 0]).cost.tolist() == [0, 3, 0, 0]
    assert guard.distance.tolist() == [1, np.inf]
    assert guard.rules == (("fire", 3.0, "never enter 'fire'"),)


def test_an_unsafe_state_that_can_be_left_is_charged_at_each_step_that_ends_in_it() -> None:
    guard = Safeguard.from_spec(machine(("calm", "a", "fire"), ("fire", "b & !a", "calm"), absorbing="false"))
    assert guard.run([0, 1, 0, 2, 1]).cost.tolist() == [0, 3, 3, 0, 3]


def test_states_that_act_alike_become_one_that_bears_both_names() -> None:
    guard = Safeguard.from_spec(machine(("calm", "a", "one"), ("calm", "b & !a", "two"), ("one", "a & b", "fire")))
    assert guard.state_names == ("calm", "one", "two or fire")


def test_states_that_are_never_reached_are_left_out_but_can_be_looked_at() -> None:
    spec = machine(("calm", "a | b", "fire"), ("lost", "a", "calm"))
    assert Safeguard.from_spec(spec).state_names == ("calm", "fire")
    assert spec.machine is not None
    tables = machine_tables(spec.machine, spec.alphabet)
    assert tables.state_names == ("calm", "fire", "lost")
    assert tables.next_state[2].tolist() == [2, 0, 2, 0]


def test_states_of_rules_are_named_by_what_they_remember() -> None:
    guard = Safeguard.from_spec(rules("a -> once b", "b -> historically !a"))
    assert guard.state_names == ("start", "not historically !a", "once b", "once b; not historically !a")
