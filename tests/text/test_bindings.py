from pathlib import Path

import numpy as np
import pytest

from safetune.errors import BindingError
from safetune.safeguard import Safeguard, Spec
from safetune.text.automaton import minimise
from safetune.text.bindings import compile_bindings, read_words
from safetune.text.regex import compile_regex


def guard(bindings: str, *, names: str = "a b", source: str = "spec.toml", formula: str = "") -> Safeguard:
    declared = "\n".join(f'{name} = "a proposition"' for name in names.split())
    always = formula or " & ".join(f"!{name}" for name in names.split())
    text = f'name = "s"\n[propositions]\n{declared}\n[[rule]]\nname = "r"\nalways = "{always}"\n{bindings}'
    return Safeguard.from_spec(Spec.parse(text, source))


def test_labels_are_those_of_the_safeguard() -> None:
    spec = guard("[bind.text]\na = { regex = 'x+' }\nb = { words = ['xx', 'Y z'] }")
    a, b = spec.encode(["a"]), spec.encode(["b"])
    assert compile_bindings(spec).read(b"x xx y Z").tolist() == [0, a, 0, a, a | b, 0, 0, 0, b]


def test_the_result_is_minimal() -> None:
    automaton = compile_bindings(guard("[bind.text]\na = { regex = 'ab|cd' }\nb = { regex = 'a[bc]' }"))
    assert minimise(automaton).n_states == automaton.n_states == 6


def test_one_proposition_is_its_own_automaton() -> None:
    automaton = compile_bindings(guard(r"[bind.text]" "\n" r"a = { regex = '\d{3}\b' }", names="a"))
    assert np.array_equal(automaton.next_state, compile_regex(r"\d{3}\b").next_state)


def test_the_built_in_end_is_not_bound() -> None:
    spec = guard("[bind.text]\na = { regex = 'x' }", names="a", formula="end -> once a")
    assert compile_bindings(spec).read(b"ax").tolist() == [0, 0, spec.encode(["a"])]


def test_unicode_is_an_option_of_both_kinds() -> None:
    spec = guard(r"[bind.text]" "\n" r"a = { regex = '\d', unicode = true }" "\nb = { words = ['é'], unicode = true }")
    assert compile_bindings(spec).read("٣ É".encode()).tolist() == [0, 0, 1, 0, 0, 2]


def test_words_come_from_a_file_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("\ufeff# first a comment\n\n fool \r\n#tag\n#\n".encode())
    assert read_words(tmp_path / "list.txt") == ["fool", "#tag"]
    spec = guard("[bind.text]\na = { words = 'list.txt' }", names="a", source=str(tmp_path / "s.toml"))
    assert np.flatnonzero(compile_bindings(spec).read(b"a fool #tag")).tolist() == [6, 11]


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        ("", r"spec.toml: no \[bind.text\] table: add one.* a = { regex = '…' }$"),
        ("[bind.doom]\na = { inside = 'x' }", r"no \[bind.text\] table.*this spec binds 'doom'"),
        ("[bind.text]\nb = { regex = 'x' }", r"spec.toml: bind.text.a: this proposition is not bound"),
        (
            "[bind.text]\na = { regx = 'x' }",
            r"bind.text.a: expected one of the keys 'regex', 'words', got 'regx'.*'regex'\?",
        ),
        ("[bind.text]\na = {}", r"bind.text.a: expected one of the keys 'regex', 'words', got an empty table"),
        ("[bind.text]\na = { regex = 'x', unicod = true }", r"bind.text.a.unicod: unknown key.*Did you mean 'unicode'"),
        ("[bind.text]\na = { regex = 'x', words = ['y'] }", r"one kind, got 'regex' and 'words'"),
        ("[bind.text]\na = { tokens = [1] }", r"bind.text.a: 'tokens' comes in a later version.*'regex', 'words'"),
        ("[bind.text]\na = { length = 3 }", "'length' comes in a later version"),
        ("[bind.text]\na = { classifier = 'x' }", "'classifier' comes in a later version"),
        ("[bind.text]\na = { python = 'm:f' }", "'python' comes in a later version"),
        ("[bind.text]\na = { regex = 3 }", "bind.text.a.regex: expected a string, got 3"),
        ("[bind.text]\na = { regex = 'x', unicode = 'yes' }", "bind.text.a.unicode: expected true or false, got 'yes'"),
        ("[bind.text]\na = { words = 3 }", r"bind.text.a.words: expected a list of strings, or the path.*got 3"),
        ("[bind.text]\na = { words = ['x', 3] }", r"bind.text.a.words: expected a list of strings"),
        ("[bind.text]\na = { words = [] }", "bind.text.a: the word list is empty"),
        ("[bind.text]\na = { words = [''] }", "bind.text.a: word 1 of 1 is empty"),
        ("[bind.text]\na = { words = 'fool' }", r'bind.text.a: words: cannot read .*fool.*write words = \["fool"\]'),
        ("[bind.text]\na = { words = 'no.txt' }", r"bind.text.a: words: cannot read the file no.txt: No such file"),
        (r"[bind.text]" "\n" r"a = { regex = '(x)\1' }", r"spec.toml: bind.text.a: regex '\(x\)\\1': a back-reference"),
        ("[bind.text]\na = { regex = 'a(b' }", r"bind.text.a: regex does not parse.*column 2"),
    ],
)
def test_wrong_bindings_say_where_and_why(bindings: str, message: str) -> None:
    with pytest.raises(BindingError, match=message):
        compile_bindings(guard(bindings, names="a" if "\nb" not in bindings else "a b"))


def test_a_file_of_words_may_be_empty_or_broken(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    with pytest.raises(BindingError, match=r"empty.txt lists no word"):
        read_words(tmp_path / "empty.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(BindingError, match=r"latin.txt is not UTF-8 text \(byte 3\)"):
        read_words(tmp_path / "latin.txt")


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BindingError, match=r"2 problems\n- bind.text.a: .*back-reference.*\n- bind.text.b: .*is empty"):
        compile_bindings(guard(r"[bind.text]" "\n" r"a = { regex = '(x)\1' }" "\nb = { words = [] }"))


def test_too_many_states_names_the_largest() -> None:
    spec = guard("[bind.text]\na = { regex = 'x[xy]{6}z' }\nb = { regex = 'y[xy]{3}z' }")
    with pytest.raises(
        BindingError, match=r"more than 50 states; the largest alone: 'a' \(129 states\), 'b' \(17 states"
    ):
        compile_bindings(spec, state_limit=50)
