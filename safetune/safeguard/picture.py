"""A diagram painted with matplotlib, as SVG or PNG. Its fonts come with it, so a picture looks the same everywhere."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

import matplotlib
from matplotlib import path as curves
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.textpath import text_to_path

from safetune.safeguard.diagram import ELSEWHERE, Diagram, Edge, state_note
from safetune.safeguard.drawing import INK, LINE, UNSAFE, VISITED, step_line
from safetune.safeguard.layout import LOOP, Arrow, Layout, Loop, Point, arrange

FONT = "DejaVu Sans"
LEADING = 1.4  # the height of a line, in units of its font size
PADDING = 9.0
MARGIN = 18.0
ENTRY = 34.0  # room before the start for the arrow that enters it
NEAR, FAR, SAFE = (
    "#fdeeea",
    "#eef4fb",
    "#eaf6ec",
)  # fills of states: a violation may be next, is further off, cannot come
NAME_WIDTH, LABEL_WIDTH, ABOUT_WIDTH = 26, 30, 90  # characters to a line
MAX_LINES = 9
PREFERRED = Point(900.0, 560.0)
DPI = 160


class Line(NamedTuple):
    """One line of text and its look."""

    text: str
    size: float = 9.0
    bold: bool = False
    color: str = INK


class _Sheet(NamedTuple):
    """A diagram with its texts and its layout; `turned` when it is read from top to bottom."""

    shown: Diagram
    boxes: list[list[Line]]
    labels: list[list[Line]]  # of each edge of the diagram
    layout: Layout
    turned: bool

    def xy(self, point: Point) -> tuple[float, float]:
        """A point of the layout on the page, whose y grows downwards."""
        x, y = (point.across, point.along + ENTRY) if self.turned else (point.along + ENTRY, point.across)
        return x + MARGIN, y + MARGIN + _size(_title(self.shown)).across


def paint(shown: Diagram, path: Path) -> None:
    """Write the diagram to a file, whose ending says in which format."""
    sheet = min(_sheet(shown, turned=False), _sheet(shown, turned=True), key=_unwieldiness)
    # The same drawing gives the same file: no date and no random names in it.
    with matplotlib.rc_context({"svg.hashsalt": "safetune", "svg.fonttype": "path", "font.family": FONT}):
        figure = _figure(sheet)
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
        figure.savefig(path, dpi=DPI, metadata=metadata, facecolor="white")


def _sheet(shown: Diagram, turned: bool) -> _Sheet:
    boxes = [_box_lines(shown, state) for state in shown.states]
    if shown.hidden:
        boxes.append([Line(f"{shown.hidden} more states", color=LINE)])
    labels = [_label_lines(edge) for edge in shown.edges]
    number = {state: index for index, state in enumerate((*shown.states, ELSEWHERE))}
    arrows, loops = [], []
    for edge, lines in zip(shown.edges, labels, strict=True):
        source, target, size = number[edge.source], number[edge.target], _extent(lines, 4.0, turned)
        if source == target:
            loops.append(Loop(source, 1 if edge.unsafe else -1, size))
        else:
            arrows.append(Arrow(source, target, size))
    layout = arrange([_extent(lines, PADDING, turned) for lines in boxes], arrows, loops)
    return _Sheet(shown, boxes, labels, layout, turned)


def _page(sheet: _Sheet) -> tuple[float, float]:
    """The width and height of the whole picture, in points."""
    x, y = sheet.xy(sheet.layout.size)
    return max(x, MARGIN + _size(_title(sheet.shown)).along) + MARGIN, y + MARGIN


def _unwieldiness(sheet: _Sheet) -> float:
    width, height = _page(sheet)
    return max(width / PREFERRED.along, height / PREFERRED.across)


def _title(shown: Diagram) -> list[Line]:
    about = [Line(text, color=LINE) for text in wrap(shown.guard.spec.about, ABOUT_WIDTH)]
    note = [Line(shown.note, color=LINE)] if shown.note else []
    return [Line(shown.guard.name, 13.0, bold=True), *about, *note, Line("")]


def _box_lines(shown: Diagram, state: int) -> list[Line]:
    name = [Line(text, 10.0, bold=True) for text in _wrapped(shown.guard.state_names[state], NAME_WIDTH)]
    return [*name, Line(state_note(shown.guard, state), 8.0, color=LINE)]


def _label_lines(edge: Edge) -> list[Line]:
    color = UNSAFE if edge.unsafe else INK
    lines: list[Line] = []
    for verdict in edge.verdicts:
        lines += [Line("", 4.0)] if lines else []
        lines += [Line(text, color=color) for text in _wrapped(verdict.when, LABEL_WIDTH)]
        if verdict.rule is not None:
            lines += [Line(text, bold=True, color=color) for text in _wrapped(f"✗ {verdict.rule}", LABEL_WIDTH)]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], Line("…", color=color)]
    steps = [Line(text, bold=True, color=LINE) for text in _wrapped(step_line(edge), LABEL_WIDTH)]
    return lines + steps


def _wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` characters; a name with a hyphen stays whole."""
    return wrap(text, width, break_on_hyphens=False)


def _font(line: Line) -> FontProperties:
    return FontProperties(family=FONT, size=line.size, weight="bold" if line.bold else "normal")


def _size(lines: Sequence[Line]) -> Point:
    """Width and height of lines one below the other."""
    widths = [text_to_path.get_text_width_height_descent(line.text, _font(line), ismath=False)[0] for line in lines]
    return Point(max(widths, default=0.0), sum(line.size * LEADING for line in lines))


