import itertools
import re
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.errors import DataError
from safetune.safeguard import Safeguard, Spec
from safetune.text import ByteSafeguard, Monitor, Violation

SPEC = """
name = "test"
[propositions]
email = "an address"
thanks = "a word of thanks"
[[rule]]
name = "no address before thanks"
always = "email -> once thanks"
cost = 2.0
[[rule]]
name = "thank in the end"
always = "end -> once thanks"
cost = 0.5
[bind.text]
email = { regex = '\\b\\w+@\\w+\\b' }
thanks = { words = ["thanks"] }
"""
GUARD = Safeguard.from_spec(Spec.parse(SPEC))
MACHINE = ByteSafeguard.compile(GUARD)


def never(pattern: str) -> Safeguard:
    head = 'name = "never"\n[propositions]\np = "x"\n[[rule]]\nname = "r"\nalways = "!p"\n[bind.text]\n'
    return Safeguard.from_spec(Spec.parse(f"{head}p = {{ regex = '{pattern}' }}"))


NEVER = ByteSafeguard.compile(never("(?i)ab+c?"))


def watched(pieces: Sequence[str | bytes], guard: Safeguard | ByteSafeguard = MACHINE) -> list[Violation]:
    monitor = Monitor(guard)
    return [violation for piece in pieces for violation in monitor.feed(piece)] + monitor.close()


def test_a_violation_says_what_where_and_why() -> None:
    first, last = watched(["Hello\nwrite to bob@acme, no?\n"])
    assert (first.rule, first.cost) == ("no address before thanks", 2)
    assert (first.offset, first.line, first.column) == (23, 2, 17)
    assert first.excerpt == "Hello\nwrite to bob@acme"
    assert first.labels == ("email",)
    assert first.path == ("start",)
    assert first.explanation() == (
        "line 2, column 17: broke 'no address before thanks' (cost 2): email held after "
        '"Hello\\nwrite to bob@acme"; states: start'
    )
    assert (last.rule, last.offset, last.line, last.column, last.labels) == ("thank in the end", 29, 2, 23, ("end",))


def test_the_path_shows_the_states_on_the_way() -> None:
    spec = SPEC.replace("email -> once thanks", "!(email & previously thanks)")
    (violation,) = watched(["thanks bob@acme "], Safeguard.from_spec(Spec.parse(spec)))
    assert violation.path == ("start", "previously thanks; once thanks", "once thanks")


def test_a_verdict_comes_as_soon_as_it_is_certain() -> None:
    monitor = Monitor(MACHINE)
    assert monitor.feed("bob@acm") == []
    assert monitor.feed("e") == []
    assert monitor.ok
    assert len(monitor.feed(" ")) == 1
    assert not monitor.ok


def test_the_end_confirms_what_is_pending() -> None:
    monitor = Monitor(MACHINE)
    monitor.feed("thanks")
    assert monitor.close() == []
    monitor.reset()
    monitor.feed("bob@acme")
    assert [violation.rule for violation in monitor.close()] == ["no address before thanks", "thank in the end"]


def test_an_empty_text_ends_too() -> None:
    (violation,) = watched([])
    assert (violation.rule, violation.offset, violation.line, violation.column) == ("thank in the end", 0, 1, 0)


def test_after_closing_only_a_reset_makes_ready() -> None:
    monitor = Monitor(MACHINE)
    monitor.feed("bob@acme ")
    monitor.close()
    assert monitor.close() == []
    with pytest.raises(DataError, match=r"closed; call reset\(\)"):
        monitor.feed("x")
    monitor.reset()
    assert (monitor.ok, monitor.count, monitor.violations, monitor.state) == (True, 0, [], GUARD.initial)
    assert len(monitor.feed("bob@acme ")) == 1


