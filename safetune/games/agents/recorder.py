"""What a learner tells its run while it learns: metrics, a line for the person watching, checkpoints when due."""

import time
from collections.abc import Callable, Iterable
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from safetune.errors import RunError
from safetune.games.measures import Episode
from safetune.progress import Progress
from safetune.run import Run
from safetune.run.checkpoints import drop_old_checkpoints, mark_complete


class Recorder:
    """Writes metrics, progress and checkpoints of one run.

    Args:
        run: the run folder.
        progress: the live display.
        total: steps in all.
        every: steps between checkpoints.
        rules: the names of the safeguard's rules.
    """

    def __init__(self, run: Run, progress: Progress, total: int, every: int, rules: tuple[str, ...]) -> None:
        self.run, self.progress, self.total, self.every, self.rules = run, progress, total, every, rules
        self.episodes = 0
        self._fresh: list[Episode] = []
        self._saved = self._last = 0
        self._clock = time.perf_counter()
        self._writer: Any = None

    def start(self, step: int, episodes: int) -> None:
        """Training begins, or goes on, after `step`."""
        self.episodes, self._saved, self._last = episodes, step, step
        self._clock = time.perf_counter()
        self.run.truncate_metrics(step)
        self._writer = _tensorboard(self.run.path / "tensorboard", step)
        self.progress.start(self.total, step)

    def add(self, episodes: Iterable[Episode]) -> None:
        """Episodes that have ended."""
        self._fresh += episodes

    def update(self, step: int, figures: dict[str, Any], must_be_finite: Iterable[str] = ()) -> None:
        """A round of learning is over: write what happened since the last."""
        for name in must_be_finite:
            if name in figures and not isfinite(figures[name]):
                raise RunError(
                    f"{self.run.path}: {name} is {figures[name]} at step {step}; training has diverged. The "
                    "checkpoints before it are kept; a lower trainer.learning_rate usually helps"
                )
        now = time.perf_counter()
        self.episodes += len(self._fresh)
        pace = (step - self._last) / max(now - self._clock, 1e-9)
        row = {"step": step, "episodes": self.episodes, **self._summary(), **_finite(figures), "steps_per_second": pace}
        self._clock, self._last, self._fresh = now, step, []
        self.run.log_metrics(row)
        if self._writer is not None:
            for name, value in row.items():
                self._writer.add_scalar(name, value, step)
        self.progress.update(
            min(step, self.total), violations=row.get("violations_per_episode"), episode_return=row.get("return")
        )

    def checkpoint(self, step: int, save: Callable[[Path], None]) -> None:
        """Write a checkpoint if one is due; `save` fills its folder."""
        if step - self._saved < self.every and step < self.total:
            return
        folder = self.run.checkpoints / f"checkpoint-{step}"
        folder.mkdir(parents=True, exist_ok=True)
        save(folder)
        mark_complete(folder)
        drop_old_checkpoints(self.run.checkpoints)
        self._saved = step

    def close(self) -> None:
        """Nothing more will be said."""
        if self._writer is not None:
            self._writer.close()

    def _summary(self) -> dict[str, float]:
        """Means over the episodes that ended since the last update; none where there were none."""
        ended = self._fresh
        if not ended:
            return {}
        row = {
            "return": float(np.mean([episode.task_return for episode in ended])),
            "violations_per_episode": float(np.mean([episode.violations for episode in ended])),
            "cost_per_episode": float(np.mean([episode.cost for episode in ended])),
            "length": float(np.mean([episode.length for episode in ended])),
        }
        known = [episode.success for episode in ended if episode.success is not None]
        if known:
            row["success"] = float(np.mean(known))
        for index, name in enumerate(self.rules):
            row[f"rule/{name}"] = float(np.mean([episode.rules[index] for episode in ended]))
        return row


def _finite(figures: dict[str, Any]) -> dict[str, float]:
    """Numbers that can be written; the explained variance of constant returns, for one, cannot."""
    numbers = {name: float(value) for name, value in figures.items() if isinstance(value, int | float | np.number)}
    return {name: value for name, value in numbers.items() if isfinite(value)}


def _tensorboard(folder: Path, step: int) -> Any:
    """A TensorBoard writer, where TensorBoard is installed; what an interrupted run wrote after `step` is dropped."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
