"""What can be said of a safeguard before it is used: rules that never bite, rules that cannot be kept.

Everything here works on the tables of a compiled safeguard, but for the states of a `[machine]` that are never
reached: compiling drops those, so they are looked for in the spec. Comparing safeguards is `inclusion`'s work.

Notation: S states, K letters (see `inclusion`), R rules. A trace is finished by a step at which `end` holds, where the
safeguard speaks of `end`; where it does not, a trace may go on for ever, and a rule counts as kept by going on so.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from safetune.errors import DataError, choices, nearest
from safetune.safeguard.compile import machine_tables
from safetune.safeguard.inclusion import Bools, Ints, Letters, Word, format_word, letters, shortest_path
from safetune.safeguard.machine import Safeguard
from safetune.safeguard.minimise import breadth_first
from safetune.safeguard.spec import Spec

Severity = Literal["error", "warning", "note"]


class Finding(NamedTuple):
    """Something that the writer of a spec should know."""

    severity: Severity
    rule: str | None
    message: str
    witness: Word | None = None


class Unkeepable(NamedTuple):
    """Rules that cannot all be kept once `word`, along which none of them is broken, has happened."""

    rules: tuple[str, ...]
    word: Word

    @property
    def from_start(self) -> bool:
        """Whether they are broken whatever happens; else only some first steps lead there."""
        return not self.word


def check(guard: Safeguard) -> list[Finding]:
    """Every finding about a safeguard, the gravest first."""
    vacuous = vacuous_rules(guard)
    findings = [_unkeepable(found) for found in unkeepable_rules(guard)]
    if guard.spec.machine is None:
        never = "this rule can never be broken, whatever happens: mend it, or leave it out"
        findings += [Finding("warning", rule, never) for rule in vacuous]
    else:
        findings += state_findings(guard)
    gravity = ("error", "warning", "note")
    notes = () if any(finding.severity == "error" for finding in findings) else _notes(guard)
    return sorted([*findings, *notes], key=lambda finding: gravity.index(finding.severity))


def _notes(guard: Safeguard) -> Iterator[Finding]:
    """What is worth knowing of a safeguard without errors: a rule that is always broken would make all of it noise."""
    for rule, other in implied_rules(guard):
        yield Finding(
            "note", rule, f"this rule is broken only where '{other}' is broken too, and then both are charged"
        )
    for name in idle_propositions(guard):
        yield Finding("note", None, f"proposition '{name}' makes no difference: no verdict ever depends on it")


def vacuous_rules(guard: Safeguard) -> tuple[str, ...]:
    """Rules that no word breaks."""
    alphabet = letters(guard)
    edges = guard.broken[np.ix_(_reachable(guard, alphabet), alphabet.columns[0])]
    return tuple(rule.name for bit, rule in enumerate(guard.rules) if not (edges >> bit & 1).any())


def implied_rules(guard: Safeguard) -> tuple[tuple[str, str], ...]:
    """Pairs of rules such that every step which breaks the first breaks the second; of two equal ones, one pair."""
    alphabet = letters(guard)
    edges = np.unique(guard.broken[np.ix_(_reachable(guard, alphabet), alphabet.columns[0])])
    breaks = (edges[:, None] >> np.arange(len(guard.rules)) & 1).astype(np.float32)  # (distinct verdicts, R)
    without = breaks.T @ (1 - breaks)  # (R, R) the number of verdicts with the one and without the other
    implies = (without == 0) & (breaks.sum(axis=0) > 0)[:, None]
    pairs = [(one, other) for one, other in np.argwhere(implies).tolist() if one != other]
    found = {one: other for one, other in reversed(pairs) if not (implies[other, one] and one < other)}
    return tuple((guard.rules[one].name, guard.rules[other].name) for one, other in sorted(found.items()))


def idle_propositions(guard: Safeguard) -> tuple[str, ...]:
    """Propositions that no step depends on, although some formula names them: `a & (b | !b)`.

    None where no proposition matters: then the rules themselves are what is wrong.
    """
    labels = np.arange(guard.n_labels)
    tables = (guard.next_state, guard.broken)

    def is_idle(bit: int) -> bool:
        return all(np.array_equal(table, table[:, labels ^ 1 << bit]) for table in tables)

    idle = tuple(name for bit, name in enumerate(guard.propositions) if is_idle(bit))
    return idle if idle != guard.propositions else ()


def doomed_states(guard: Safeguard, rules: Iterable[str] | None = None) -> Bools:
    """(S,) states from which every continuation breaks one of the rules (all the safeguard's, if none are given)."""
    return _doomed(guard, letters(guard), _bits(guard, rules))


def unkeepable_rules(guard: Safeguard) -> list[Unkeepable]:
    """Rules that cannot be kept, each alone or several together, with a shortest word after which that is so.

    Words along which the rules in question are broken already do not count: to forbid everything after a violation
    is a sensible rule. Of rules that clash, the fewest that clash are named.
    """
    alphabet = letters(guard)
    found: list[Unkeepable] = []
    candidates = 0  # rules that could be kept if they were alone, at least from the start
    alone = np.zeros(guard.n_states, dtype=np.bool_)  # doomed by one rule
    for bit, rule in enumerate(guard.rules):
        doomed = _doomed(guard, alphabet, 1 << bit)
        word = _word_to(guard, alphabet, doomed, 1 << bit)
        if word is not None:
            found.append(Unkeepable((rule.name,), word))
        if word != ():
            candidates |= 1 << bit
            alone |= doomed
    while candidates:
        together = _doomed(guard, alphabet, candidates) & ~alone
        word = _word_to(guard, alphabet, together, candidates)
        if word is None:
            break
        clash = _fewest(guard, alphabet, candidates, _state_after(guard, word))
        # Fewer rules may clash sooner than all of them did.
        sooner = _word_to(guard, alphabet, _doomed(guard, alphabet, clash) & ~alone, clash)
        found.append(Unkeepable(guard.rule_names(clash), word if sooner is None else sooner))
        candidates &= ~clash
    return found


def unreachable_states(spec: Spec) -> tuple[str, ...]:
    """The states of a `[machine]` that no labels lead to; none for a spec with rules."""
    if spec.machine is None:
        return ()
    tables = machine_tables(spec.machine, spec.alphabet, spec.source)
    reached = set(breadth_first(tables.next_state).tolist())
    return tuple(name for state, name in enumerate(tables.state_names) if state not in reached)


def state_findings(guard: Safeguard) -> list[Finding]:
    """States of a `[machine]` that cannot be right: a misspelt name makes a new state, and leaves another one alone.

    An unsafe state that is never entered is an error: its rule is enforced nowhere.
    """
    machine = guard.spec.machine
    if machine is None:
        return []
    vacuous, alone = vacuous_rules(guard), unreachable_states(guard.spec)
    starts = {step.start for step in machine.transition}
    found = []
    if machine.initial not in starts:
        lost = f"the initial state '{machine.initial}' has no transitions, so the machine never leaves it"
        found.append(Finding("error", None, f"{lost}.{nearest(machine.initial, starts)}"))
    others = [name for name in machine.state_names if name not in (*alone, *machine.unsafe)]
    for name in vacuous:
        never = "this unsafe state is never entered, whatever happens, so nothing is enforced"
        found.append(Finding("error", name, f"{never}.{nearest(name, others)}"))
    if machine.initial in starts:  # else every state is alone, and said to be for no fault of its own
        for name in alone:
            if name not in machine.unsafe:
                never = f"state '{name}' is never reached: no transitions lead to it from the start"
                found.append(Finding("warning", None, f"{never}.{nearest(name, others)}"))
    return found


def _unkeepable(found: Unkeepable) -> Finding:
    if len(found.rules) == 1:
        rule, what = found.rules[0], "this rule cannot be kept: it"
    else:
        named = " and ".join(f"'{name}'" for name in found.rules)
        rule, what = None, f"the rules {named} cannot be kept together: one of them"
    if found.from_start:
        return Finding("error", rule, f"{what} is broken sooner or later, whatever happens", found.word)
    after = format_word(found.word)
    return Finding("warning", rule, f"{what} is broken sooner or later, whatever comes after {after}", found.word)


def _bits(guard: Safeguard, rules: Iterable[str] | None) -> int:
    names = [rule.name for rule in guard.rules]
    chosen = names if rules is None else list(rules)
    for name in chosen:
        if name not in names:
            raise DataError(f"rules: unknown rule '{name}'. Valid names: {choices(names)}.{nearest(name, names)}")
    return sum(1 << names.index(name) for name in set(chosen))


def _reachable(guard: Safeguard, alphabet: Letters) -> Ints:
    """The states that can be entered, given that nothing follows a step with `end`."""
    return breadth_first(guard.next_state[:, alphabet.columns[0][~alphabet.final]], guard.initial)


def _doomed(guard: Safeguard, alphabet: Letters, bits: int) -> Bools:
    """(S,) no continuation keeps the rules in `bits`; the others may be broken on the way."""
    columns = alphabet.columns[0]
    kept = guard.broken[:, columns] & bits == 0
    following = guard.next_state[:, columns]
    if alphabet.final.any():
        # The least fixpoint: a safe last step must come at some time.
        finishes = (kept & alphabet.final).any(axis=1)
        kept, hopeful = kept & ~alphabet.final, finishes
    else:
        # The greatest fixpoint: what is never driven out may go on for ever.
        finishes = np.zeros(guard.n_states, dtype=np.bool_)
        hopeful = ~finishes
    while True:
        after = finishes | (kept & hopeful[following]).any(axis=1)
        if np.array_equal(after, hopeful):
            return ~hopeful
        hopeful = after


def _word_to(guard: Safeguard, alphabet: Letters, targets: Bools, bits: int) -> Word | None:
    """A shortest word to one of the target states along which no rule in `bits` is broken."""
    if targets[guard.initial]:
        return ()
    columns = alphabet.columns[0]

    def expand(states: Ints) -> tuple[Ints, Bools, Bools]:
        following = guard.next_state[states[:, None], columns]
        may_follow = (guard.broken[states[:, None], columns] & bits == 0) & ~alphabet.final
        return following, may_follow, may_follow & targets[following]

    path = shortest_path(guard.initial, guard.n_states, len(columns), expand)
    return None if path is None else alphabet.word(path)


def _state_after(guard: Safeguard, word: Sequence[frozenset[str]]) -> int:
    return int(guard.run([guard.encode(names) for names in word]).states[-1])


def _fewest(guard: Safeguard, alphabet: Letters, bits: int, state: int) -> int:
    """A part of the rules in `bits` that dooms a state already, and no longer does when any one is left out."""
    for bit in range(len(guard.rules)):
        fewer = bits & ~(1 << bit)
        if fewer != bits and _doomed(guard, alphabet, fewer)[state]:
            bits = fewer
    return bits
