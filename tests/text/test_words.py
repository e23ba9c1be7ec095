import random
import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.errors import BindingError
from safetune.text.regex import compile_regex
from safetune.text.words import compile_words, unicode_folds

CHARS = ["a", "b", "A", "B", "k", "1", "_", "-", "+", " ", "é", "É", "ß", "ſ", "\u212a", "€"]
entries = st.text(st.sampled_from(CHARS), min_size=1, max_size=4).filter(str.strip)
pieces = [char.encode() for char in CHARS] + [b"\xc3", b"\xe2\x82", b"\xa9", b"."]
texts = st.lists(st.sampled_from(pieces), max_size=12).map(b"".join)


@cache
def same_letter(a: str, b: str, unicode: bool) -> bool:
    """ASCII letters fold among themselves; with `unicode` the others do too, as `re` has them."""
    if a.isascii() or b.isascii() or not unicode:
        return re.fullmatch(re.escape(a), b, re.IGNORECASE | re.ASCII) is not None
    return re.fullmatch(re.escape(a), b, re.IGNORECASE) is not None


def word_ends(word: str, text: str, end: int, unicode: bool) -> bool:
    """Does the word end before the character `end`, with no word character beside it?"""
    start = end - len(word)
    beside = text[max(start - 1, 0) : max(start, 0)] + text[end : end + 1]
    same = start >= 0 and all(same_letter(a, b, unicode) for a, b in zip(word, text[start:end], strict=True))
    return same and not re.search(r"\w", beside, re.ASCII)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.lists(entries, min_size=1, max_size=5), st.lists(texts, min_size=4, max_size=4), st.booleans())
def test_words_hold_where_they_stand_whole(words: list[str], datas: list[bytes], unicode: bool) -> None:
    automaton = compile_words(words, unicode=unicode)
    for data in datas:
        text = data.decode("utf-8", "surrogateescape")
        expected = np.zeros(len(data) + 1, dtype=int)
        ends = np.cumsum([len(char.encode("utf-8", "surrogateescape")) for char in text])
        for end, byte in enumerate(ends.tolist(), 1):
            expected[byte] = any(word_ends(word.strip(), text, end, unicode) for word in words)
        assert automaton.read(data).tolist() == expected.tolist(), (words, data)


def positions(words: list[str], text: str, *, unicode: bool = False) -> list[int]:
    return np.flatnonzero(compile_words(words, unicode=unicode).read(text.encode())).tolist()


def test_whole_words_in_any_case() -> None:
    assert positions(["fool"], "Fool fools tomfool FOOL.") == [4, 23]
    assert positions(["fool"], "fool_ fool1 fool-s “fool” éfool") == [16, 26, 36]


def test_entries_with_spaces_and_signs() -> None:
    assert positions(["credit card", "card game"], "credit card game, credit  card") == [11, 16]
    assert positions(["C++", "#tag"], "c++ #TAG #tags c+++") == [3, 8, 18]


def test_one_entry_inside_another() -> None:
    assert positions(["new york city", "york", "new"], "new york citys new york city") == [3, 8, 18, 23, 28]


def test_duplicates_and_outer_spaces_change_nothing() -> None:
    assert np.array_equal(compile_words(["Ab", "ab ", "aB"]).next_state, compile_words(["ab"]).next_state)


def test_letters_beyond_ascii_fold_only_with_unicode() -> None:
    assert positions(["élan"], "ÉLAN") == []
    assert positions(["élan"], "ÉLAN", unicode=True) == [5]
    assert positions(["kiss"], "\u212aiſs", unicode=True) == []  # ASCII letters keep to ASCII
    assert positions(["straße"], "STRASSE STRAẞE", unicode=True) == [16]


def test_folding_is_an_equivalence_and_the_same_as_re() -> None:
    folds = unicode_folds()
    cased = "".join(folds)
    for char in random.Random(0).sample(cased, 500):
        cases = set(re.findall(re.escape(char), cased, re.IGNORECASE))
        assert cases == {other for other in cased if folds[other] == folds[char]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the word list is empty"),
        (["a", "  "], "word 2 of 2 is empty"),
        (["a", "\ud800"], r"word 2 holds the surrogate U\+D800"),
    ],
)
def test_wrong_lists_say_what_is_wrong(words: list[str], message: str) -> None:
    with pytest.raises(BindingError, match=message):
        compile_words(words)


def test_a_list_is_the_same_automaton_as_its_regex() -> None:
    rng = random.Random(1)
    words = ["".join(rng.choices("abcde", k=rng.randint(1, 6))) for _ in range(60)]
    by_regex = compile_regex(rf"(?i)(?<!\w)(?:{'|'.join(words)})(?!\w)")
    by_list = compile_words(words)
    assert np.array_equal(by_list.next_state, by_regex.next_state)
    assert np.array_equal(by_list.labels, by_regex.labels)


def test_ten_thousand_words_are_read_at_once() -> None:
    rng = random.Random(2)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(3, 10))) for _ in range(10_000)]
    automaton = compile_words(words)
    text = " ".join(words[:50])
    assert np.count_nonzero(automaton.read(text.encode())) == 50
