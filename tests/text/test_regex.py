import re
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from safetune.errors import BindingError
from safetune.text.automaton import minimise
from safetune.text.regex import compile_regex

# The oracle is `re` itself, on the text decoded with surrogateescape: an ill-formed byte is then a lone surrogate. What
# a pattern takes in stands between marks: there, and only there, `re` must be kept from surrogates.
TAKE, TAKEN = "\x02", "\x03"
SURROGATE = "[\udc80-\udcff]"


def plain(marked: str) -> str:
    return marked.replace(TAKE, "").replace(TAKEN, "")


@lru_cache(maxsize=1000)
def ends_at(marked: str, position: int, flags: int) -> re.Pattern[str]:
    pattern = marked.replace(TAKE, f"(?:(?!{SURROGATE})").replace(TAKEN, ")")
    return re.compile(rf"(?:{pattern})(?<=\A[\s\S]{{{position}}})", flags)


def expected_labels(marked: str, data: bytes, flags: int) -> list[int]:
    """Whether some match ends at each byte position, (len(data) + 1,)."""
    text = data.decode("utf-8", "surrogateescape")
    labels = [int(ends_at(marked, 0, flags).search(text) is not None)]
    for position, char in enumerate(text, 1):
        inside = len(char.encode("utf-8", "surrogateescape")) - 1
        labels += [0] * inside + [int(ends_at(marked, position, flags).search(text) is not None)]
    return labels


# Random patterns and texts over a small alphabet.
LITERALS = ["a", "b", "A", "1", " ", "_", "-", "\\n", "é", "É", "€", "😀", "k", "\u212a", "\\x41", "\\."]
CLASSES = [".", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S"]
CLASSES += ["[ab]", "[^a]", "[a-k1]", r"[^\W\d]", "[é-€]", "[^é\\n]", r"[\w-]", r"[\Wa]", "[A-Z]", "[^😀]", "[\\s\\S]"]
PLACES = [r"\b", r"\B", "^", r"\A", "(?m:^)", r"\Z", "(?m:$)"]
PLACES += [
    "(?=[ab])",
    "(?![ab1])",
    r"(?=\w)",
    r"(?!\w)",
    r"(?=\s|\Z)",
    r"(?!\S)",
    "(?=[^a])",
    r"(?=a|\b)",
    "(?i:(?!A))",
]
PLACES += ["(?<=a)", "(?<!a)", "(?<=[^a])", "(?<=é)", r"(?<!\w)", "(?<=a.)", "(?<!^a)", r"(?<=\ba)", r"(?<!(?<=b)a)"]
PLACES += [r"(?<=a\b)", "(?<=a(?!b))", "(?=)", r"(?=(?<=1)[ab])"]
REPEATS = ["?", "*", "+", "{2}", "{1,3}", "{0,2}", "{2,}", "??", "*?", "+?", "{1,2}?"]
PIECES = [*"aabbAk1 _-.", "\n", "é", "É", "€", "😀", "\u212a", "\u2028"]
BROKEN = [
    b"\xc3",
    b"\xa9",
    b"\xe2\x82",
    b"\xe2",
    b"\xf0\x9f",
    b"\xf0\x9f\x98",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xf5",
]

takes = st.sampled_from(LITERALS * 2 + CLASSES).map(lambda atom: f"{TAKE}{atom}{TAKEN}")
places = st.sampled_from(PLACES)


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=2, max_size=4).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(REPEATS)).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        st.tuples(st.sampled_from(["(", "(?i:", "(?s:", "(?m:", "(?-i:"]), inner).map(
            lambda pair: f"{pair[0]}{pair[1]})"
        ),
    )


whole = st.recursive(st.one_of(takes, takes, takes, places), larger, max_leaves=8)
# Most patterns take in a character for sure, since those that can match the empty text are refused.
patterns = st.one_of(whole, *[st.tuples(places | st.just(""), whole, takes, whole | places).map("".join)] * 3)
texts = st.lists(st.sampled_from([piece.encode() for piece in PIECES * 2] + BROKEN), max_size=9).map(b"".join)


