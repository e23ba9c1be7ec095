"""From text to a formula: how operators bind, and what each mistake is told."""

import pytest

from safetune.errors import FormulaError
from safetune.safeguard.formula import Binary, Constant, Prop, Unary
from safetune.safeguard.parser import MAX_NESTING, parse

NAMES = ("hazard", "suit", "ready")


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("a -> b -> c", "a -> (b -> c)"),
        ("a <-> b <-> c", "(a <-> b) <-> c"),
        ("a since b since c", "(a since b) since c"),
        ("a | b & c since d", "a | (b & (c since d))"),
        ("!a since b", "(!a) since b"),
        ("once a since b", "(once a) since b"),
        ("a & b -> c | d <-> e", "((a & b) -> (c | d)) <-> e"),
        ("previously once[2] !a", "previously (once[2] (!a))"),
        ("historically(a)&b", "(historically a) & b"),
        ("a ->\n  once b", "a -> (once b)"),
    ],
)
def test_operators_bind_as_the_language_says(text: str, grouped: str) -> None:
    assert parse(text) == parse(grouped)


def test_a_formula_is_a_tree_of_values() -> None:
    assert parse("hazard -> once[3] suit & true") == Binary(
        "->", Prop("hazard"), Binary("&", Unary("once", Prop("suit"), 3), Constant(True))
    )


@pytest.mark.parametrize(
    "text", ["a -> b -> c", "(a -> b) -> c", "a & (b | c)", "!(a & b)", "once[2] previously !a", "a since b & !true"]
)
def test_the_canonical_text_has_no_bracket_too_many(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        (
            "hazrd -> once suit",
            1,
            "unknown proposition 'hazrd'. Valid names: 'end', 'hazard', 'ready', 'suit'. Did you",
        ),
        ("hazard -> onec suit", 11, "unknown proposition 'onec'. Valid names"),
        ("hazard -> onec suit", 11, "Did you mean 'once'?"),
        ("hazard ->", 10, "got the end of the formula"),
        ("", 1, "expected a proposition, 'true', 'false', '(' or one of '!', 'historically', 'once', 'previously'"),
        ("hazard suit", 8, "expected one of '&', '->', '<->', 'since', '|' or the end of the formula, got 'suit'"),
        ("(hazard", 8, "')' for the '(' at column 1, got the end of the formula"),
        ("hazard) & suit", 7, "got ')'"),
        ("hazard and suit", 8, "Write '&' instead."),
        ("hazard => suit", 8, "Write '->' instead."),
        ("hazard && suit", 8, "Write '&' instead."),
        ("not hazard", 1, "Write '!' instead."),
        ("hazard sinse suit", 8, "Did you mean 'since'?"),
        ("hazard until suit", 8, "speaks of the past only"),
        ("always hazard", 1, "speaks of the past only"),
        ("hazard - suit", 8, "Did you mean '->'?"),
        ("hazard & € suit", 10, "got '€'"),
        ("since hazard", 1, "got 'since'"),
        ("previously[2] hazard", 11, "'previously' takes no bound; only 'once[k]' does"),
        ("once[suit] hazard", 6, "expected a number of steps, as in 'once[3] p', got 'suit'"),
        ("once[2 hazard", 8, "expected ']' after the number of steps, got 'hazard'"),
        ("once[2000000] hazard", 6, "expected at most 1000000 steps, got 2000000"),
        ("(" * (MAX_NESTING + 1) + "hazard", MAX_NESTING + 1, f"nested more than {MAX_NESTING} deep"),
        ("!" * (MAX_NESTING + 1) + "hazard", MAX_NESTING + 1, f"nested more than {MAX_NESTING} deep"),
        ("hazard & " * 250 + "hazard", 1801, "too long: more than 400 words and signs"),
    ],
)
def test_an_error_says_what_was_expected_and_marks_the_column(text: str, column: int, says: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text, NAMES)
    message, line, caret = str(caught.value).split("\n")
    assert message.startswith(f"column {column}: ")
    assert says in message
    # The caret stands under the character at the column, in a line cut to a window around it.
    marked = line[caret.index("^")] if caret.index("^") < len(line) else ""
    assert marked == text[column - 1 : column]
    assert len(line) < 110


def test_a_formula_of_several_lines_is_shown_in_one() -> None:
    with pytest.raises(FormulaError) as caught:
        parse("hazard ->\n\tsuti\x1b", NAMES)
    assert str(caught.value).split("\n")[1:] == ["  hazard ->  suti ", "             ^^^^"]


@pytest.mark.parametrize("text", ["once hazard", "hazard & previously suit", "hazard since suit", "!historically suit"])
def test_a_guard_has_no_memory(text: str) -> None:
    with pytest.raises(FormulaError, match="a guard speaks of the present step alone"):
        parse(text, NAMES, temporal=False)


def test_end_is_always_known_and_names_are_free_without_a_list() -> None:
    assert parse("end -> ready", NAMES) == parse("end -> ready")
    assert parse("whatever") == Prop("whatever")
