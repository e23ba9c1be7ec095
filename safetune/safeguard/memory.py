"""What a pure-past formula has to remember from step to step, and its truth given that memory.

Each temporal operator keeps one small number, its *slot*: what its truth at the next step needs to know of the steps
so far. `previously`, `once`, `historically` and `since` keep a truth value; `once[k]` counts for how many more steps it
will hold. A key packs all slots into one integer, so that exploring works on arrays of keys (N,).
"""

import numpy as np

from safetune.safeguard.formula import Binary, Formula, Unary, children, is_temporal, subformulas
from safetune.safeguard.guards import Bools, connective, truth_tables
from safetune.safeguard.minimise import Ints

_KEYS = 2**62
Slots = dict[Formula, Ints]


class MemoryTooLarge(Exception):
    """The slots of a formula do not fit into one key."""


class Memory:
    """The slots of one formula over its propositions, for N keys at a time.

    Label sets that no part of the formula tells apart are one *letter*, U of them: often few, whatever 2**P is.
    """

    def __init__(self, formula: Formula, propositions: tuple[str, ...]) -> None:
        self.formula = formula
        self.propositions = propositions
        nodes = tuple(subformulas(formula))
        tables = truth_tables(nodes, propositions)
        self.moving = tuple(node for node in nodes if isinstance(node, Unary | Binary) and node not in tables)
        # What lies inside a larger part without memory is felt through that part alone.
        felt = dict.fromkeys(part for node in self.moving for part in children(node) if part in tables)
        felt = felt or {formula: None}
        rows = np.array([tables[part] for part in felt])
        letters, letter_of = np.unique(rows, axis=1, return_inverse=True)
        self.present: dict[Formula, Bools] = dict(zip(felt, letters, strict=True))
        """The truth (U,) at each letter of each part without memory."""
        self.letter_of = letter_of.ravel()
        """(L,) the letter of each label set"""
        self.slots = {node: _values(node) for node in nodes if is_temporal(node)}
        size = 1
        for values in self.slots.values():
            size *= values
        if size > _KEYS:
            raise MemoryTooLarge(f"too much to remember: {len(self.slots)} different temporal operators")

    @property
    def n_letters(self) -> int:
        """U"""
        return int(self.letter_of.max()) + 1

    @property
    def start(self) -> int:
        """The key before the first step: `historically` holds of no steps at all, nothing else does."""
        return int(self._pack({node: np.array(_at_start(node)) for node in self.slots}).item())

    def step(self, keys: Ints) -> tuple[Ints, Bools]:
        """(N,) -> (N, U) the keys after one more step, and whether the formula holds at that step."""
        slots = self._unpack(keys)
        truth = self._evaluate(slots)
        after = self._pack({node: _after(node, truth, slots[node]) for node in self.slots})
        shape = (len(keys), self.n_letters)
        return np.broadcast_to(after, shape), np.broadcast_to(truth[self.formula], shape)

    def describe(self, keys: Ints) -> str:
        """What sets a group of keys that act alike apart from the start, in words; empty for the start itself."""
        if self.start in keys:
            return ""
        slots = self._unpack(keys)
        # What differs within the group does not matter to it; where nothing else is left, one member speaks for all.
        told = [_say(node, values[0, 0]) for node, values in slots.items() if (values == values[0, 0]).all()]
        return ", ".join(filter(None, told)) or ", ".join(filter(None, (_say(n, v[0, 0]) for n, v in slots.items())))

    def _unpack(self, keys: Ints) -> Slots:
        slots, rest = {}, keys[:, None]
        for node, values in self.slots.items():
            rest, slots[node] = np.divmod(rest, values)
        return slots

    def _pack(self, slots: Slots) -> Ints:
        key, unit = np.zeros((1, 1), dtype=np.int64), 1
        for node, values in self.slots.items():
            key, unit = key + slots[node].astype(np.int64) * unit, unit * values
        return key

    def _evaluate(self, slots: Slots) -> dict[Formula, Bools]:
        """The truth of every part at this step, as arrays that broadcast to (N, U)."""
        truth = dict(self.present)
        for node in self.moving:
            parts = [truth[part] for part in children(node)]
            truth[node] = _now(node, slots[node], *parts) if node in slots else connective(node, *parts)
        return truth


def _values(node: Formula) -> int:
    return 2 if not isinstance(node, Unary) or node.within is None else node.within + 1


def _at_start(node: Formula) -> int:
    return int(isinstance(node, Unary) and node.op == "historically")


def _now(node: Unary | Binary, slot: Ints, *parts: Bools) -> Bools:
    match node.op:
        case "previously":
            return slot > 0
        case "historically":
            return parts[0] & (slot > 0)
        case "once":
            return parts[0] | (slot > 0)
        case _:  # left since right
            return parts[1] | (parts[0] & (slot > 0))


def _after(node: Formula, truth: dict[Formula, Bools], slot: Ints) -> Ints:
    if isinstance(node, Unary) and node.within is not None:
        return np.where(truth[node.arg], node.within, np.maximum(slot - 1, 0))
    kept = truth[node.arg] if isinstance(node, Unary) and node.op == "previously" else truth[node]
    return kept.astype(np.int64)


def _say(node: Formula, slot: int) -> str:
    if slot == _at_start(node):
        return ""
    if isinstance(node, Unary) and node.within is not None:
        return f"{node}, {slot} more"
    return str(node) if slot else f"not {node}"
