"""Walks over formulas."""

from safetune.safeguard.formula import is_temporal, propositions_of, subformulas
from safetune.safeguard.parser import parse


def test_each_part_comes_once_and_before_its_wholes() -> None:
    nodes = list(subformulas(parse("once a & (b -> once a)")))
    assert [str(node) for node in nodes] == ["a", "once a", "b", "b -> once a", "once a & (b -> once a)"]


def test_propositions_come_in_order_of_appearance() -> None:
    assert propositions_of(parse("c -> once (a & c) | end")) == ("c", "a", "end")


def test_only_operators_with_memory_are_temporal() -> None:
    remembering = [str(node) for node in subformulas(parse("!a & (b since once[2] a) | true")) if is_temporal(node)]
    assert remembering == ["once[2] a", "b since once[2] a"]


def test_a_wide_formula_needs_no_deep_recursion() -> None:
    formula = parse(" & ".join(["a"] * 199))
    assert parse(str(formula)) == formula
