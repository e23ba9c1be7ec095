"""From text to a formula: a tokenizer and an operator-precedence parser.

Every error is a `FormulaError` that says what was found and what was expected, with the text and a caret under it.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from safetune.errors import FormulaError, choices, nearest
from safetune.safeguard.formula import (
    CONSTANTS,
    END,
    KEYWORDS,
    PRECEDENCE,
    UNARY,
    Binary,
    Constant,
    Formula,
    Prop,
    Unary,
)

# Bounds that no rule a person writes comes near; they keep recursion and tables small whatever a file holds.
MAX_TOKENS = 400
MAX_NESTING = 100
MAX_WITHIN = 1_000_000

_OTHER_SPELLINGS = {
    **dict.fromkeys(("and", "&&", "∧"), "&"),
    **dict.fromkeys(("or", "||", "∨"), "|"),
    **dict.fromkeys(("not", "~", "¬"), "!"),
    **dict.fromkeys(("implies", "=>", "→"), "->"),
    **dict.fromkeys(("iff", "<=>", "==", "↔"), "<->"),
    "never": "!",
}
_FUTURE = {"always", "globally", "eventually", "finally", "next", "until", "release"}
_TOKEN = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>[0-9]+)"
    r"|(?P<other>&&|\|\||<=>|=>|==)|(?P<symbol><->|->|[!&|()\[\]])|(?P<unknown>\S)"
)
_WINDOW = 100


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


def parse(text: str, propositions: Iterable[str] | None = None, *, temporal: bool = True) -> Formula:
    """Read a formula. Given `propositions`, other names (but `end`) are errors; `temporal=False` forbids memory."""
    return _Parser(text, propositions, temporal).formula()


def tokenize(text: str) -> list[_Token]:
    """The tokens of a formula, with a last one of kind `end of formula`."""
    tokens = [_Token(str(match.lastgroup), match.group(), match.start()) for match in _TOKEN.finditer(text)]
    tokens.append(_Token("stop", "", len(text.rstrip())))
    if len(tokens) > MAX_TOKENS:
        _fail(text, tokens[MAX_TOKENS], f"too long: more than {MAX_TOKENS} words and signs in one formula")
    return tokens


class _Parser:
    """One pass over one text; `at` is the token to be read next."""

    def __init__(self, text: str, propositions: Iterable[str] | None, temporal: bool) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.nesting = 0
        self.names = None if propositions is None else {*propositions, END}
        self.temporal = temporal

    def formula(self) -> Formula:
        result = self.binary(1)
        if self.tokens[self.at].kind != "stop":
            self.expected_operator("the end of the formula")
        return result

    def binary(self, loosest: int) -> Formula:
        """An operand and every operator after it that binds at least as tightly as `loosest`."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            _fail(self.text, self.tokens[self.at], f"nested more than {MAX_NESTING} deep")
        left = self.operand()
        while PRECEDENCE.get(op := self.tokens[self.at].text, 0) >= loosest:
            self.check_memory(self.tokens[self.at])
            self.at += 1
            # `->` groups to the right, so its right side may hold another `->`.
            left = Binary(op, left, self.binary(PRECEDENCE[op] + (op != "->")))
        self.nesting -= 1
        return left

    def operand(self) -> Formula:
        token = self.take()
        if token.text in UNARY:
            return self.unary(token)
        if token.text in CONSTANTS:
            return Constant(CONSTANTS[token.text])
        if token.text == "(":
            inside = self.binary(1)
            if self.tokens[self.at].text != ")":
                self.expected_operator(f"')' for the '(' at column {token.column + 1}")
            self.at += 1
            return inside
        if token.kind != "name" or token.text in KEYWORDS:
            self.expected_operand(token)
        if self.names is not None and token.text not in self.names:
            self.unknown_name(token, self.names)
        return Prop(token.text)

    def unary(self, token: _Token) -> Formula:
        self.check_memory(token)
        within = self.bound(token) if self.tokens[self.at].text == "[" else None
        # Unary operators bind tighter than any binary one: no binary operator reaches this level.
        return Unary(token.text, self.binary(len(PRECEDENCE) + 1), within)

    def bound(self, operator: _Token) -> int:
        """The `[k]` of `once[k]`."""
        if operator.text != "once":
            _fail(self.text, self.tokens[self.at], f"'{operator.text}' takes no bound; only 'once[k]' does")
        self.at += 1
        number = self.take()
        if number.kind != "number":
            _fail(self.text, number, f"expected a number of steps, as in 'once[3] p', got {_quote(number)}")
        if len(number.text) > len(str(MAX_WITHIN)) or int(number.text) > MAX_WITHIN:
            _fail(self.text, number, f"expected at most {MAX_WITHIN} steps, got {number.text[:20]}")
        close = self.take()
        if close.text != "]":
            _fail(self.text, close, f"expected ']' after the number of steps, got {_quote(close)}")
        return int(number.text)

    def take(self) -> _Token:
        token = self.tokens[self.at]
        if token.kind != "stop":
            self.at += 1
        return token

    def check_memory(self, token: _Token) -> None:
        if token.text in KEYWORDS and not self.temporal:
            _fail(self.text, token, f"a guard speaks of the present step alone, so it has no '{token.text}'")

    def expected_operand(self, token: _Token) -> NoReturn:
        wanted = f"a proposition, 'true', 'false', '(' or one of {choices(UNARY)}"
        _fail(self.text, token, f"expected {wanted}, got {_quote(token)}.{_hint(token.text, ())}")

    def expected_operator(self, closing: str) -> NoReturn:
        token = self.tokens[self.at]
        wanted = f"one of {choices(PRECEDENCE)} or {closing}"
        _fail(self.text, token, f"expected {wanted}, got {_quote(token)}.{_hint(token.text, PRECEDENCE)}")

    def unknown_name(self, token: _Token, names: set[str]) -> NoReturn:
        hint = _hint(token.text, names | KEYWORDS)
        _fail(self.text, token, f"unknown proposition '{token.text}'. Valid names: {choices(names)}.{hint}")


def _quote(token: _Token) -> str:
    return "the end of the formula" if token.kind == "stop" else f"{token.text!r}"


def _hint(word: str, names: Iterable[str]) -> str:
    """What the writer may have meant by a word that does not fit here."""
    lower = word.lower()
    if lower in _OTHER_SPELLINGS:
        return f" Write '{_OTHER_SPELLINGS[lower]}' instead."
    if lower in _FUTURE:
        return " A rule holds at every step and speaks of the past only."
    return nearest(lower, names) if word else ""


def _fail(text: str, token: _Token, message: str) -> NoReturn:
    # One character of the shown line for each of the text, whatever it is, so that the caret stays in its column.
    shown = "".join(char if char.isprintable() else " " for char in text)
    start = max(0, token.column - _WINDOW // 2)
    line = ("…" if start else "") + shown[start : start + _WINDOW]
    caret = " " * (token.column - start + bool(start)) + "^" * max(1, min(len(token.text), _WINDOW // 2))
    raise FormulaError(f"column {token.column + 1}: {message}\n  {line}\n  {caret}")
