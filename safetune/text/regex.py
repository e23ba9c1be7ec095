"""Regular expressions as Python's `re` understands them, read into the trees of `syntax.py`.

The grammar is `re`'s own, by its parser; what a class such as `[^\\W_]` holds is asked of `re`. Classes, boundaries and
case folding are ASCII (`re.ASCII`) unless `unicode` is set. What has no exact automaton is refused, with the reason.
"""

import re
import warnings
from collections.abc import Callable
from typing import Any as Anything

from safetune.errors import BindingError
from safetune.text.automaton import ByteAutomaton
from safetune.text.characters import CharSet, matching
from safetune.text.determinise import STATE_LIMIT, determinise
from safetune.text.nfa import build
from safetune.text.syntax import (
    Ahead,
    All,
    Any,
    Behind,
    CannotExpress,
    Chain,
    Choice,
    Condition,
    Node,
    Not,
    One,
    Repeat,
    Start,
    Where,
)
from safetune.text.utf8 import to_bytes

try:
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser  # type: ignore[attr-defined]
except ImportError as error:  # pragma: no cover - the parser is private; a future Python may move it
    raise ImportError(
        "safetune reads patterns with Python's own parser, re._parser, which this Python lacks"
    ) from error

Item = tuple[Anything, Anything]  # an operation of `re`'s parse tree and its argument

_CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}
_REFUSED = {
    sre.GROUPREF: "a back-reference has to remember text of any length, which no automaton can",
    sre.GROUPREF_EXISTS: "a conditional group has to remember which group matched; write the two cases as alternatives",
    sre.ATOMIC_GROUP: "an atomic group (?>…) hides matches that other starts would find; use (?:…)",
    sre.POSSESSIVE_REPEAT: "a possessive repeat hides matches that shorter repeats would find; leave out its '+'",
}
_LONG_LOOKAHEAD = (
    "a lookahead can see one character only, since a match must be known when the next byte is read; "
    "write it as one class, such as (?=[.,\\s]) or (?!\\d)"
)
_DOLLAR = (
    "'$' also matches before a final newline, which takes two characters of lookahead; "
    r"write \Z for the end of the text, or (?m)$ for the end of any line"
)
_CLASSES = {sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY}
_CONDITIONS = {sre.AT, sre.ASSERT, sre.ASSERT_NOT}
_TYPE_FLAGS = re.ASCII | re.UNICODE | re.LOCALE


def compile_regex(pattern: str, *, unicode: bool = False, state_limit: int = STATE_LIMIT) -> ByteAutomaton:
    """The minimal automaton that labels (bit 0) each position at which some match of `pattern` ends.

    All matches count: any start, any alternative, greedy or not. A match never takes in an ill-formed byte; in
    lookarounds and boundaries such a byte is a character outside every listed set and inside every negated one.
    """
    try:
        return to_bytes(determinise(build(parse(pattern, unicode=unicode)), state_limit))
    except CannotExpress as why:
        raise BindingError(f"regex '{pattern}': {why}") from None


def parse(pattern: str, *, unicode: bool = False) -> Node:
    """The tree of a pattern; its syntax errors show the column."""
    flags = 0 if unicode else re.ASCII
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # '[[' has a well-defined meaning today, which is the one used
            re.compile(pattern, flags)  # checks what the parser alone does not, such as the width of a lookbehind
            tree = _parser.parse(pattern, flags)
    except re.error as error:
        raise BindingError(_syntax_error(pattern, error)) from None
    except (ValueError, OverflowError, RecursionError) as error:
        hint = " (for Unicode classes set unicode = true beside the regex)" if "UNICODE" in str(error) else ""
        raise BindingError(f"regex '{pattern}': {error}{hint}") from None
    return _chain(tree, tree.state.flags, False)


def _syntax_error(pattern: str, error: re.error) -> str:
    if error.pos is None:
        return f"regex '{pattern}': {error.msg}"
    line = pattern.splitlines()[error.lineno - 1] if "\n" in pattern else pattern
    return f"regex does not parse: {error.msg} at column {error.colno}\n  {line}\n  {' ' * (error.colno - 1)}^"


def _chain(items: Anything, flags: int, around: bool) -> Node:
    """A sequence of items. `around`: inside a lookaround, where a negated class holds ill-formed bytes as well."""
    parts = tuple(_node(op, argument, flags, around) for op, argument in items)
    return parts[0] if len(parts) == 1 else Chain(parts)


