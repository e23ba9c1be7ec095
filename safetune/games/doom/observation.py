"""What an agent sees of Doom: pixels, or a short vector of numbers.

Pixels are averaged down to the size asked for, with a bar for each gauge along the lower edge (the health that a
player reads off the status bar would be unreadable at this size), and the last frames behind one another. The vector
holds motion, variables, regions, rays and the nearest objects, all within [-1, 1] and seen from the player, so that
it means the same on every layout.
"""

from collections import deque

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError
from safetune.games.doom.game import RESOLUTIONS, Seen
from safetune.games.doom.ground import DIRECTIONS, REACH, Ground
from safetune.games.doom.scenario import Scenario

COLOURS = np.array([(224, 48, 48), (72, 200, 72), (80, 136, 255), (232, 200, 64)], dtype=np.uint8)
SPEED = 70.0
"""Map units a decision that count as 1."""
NEAR = 5
"""Numbers for each object: there or not, ahead, to the left, and the sine and cosine of its direction."""


class Pixels:
    """(H, W, 3·frames) uint8, or (H, W, frames) without colour; the newest frame last."""

    def __init__(self, scenario: Scenario, size: tuple[int, int], frames: int, colour: bool) -> None:
        height, width = size
        if not (20 <= height <= RESOLUTIONS[0][0] and 20 <= width <= RESOLUTIONS[0][1]) or frames < 1:
            raise GameError(
                f"doom: size {size}, frames {frames}: expected (height, width) from (20, 20) to {RESOLUTIONS[0]} "
                "and at least one frame"
            )
        self.scenario, self.size, self.colour = scenario, size, colour
        channels = (3 if colour else 1) * frames
        self.space = gym.spaces.Box(0, 255, (height, width, channels), dtype=np.uint8)
        self._frames: deque[NDArray[np.uint8]] = deque(maxlen=frames)

    def begin(self) -> None:
        """Forget the frames of the last episode."""
        self._frames.clear()

    def observe(self, frame: NDArray[np.uint8], variables: dict[str, float]) -> NDArray[np.uint8]:
        """The observation after a new frame, which is repeated at the start of an episode."""
        small = shrink(frame, self.size)
        if self.scenario.gauges:
            small = small.copy() if small is frame else small
            draw_gauges(small, self.scenario.gauges, variables)
        if not self.colour:
            small = small.mean(axis=2, keepdims=True).astype(np.uint8)
        self._frames.append(small)
        while len(self._frames) < (self._frames.maxlen or 1):
            self._frames.append(small)
        return np.concatenate(self._frames, axis=2) if len(self._frames) > 1 else small


def shrink(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The frame at a smaller size, each new pixel the mean of those that fall on it; itself at its own size."""
    height, width, channels = frame.shape
    down, across = height // size[0], width // size[1]
    if (height, width) == size:
        return frame
    if (down * size[0], across * size[1]) == (height, width):  # much quicker than the general case
        total = np.zeros((*size, channels), dtype=np.uint16)
        for row in range(down):
            for column in range(across):
                total += frame[row::down, column::across]
        return (total // (down * across)).astype(np.uint8)
    rows, columns = np.arange(size[0]) * height // size[0], np.arange(size[1]) * width // size[1]
    sums = np.add.reduceat(np.add.reduceat(frame, rows, axis=0, dtype=np.uint16), columns, axis=1)
    counts = np.outer(np.diff(rows, append=height), np.diff(columns, append=width)).astype(np.uint16)
    return (sums // counts[..., None]).astype(np.uint8)


def draw_gauges(frame: NDArray[np.uint8], gauges: dict[str, float], variables: dict[str, float]) -> None:
    """Draw one bar for each gauge side by side along the lower edge, in place."""
    height, width, _ = frame.shape
    rows = max(2, height // 15)
    frame[-rows:] = 0
    for index, (name, full) in enumerate(gauges.items()):
        left, right = index * width // len(gauges) + 1, (index + 1) * width // len(gauges) - 1
        share = min(max(variables[name] / full, 0.0), 1.0)
        frame[1 - rows :, left : left + round((right - left) * share)] = COLOURS[index % len(COLOURS)]


class VectorView:
    """(D,) float32; `names` says what each number is."""

    def __init__(self, scenario: Scenario) -> None:
        self.spec, self.regions = scenario.vector, scenario.regions
        self.timeout = scenario.timeout
        self.names = tuple(self._names())
        self.space = gym.spaces.Box(-1.0, 1.0, (len(self.names),), dtype=np.float32)

    def _names(self) -> list[str]:
        names = ["time left", "east", "north", "heading sin", "heading cos", "speed ahead", "speed left"]
        names += list(self.spec.scale) + [f"in {region}" for region in self.regions]
        names += [f"{kind} at {360 // DIRECTIONS * turn}" for kind in self.spec.rays for turn in range(DIRECTIONS)]
        for kind, count in self.spec.nearest.items():
            for rank in range(1, count + 1):
                names += [f"{kind} {rank} {part}" for part in ("there", "ahead", "left", "sin", "cos")]
        return names

    def observe(
        self, variables: dict[str, float], objects: list[Seen], ground: Ground | None, tics: int
    ) -> NDArray[np.float32]:
        """The vector; without a ground (a stock map), positions count from the middle of the map."""
        x, y = variables["POSITION_X"], variables["POSITION_Y"]
        heading = np.deg2rad(variables["ANGLE"])
        sin, cos = float(np.sin(heading)), float(np.cos(heading))
        east, north = (2 * np.array([x, y]) / ground.size - 1) if ground else np.array([x, y]) / REACH
        velocity = np.array([variables["VELOCITY_X"], variables["VELOCITY_Y"]]) * 4 / SPEED
        ahead, left = float(velocity @ (cos, sin)), float(velocity @ (-sin, cos))
        parts = [1 - tics / self.timeout, float(east), float(north), sin, cos, ahead, left]
        parts += [variables[name] / full for name, full in self.spec.scale.items()]
        if ground:
            parts += ground.inside(x, y).astype(float).tolist()
            parts += ground.rays(x, y, variables["ANGLE"], self.spec.rays).ravel().tolist()
        for kind, count in self.spec.nearest.items():
            parts += self._nearest([(o.x - x, o.y - y) for o in objects if o.name == kind], count, sin, cos)
        return np.clip(np.array(parts, dtype=np.float32), -1, 1)

    @staticmethod
    def _nearest(offsets: list[tuple[float, float]], count: int, sin: float, cos: float) -> list[float]:
        out: list[float] = []
        for dx, dy in sorted(offsets, key=lambda offset: offset[0] ** 2 + offset[1] ** 2)[:count]:
            ahead, left = dx * cos + dy * sin, dy * cos - dx * sin
            distance = max((dx * dx + dy * dy) ** 0.5, 1e-6)
            out += [1.0, ahead / REACH, left / REACH, left / distance, ahead / distance]
        return out + [0.0] * (NEAR * count - len(out))
