"""Running a byte automaton over long stretches of bytes, quickly and exactly, to find where its labels hold.

A stretch is cut into lanes that are read side by side, each from a guessed state: that reached from the last bytes of
the lane before. Automata of search patterns soon forget how they started, so guesses are nearly always right; each is
checked against the state that the lane before ended in, and a lane that guessed wrong is read again.
"""

import numpy as np
from numpy.typing import NDArray

from safetune.safeguard.minimise import Ints
from safetune.text.automaton import END, ByteAutomaton

_LANES = 512
_WARM_UP = 32  # bytes read before a lane to guess its state
_SHORT = 8 * _LANES  # below this a plain loop is quicker
_ROUNDS = 8  # how often wrong guesses are mended before the rest is read plainly
BLOCK = 2**18  # bytes that are worth reading at once; more only needs more memory


class Scanner:
    """Where an automaton has events: places where labels hold, told apart by when they are known.

    An edge is a state and the byte read there, as one number: 256 · state + byte.
    """

    def __init__(self, automaton: ByteAutomaton) -> None:
        labels = automaton.labels
        pending = (labels != labels[:, :1]).any(axis=1)
        now = np.where(pending, 0, labels[:, 0])
        late = np.where(pending[:, None], labels, 0)
        self.initial = automaton.initial * END
        self.late = np.ascontiguousarray(late[:, :END]).reshape(-1)
        """labels of the position before the byte, known by the byte"""
        self.now = now[automaton.next_state].reshape(-1)
        """labels of the position after the byte, known at once"""
        self.at_end = late[:, END]
        """labels of the last position, by state, known by the text's end"""
        self._event = (self.late | self.now) != 0
        self._next = automaton.next_state.reshape(-1).astype(np.int64) * END
        self._view = self._next.data  # single items come quicker out of a view

    def read(self, row: int, data: bytes) -> tuple[Ints, Ints, int]:
        """From 256 · state: places (N,) in `data` whose byte settles labels, their edges (N,), and where it ends."""
        edges = np.empty(len(data), np.int64)
        self._fill(row, np.frombuffer(data, np.uint8), edges)
        places = np.flatnonzero(self._event.take(edges))
        return places, edges[places], int(self._next[edges[-1]]) if len(data) else row

    def _fill(self, row: int, data: NDArray[np.uint8], edges: Ints) -> None:
        """The edges (N,) that reading `data` (N,) takes."""
        if len(data) < _SHORT:
            return self._fill_plainly(row, data, edges)
        width = len(data) // _LANES
        rest = width * _LANES
        lanes = np.ascontiguousarray(data[:rest].reshape(_LANES, width).T).astype(np.int64)  # (width, lanes)
        starts = np.full(_LANES, row)
        starts[1:] = self._run(starts[1:], lanes[-_WARM_UP:, :-1].copy())
        ends = self._run(starts, lanes)
        for _ in range(_ROUNDS):
            wrong = 1 + np.flatnonzero(starts[1:] != ends[:-1])
            if not len(wrong):
                break
            starts[wrong] = ends[wrong - 1]
            again = np.ascontiguousarray(data[:rest].reshape(_LANES, width)[wrong].T).astype(np.int64)
            ends[wrong] = self._run(starts[wrong], again)
            lanes[:, wrong] = again
        edges[:rest].reshape(_LANES, width)[:] = lanes.T
        wrong = 1 + np.flatnonzero(starts[1:] != ends[:-1])
        done = rest if not len(wrong) else int(wrong[0]) * width
        return self._fill_plainly(int(self._next[edges[done - 1]]), data[done:], edges[done:])

    def _run(self, row: Ints, lanes: Ints) -> Ints:
        """Read lanes (width, n) from rows (n,); bytes become edges in place. Returns the rows at the ends."""
        row = row.copy()
        for edge in lanes:
            np.add(edge, row, out=edge)
            self._next.take(edge, out=row, mode="clip")  # "clip" spares a copy; nothing is out of bounds
        return row

    def _fill_plainly(self, row: int, data: NDArray[np.uint8], edges: Ints) -> None:
        view, path = self._view, []
        for byte in data.tobytes():
            edge = row + byte
            path.append(edge)
            row = view[edge]
        edges[:] = path