def test_pieces_may_cut_characters() -> None:
    data = "é電😀 bob@acme".encode()
    whole = watched([data])
    assert watched([data[n : n + 1] for n in range(len(data))]) == whole
    assert (whole[0].offset, whole[0].column, whole[0].excerpt) == (len(data), 12, "é電😀 bob@acme")


def test_only_the_end_of_a_long_text_is_shown() -> None:
    violation = watched(["é" * 500 + " bob@acme"])[0]
    assert violation.excerpt == "…" + "é" * 50 + " bob@acme"
    assert violation.column == 509


def test_a_long_path_is_shortened() -> None:
    spec = SPEC.replace("email -> once thanks", "!(email & previously email)")
    text = "bob@acme thanks " * 50 + "bob@acme " * 2
    violation = watched([text], Safeguard.from_spec(Spec.parse(spec)))[0]
    assert violation.path[1] == "…"
    assert len(violation.path) == 10


def test_violations_are_counted_and_the_first_kept() -> None:
    monitor = Monitor(NEVER, kept=3)
    assert len(monitor.feed("ab " * 10)) == 10
    assert (monitor.count, len(monitor.violations)) == (10, 3)
    assert [violation.offset for violation in monitor.violations] == [2, 5, 8]


def test_lone_surrogates_are_no_characters_but_do_no_harm() -> None:
    assert len(watched(["\ud800 ab"], NEVER)) == 1


def found_by_re(text: str) -> list[int]:
    """Offsets at which a match of NEVER's pattern ends, by looking at every start and end."""
    pattern, places = re.compile("(?i)ab+c?"), range(len(text) + 1)
    ends = {end for start in places for end in places[start:] if pattern.fullmatch(text, start, end)}
    return sorted(len(text[:end].encode()) for end in ends)


@given(text=st.text(alphabet="aABbc é\n", max_size=20), cuts=st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=200)
def test_the_monitor_agrees_with_re(text: str, cuts: list[int]) -> None:
    data = text.encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found = watched([data[a:b] for a, b in itertools.pairwise(places)], NEVER)
    assert [violation.offset for violation in found] == found_by_re(text)
    for violation in found:
        before = data[: violation.offset].decode()
        assert violation.line == 1 + before[:-1].count("\n")
        assert violation.column == len(before) - 1 - before.rfind("\n", 0, len(before) - 1)


def test_long_stretches_are_read_as_short_ones() -> None:
    rng = np.random.default_rng(0)
    words = ["thanks", "bob@acme", "thank", "hello", "s@", "é", "\n", ",", "電話", "a_b@c"]
    text = " ".join(rng.choice(words, 60_000)).encode()
    by_bytes = [text[n : n + 997] for n in range(0, len(text), 997)]
    assert watched([text]) == watched(by_bytes)


def test_a_pattern_that_never_forgets_is_read_exactly_too() -> None:
    """Each stretch's state depends on all that came before, so that no guess of the scanner is right."""
    machine = ByteSafeguard.compile(never(r"(?s)\A(?:[^a]*a[^a]*a)*[^a]*b"))
    rng = np.random.default_rng(0)
    text = rng.choice(np.frombuffer(b"aaccccccccccccccccccccccccccccccccccccccccccccccb", np.uint8), 50_000).tobytes()
    odd = np.cumsum(np.frombuffer(text, np.uint8) == ord("a")) % 2
    expected = 1 + np.flatnonzero((np.frombuffer(text, np.uint8) == ord("b")) & (odd == 0))
    assert [violation.offset for violation in watched([text], machine)] == expected.tolist()


def test_memory_does_not_grow_with_the_text() -> None:
    monitor = Monitor(NEVER, kept=10)
    block = b"nothing to see here\n" * 50_000 + b"ab\n"

    def peak() -> int:
        tracemalloc.reset_peak()
        monitor.feed(block)
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        monitor.feed(block)
        first = peak()
        for _ in range(10):
            last = peak()
    finally:
        tracemalloc.stop()
    assert last < first * 1.2
