"""The engine, with its sharp edges covered: one object per engine process.

What is covered here: an engine that dies is a `GameError` and the next episode starts a new one; what the engine
knows at the last step of an episode is kept, where it hands out nothing by itself; its configuration and other files
go to a folder of their own, which closing removes together with the process.
"""

import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError, nearest
from safetune.games.doom.janitor import Janitor
from safetune.games.doom.scenario import Scenario
from safetune.games.doom.wads import check_wad, find_wad, loading, vizdoom

RESOLUTIONS = ((120, 160), (240, 320), (480, 640), (600, 800), (720, 960), (960, 1280))
"""Sizes that the engine can draw, as (height, width)."""
MOTION = ("POSITION_X", "POSITION_Y", "ANGLE", "VELOCITY_X", "VELOCITY_Y")
"""Variables that are read in any case."""


class Seen(NamedTuple):
    """An object of the game."""

    name: str
    x: float
    y: float


class Game:
    """One engine that plays a scenario."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        size: tuple[int, int] = RESOLUTIONS[0],
        labels: bool = False,
        objects: bool = False,
        window: bool = False,
        variables: Sequence[str] = (),
    ) -> None:
        self.scenario = scenario
        self.size = size
        self.window, self.labels, self.objects_wanted = window, labels, objects
        self._vzd = vizdoom()
        self.names: tuple[str, ...] = tuple(dict.fromkeys([*MOTION, *scenario.read, *variables]))
        """The variables that are read."""
        self._variables = [self._member("GameVariable", name) for name in self.names]
        self._buttons = [self._member("Button", name) for name in scenario.buttons]
        self._engine: Any = None
        self._put_away: weakref.finalize[Any, Any] | None = None
        self._map = ""
        self._failures: tuple[type[Exception], ...] = (
            self._vzd.ViZDoomErrorException,
            self._vzd.ViZDoomIsNotRunningException,
            self._vzd.ViZDoomUnexpectedExitException,
            self._vzd.MessageQueueException,
            self._vzd.SharedMemoryException,
            self._vzd.FileDoesNotExistException,
        )
        self.variables: dict[str, float] = {}
        """Every variable by name; right at the last step of an episode as well."""
        self.frame: NDArray[np.uint8] = np.zeros((*size, 3), dtype=np.uint8)
        """(H, W, 3) the newest one; at the end by death, the one before it."""
        self.aimed: tuple[str, ...] = ()
        """Classes of the objects whose box covers the centre of the newest frame."""
        self.objects: list[Seen] = []
        """All objects of the map, when asked for."""

    def new_episode(self, number: int, seed: int) -> None:
        """Begin an episode on a map, 1 for the first; starts an engine where none runs."""
        name = f"MAP{number:02}"
        try:
            if self._engine is None:
                self._start(name)
            if name != self._map:
                self._engine.set_doom_map(name)
                self._map = name
            self._engine.set_seed(seed)
            self._engine.new_episode()
            self._look()
        except self._failures as error:
            raise self._stopped("began an episode", error) from error

    def act(self, buttons: Sequence[float], tics: int) -> bool:
        """Hold buttons for some tics; true while the episode goes on."""
        if self._engine is None:
            raise GameError("doom: no engine is running; call reset first")
        try:
            self._engine.make_action(buttons, tics)
            return self._look()
        except self._failures as error:
            raise self._stopped("made a step", error) from error

    @property
    def dead(self) -> bool:
        """Whether the player has died."""
        return bool(self._engine is not None and self._engine.is_player_dead())

    def close(self) -> None:
        """End the engine and remove its files; a game may be closed twice."""
        self._engine, self._map = None, ""
        if self._put_away is not None:
            self._put_away()
            self._put_away = None

    def _start(self, map_name: str) -> None:
        vzd, scenario = self._vzd, self.scenario
        wad = find_wad(scenario.wad, scenario.folder)
        patch = None if scenario.patch is None else find_wad(scenario.patch, scenario.folder)
        check_wad(wad, patch, map_name)
        engine = vzd.DoomGame()
        folder = tempfile.TemporaryDirectory(prefix="safetune-doom-")
        # Also for a game that nobody closes: the engine goes first, since it writes to its folder as it ends.
        janitors: list[Janitor] = []
        self._put_away = weakref.finalize(self, _end, engine, folder, janitors)
        engine.set_doom_config_path(str(Path(folder.name) / "engine.ini"))
        engine.set_doom_scenario_path(str(wad))
        if patch is not None:
            engine.add_game_args(loading(patch))
        engine.set_doom_map(map_name)
        engine.set_doom_skill(scenario.skill)
        engine.set_mode(vzd.Mode.PLAYER)
        engine.set_episode_start_time(scenario.start)
        engine.set_episode_timeout(0)  # the environment counts: an engine that times out hides its last state
        engine.set_screen_resolution(getattr(vzd.ScreenResolution, f"RES_{self.size[1]}X{self.size[0]}"))
        engine.set_screen_format(vzd.ScreenFormat.RGB24)
        engine.set_window_visible(self.window)
        engine.set_sound_enabled(False)
        engine.set_render_hud(False)
        engine.set_render_screen_flashes(False)
        engine.set_labels_buffer_enabled(self.labels)
        engine.set_objects_info_enabled(self.objects_wanted)
        engine.set_available_buttons(self._buttons)
        engine.set_available_game_variables(self._variables)
        self._engine, self._map = engine, map_name
        with _inside(folder.name):
            engine.init()
        janitors.append(Janitor(folder.name))

    def _look(self) -> bool:
        """Take over what the engine shows; false where it shows nothing, since the episode is over."""
        state = self._engine.get_state()
        if state is None:  # single variables can still be asked for
            values = [self._engine.get_game_variable(variable) for variable in self._variables]
            self.variables = dict(zip(self.names, values, strict=True))
            return False
        self.variables = dict(zip(self.names, state.game_variables.tolist(), strict=True))
        self.frame = state.screen_buffer
        if self.labels:
            middle_y, middle_x = self.size[0] // 2, self.size[1] // 2
            self.aimed = tuple(
                label.object_name
                for label in state.labels
                if label.x <= middle_x < label.x + label.width and label.y <= middle_y < label.y + label.height
            )
        if self.objects_wanted:
            self.objects = [Seen(seen.name, seen.position_x, seen.position_y) for seen in state.objects]
        return True

    def _member(self, kind: str, name: str) -> Any:
        members = getattr(self._vzd, kind).__members__
        if name not in members:
            what = {"Button": "button", "GameVariable": "game variable"}[kind]
            hint = nearest(name, members) or " See VizDoom's documentation for the names."
            raise GameError(f"{self.scenario.source}: unknown {what} '{name}'.{hint}")
        return members[name]

    def _stopped(self, doing: str, error: Exception) -> GameError:
        """The one error for the engine's failures, after what is left of it was put away."""
        self.close()
        said = " ".join(str(error).split()) or type(error).__name__
        source = self.scenario.source
        return GameError(
            f"doom: the engine stopped while it {doing} ({source}): {said} The next reset starts a new one."
        )


def _end(engine: Any, folder: "tempfile.TemporaryDirectory[str]", janitors: list[Janitor]) -> None:
    try:
        engine.close()
    finally:
        folder.cleanup()
        for janitor in janitors:
            janitor.dismiss()


@contextmanager
def _inside(folder: str) -> Iterator[None]:
    """Work inside a folder for a moment: the engine makes a folder of its own wherever it is started."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
