"""The streaming cursor over one text: feed pieces, read verdicts with an explanation each.

It runs the patterns' automaton over the bytes and steps the safeguard at its events, so it needs no vocabulary, and
its memory does not grow with the text. Tokens and batches belong to `token_safeguard.py`.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from safetune.errors import DataError
from safetune.safeguard.machine import Safeguard
from safetune.text.bindings import compile_bindings
from safetune.text.position import TextPosition
from safetune.text.product import ByteSafeguard
from safetune.text.scan import BLOCK, Scanner

_PATH = 8  # states of a path that are kept, besides the first
KEPT = 1_000


@dataclass(frozen=True)
class Violation:
    """One rule broken at one place of a text."""

    rule: str
    cost: float
    offset: int
    """Bytes up to and with the completed match."""
    line: int
    column: int
    """Of the match's last character, both from 1; at the end of an empty text line 1, column 0."""
    excerpt: str
    """The text up to there, shortened."""
    labels: tuple[str, ...]
    """The propositions that held there."""
    path: tuple[str, ...]
    """The safeguard's states so far, without repeats; the middle of a long path is left out, and a name of more than 60
    characters is the number that `safetune show` lists it under."""

    def explanation(self) -> str:
        """The verdict in one line."""
        place = f"line {self.line}, column {self.column}"
        return f"{place}: broke '{self.rule}' (cost {self.cost:g}): {self.reason()}"

    def reason(self) -> str:
        """Why: what held, after which words, and the safeguard's way there."""
        excerpt = self.excerpt.translate({9: "\\t", 10: "\\n", 13: "\\r"})
        held = ", ".join(self.labels) or "no proposition"
        return f'{held} held after "{excerpt}"; states: {" → ".join(self.path)}'


class Monitor:
    """Reads one text as it comes. `close` says that it has ended; `reset` makes ready for another."""

    def __init__(self, guard: Safeguard | ByteSafeguard, *, kept: int = KEPT) -> None:
        self.guard = guard.guard if isinstance(guard, ByteSafeguard) else guard
        self._scanner = Scanner(guard.automaton if isinstance(guard, ByteSafeguard) else compile_bindings(guard))
        self._end = self.guard.encode(["end"]) if "end" in self.guard.propositions else 0
        self._kept = kept
        self._names = cache(self.guard.decode)
        self.reset()

    def reset(self) -> None:
        """Forget the text."""
        self.state = self.guard.initial
        self.count = 0
        self.closed = False
        self.violations: list[Violation] = []
        self._row = self._scanner.initial
        self._position = TextPosition()
        self._path: deque[int] = deque(maxlen=_PATH)  # the states entered last
        self._changes = 0

    @property
    def ok(self) -> bool:
        """Whether no rule was broken so far."""
        return self.count == 0

    def feed(self, text: str | bytes) -> list[Violation]:
        """Read on; the violations that have become certain. Text may be cut anywhere, even within a character.

        All of them are counted in `count`, and the first ones (1,000, unless said otherwise) kept in `violations`.
        """
        if self.closed:
            raise DataError("monitor: the text was closed; call reset() before feeding another")
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
        found: list[Violation] = []
        for start in range(0, len(data), BLOCK):
            found += self._feed_block(data[start : start + BLOCK])
        return self._keep(found)

    def close(self) -> list[Violation]:
        """End the text: what is pending is settled, and the end is a step of its own."""
        found: list[Violation] = []
        if not self.closed:
            self.closed = True
            pending = int(self._scanner.at_end[self._row // 256]) if self._position.offset else 0
            if pending:
                found += self._step(pending)
            found += self._step(self._end)  # a step even where nothing is labelled
        return self._keep(found)

    def _feed_block(self, data: bytes) -> Iterator[Violation]:
        places, edges, self._row = self._scanner.read(self._row, data)
        late, now = self._scanner.late[edges].tolist(), self._scanner.now[edges].tolist()
        start, read = self._position.offset, 0
        for place, *settled in zip(places.tolist(), late, now, strict=True):
            for end, labels in enumerate(settled, start=place):
                if not labels or not start + end:  # nothing holds before the first byte
                    continue
                if self.guard.broken[self.state, labels]:
                    self._position.advance(data[read:end])
                    read = end
                yield from self._step(labels)
        self._position.advance(data[read:])

    def _step(self, labels: int) -> list[Violation]:
        """Step the safeguard; the position must be right where a rule breaks."""
        broken = int(self.guard.broken[self.state, labels])
        state = int(self.guard.next_state[self.state, labels])
        if state != self.state:
            self._path.append(state)
            self._changes += 1
            self.state = state
        if not broken:
            return []
        place, path, held = self._position, self._path_names(), self._names(labels)
        return [
            Violation(rule.name, rule.cost, place.offset, place.line, place.column, place.excerpt, held, path)
            for bit, rule in enumerate(self.guard.rules)
            if broken >> bit & 1
        ]

    def _path_names(self) -> tuple[str, ...]:
        gap = ("…",) if self._changes > len(self._path) else ()
        name = self.guard.short_name
        return (name(self.guard.initial), *gap, *map(name, self._path))

    def _keep(self, found: list[Violation]) -> list[Violation]:
        self.count += len(found)
        self.violations += found[: max(0, self._kept - len(self.violations))]
        return found
