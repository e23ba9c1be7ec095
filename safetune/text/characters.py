"""Sets of characters, asked of `re` itself, and the few classes into which a pattern's sets part all characters.

A text may hold bytes that are not well-formed UTF-8. Each such byte is read as the character U+DC80, a lone
surrogate, which no well-formed text can hold. That is how Python decodes with `errors="surrogateescape"`, save that
here all ill-formed bytes are alike.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ILL_FORMED = 0xDC80
"""The code point that stands for a byte which is not part of well-formed UTF-8."""

CODE_POINTS = 0x110000
_SURROGATES = (0xD800, 0xDFFF)


@dataclass(frozen=True)
class CharSet:
    """A set of code points as ascending, separate ranges, first and last included."""

    ranges: tuple[tuple[int, int], ...]

    def without_ill_formed(self) -> "CharSet":
        """The characters that well-formed text can hold."""
        below, above = _SURROGATES[0] - 1, _SURROGATES[1] + 1
        parts = [(low, min(high, below)) for low, high in self.ranges if low <= below]
        parts += [(max(low, above), high) for low, high in self.ranges if high >= above]
        return CharSet(tuple(parts))


class Alphabet(NamedTuple):
    """Classes 0..C-1 of characters that no set of a pattern tells apart."""

    class_of: npt.NDArray[np.int32]  # (CODE_POINTS,)
    member: npt.NDArray[np.bool_]  # (N, C) is the class inside the n-th set?


def partition(sets: Sequence[CharSet]) -> Alphabet:
    """The coarsest classes that keep inside apart from outside for each of N sets."""
    borders = {0, *(border for chars in sets for low, high in chars.ranges for border in (low, high + 1))}
    starts = np.array(sorted(borders - {CODE_POINTS}))
    inside = np.zeros((len(starts), len(sets)), dtype=np.bool_)
    for n, chars in enumerate(sets):
        for low, high in chars.ranges:
            inside[np.searchsorted(starts, low) : np.searchsorted(starts, high, side="right"), n] = True
    member, class_of_interval = np.unique(inside, axis=0, return_inverse=True)
    lengths = np.diff(np.append(starts, CODE_POINTS))
    return Alphabet(np.repeat(class_of_interval.reshape(-1).astype(np.int32), lengths), member.T)


@lru_cache(maxsize=4096)
def matching(one_character: str, flags: int, borders: tuple[int, ...] = ()) -> CharSet:
    """The characters that a one-character pattern matches, by asking `re` about each.

    Under `re.ASCII` the answer can change beyond ASCII only at the code points that the pattern lists (`borders`),
    so that few characters need asking; otherwise all are asked, since case folding can reach anywhere.
    """
    if flags & re.ASCII:
        starts: Sequence[int] = [*sorted({*range(129), *borders} - {CODE_POINTS}), CODE_POINTS]
        asked = "".join(map(chr, starts[:-1]))
    else:
        starts, asked = range(CODE_POINTS + 1), _every_character()
    runs = re.compile(f"(?:{one_character})+", flags).finditer(asked)
    return CharSet(_joined((starts[run.start()], starts[run.end()] - 1) for run in runs))


@lru_cache(maxsize=1)
def _every_character() -> str:
    return "".join(map(chr, range(CODE_POINTS)))


def _joined(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ascending ranges, those that touch made one."""
    joined: list[tuple[int, int]] = []
    for low, high in ranges:
        if joined and joined[-1][1] + 1 == low:
            low = joined.pop()[0]
        joined.append((low, high))
    return tuple(joined)
