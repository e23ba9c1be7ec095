"""What must be true of a spec's values together: names, formulas, states, bindings of unknown propositions.

Whether guards overlap and whether the machine stays small is found out by `compile`.
"""

import math
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from safetune.errors import FormulaError, SpecError, choices, nearest
from safetune.safeguard.formula import END, RESERVED, Formula, propositions_of
from safetune.safeguard.parser import parse
from safetune.safeguard.wording import shown

if TYPE_CHECKING:
    from safetune.safeguard.spec import MachineSpec, Spec

MAX_PROPOSITIONS = 12
"""Tables hold a column for each of the 2**P sets of labels."""
MAX_RULES = 62
"""A verdict is a bit per rule in 64-bit integers."""

Problem = tuple[type[SpecError], str]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def problems_of(spec: "Spec") -> list[Problem]:
    """Everything wrong with a spec whose keys and types are right."""
    found: list[Problem] = [(SpecError, text) for text in _structure(spec)]
    formulas: list[Formula] = []
    for path, text, temporal in formula_texts(spec):
        try:
            formulas.append(parse(text, spec.propositions, temporal=temporal))
        except FormulaError as error:
            found.append((FormulaError, f"{path}: {error}"))
    # A formula that does not parse, or is missing, may well be the one that uses a proposition.
    if formulas and not any(kind is FormulaError for kind, _ in found):
        found += [(SpecError, text) for text in _use_of_names(spec, formulas)]
    return found


def formula_texts(spec: "Spec") -> Iterator[tuple[str, str, bool]]:
    """Key path, text and whether it may be temporal, for each rule and guard."""
    for index, rule in enumerate(spec.rule):
        yield f"rule[{index}].always", rule.always, True
    for index, step in enumerate(spec.machine.transition if spec.machine else ()):
        yield f"machine.transition[{index}].when", step.when, False


def alphabet(spec: "Spec") -> tuple[str, ...]:
    """The declared propositions, and `end` last where a formula uses it."""
    used = (propositions_of(parse(text)) for _, text, _ in formula_texts(spec))
    return (*spec.propositions, *([END] if any(END in names for names in used) else []))


def _structure(spec: "Spec") -> Iterator[str]:
    if not spec.name.strip():
        yield "name: expected a name, got an empty string"
    yield from _proposition_names(spec.propositions)
    yield from _bound_names(spec)
    if spec.machine is not None:
        if spec.rule:
            yield "rule, machine: a spec has rules or a machine, not both"
        yield from _machine(spec.machine)
    elif not spec.rule:
        yield "rule: no rule; a spec needs at least one [[rule]], or a [machine]"
    elif len(spec.rule) > MAX_RULES:
        yield f"rule: expected at most {MAX_RULES} rules, got {len(spec.rule)}"
    yield from _rule_names(spec)


def _rule_names(spec: "Spec") -> Iterator[str]:
    first: dict[str, int] = {}
    for index, rule in enumerate(spec.rule):
        if not rule.name.strip():
            yield f"rule[{index}].name: expected a name, got an empty string"
        elif first.setdefault(rule.name, index) != index:
            yield f"rule[{index}].name: {shown(rule.name)} is the name of rule[{first[rule.name]}] as well"
    if not math.isfinite(sum(rule.cost for rule in spec.rule)):
        yield "rule: the costs of the rules are too large to be added up"


def _proposition_names(names: Collection[str]) -> Iterator[str]:
    if not names:
        yield "propositions: none declared; a spec needs at least one"
    for name in names:
        if name == END:
            yield f"propositions.{name}: '{END}' is built in (it holds at the last step) and is not declared"
        elif name in RESERVED:
            yield f"propositions.{name}: '{name}' is a word of the formula language; choose another name"
        elif not _NAME.fullmatch(name):
            yield (
                f"propositions: {shown(name)} is not a name for a proposition; "
                "expected letters, digits and '_', not beginning with a digit"
            )


def _bound_names(spec: "Spec") -> Iterator[str]:
    for world, bindings in spec.bind.items():
        for name in bindings:
            if name == END:
                yield f"bind.{world}.{name}: '{END}' is built in and is not bound"
            elif name not in spec.propositions:
                hint = nearest(name, spec.propositions)
                valid = choices(spec.propositions)
                yield f"bind.{world}.{name}: unknown proposition {shown(name)}. Valid names: {valid}.{hint}"


def _use_of_names(spec: "Spec", formulas: list[Formula]) -> Iterator[str]:
    used = {name for formula in formulas for name in propositions_of(formula)}
    for name in spec.propositions:
        if name not in used:
            yield f"propositions.{name}: declared, but no rule or guard uses it; use it or remove it"
    total = len(spec.propositions) + (END in used)
    if total > MAX_PROPOSITIONS:
        counted = f" ('{END}' counts as one)" if END in used else ""
        yield f"propositions: expected at most {MAX_PROPOSITIONS}, got {total}{counted}; split the spec in two"


def _machine(machine: "MachineSpec") -> Iterator[str]:
    if not machine.unsafe:
        yield "machine.unsafe: no unsafe state, so nothing could ever be broken"
    elif len(machine.unsafe) > MAX_RULES:
        yield f"machine.unsafe: expected at most {MAX_RULES} unsafe states, got {len(machine.unsafe)}"
    if machine.initial in machine.unsafe:
        yield f"machine.initial: {shown(machine.initial)} is unsafe; the machine must start safe"
    for index, step in enumerate(machine.transition):
        if machine.absorbing and step.start in machine.unsafe:
            yield (
                f"machine.transition[{index}].from: {shown(step.start)} is unsafe, and with absorbing = true "
                "the machine never leaves it"
            )
    if "" in machine.state_names:
        yield "machine: a state has an empty name"
    if machine.states is not None:
        yield from _listed_states(machine, machine.states)


def _listed_states(machine: "MachineSpec", states: tuple[str, ...]) -> Iterator[str]:
    named = [("machine.initial", machine.initial)]
    for index, step in enumerate(machine.transition):
        named += [(f"machine.transition[{index}].from", step.start), (f"machine.transition[{index}].to", step.to)]
    named += [(f"machine.unsafe.{name}", name) for name in machine.unsafe]
    for path, name in named:
        if name not in states:
            yield f"{path}: unknown state {shown(name)}. Valid states: {choices(states)}.{nearest(name, states)}"
    for index, name in enumerate(states):
        if name in states[:index]:
            yield f"machine.states[{index}]: {shown(name)} is listed twice"
