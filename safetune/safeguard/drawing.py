"""Drawings of a safeguard: Graphviz DOT and Mermaid text, tables for the terminal, pictures.

Unsafe edges are red and name the rule they break. A trace, given as label sets, is shown on top: the states it visits
and the steps at which it takes each edge. What is drawn is decided in `diagram`; pictures are painted in `picture`,
which is imported only when one is asked for, since it needs matplotlib.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safetune.errors import DataError, choices, install_hint
from safetune.safeguard.diagram import ELSEWHERE, MAX_STATES, Diagram, Edge, Labels, diagram, encode_trace, state_note
from safetune.safeguard.machine import Safeguard

if TYPE_CHECKING:
    from rich.table import Table

SUFFIXES = (".png", ".svg")
TABLE_STATES = 100
FEW_STATES, CELL = 12, 24  # in a table of more states than these, names of more characters than these are numbers

INK, LINE, UNSAFE, VISITED = "#1f2933", "#52606d", "#c81e1e", "#fff3c4"
_FONT = "Helvetica,Arial,sans-serif"


def to_dot(guard: Safeguard, trace: Sequence[Labels] | None = None, *, max_states: int = MAX_STATES) -> str:
    """Graphviz DOT text: `dot -Tsvg` and every Graphviz viewer read it."""
    shown = diagram(guard, trace, max_states=max_states)
    title = "\n".join(filter(None, (guard.name, shown.note)))
    lines = [
        f"digraph {_quoted(guard.name)} {{",
        f"  graph [label={_quoted(title)}, labelloc=t, rankdir=LR, pad=0.2, nodesep=0.5, ranksep=0.8];",
        f'  graph [fontname="{_FONT}"];',
        f'  node [shape=box, style="rounded,filled", fillcolor=white, color="{LINE}", fontname="{_FONT}"];',
        f'  edge [color="{LINE}", fontname="{_FONT}", fontsize=11];',
        '  start [shape=point, width=0.12, label=""];',
        f"  start -> s{guard.initial};",
    ]
    for state in shown.states:
        fill = f', fillcolor="{VISITED}", penwidth=2' if state in shown.visited else ""
        label = f"{guard.state_names[state]}\n{state_note(guard, state)}"
        lines.append(f"  s{state} [label={_quoted(label)}{fill}];")
    if shown.hidden:
        lines.append(f'  elsewhere [label="{shown.hidden} more", style="rounded,dashed"];')
    for edge in shown.edges:
        look = f', color="{UNSAFE}", fontcolor="{UNSAFE}"' if edge.unsafe else ""
        thick = ", penwidth=2.5" if edge.steps else ""
        label = _quoted("\n".join(edge_lines(edge)))
        lines.append(f"  s{edge.source} -> {_node(edge)} [label={label}{look}{thick}];")
    return "\n".join([*lines, "}", ""])


def to_mermaid(guard: Safeguard, trace: Sequence[Labels] | None = None, *, max_states: int = MAX_STATES) -> str:
    """A Mermaid state diagram, which many sites draw inside Markdown. It has no red edges: unsafe ones carry a ✗."""
    shown = diagram(guard, trace, max_states=max_states)
    lines = ["---", f"title: {_quoted(guard.name)}", "---", "stateDiagram-v2", "  direction LR"]
    if shown.note:
        lines.append(f"  %% {shown.note}")
    for state in shown.states:
        lines.append(f"  s{state} : {_mermaid(guard.state_names[state])}<br/>{state_note(guard, state)}")
    if shown.hidden:
        lines.append(f"  elsewhere : {shown.hidden} more states")
    lines.append(f"  [*] --> s{guard.initial}")
    for edge in shown.edges:
        lines.append(f"  s{edge.source} --> {_node(edge)} : {'<br/>'.join(map(_mermaid, edge_lines(edge)))}")
    if visited := [f"s{state}" for state in shown.states if state in shown.visited]:
        lines += [f"  classDef visited fill:{VISITED},stroke-width:2px", f"  class {','.join(visited)} visited"]
    return "\n".join([*lines, ""])


def save_picture(
    guard: Safeguard, path: str | Path, trace: Sequence[Labels] | None = None, *, max_states: int = MAX_STATES
) -> Diagram:
    """Write a picture, `.svg` or `.png`; returns what it shows, with a note where states had to be left out."""
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: cannot draw a '{target.suffix}' picture. Valid endings: {choices(SUFFIXES)}")
    shown = diagram(guard, trace, max_states=max_states)
    try:
        from safetune.safeguard import picture
    except ImportError as error:
        if not str(error.name).startswith("matplotlib"):
            raise
        raise DataError(
            f"{path}: drawing a picture needs matplotlib, which is not installed. {install_hint('draw')}; "
            "or ask for DOT or Mermaid text, which need nothing"
        ) from None
    try:
        picture.paint(shown, target)
    except OSError as error:
        raise DataError(f"{path}: cannot write this picture: {error.strerror or error}") from None
    return shown


def table(guard: Safeguard, trace: Sequence[Labels] | None = None, *, max_states: int = TABLE_STATES) -> "Table":
    """A table for the terminal: for each state where each edge leads, what it breaks and what that costs."""
    from rich.table import Table
    from rich.text import Text

    shown = diagram(guard, trace, max_states=max_states)
    result = Table(title=Text(guard.name), caption=Text(shown.note) if shown.note else None)
    for heading in ("state", "on", "to", "breaks"):
        result.add_column(heading, overflow="fold")
    for heading in ("cost", "distance"):
        result.add_column(heading, justify="right")
    for state in shown.states:
        first = True
        for edge in (edge for edge in shown.edges if edge.source == state):
            target = "(not shown)" if edge.target == ELSEWHERE else table_name(guard, edge.target)
            for verdict in edge.verdicts:
                name = table_name(guard, state) if first else ""
                distance = f"{guard.distance[state]:.0f}".replace("inf", "∞") if first else ""
                cost = f"{verdict.cost:g}" if edge.unsafe else ""
                marked = "bold" if state in shown.visited else ""
                style = "red" if edge.unsafe else ""
                cells = [(name, marked), (verdict.when, style), (target, ""), (verdict.rule or "", style)]
                cells += [(cost, style), (distance, "")]
                result.add_row(*(Text(text, style=look) for text, look in cells))
                first = False
        result.add_section()
    return result


def table_name(guard: Safeguard, state: int) -> str:
    """What a table calls a state: its name, or its number where long names would fill the table."""
    return guard.short_name(state, CELL) if guard.n_states > FEW_STATES else guard.short_name(state)


def long_names(guard: Safeguard, trace: Sequence[Labels] | None = None) -> list[str]:
    """The names that the tables have numbers for, each once: `s3: …`."""
    visited = guard.run(encode_trace(guard, trace)).states.tolist() if trace else []
    listed = sorted({*range(min(guard.n_states, TABLE_STATES)), *visited})
    called = [(table_name(guard, state), guard.state_names[state]) for state in listed]
    return [f"{short}: {name}" for short, name in called if short != name]


def trace_table(guard: Safeguard, trace: Sequence[Labels]) -> "Table":
    """A table for the terminal: what happened at each step of a trace, and where it led."""
    from rich.table import Table
    from rich.text import Text

    columns = encode_trace(guard, trace)
    result = Table(title=Text(f"trace through {guard.name}"))
    for heading, justify in (
        ("step", "right"),
        ("labels", "left"),
        ("to", "left"),
        ("breaks", "left"),
        ("cost", "right"),
    ):
        result.add_column(heading, justify=justify)  # type: ignore[arg-type]
    result.add_row("0", "", Text(table_name(guard, guard.initial)), "", "")
    state = guard.initial
    for number, labels in enumerate(columns, 1):
        state, cost, broken = guard.step(state, labels)
        names = ", ".join(guard.decode(labels)) or "—"
        cells = (str(number), names, table_name(guard, state), ", ".join(broken), f"{cost:g}" if broken else "")
        result.add_row(*map(Text, cells), style="red" if broken else "")
    return result


def edge_lines(edge: Edge) -> list[str]:
    """The lines of an edge's label: when it is taken, what that breaks, and at which steps of the trace."""
    told = [line for verdict in edge.verdicts for line in (verdict.when, verdict.rule and f"✗ {verdict.rule}")]
    return [line for line in (*told, step_line(edge)) if line]


def step_line(edge: Edge) -> str:
    """`step 3`, `steps 1-3, 7`, or nothing."""
    return f"step{'s' if len(edge.steps) > 1 else ''} {_ranges(edge.steps)}" if edge.steps else ""


def _ranges(numbers: Sequence[int]) -> str:
    """`1-3, 7` for 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def _node(edge: Edge) -> str:
    return "elsewhere" if edge.target == ELSEWHERE else f"s{edge.target}"


def _quoted(text: str) -> str:
    """A string of DOT and of YAML: quotes and backslashes escaped, other lines after `\\n`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"\s*\n\s*", r"\\n", escaped) + '"'


def _mermaid(text: str) -> str:
    """Text that Mermaid shows as it stands: signs with a meaning in its language become character codes."""
    # Angle brackets would become tags whether coded or not, in some renderers.
    without_tags = text.replace("<", "‹").replace(">", "›")
    return re.sub(r'[#;:"`{}%\n\\]', lambda match: f"#{ord(match.group())};", without_tags)