def check_against_re(marked: str, datas: list[bytes], unicode: bool) -> None:
    flags = 0 if unicode else re.ASCII
    try:
        automaton = compile_regex(plain(marked), unicode=unicode)
    except BindingError as error:
        if "can never match" in str(error):
            for data in datas:
                assert not any(expected_labels(marked, data, flags))
        event("refused")
        return
    for data in datas:
        assert automaton.read(data).tolist() == expected_labels(marked, data, flags), (plain(marked), data)
    event("compared")


@settings(deadline=None, derandomize=True, max_examples=100)
@given(patterns, st.lists(texts, min_size=4, max_size=4), st.booleans())
def test_labels_are_where_re_has_a_match_that_ends(marked: str, datas: list[bytes], unicode: bool) -> None:
    check_against_re(marked, datas, unicode)


@pytest.mark.slow
@settings(deadline=None, max_examples=5_000)
@given(patterns, st.lists(texts, min_size=8, max_size=8), st.booleans())
def test_many_labels_are_where_re_has_a_match_that_ends(marked: str, datas: list[bytes], unicode: bool) -> None:
    check_against_re(marked, datas, unicode)


EMAIL = r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"
PHONE = r"(?:\b\d{3}[ .-]\d{4}|\b\d{4} \d{4}|\b\d{3} \d{3} \d{3}|\b\d{10,14})\b"
CARD = r"\b(?:\d[ -]?){13,16}\b"
URL = r"(?i)\bhttps?://[^\s<>\"]+"


def positions(pattern: str, data: str | bytes, *, unicode: bool = False) -> list[int]:
    data = data.encode() if isinstance(data, str) else data
    return np.flatnonzero(compile_regex(pattern, unicode=unicode).read(data)).tolist()


@pytest.mark.parametrize(
    ("pattern", "n_states"),
    [(EMAIL, 9), (PHONE, 29), (URL, 18), (CARD, 1301), ("a", 2), ("[ab]{3}c", 5), (r"a[ab]{10}c", 2**11 + 1)],
)
def test_automata_are_minimal(pattern: str, n_states: int) -> None:
    automaton = compile_regex(pattern)
    assert automaton.n_states == n_states
    assert np.array_equal(minimise(automaton).next_state, automaton.next_state)


@pytest.mark.parametrize(
    ("pattern", "text", "ends"),
    [
        ("a", "banana", [2, 4, 6]),
        ("ana|na", "banana", [4, 6]),
        ("a+", "aaa", [1, 2, 3]),
        ("a+?b", "aab", [3]),
        (r"\bcat\b", "cat concat cat's cat", [3, 14, 20]),
        (r"cat\B", "cats cat", [3]),
        (r"(?m)^a", "a\na ba", [1, 3]),
        (r"\Aa|b\Z", "ab aab", [1, 6]),
        (r"(?m)b$", "b\nab b", [1, 6]),
        (r"b\Z", "b\n", []),
        ("x.y", "xéy x€y x😀y x\ny", [4, 10, 17]),
        ("(?s)x.y", "x\ny", [3]),
        ("[^a]y", "éy ay", [3]),
        ("[à-ü]", "aéz", [3]),
        ("(?<!Dr[.] )Smith", "Dr. Smith, Smith", [16]),
        (r"(?<=\b)b(?<=)", "ab b", [4]),
        (r"a(?=\s|\Z)", "ab a a", [4, 6]),
        (r"a(?=,)b|a(?=b)b", "ab", [2]),
        ("(?i)É", "éÉ", [4]),
        (r"(?x) a  # comment", "a", [1]),
        ("(?i:k)k", "Kk KK", [2]),
    ],
)
def test_examples(pattern: str, text: str, ends: list[int]) -> None:
    assert positions(pattern, text) == ends


def test_classes_are_ascii_unless_unicode_is_asked_for() -> None:
    assert positions(r"\d", "1٣") == [1]
    assert positions(r"\d", "1٣", unicode=True) == [1, 3]
    assert positions(r"(?u:\d)", "1٣") == [1, 3]
    assert positions(r"(?a:\d)", "1٣", unicode=True) == [1]
    assert positions("(?i)é", "É") == []
    assert positions("(?i)é", "É", unicode=True) == [2]
    assert positions("(?i)k", "\u212a", unicode=True) == [3]
    assert positions(r"\bb", "éb", unicode=False) == [3]
    assert positions(r"\bb", "éb b", unicode=True) == [5]


