"""WADs: where they are, and whether the engine can start with them.

An engine that meets an error in a WAD's definitions takes the whole process down with it, which nothing can catch. So
a WAD that is neither vizdoom's nor this package's is tried out once, in a process of its own, before it is played.
"""

import os
import subprocess
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetune.errors import GameError, choices, install_hint, nearest
from safetune.games.doom.scenario import SCENARIOS, STOCK

PROGRAM = """
import sys, vizdoom
game = vizdoom.DoomGame()
game.set_doom_scenario_path(sys.argv[1])
game.set_doom_map(sys.argv[2])
game.set_window_visible(False)
game.set_sound_enabled(False)
game.set_console_enabled(True)
for patch in sys.argv[3:]:
    game.add_game_args(patch)
game.init()
game.close()
"""
PATIENCE = 60.0
"""Seconds that a try may take."""


def vizdoom() -> Any:
    """The engine's package."""
    if find_spec("vizdoom") is None:
        raise GameError(f"doom: the package 'vizdoom' is not installed. {install_hint('doom')}")
    import vizdoom

    return vizdoom


def find_wad(name: str, folder: Path) -> Path:
    """A WAD's path: `stock:NAME.wad` is vizdoom's own, any other a file in the scenario's folder."""
    if name.startswith(STOCK):
        package = vizdoom()
        stock = Path(package.scenarios_path) / name.removeprefix(STOCK)
        if not stock.is_file():
            hint = nearest(stock.name, package.wads)
            raise GameError(f"doom: vizdoom brings no '{stock.name}'. Valid: {choices(package.wads)}.{hint}")
        return stock.resolve()
    path = (folder / name).resolve()
    if not path.is_file():
        raise GameError(f"doom: no file {path}, which the scenario in {folder} plays")
    return path


def loading(patch: Path) -> str:
    """The engine's argument that loads one more WAD."""
    return f'-file "{patch}"' if " " in str(patch) else f"-file {patch}"


def check_wad(wad: Path, patch: Path | None, map_name: str) -> None:
    """Raise where the engine cannot start with these; our own and vizdoom's are known to work."""
    known = {SCENARIOS.resolve(), Path(vizdoom().scenarios_path).resolve()}
    paths = [path for path in (wad, patch) if path is not None]
    if all(path.parent in known for path in paths):
        return
    if said := _try(wad, patch, map_name, tuple(os.stat(path).st_mtime_ns for path in paths)):
        raise GameError(f"doom: the engine cannot start with {' and '.join(map(str, paths))}, {map_name}: {said}")


@cache
def _try(wad: Path, patch: Path | None, map_name: str, changed: tuple[int, ...]) -> str:
    """What the engine says as it fails, or an empty string; `changed` makes a mended file be tried again."""
    arguments = [str(wad), map_name, *([loading(patch)] if patch is not None else [])]
    with tempfile.TemporaryDirectory(prefix="safetune-doom-") as folder:
        command = [sys.executable, "-c", PROGRAM, *arguments]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, errors="replace"
            )
        except subprocess.TimeoutExpired:
            return f"it was not ready after {PATIENCE:g} seconds"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    last = lines[-1] if lines else "(nothing)"
    hint = "; so there is an error in its DECORATE" if last.startswith("LoadActors") else ""
    return f"it ended with {done.returncode}, the last it said was '{last}'{hint}"
