"""The environment: Gymnasium around a scenario.

    env = DoomEnv("protection", observation="vector")

What sets it apart from the wrapper that vizdoom brings: an episode that runs out of time is truncated and not also
terminated; the last step has its observation, its variables and its facts; time is counted here, not by the engine.
`info["facts"]` tells what happened, for labellers; all of it is plain numbers and bools, so that Gymnasium's vector
environments make arrays of it:

- `variables`, `changes`: each game variable after the step, and how it changed by it;
- `position`: (2,) map units; `inside`: region to bool;
- `aims_at`: class of object to whether it was in the crosshair *when the action was chosen*;
- `events`: the scenario's own facts; `action`: the action taken, -1 at a reset.
"""

from collections.abc import Sequence
from operator import index
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError, choices, nearest
from safetune.games.doom.game import RESOLUTIONS, Game
from safetune.games.doom.ground import Ground
from safetune.games.doom.observation import Pixels, VectorView
from safetune.games.doom.scenario import Scenario

TICS_A_SECOND = 35
RENDER_MODES = ("rgb_array", "human")
PICTURE = RESOLUTIONS[2]
"""The engine's resolution where pictures are asked for; observations are averaged down from it all the same."""


class DoomEnv(gym.Env[NDArray[Any], np.int64]):
    """A scenario, by name or path.

    observation: "pixels" or "vector". size, frames, colour: of the pixels. frame_skip: tics a decision lasts.
    layouts: names of the layouts that episodes are drawn from, all by default. variables: further game variables to
    read, for a spec that binds them. `reset(options={"layout": name})` asks for one layout.
    """

    world = "doom"

    def __init__(
        self,
        scenario: str | Path | Scenario = "protection",
        *,
        observation: Literal["pixels", "vector"] = "pixels",
        size: tuple[int, int] = (60, 80),
        frames: int = 2,
        colour: bool = True,
        frame_skip: int = 4,
        layouts: Sequence[str] | None = None,
        variables: Sequence[str] = (),
        render_mode: str | None = None,
    ) -> None:
        self.scenario = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
        if frame_skip < 1:
            raise GameError(f"doom: frame_skip: expected at least 1, got {frame_skip}")
        self.metadata = {"render_modes": list(RENDER_MODES), "render_fps": TICS_A_SECOND / frame_skip}
        _one_of("observation", observation, ("pixels", "vector"))
        if render_mode is not None:
            _one_of("render_mode", render_mode, RENDER_MODES)
        self.render_mode, self.frame_skip = render_mode, frame_skip
        self.layouts = self._chosen(layouts)
        self.layout = ""
        """The layout of this episode; empty on a stock map."""
        self.pixels = Pixels(self.scenario, (size[0], size[1]), frames, colour) if observation == "pixels" else None
        self.vector = VectorView(self.scenario)
        self.observation_space = self.pixels.space if self.pixels else self.vector.space
        self.action_space = gym.spaces.Discrete(len(self.scenario.actions))
        self.game = Game(
            self.scenario,
            size=PICTURE if render_mode else RESOLUTIONS[0],
            labels=self.scenario.labels,
            objects=self.pixels is None,
            window=render_mode == "human",
            variables=variables,
        )
        build, regions = self.scenario.build, self.scenario.regions
        self._grounds = {layout.name: Ground(layout, build, regions) for layout in self.scenario.layout if build}
        self._held = [[float(b in action) for b in self.scenario.buttons] for action in self.scenario.actions]
        worth = dict(self.scenario.reward)
        self._living, self._death = worth.pop("living", 0.0), worth.pop("death", 0.0)
        self._worth = tuple(worth.items())
        self._seen_classes = self.scenario.enemies if self.scenario.labels else ()
        self._variables: dict[str, float] = {}
        self._tics = 0
        self._running = False

    @property
    def ground(self) -> Ground | None:
        """The cells of this episode's layout; none on a stock map."""
        return self._grounds.get(self.layout)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begin an episode; the same seed and layouts bring the same episode, whatever was played before."""
        super().reset(seed=seed)
        asked = (options or {}).get("layout")
        names = self.layouts if asked is None else self._chosen([asked])
        engine_seed = int(self.np_random.integers(2**31))
        drawn = int(self.np_random.integers(len(names))) if names else 0
        self.layout = names[drawn] if names else ""
        self._running = False
        self.game.new_episode(list(self._grounds).index(self.layout) + 1 if names else 1, engine_seed)
        self._running, self._tics = True, 0
        self._variables = self.game.variables
        if self.pixels:
            self.pixels.begin()
        return self._observe(), {"facts": self._facts(-1, self._variables, self.aims()), **self._outcome()}

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """Make a decision, which lasts `frame_skip` tics or until death or the end of time."""
        if not self._running:
            raise GameError("doom: step called where no episode is running; call reset first")
        chosen = self._index(action)
        tics = min(self.frame_skip, self.scenario.timeout - self._tics)
        before, aims = self._variables, self.aims()
        self._running = False  # an engine that dies in this step leaves no episode behind
        going_on = self.game.act(self._held[chosen], tics)
        self._variables = self.game.variables
        self._tics += tics
        truncated = going_on and self._tics >= self.scenario.timeout
        self._running = going_on and not truncated
        facts = self._facts(chosen, before, aims)
        reward = self._reward(facts["changes"], going_on)
        return self._observe(), reward, not going_on, truncated, {"facts": facts, **self._outcome()}

    def aims(self) -> dict[str, bool]:
        """Class of enemy to whether the crosshair is on one now."""
        return {name: name in self.game.aimed for name in self._seen_classes}

    def render(self) -> NDArray[np.uint8] | None:
        """The newest frame, (480, 640, 3), in the mode "rgb_array"."""
        return self.game.frame.copy() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """End the engine and remove its files."""
        self._running = False
        self.game.close()

    def _chosen(self, names: Sequence[str] | None) -> tuple[str, ...]:
        valid = tuple(layout.name for layout in self.scenario.layout)
        for name in names or ():
            if name not in valid:
                hint = nearest(str(name), valid)
                raise GameError(f"doom: unknown layout '{name}'. Valid: {choices(valid)}.{hint}")
        return tuple(names) if names else valid

    def _observe(self) -> NDArray[Any]:
        if self.pixels:
            return self.pixels.observe(self.game.frame, self._variables)
        return self.vector.observe(self._variables, self.game.objects, self.ground, self._tics)

    def _facts(self, action: int, before: dict[str, float], aims: dict[str, bool]) -> dict[str, Any]:
        now = self._variables
        x, y = now["POSITION_X"], now["POSITION_Y"]
        changes = {name: value - before[name] for name, value in now.items()}
        inside = self.ground.inside(x, y).tolist() if self.ground else ()
        return {
            "variables": now,
            "changes": changes,
            "position": np.array([x, y]),
            "inside": dict(zip(self.scenario.regions, inside, strict=False)),
            "aims_at": aims,
            "events": {
                name: all(changes[key] < 0 for key in fact.falls)
                and all(changes[key] > 0 for key in fact.rises)
                and all(changes[key] == 0 for key in fact.steady)
                for name, fact in self.scenario.fact.items()
            },
            "action": action,
        }

    def _index(self, action: Any) -> int:
        try:
            chosen = index(action)
        except TypeError:
            chosen = -1
        if not 0 <= chosen < len(self._held):
            raise GameError(f"doom: action: expected a whole number from 0 to {len(self._held) - 1}, got {action!r}")
        return chosen

    def _reward(self, changes: dict[str, float], going_on: bool) -> float:
        total = self._living if going_on or not self.game.dead else self._living + self._death
        for name, weight in self._worth:
            if changes[name] > 0:
                total += weight * changes[name]
        return total

    def _outcome(self) -> dict[str, Any]:
        success = self.scenario.success
        return {} if success is None else {"is_success": self._variables[success.variable] > success.above}


def _one_of(what: str, value: str, valid: Sequence[str]) -> None:
    if value not in valid:
        raise GameError(f"doom: {what}: unknown '{value}'. Valid: {choices(valid)}.{nearest(str(value), valid)}")