def _extent(lines: Sequence[Line], padding: float, turned: bool) -> Point:
    width, height = (side + 2 * padding for side in _size(lines))
    return Point(height, width) if turned else Point(width, height)


def _figure(sheet: _Sheet) -> Figure:
    width, height = _page(sheet)
    figure = Figure(figsize=(width / 72, height / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    _write(axes, _title(sheet.shown), MARGIN, MARGIN, align="left")
    _paint_entry(axes, sheet)
    places = iter(zip(sheet.layout.ways, sheet.layout.labels, strict=True))
    loop_places = iter(sheet.layout.loop_labels)
    for edge, lines in zip(sheet.shown.edges, sheet.labels, strict=True):
        if edge.source == edge.target:
            _paint_arrow(axes, edge, _loop_curve(sheet, edge))
            label = next(loop_places)
        else:
            way, label = next(places)
            _paint_arrow(axes, edge, _curve([sheet.xy(point) for point in way], sheet.turned))
        _paint_label(axes, lines, sheet.xy(label))
    for index, lines in enumerate(sheet.boxes):
        _paint_box(axes, sheet, index, lines)
    return figure


def _paint_entry(axes: Axes, sheet: _Sheet) -> None:
    start = sheet.layout.boxes[0]
    border = start.along - _extent(sheet.boxes[0], PADDING, sheet.turned).along / 2
    dot, tip = sheet.xy(Point(border - ENTRY + 4, start.across)), sheet.xy(Point(border, start.across))
    axes.add_patch(Circle(dot, 3.5, color=LINE))
    axes.add_patch(_arrow(curves.Path([dot, tip]), LINE, 1.2))


def _paint_box(axes: Axes, sheet: _Sheet, index: int, lines: list[Line]) -> None:
    shown = sheet.shown
    x, y = sheet.xy(sheet.layout.boxes[index])
    width, height = _extent(lines, PADDING, turned=False)
    corner = (x - width / 2, y - height / 2)
    style, fill, border = "-", "white", 1.1
    if index == len(shown.states):
        style = "--"
    else:
        distance = shown.guard.distance[shown.states[index]]
        fill = NEAR if distance == 1 else FAR if distance < float("inf") else SAFE
        if shown.states[index] in shown.visited:
            fill, border = VISITED, 2.2
    look = {"facecolor": fill, "edgecolor": LINE, "linewidth": border, "linestyle": style}
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=7", zorder=3, **look))
    _write(axes, lines, x, y - height / 2 + PADDING)


def _paint_label(axes: Axes, lines: list[Line], centre: tuple[float, float]) -> None:
    """Text on a white ground, so that an arrow passes behind it."""
    width, height = _size(lines)
    x, y = centre
    ground = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=2",
        facecolor="white",
        edgecolor="none",
        zorder=2,
    )
    axes.add_patch(ground)
    _write(axes, lines, x, y - height / 2)


def _write(axes: Axes, lines: Sequence[Line], x: float, top: float, align: str = "center") -> None:
    for line in lines:
        look = {"color": line.color, "ha": align, "va": "baseline", "parse_math": False, "zorder": 4}
        axes.text(x, top + 1.05 * line.size, line.text, fontproperties=_font(line), **look)
        top += line.size * LEADING


def _paint_arrow(axes: Axes, edge: Edge, curve: curves.Path) -> None:
    axes.add_patch(_arrow(curve, UNSAFE if edge.unsafe else LINE, 2.4 if edge.steps else 1.2))


def _arrow(curve: curves.Path, color: str, width: float) -> FancyArrowPatch:
    head = "-|>,head_length=0.55,head_width=0.22"
    return FancyArrowPatch(
        path=curve, arrowstyle=head, mutation_scale=14, color=color, linewidth=width, capstyle="butt", joinstyle="miter"
    )


def _curve(points: Sequence[tuple[float, float]], turned: bool) -> curves.Path:
    """Straight through the layers, with a soft bend in each gap between them."""
    corners, codes = [points[0]], [curves.Path.MOVETO]
    for (x, y), (to_x, to_y) in pairwise(points):
        if abs(to_x - x) + abs(to_y - y) < 0.01:
            continue  # an arrow's head needs a last piece of some length
        if abs(to_x - x if turned else to_y - y) < 0.01:
            corners.append((to_x, to_y))
            codes.append(curves.Path.LINETO)
        else:
            middle_x, middle_y = (x + to_x) / 2, (y + to_y) / 2
            bends = [(x, middle_y), (to_x, middle_y)] if turned else [(middle_x, y), (middle_x, to_y)]
            corners += [*bends, (to_x, to_y)]
            codes += [curves.Path.CURVE4] * 3
    return curves.Path(corners, codes)


def _loop_curve(sheet: _Sheet, edge: Edge) -> curves.Path:
    index = sheet.shown.states.index(edge.source)
    centre, size = sheet.layout.boxes[index], _extent(sheet.boxes[index], PADDING, sheet.turned)
    side = 1 if edge.unsafe else -1
    foot, border = min(13.0, 0.3 * size.along), centre.across + side * size.across / 2
    outside = border + side * 1.15 * LOOP
    bends = [(-foot, border), (-foot - 2, outside), (foot + 2, outside), (foot, border)]
    corners = [sheet.xy(Point(centre.along + along, across)) for along, across in bends]
    return curves.Path(corners, [curves.Path.MOVETO, *[curves.Path.CURVE4] * 3])
