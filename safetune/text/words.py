"""Word lists: whole words, case folded, by one automaton for the whole list (Aho and Corasick 1975).

- A word of the list holds where it has just ended, if neither the character before it nor the one after it is a word
  character: an ASCII letter, a digit or `_`, so `(?<!\\w)word(?!\\w)` under `re.ASCII`. Entries may hold spaces and
  signs (`credit card`, `C++`); a space stands for one space.
- ASCII letters fold among themselves. With `unicode`, other letters fold among themselves too, one character to one,
  as `re.IGNORECASE` has them (`É`, `é`); `ß` and `ss` stay apart. Word characters are the ASCII ones even then, since
  one byte of lookahead cannot tell a letter from a dash beyond ASCII.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from safetune.errors import BindingError
from safetune.text.automaton import ByteAutomaton
from safetune.text.characters import CODE_POINTS
from safetune.text.utf8 import CharAutomaton, to_bytes

_OUTSIDE, _INSIDE = 0, 1  # states with no word begun: the last character was no word character (or there is none), was
_OTHER, _OTHER_WORD = 0, 1  # classes of the characters that no entry holds: no word character, or one
_WORD_CHARACTERS = [code for code in range(128) if re.match(r"\w", chr(code), re.ASCII)]


def compile_words(words: Iterable[str], *, unicode: bool = False) -> ByteAutomaton:
    """The minimal automaton that labels (bit 0) each position at which a whole word of the list ends."""
    entries = [word.strip() for word in words]
    if not entries:
        raise BindingError("the word list is empty")
    for number, entry in enumerate(entries, 1):
        if not entry:
            raise BindingError(f"word {number} of {len(entries)} is empty")
        if surrogates := re.findall("[\ud800-\udfff]", entry):
            raise BindingError(f"word {number} holds the surrogate U+{ord(surrogates[0]):04X}; no UTF-8 text holds one")
    spelled, class_of = _alphabet(entries, unicode)
    return to_bytes(_automaton(_trie(spelled), class_of))


class _Trie(NamedTuple):
    """N nodes in order of depth, the root first."""

    parent: npt.NDArray[np.int64]  # (N,)
    letter: npt.NDArray[np.int64]  # (N,) the class of the last character
    entry: npt.NDArray[np.bool_]  # (N,) is the path an entry?
    levels: list[slice]  # the nodes of each depth, from depth 1 on


def _alphabet(entries: list[str], unicode: bool) -> tuple[list[list[int]], npt.NDArray[np.int32]]:
    """The entries as classes of characters, and the class of every character, (CODE_POINTS,)."""
    fold = _fold_unicode if unicode else _fold_ascii
    listed = {char for entry in entries for char in entry}
    classes = {letter: _OTHER_WORD + 1 + place for place, letter in enumerate(sorted(set(map(fold, listed))))}
    class_of = np.full(CODE_POINTS, _OTHER, dtype=np.int32)
    class_of[_WORD_CHARACTERS] = _OTHER_WORD
    for char in [*map(chr, range(128)), *listed, *(unicode_folds() if unicode else ())]:
        if fold(char) in classes:
            class_of[ord(char)] = classes[fold(char)]
    return [[classes[fold(char)] for char in entry] for entry in entries], class_of


def _trie(entries: list[list[int]]) -> _Trie:
    rows: list[tuple[int, int]] = [(0, 0)]  # (parent, letter)
    ends: set[int] = set()
    levels: list[slice] = []
    growing = [(0, entry) for entry in entries]  # the node that each entry has come to
    while growing:  # level by level, so that nodes are numbered by depth
        depth = len(levels)
        numbers: dict[tuple[int, int], int] = {}
        levels.append(slice(len(rows), len(rows)))
        going_on = []
        for above, entry in growing:
            row = (above, entry[depth])
            node = numbers.setdefault(row, len(rows))
            if node == len(rows):
                rows.append(row)
            if depth + 1 < len(entry):
                going_on.append((node, entry))
            else:
                ends.add(node)
        levels[-1] = slice(levels[-1].start, len(rows))
        growing = going_on
    parent, letter = np.array(rows).T
    return _Trie(parent, letter, np.isin(np.arange(len(rows)), list(ends)), levels)


def _automaton(trie: _Trie, class_of: npt.NDArray[np.int32]) -> CharAutomaton:
    """States: `_OUTSIDE`, which is the root, `_INSIDE`, and the other nodes, shifted by one."""
    n_classes = int(class_of.max()) + 1
    is_word = np.zeros(n_classes, dtype=np.bool_)
    is_word[class_of[_WORD_CHARACTERS]] = True
    none_begun = np.where(is_word, _INSIDE, _OUTSIDE)
    table = np.zeros((len(trie.parent) + 1, n_classes), dtype=np.int32)
    table[[_OUTSIDE, _INSIDE]] = none_begun
    found = np.insert(trie.entry, _INSIDE, False)
    parent = np.where(trie.parent > 0, trie.parent + 1, _OUTSIDE)
    for level in trie.levels:
        states = np.arange(level.start, level.stop) + 1
        above, letter = parent[level], trie.letter[level]
        # The longest other word that may have begun is where the parent's own such state goes, which is what the table
        # still says here. A word begins only after no word character, so the root's children fall back to none begun.
        fallback = table[above, letter]
        table[above, letter] = states
        table[states] = table[fallback]
        found[states] |= found[fallback]
    labels = np.zeros((len(table), n_classes + 1), dtype=np.int32)
    labels[:, :-1] = found[:, None] & ~is_word
    labels[:, -1] = found
    return CharAutomaton(class_of, table, labels)


def _fold_ascii(char: str) -> str:
    return char.lower() if char.isascii() else char


def _fold_unicode(char: str) -> str:
    return char.lower() if char.isascii() else unicode_folds().get(char, char)


@cache
def unicode_folds() -> dict[str, str]:
    """Each character beyond ASCII that has other cases beyond ASCII, and the one that stands for all of them."""
    cased = "".join(char for char in map(chr, range(128, CODE_POINTS)) if char != char.lower() or char != char.upper())
    folds: dict[str, str] = {}
    for char in cased:
        if char not in folds:
            cases = re.findall(re.escape(char), cased, re.IGNORECASE)
            folds |= dict.fromkeys(cases, min(cases))
    return folds
