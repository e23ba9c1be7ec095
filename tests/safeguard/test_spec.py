"""Spec files: what a good one gives, and what each bad one is told."""

from pathlib import Path

import pytest

from safetune.errors import FormulaError, SpecError
from safetune.safeguard import Safeguard, Spec

PROPOSITIONS = 'name = "x"\n[propositions]\nhazard = "h"\nsuit = "s"\n'
RULE = '[[rule]]\nname = "first"\nalways = "hazard -> once suit"\n'
GOOD = PROPOSITIONS + RULE
MACHINE = (
    PROPOSITIONS
    + """[machine]
initial = "calm"
absorbing = true
states = ["calm", "dressed", "fire"]
unsafe = { fire = 1.0 }
[[machine.transition]]
from = "calm"
when = "hazard & !suit"
to = "fire"
[[machine.transition]]
from = "calm"
when = "suit"
to = "dressed"
"""
)
MANY = "".join(f'p{index} = "p"\n' for index in range(12))
ALL_OF_MANY = " | ".join(f"p{index}" for index in range(12))


def test_a_spec_keeps_what_the_file_says() -> None:
    spec = Spec.parse(GOOD + "cost = 2\n[bind.text]\nhazard = { regex = 'x' }\n[text]\nprompt = 'fresh'\n", "a/x.toml")
    assert (spec.name, spec.about, tuple(spec.propositions)) == ("x", "", ("hazard", "suit"))
    assert (spec.rule[0].name, spec.rule[0].always, spec.rule[0].cost) == ("first", "hazard -> once suit", 2.0)
    assert spec.bind == {"text": {"hazard": {"regex": "x"}}}
    assert spec.text == {"prompt": "fresh"}
    assert (spec.source, spec.folder) == ("a/x.toml", Path("a"))


def test_machine_states_come_with_the_initial_one_first() -> None:
    spec = Spec.parse(MACHINE.replace('states = ["calm", "dressed", "fire"]\n', ""))
    assert spec.machine is not None
    assert spec.machine.state_names == ("calm", "fire", "dressed")
    assert spec.machine.unsafe["fire"].cost == 1.0


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert Spec.load(path).name == "x"


