"""The panel beside a frame: what the safeguard thinks of the episode at that moment. Drawn with Pillow.

From top to bottom: the spec, the safeguard's state, the propositions (filled where one holds, edged in red where one
would break a rule now), the rules with how often each was broken, and the figures of the episode.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safetune.safeguard import Safeguard
from safetune.safeguard.formula import END

WIDTH = 300
LEAST_HEIGHT = 360
MOST_WIDTH = 640  # of an enlarged frame
MOST_HEIGHT = 408  # a higher frame is made smaller
HELD = 6  # frames for which a broken rule stays lit

_BACK, _TEXT, _DIM = (24, 26, 32), (232, 232, 228), (140, 144, 152)
_LIT, _DANGER, _BROKEN, _SAFE = (58, 110, 165), (214, 84, 72), (190, 48, 44), (64, 140, 92)
_MARGIN, _LINE = 14, 20

Frame = NDArray[np.uint8]


@dataclass
class Moment:
    """What there is to be shown at a step."""

    state: int
    labels: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    step: int = 0
    episode: int = 1
    task_return: float = 0.0
    cost: float = 0.0


@dataclass
class Panel:
    """Draws the panel of one safeguard, and remembers what was broken."""

    guard: Safeguard
    counts: dict[str, int] = field(default_factory=dict)
    lit: dict[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        """An episode begins."""
        self.counts, self.lit = {}, {}

    def beside(self, frame: Frame, moment: Moment) -> Frame:
        """The frame, sized to the panel, with the panel to its right; both sides are even, as encoders ask."""
        from PIL import Image

        for name in moment.broken:
            self.counts[name] = self.counts.get(name, 0) + 1
            self.lit[name] = HELD
        large = _sized(frame)
        height = max(LEAST_HEIGHT, large.shape[0])
        height, width = height + height % 2, large.shape[1] + large.shape[1] % 2
        picture = Image.new("RGB", (width + WIDTH, height), _BACK)
        picture.paste(Image.fromarray(large), (0, (height - large.shape[0]) // 2))
        picture.paste(self._drawn(height, moment), (width, 0))
        self.lit = {name: left - 1 for name, left in self.lit.items() if left > 1}
        return np.asarray(picture)

    def _drawn(self, height: int, moment: Moment) -> Any:
        from PIL import Image, ImageDraw, ImageFont

        picture = Image.new("RGB", (WIDTH, height), _BACK)
        draw = ImageDraw.Draw(picture)
        pen = _Pen(draw, ImageFont.load_default(13), ImageFont.load_default(16))
        if self.lit:
            draw.rectangle((0, 0, 5, height), fill=_BROKEN)
        pen.words(self.guard.name, _TEXT, large=True)
        pen.words("state: " + self.guard.state_names[moment.state], _TEXT)
        pen.gap()
        danger = self.guard.danger(moment.state)
        for index, name in enumerate(self.guard.propositions):
            if name != END:
                pen.pill(name, name in moment.labels, bool(danger[index]))
        pen.gap()
        for rule in self.guard.rules:
            broken, colour = self.counts.get(rule.name, 0), _BROKEN if rule.name in self.lit else _DIM
            pen.rule(rule.name, f"broken {broken} times" if broken else "kept", colour if broken else _SAFE)
        pen.gap()
        pen.words(f"return {moment.task_return:+.2f}, cost {moment.cost:g}", _TEXT)
        pen.words(f"step {moment.step}, episode {moment.episode}", _DIM)
        return picture


def _sized(frame: Frame) -> Frame:
    """A small frame with each pixel a square, a large one scaled down."""
    from PIL import Image

    height, width = frame.shape[:2]
    if height > MOST_HEIGHT:
        return np.asarray(Image.fromarray(frame).resize((width * LEAST_HEIGHT // height, LEAST_HEIGHT)))
    factor = max(1, min(round(LEAST_HEIGHT / height), MOST_WIDTH // width))
    return frame.repeat(factor, axis=0).repeat(factor, axis=1)


class _Pen:
    """Writes from top to bottom."""

    def __init__(self, draw: Any, font: Any, large: Any) -> None:
        self._draw, self._font, self._large = draw, font, large
        self._y = _MARGIN

    def gap(self) -> None:
        self._y += _LINE // 2

    def words(self, text: str, colour: tuple[int, int, int], *, large: bool = False, indent: int = 0) -> None:
        """A paragraph, broken into lines that fit."""
        font = self._large if large else self._font
        line = ""
        for word in text.split():
            longer = f"{line} {word}".strip()
            if line and self._draw.textlength(longer, font) > WIDTH - 2 * _MARGIN - indent:
                self._line(line, colour, font, indent)
                line = word
            else:
                line = longer
        self._line(line, colour, font, indent)

    def pill(self, name: str, holds: bool, danger: bool) -> None:
        """A proposition."""
        right = min(WIDTH - _MARGIN, _MARGIN + 16 + int(self._draw.textlength(name, self._font)))
        box = (_MARGIN, self._y, right, self._y + _LINE)
        edge = _DANGER if danger else _LIT if holds else _DIM
        self._draw.rounded_rectangle(box, 9, fill=_LIT if holds else None, outline=edge, width=2 if danger else 1)
        self._draw.text((_MARGIN + 8, self._y + 2), name, fill=_TEXT if holds else _DIM, font=self._font)
        self._y += _LINE + 4

    def rule(self, name: str, verdict: str, colour: tuple[int, int, int]) -> None:
        """A rule and how often it was broken."""
        self._draw.ellipse((_MARGIN, self._y + 5, _MARGIN + 8, self._y + 13), fill=colour)
        self.words(f"{name}: {verdict}", _TEXT, indent=14)

    def _line(self, text: str, colour: tuple[int, int, int], font: Any, indent: int) -> None:
        self._draw.text((_MARGIN + indent, self._y), text, fill=colour, font=font)
        self._y += _LINE + (4 if font is self._large else 0)
