import re
import subprocess
import sys
from io import StringIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import safetune.safeguard
from safetune.errors import DataError
from safetune.safeguard import Rule, Safeguard, Spec
from safetune.safeguard.diagram import ELSEWHERE, diagram
from safetune.safeguard.drawing import save_picture, table, to_dot, to_mermaid, trace_table
from safetune.safeguard.guards import truth_table
from safetune.safeguard.parser import parse

ANY_SPEC = Spec.parse('name = "any"\n[propositions]\na = "a"\n[[rule]]\nname = "r"\nalways = "a"')
DOSE = """
name = "dose-after-disclaimer"
about = "A dose is named only after the disclaimer."
[propositions]
dose = "a dose"
disclaimer = "ask your doctor"
[[rule]]
name = "no dose before the disclaimer"
always = "dose -> once disclaimer"
cost = 2.5
"""


@pytest.fixture
def dose():
    return Safeguard.from_spec(Spec.parse(DOSE))


@pytest.fixture
def countdown():
    """42 states."""
    text = (
        'name = "countdown"\n[propositions]\na = "a"\nb = "b"\n[[rule]]\nname = "in time"\nalways = "b -> once[40] a"'
    )
    return Safeguard.from_spec(Spec.parse(text))


@st.composite
def safeguards(draw):
    n_states, names = draw(st.integers(1, 6)), draw(st.sampled_from((("a",), ("a", "b"), ("a", "b", "c"))))
    cells = {"min_size": n_states * 2 ** len(names), "max_size": n_states * 2 ** len(names)}
    shape = (n_states, -1)
    next_state = np.array(draw(st.lists(st.integers(0, n_states - 1), **cells)), dtype=np.int32).reshape(shape)
    broken = np.array(draw(st.lists(st.integers(0, 3), **cells)), dtype=np.int64).reshape(shape)
    rules = (Rule("one", 1.0, ""), Rule("two", 1.0, ""))
    states = tuple(f"state {state}" for state in range(n_states))
    return Safeguard("any", names, rules, 0, next_state, broken * 1.0, broken, states, ANY_SPEC)


def shown(renderable, width=120):
    console = Console(width=width, color_system=None, file=StringIO())
    console.print(renderable)
    return console.file.getvalue()


@settings(deadline=None, derandomize=True, max_examples=80)
@given(safeguards())
def test_the_edges_drawn_say_all_that_the_tables_say(guard):
    next_state = np.full_like(guard.next_state, -1)
    broken = np.zeros_like(guard.broken)
    for edge in diagram(guard).edges:
        for verdict in edge.verdicts:
            held = truth_table(parse(verdict.guard, guard.propositions), guard.propositions)
            assert held.any()
            next_state[edge.source, held] = edge.target
            broken[edge.source, held] |= 0 if verdict.rule is None else 1 << ("one", "two").index(verdict.rule)
    assert np.array_equal(next_state, guard.next_state)
    assert np.array_equal(broken, guard.broken)


def test_a_trace_marks_the_edges_and_states_on_its_way(dose):
    picture = diagram(dose, [{"dose"}, set(), set(), {"disclaimer"}, {"dose"}])
    assert picture.visited == {0, 1}
    assert {(edge.source, edge.target, edge.unsafe): edge.steps for edge in picture.edges} == {
        (0, 0, False): (2, 3),
        (0, 0, True): (1,),
        (0, 1, False): (4,),
        (1, 1, False): (5,),
    }
    assert diagram(dose).visited == set()
    assert diagram(dose, []).visited == {0}


def test_many_states_are_limited_to_the_trace_and_the_nearest(countdown):
    limited = diagram(countdown, max_states=5)
    assert limited.states == (0, 1, 2, 3, 4)
    assert limited.note == f"5 of {countdown.n_states} states shown; {countdown.n_states - 5} left out"
    assert [edge.source for edge in limited.edges if edge.target == ELSEWHERE] == [4]
    assert diagram(countdown, max_states=100).note is None
    with pytest.raises(DataError, match="expected at least 1, got 0"):
        diagram(countdown, max_states=0)


def test_the_states_of_a_trace_are_shown_first():
    rules = "".join(f'[[rule]]\nname = "{p}"\nalways = "!{p} | once[9] {q}"\n' for p, q in ("ab", "cd"))
    names = "".join(f'{p} = "{p}"\n' for p in "abcd")
    guard = Safeguard.from_spec(Spec.parse(f'name = "any"\n[propositions]\n{names}{rules}'))
    shown = diagram(guard, [{"b"}, *[set()] * 5], max_states=8)
    assert len(shown.visited) == 7
    assert shown.visited < set(shown.states)
    assert len(shown.states) == 8
    assert max(shown.states) > 8


def test_dot(dose):
    lines = to_dot(dose, [{"dose"}]).splitlines()
    assert lines[0] == 'digraph "dose-after-disclaimer" {'
    assert lines[-1] == "}"
    (unsafe,) = (line for line in lines if "no dose before" in line)
    assert unsafe.strip().startswith('s0 -> s0 [label="dose & !disclaimer\\n✗ no dose before the disclaimer\\nstep 1"')
    assert 'color="#c81e1e"' in unsafe
    assert sum('color="#c81e1e"' in line for line in lines) == 1
    assert '  s1 -> s1 [label="anything"];' in lines