BAD = {
    "unknown key": ("nmae = 1\n" + GOOD, "nmae: unknown key 'nmae'. Valid keys: 'about', 'bind', 'machine', 'name', "),
    "nearest key": ("nmae = 1\n" + GOOD, "Did you mean 'name'?"),
    "unknown key of a rule": (
        GOOD + "cots = 1",
        "rule[0].cots: unknown key 'cots'. Valid keys: 'always', 'cost', 'name'. ",
    ),
    "unknown key of a transition": (
        MACHINE + "form = 1",
        "machine.transition[1].form: unknown key 'form'. Valid keys: 'from'",
    ),
    "missing key": (GOOD.replace('name = "first"\n', ""), "rule[0].name: this key is missing"),
    "missing absorbing": (MACHINE.replace("absorbing = true\n", ""), "machine.absorbing: this key is missing"),
    "wrong type": (GOOD.replace('"x"', "3"), "name: expected a string, got 3"),
    "number for a flag": (MACHINE.replace("true", "1"), "machine.absorbing: expected true or false, got 1"),
    "text for a cost": (GOOD + 'cost = "1"', "rule[0].cost: expected a number, got '1'"),
    "flag for a cost": (GOOD + "cost = true", "rule[0].cost: expected a number, got true"),
    "negative cost": (GOOD + "cost = -0.5", "rule[0].cost: expected at least 0, got -0.5"),
    "nan cost": (GOOD + "cost = nan", "rule[0].cost: expected a finite number, got nan"),
    "infinite cost": (GOOD + "cost = inf", "rule[0].cost: expected a finite number, got inf"),
    "huge integer cost": (GOOD + "cost = 1" + "0" * 400, "rule[0].cost: expected a number"),
    "infinite cost of a state": (
        MACHINE.replace("fire = 1.0", "fire = inf"),
        "machine.unsafe.fire.cost: expected a finite",
    ),
    "costs that overflow": (
        GOOD + "cost = 1e308\n" + RULE.replace("first", "second") + "cost = 1e308",
        "rule: the costs of the rules are too large",
    ),
    "one table for a list": (
        GOOD.replace("[[rule]]", "[rule]"),
        "rule: expected a list of tables, got one table; write [[rule]]",
    ),
    "binding that is no table": (GOOD + "[bind.text]\nsuit = 'x'", "bind.text.suit: expected a table, got 'x'"),
    "unknown binding": (
        GOOD + "[bind.text]\nsiut = {}",
        "bind.text.siut: unknown proposition 'siut'. Valid names: 'hazard', 'suit'. Did you mean 'suit'?",
    ),
    "bound end": (GOOD + "[bind.text]\nend = {}", "bind.text.end: 'end' is built in and is not bound"),
    "declared end": (GOOD.replace("hazard =", "end ="), "propositions.end: 'end' is built in"),
    "reserved word": (
        GOOD.replace("hazard =", "since ="),
        "propositions.since: 'since' is a word of the formula language",
    ),
    "name of a proposition": (
        GOOD.replace("hazard =", "'a-b' ="),
        "propositions: 'a-b' is not a name for a proposition",
    ),
    "no propositions": ("name = 'x'\n[propositions]\n" + RULE, "propositions: none declared"),
    "unused proposition": (
        GOOD.replace("suit =", "boss = 'b'\nsuit ="),
        "propositions.boss: declared, but no rule or guard",
    ),
    "too many propositions": (
        f"name = 'x'\n[propositions]\n{MANY}[[rule]]\nname = 'r'\nalways = 'end | {ALL_OF_MANY}'",
        "propositions: expected at most 12, got 13 ('end' counts as one)",
    ),
    "no rules": ("rule = []\n" + PROPOSITIONS, "rule: no rule; a spec needs at least one [[rule]], or a [machine]"),
    "no rules at all": (PROPOSITIONS, "rule: no rule; a spec needs at least one [[rule]], or a [machine]"),
    "too many rules": (
        GOOD + "".join(RULE.replace("first", f"r{index}") for index in range(62)),
        "at most 62 rules, got 63",
    ),
    "rules and machine": (MACHINE + RULE, "rule, machine: a spec has rules or a machine, not both"),
    "same name twice": (GOOD + RULE, "rule[1].name: 'first' is the name of rule[0] as well"),
    "empty rule name": (GOOD.replace("first", " "), "rule[0].name: expected a name, got an empty string"),
    "empty name": (GOOD.replace('"x"', '""'), "name: expected a name, got an empty string"),
    "not TOML": (GOOD + "cost = ", "not valid TOML: Invalid value"),
    "nested too deep": ("x = " + "[" * 5000, "not valid TOML: "),
    "no unsafe state": (MACHINE.replace("fire = 1.0", ""), "machine.unsafe: no unsafe state"),
    "unsafe from the start": (MACHINE.replace("{ fire", "{ calm = 1, fire"), "machine.initial: 'calm' is unsafe"),
    "leaving an absorbing state": (
        MACHINE.replace('from = "calm"\nwhen = "suit"', 'from = "fire"\nwhen = "suit"'),
        "machine.transition[1].from: 'fire' is unsafe, and with absorbing = true the machine never leaves it",
    ),
    "unknown state": (
        MACHINE.replace('to = "dressed"', 'to = "dresed"'),
        "machine.transition[1].to: unknown state 'dresed'. Valid states: 'calm', 'dressed', 'fire'. Did you mean",
    ),
    "state listed twice": (
        MACHINE.replace('["calm",', '["calm", "calm",'),
        "machine.states[1]: 'calm' is listed twice",
    ),
    "empty state": (MACHINE.replace('to = "dressed"', 'to = ""'), "machine: a state has an empty name"),
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_a_bad_spec_is_told_what_where_and_what_else(text: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        Spec.parse(text, "x.toml")
    assert str(caught.value).startswith("x.toml: ")
    assert says in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace("once suit", "once siut"), "rule[0].always: column 16: unknown proposition 'siut'"),
        (GOOD.replace("hazard ->", "hazard >"), "rule[0].always: column 8: expected one of"),
        (
            MACHINE.replace('"suit"', '"once suit"'),
            "machine.transition[1].when: column 1: a guard speaks of the present",
        ),
    ],
)
def test_a_bad_formula_is_a_formula_error_with_file_key_and_column(text: str, says: str) -> None:
    with pytest.raises(FormulaError) as caught:
        Spec.parse(text, "x.toml")
    assert str(caught.value).startswith(f"x.toml: {says}")
    assert "^" in str(caught.value)


def test_all_problems_of_a_file_are_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        Spec.parse(GOOD + "cost = -1\nalwys = 1\n[bind.text]\nsuit = 3")
    assert str(caught.value).split("\n") == [
        "<string>: 3 problems",
        "- rule[0].cost: expected at least 0, got -1",
        "- rule[0].alwys: unknown key 'alwys'. Valid keys: 'always', 'cost', 'name'. Did you mean 'always'?",
        "- bind.text.suit: expected a table, got 3",
    ]


def test_a_typo_does_not_also_make_its_proposition_unused() -> None:
    with pytest.raises(FormulaError) as caught:
        Spec.parse(GOOD.replace("once suit", "once siut"))
    assert "problems" not in str(caught.value)


def test_files_that_cannot_be_read_are_told_apart(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes('name = "é"'.encode("latin-1"))
    for path, says in [
        (tmp_path / "none.toml", "none.toml: cannot read this spec file: No such file"),
        (tmp_path, "cannot read this spec file: Is a directory"),
        (latin, "latin.toml: expected UTF-8 text, got byte 8 that is not"),
        ("nul\0", "cannot read this spec file"),
    ]:
        with pytest.raises(SpecError) as caught:
            Safeguard.load(path)
        assert says in str(caught.value)
