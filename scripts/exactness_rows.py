"""The comparisons of check_exactness.py for one spec and one tokenizer: charges, prefixes and prompts, in batches."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safetune.safeguard import Safeguard
from safetune.text.token_safeguard import TokenSafeguard, TokenTrace

Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Expected:
    """What is right for one text, by the byte position after which it happens: 0 to n."""

    text: str
    cost: NDArray[np.float64]  # (n+1,) of the events within the text
    broken: Ints  # (n+1,)
    count: Ints  # (n+1,)
    cut: dict[int, tuple[float, int]]  # a prefix that ends here: cost and count of its last event and of its end
    end: tuple[float, int, int]  # cost, broken and count of the text's end

    @classmethod
    def of(cls, guard: Safeguard, text: str, labels: Sequence[int], cut_labels: Sequence[int]) -> "Expected":
        """From the labels after each character, and those it would have if the text ended there."""
        size, end_label = len(text.encode()) + 1, guard.encode(["end"]) if "end" in guard.propositions else 0
        cost, broken, count = np.zeros(size), np.zeros(size, np.int64), np.zeros(size, np.int64)
        state, place, cut = guard.initial, 0, {}
        for character, here, here_cut in zip(text, labels, cut_labels, strict=True):
            place += len(character.encode())
            trace = guard.run(([here_cut] if here_cut else []) + [end_label], state)
            cut[place] = (float(trace.cost.sum()), int(np.count_nonzero(trace.broken)))
            if here:
                cost[place], broken[place] = guard.cost[state, here], guard.broken[state, here]
                count[place] = broken[place] != 0
                state = int(guard.next_state[state, here])
        end_broken = int(guard.broken[state, end_label])
        end = float(guard.cost[state, end_label]), end_broken, int(end_broken != 0)
        return cls(text, cost, broken, count, cut, end)

    def until(self, end: int) -> tuple[float, int]:
        """Cost and count of the prefix that ends after so many bytes, as a text of its own."""
        cut_cost, cut_count = self.cut[end]
        return float(self.cost[:end].sum()) + cut_cost, int(self.count[:end].sum()) + cut_count

    def verdicts(self, guard: Safeguard) -> list[tuple[int, str]]:
        """Every broken rule with its place, sorted."""
        places = [(int(place), int(self.broken[place])) for place in np.flatnonzero(self.count)]
        places.append((len(self.cost) - 1, self.end[1]))
        return sorted((place, name) for place, bits in places for name in guard.rule_names(bits))


class Rows:
    """Texts cut into tokens of one tokenizer, and what must come out for each token."""

    def __init__(self, tokens: TokenSafeguard, rows: Sequence[tuple[Expected, list[int]]]) -> None:
        self.tokens, self.expected, self.ids = tokens, [row[0] for row in rows], [row[1] for row in rows]
        self.lengths = np.array([len(ids) for ids in self.ids])
        shape = len(rows), int(self.lengths.max())
        self.padded, self.cost = np.zeros(shape, np.int64), np.zeros(shape)
        self.broken, self.count = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.ends = np.full(shape, -1)  # bytes up to and with each token
        for row, (right, ids) in enumerate(rows):
            self.padded[row, : len(ids)] = ids
            ends = np.cumsum([len(tokens.vocabulary.tokens[index] or b"") for index in ids])
            self.ends[row, : len(ids)] = ends
            for place in np.flatnonzero(right.count).tolist():
                token = int(np.searchsorted(ends, place))  # the token that brought the last byte of the match
                self._charge(row, token, right.cost[place], right.broken[place], right.count[place])
            self._charge(row, len(ids) - 1, *right.end)
        self.mask = np.arange(shape[1]) < self.lengths[:, None]

    def _charge(self, row: int, token: int, cost: float, broken: int, count: int) -> None:
        self.cost[row, token] += cost
        self.broken[row, token] |= broken
        self.count[row, token] += count

    def charges(self) -> list[str]:
        """Mismatches of the charges of every token."""
        return self._differences(
            "charges", self.tokens.trace(self.padded, self.mask), (self.cost, self.broken, self.count)
        )

    def prompts(self, rng: random.Random) -> list[str]:
        """The same where a random number of tokens is the prompt, padded at the left, and not charged."""
        split = np.array([rng.randrange(length) for length in self.lengths])
        places = np.arange(self.padded.shape[1])
        # Moved around the end, the prompts stand at the right, where left padding puts them, and the rest at the left.
        moved, cost, broken, count = (_shifted(a, split) for a in (self.padded, self.cost, self.broken, self.count))
        prompt_mask, rest_mask = places >= len(places) - split[:, None], places < (self.lengths - split)[:, None]
        trace = self.tokens.trace(moved, rest_mask, self.tokens.read(moved, prompt_mask))
        return self._differences("after a prompt", trace, (cost, broken, count), rest_mask)

    def prefixes(self) -> tuple[int, list[str]]:
        """How many prefixes that end with a character were compared, and mismatches of their verdicts."""
        row, last = np.nonzero(self.ends > 0)
        whole = np.array([int(self.ends[r, t]) in self.expected[r].cut for r, t in zip(row, last, strict=True)])
        row, last = row[whole], last[whole]
        trace = self.tokens.trace(self.padded[row], np.arange(self.padded.shape[1]) <= last[:, None])
        cost, count = trace.cost.sum(axis=1), trace.violations.sum(axis=1)
        wanted = np.array([self.expected[r].until(int(self.ends[r, t])) for r, t in zip(row, last, strict=True)])
        wanted_cost, wanted_count = wanted.reshape(-1, 2).T
        wrong = np.flatnonzero(~np.isclose(cost, wanted_cost) | (count != wanted_count))
        found = [
            f"prefix of {self.ends[row[i], last[i]]} bytes of {self.expected[row[i]].text!r}: got {cost[i], count[i]}, "
            f"expected {wanted_cost[i], wanted_count[i]}"
            for i in wrong.tolist()
        ]
        return len(row), found

    def _differences(
        self, what: str, trace: TokenTrace, wanted: Sequence[NDArray[Any]], mask: ArrayLike = True
    ) -> list[str]:
        cost, broken, count = wanted
        equal = np.isclose(trace.cost, cost) & (trace.broken == broken) & (trace.violations == count)
        return [
            f"{what} of {self.expected[row].text!r} as {self.ids[row]}: got {trace.broken[row]} {trace.cost[row]}, "
            f"expected {broken[row]} {cost[row]}"
            for row in np.flatnonzero(~(equal | ~np.asarray(mask)).all(axis=1)).tolist()
        ]


def _shifted(array: NDArray[Any], by: Ints) -> NDArray[Any]:
    """Each row moved to the left by its own number of places, around the end."""
    places = (np.arange(array.shape[1]) + by[:, None]) % array.shape[1]
    return np.take_along_axis(array, places, axis=1)
