"""What an agent of Craft sees, compiled: rows of bits and item counts, for a whole batch at once.

Each cell is `CHANNELS` bits: those of `names.CELLS`, and whether the agent is there.
    egocentric  the cells of the window around the agent (row by row), the items, the agent's row and column, one bit
                each
    symbolic    the cells of the map (row by row), the items
Rows are filled up with zeros to whole words of four bytes. Array names are those of `kernel`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from safetune.games.craft.compiled import compiled, inlined
from safetune.games.craft.kernel import AT, COLUMNS, FIRST_CREATURE, FIRST_ITEM, GONE, MARGIN, N_ITEMS, STRIDE
from safetune.games.craft.names import CELLS, CREATURES

CHANNELS = len(CELLS) + 1
WORDS = -(-CHANNELS // 4)
assert WORDS == 3  # a cell is written as three words
assert CHANNELS == 4 * WORDS
_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)
_AGENT = len(CELLS)
_CREATURE_CHANNELS = tuple(CELLS.index(name) for name in CREATURES)


def words_of_cells() -> NDArray[np.uint32]:
    """(2**CELLS, WORDS) what a cell that holds these bits looks like."""
    bits = np.arange(2 ** len(CELLS))[:, None] >> np.arange(CHANNELS) & 1
    return np.ascontiguousarray(bits.astype(np.uint8)).view(np.uint32)


@inlined
def look(
    words: Any, kinds: Any, sizes: Any, rows: int, grid: Any, body: Any, i: int, around: bool, seen: Any, whole: Any
) -> None:
    """One observation; `seen` (N, D) bytes and `whole` (N, D / 4) words are the same memory."""
    stride, margin, at = sizes[STRIDE], sizes[MARGIN], body[i, AT]
    height, width = (2 * margin + 1, 2 * margin + 1) if around else (rows, sizes[COLUMNS])
    corner = at - (margin << stride) - margin if around else (margin << stride) + margin
    ground, filled = grid[i], whole[i]
    word = np.uint64(0)  # unsigned numbers are not looked at for being negative at each access
    for down in range(height):
        first = np.uint64(corner + (down << stride))
        for place in range(first, first + np.uint64(width)):
            bits = ground[place]
            filled[word] = words[bits, 0]
            filled[word + _ONE] = words[bits, 1]
            filled[word + _TWO] = words[bits, 2]
            word += _THREE
    for rest in range(word, np.uint64(len(filled))):
        filled[rest] = 0
    rest_at = np.int64(word) * 4
    low = (1 << stride) - 1
    top, left = corner >> stride, corner & low
    for c in range(len(kinds)):
        place = body[i, FIRST_CREATURE + c]
        down, right = (place >> stride) - top, (place & low) - left
        if place != GONE and 0 <= down < height and 0 <= right < width:
            seen[i, (down * width + right) * CHANNELS + _CREATURE_CHANNELS[kinds[c]]] = 1
    row, column = at >> stride, at & low
    seen[i, ((row - top) * width + column - left) * CHANNELS + _AGENT] = 1
    for item in range(N_ITEMS):
        seen[i, rest_at + item] = body[i, FIRST_ITEM + item]
    if around:
        seen[i, rest_at + N_ITEMS + row - margin] = 1
        seen[i, rest_at + N_ITEMS + rows + column - margin] = 1


@compiled
def observe(
    words: Any, kinds: Any, sizes: Any, rows: int, grid: Any, body: Any, around: bool, which: Any, seen: Any, whole: Any
) -> None:
    """Fill in the observations of the environments that `which` (N,) marks; `around`: egocentric."""
    for i in range(len(body)):
        if which[i]:
            look(words, kinds, sizes, rows, grid, body, i, around, seen, whole)