def _node(op: Anything, argument: Anything, flags: int, around: bool) -> Node:
    if op in _CLASSES:
        chars = _chars(op, argument, flags)
        return One(chars if around else chars.without_ill_formed())
    if op in _CONDITIONS:
        return Where(_condition(op, argument, flags))
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        least, most, body = argument
        return Repeat(_chain(body, flags, around), least, None if most is sre.MAXREPEAT else most)
    if op is sre.SUBPATTERN:
        inner, body = _group(argument, flags)
        return _chain(body, inner, around)
    if op is sre.BRANCH:
        return Choice(tuple(_chain(branch, flags, around) for branch in argument[1]))
    if op is sre.FAILURE:
        return Choice(())
    raise CannotExpress(_REFUSED.get(op, f"'{op}' is not supported"))


def _group(argument: Anything, flags: int) -> tuple[int, Anything]:
    """The flags inside a group such as (?i:…), and its body."""
    _, added, removed, body = argument
    if added & _TYPE_FLAGS:
        flags &= ~_TYPE_FLAGS
    return (flags | added) & ~removed, body


def _condition(op: Anything, argument: Anything, flags: int) -> Condition:
    if op is sre.AT:
        return _at(argument, flags)
    direction, body = argument
    holds = _ahead([(item, flags) for item in body]) if direction > 0 else Behind(_chain(body, flags, True))
    return holds if op is sre.ASSERT else Not(holds)


def _at(where: Anything, flags: int) -> Condition:
    newline = CharSet(((10, 10),))
    many_lines = flags & re.MULTILINE
    if where in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
        any_line = where is sre.AT_BEGINNING and many_lines
        return Any((Start(), Behind(One(newline)))) if any_line else Start()
    if where in (sre.AT_BOUNDARY, sre.AT_NON_BOUNDARY):
        word = matching(r"\w", flags & re.ASCII)
        before, after = Behind(One(word)), Ahead(word, end=False)
        boundary = Any((All((before, Not(after))), All((Not(before), after))))
        return boundary if where is sre.AT_BOUNDARY else Not(boundary)
    if where is sre.AT_END_STRING:
        return Ahead(CharSet(()), end=True)
    if where is sre.AT_END and many_lines:
        return Ahead(newline, end=True)
    raise CannotExpress(_DOLLAR)


def _ahead(items: list[tuple[Item, int]]) -> Condition:
    """What a lookahead asks of the next character; each item comes with the flags of its group."""
    if not items:
        return All(())
    ((op, argument), flags), rest = items[0], items[1:]
    if op in _CLASSES and not rest:
        return Ahead(_chars(op, argument, flags), end=False)
    if op in _CONDITIONS:
        return All((_condition(op, argument, flags), _ahead(rest)))
    if op is sre.SUBPATTERN:
        inner, body = _group(argument, flags)
        return _ahead([(item, inner) for item in body] + rest)
    if op is sre.BRANCH:
        return Any(tuple(_ahead([(item, flags) for item in branch] + rest) for branch in argument[1]))
    if op is sre.FAILURE:
        return Any(())
    raise CannotExpress(_REFUSED.get(op, _LONG_LOOKAHEAD))


def _chars(op: Anything, argument: Anything, flags: int) -> CharSet:
    """The set that a one-character item matches, by writing the item out again and asking `re`."""
    borders: list[int] = []

    def char(code: int) -> str:
        if 0xD800 <= code <= 0xDFFF:
            raise CannotExpress(f"U+{code:04X} is a surrogate, and no UTF-8 text holds one")
        borders.extend((code, code + 1))
        return f"\\U{code:08x}"

    spell: dict[Anything, Callable[[Anything], str]] = {
        sre.NEGATE: lambda _: "^",
        sre.LITERAL: char,
        sre.RANGE: lambda ends: f"{char(ends[0])}-{char(ends[1])}",
        sre.CATEGORY: _CATEGORIES.__getitem__,
    }
    if op is sre.ANY:
        text = "."
    elif op is sre.NOT_LITERAL:
        text = f"[^{char(argument)}]"
    else:
        text = f"[{''.join(spell[kind](value) for kind, value in (argument if op is sre.IN else [(op, argument)]))}]"
    return matching(text, flags & (re.ASCII | re.IGNORECASE | re.DOTALL), tuple(sorted(set(borders))))