@pytest.mark.parametrize(
    ("pattern", "data", "ends"),
    [
        ("a.b", b"a\xc3b", []),  # a character cut short is no character
        ("a.b", b"a\xc3\xa9b", [4]),
        ("a.b", b"a\xc3\xa9\xa9b", []),  # nor is a stray continuation byte
        ("ab", b"a\xe2\x82ab", [5]),  # what follows is read afresh
        ("[^a]", b"\xff\xed\xa0\x80\xc0\x80", []),  # a surrogate, and an overlong form
        (r"\bb", b"\xe2\x82b", [3]),  # an ill-formed byte is no word character
        (r"a\b", b"a\xe2", [1]),
        ("a(?=[^b])", b"a\xe2", [1]),  # in a lookaround it is inside a negated class
        ("(?<=[^b])a", b"\xe2a", [2]),
        ("(?<![^b])a", b"\xe2a", []),
        ("(?<=[^a]{3})b", b"\xed\xa0\x80b", [4]),  # a surrogate's three bytes are three ill-formed ones
        ("(?<=[^a]{2})b", b"\xe2\x82b", [3]),
        (".", b"\xf0\x9f\x98", []),  # cut short by the end of the text
    ],
)
def test_ill_formed_bytes(pattern: str, data: bytes, ends: list[int]) -> None:
    assert positions(pattern, data) == ends


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(a)\1", "back-reference"),
        (r"(?P<x>a)(?P=x)", "back-reference"),
        (r"(a)?(?(1)b|c)", "conditional group"),
        ("(?>a+)b", "atomic group"),
        ("a++b", "possessive"),
        ("a$", r"'\$' also matches before a final newline.*\\Z.*\(\?m\)\$"),
        ("a(?=bc)", "one character only"),
        ("(?!000)[0-9]{3}", "one character only"),
        ("a(?=b*)", "one character only"),
        ("a(?=é)", "only one byte can be looked ahead"),
        ("a*", "matches the empty text"),
        (r"\b", "matches the empty text"),
        ("(?<=ab)", "matches the empty text"),
        ("", "matches the empty text"),
        (r"a\bb", "can never match"),
        ("(?!)a", "can never match"),
        (r"a\Ab", "can never match"),
        (r"\ud800", "surrogate"),
        (r"a(b", r"unterminated subpattern at column 2\n  a\(b\n   \^$"),
        ("x\na(b", r"column 2\n  a\(b\n   \^$"),
        ("[z-a]", r"bad character range z-a at column 2"),
        ("(?<=a+)b", "look-behind requires fixed-width"),
        ("(?u)a", "unicode = true"),
        ("a{1,4294967296}", "repetition number is too large"),
        (r"(?:\w{1,100}){1,100}x", "repeats are too large"),
        ("a[ab]{20}c", "more than 20,000 states"),
    ],
)
def test_what_cannot_be_expressed_says_why(pattern: str, message: str) -> None:
    with pytest.raises(BindingError, match=message):
        compile_regex(pattern)


def test_a_unicode_boundary_needs_more_than_a_byte_of_lookahead() -> None:
    with pytest.raises(BindingError, match=r"which non-ASCII character follows.*\(\?!\[A-Za-z\]\)"):
        compile_regex(r"\bcafé\b", unicode=True)
    assert positions(r"\bcafé(?![A-Za-z])", "café, décafé cafés", unicode=True) == [5]


@pytest.mark.parametrize("pattern", [EMAIL, PHONE, URL, r"\b(?:\d[ -]?){3,5}\b", r"(?<!x)(?m:^)?a+\B(?!y)|(?<=z)a\b"])
def test_reducing_the_search_changes_no_verdict(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reduced = compile_regex(pattern)
    monkeypatch.setattr("safetune.text.search._REDUCED_LIMIT", 0)
    as_written = compile_regex(pattern)
    assert np.array_equal(reduced.next_state, as_written.next_state)
    assert np.array_equal(reduced.labels, as_written.labels)


def test_long_bounded_gaps_stay_affordable() -> None:
    assert positions(r"foo(?s:.){0,300}bar", "foo" + "é" * 300 + "bar" + "é" * 300 + "bar") == [606]