NASTY = 'say "no"; 5 > 3 #1 {x}: \\n `100%` <b>'


def nasty():
    rule = f"name = '{NASTY}'\nalways = 'b -> once a'"
    return Safeguard.from_spec(Spec.parse(f"name = '{NASTY}'\n[propositions]\na = 'a'\nb = 'b'\n[[rule]]\n{rule}"))


def test_dot_strings_are_closed_whatever_a_rule_is_called():
    text = to_dot(nasty())
    assert NASTY.replace("\\", "\\\\").replace('"', '\\"') in text
    for line in text.splitlines():
        # Without its strings, a statement has no quote, and no sign that a rule's name brought with it.
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
        assert '"' not in bare
        assert "<b>" not in bare


def test_mermaid(dose):
    lines = to_mermaid(dose, [{"disclaimer"}]).splitlines()
    assert lines[:5] == ["---", 'title: "dose-after-disclaimer"', "---", "stateDiagram-v2", "  direction LR"]
    assert "  [*] --> s0" in lines
    assert "  s1 : once disclaimer<br/>safe for good" in lines
    assert "  s0 --> s0 : dose & !disclaimer<br/>✗ no dose before the disclaimer" in lines
    assert "  s0 --> s1 : disclaimer<br/>step 1" in lines
    assert lines[-1] == "  class s0,s1 visited"


def test_mermaid_codes_what_would_be_read_as_its_own_signs():
    (line,) = (line for line in to_mermaid(nasty()).splitlines() if "✗" in line)
    label = line.split(" : ", 1)[1].replace("<br/>", "")
    assert not re.search(r'["<>`{}%\\]', label)
    assert re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label).endswith(
        NASTY.replace("<", "‹").replace(">", "›")
    )


def test_limited_drawings_say_so(countdown):
    left = countdown.n_states - 3
    assert f"3 of {countdown.n_states} states shown; {left} left out" in to_dot(countdown, max_states=3)
    assert f'elsewhere [label="{left} more"' in to_dot(countdown, max_states=3)
    assert f"elsewhere : {left} more states" in to_mermaid(countdown, max_states=3)
    assert f"{left} left out" in shown(table(countdown, max_states=3))


def test_table(dose):
    text = shown(table(dose))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    assert rows == [
        ["start", "!dose & !disclaimer", "start", "", "", "1"],
        ["", "dose & !disclaimer", "start", "no dose before the disclaimer", "2.5", ""],
        ["", "disclaimer", "once disclaimer", "", "", ""],
        ["once disclaimer", "anything", "once disclaimer", "", "", "∞"],
    ]


def test_trace_table(dose):
    text = shown(trace_table(dose, [{"dose"}, 0, {"dose", "disclaimer"}]))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    assert rows == [
        ["0", "", "start", "", ""],
        ["1", "dose", "start", "no dose before the disclaimer", "2.5"],
        ["2", "—", "start", "", ""],
        ["3", "dose, disclaimer", "once disclaimer", "", ""],
    ]


def test_markup_in_names_is_shown_as_it_stands():
    names = "[red]state[/red]"
    rule = f'name = "{names}"\nalways = "a"'
    guard = Safeguard.from_spec(Spec.parse(f'name = "[bold]"\n[propositions]\na = "a"\n[[rule]]\n{rule}'))
    assert names in shown(table(guard))
    assert names in shown(trace_table(guard, [0]))


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".SVG", b"<?xml")])
def test_pictures_are_written_the_same_each_time(dose, tmp_path, suffix, start):
    pytest.importorskip("matplotlib")
    one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
    assert save_picture(dose, one, [{"dose"}]).note is None
    save_picture(dose, other, [{"dose"}])
    assert one.read_bytes().startswith(start)
    assert one.read_bytes() == other.read_bytes()


def test_pictures_of_large_and_odd_machines_are_drawn(countdown, tmp_path):
    pytest.importorskip("matplotlib")
    assert "left out" in save_picture(countdown, tmp_path / "limited.svg", max_states=6).note
    save_picture(nasty(), tmp_path / "nasty.svg")
    dollars = DOSE.replace("no dose before the disclaimer", "$no {dose$ _^")  # no formulas of TeX in names
    save_picture(Safeguard.from_spec(Spec.parse(dollars)), tmp_path / "dollars.svg")


def test_pictures_that_cannot_be_written(dose, tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(DataError, match=r"cannot draw a '\.gif' picture. Valid endings: '\.png', '\.svg'"):
        save_picture(dose, tmp_path / "picture.gif")
    with pytest.raises(DataError, match=r"nowhere.*cannot write this picture: No such file"):
        save_picture(dose, tmp_path / "nowhere" / "picture.svg")


def test_without_matplotlib_the_error_names_the_extra_to_install(dose, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "safetune.safeguard.picture", raising=False)
    monkeypatch.delattr(safetune.safeguard, "picture", raising=False)
    with pytest.raises(DataError, match=r"needs matplotlib.*pip install -e '\.\[draw\]'"):
        save_picture(dose, tmp_path / "picture.svg")


def test_drawing_imports_nothing_heavy():
    code = "import sys, safetune.safeguard.drawing; print(*{'matplotlib', 'rich', 'PIL'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
