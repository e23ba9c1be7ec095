"""Checkpoints: folders `checkpoint-STEP` with a mark, written last, that says they are whole.

A process can die while a checkpoint is written; a folder without the mark is not resumed from.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetune.errors import RunError

STATE = "state.json"
COMPLETE = "complete"
KEPT = 2  # the older one is there until the newer one is whole


def mark_complete(folder: Path) -> None:
    """Flush the checkpoint to disk, then write its mark."""
    for path in folder.rglob("*"):
        if path.is_file():
            _flush(path)
    mark = folder / COMPLETE
    mark.touch()
    _flush(mark)


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; half-written ones are removed."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        if (path / COMPLETE).is_file():
            whole.append((checkpoint_step(path), path))
        else:
            shutil.rmtree(path)
    return max(whole)[1] if whole else None


def checkpoint_step(folder: Path) -> int:
    """The step after which a checkpoint was made."""
    return int(folder.name.split("-")[1])


def drop_old_checkpoints(folder: Path, keep: int = KEPT) -> None:
    """Remove all but the newest whole checkpoints."""
    whole = sorted((path for path in folder.glob("checkpoint-*") if (path / COMPLETE).is_file()), key=checkpoint_step)
    for path in whole[:-keep]:
        (path / COMPLETE).unlink()  # first, so that one removed half-way is not taken for a whole one
        shutil.rmtree(path)


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint's numbers."""
    (folder / STATE).write_text(json.dumps(state, allow_nan=False), encoding="utf-8")


def read_state(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's numbers."""
    path = folder / STATE
    try:
        state: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from None
    return state


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
