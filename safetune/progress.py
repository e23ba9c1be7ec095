"""What a person sees while training goes on: steps, what was measured last, and the time left.

On a terminal, a line that is redrawn; elsewhere (a file, CI), plain lines at a decent pace.
"""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

PACE = 10.0  # seconds between plain lines


class Progress:
    """The live display of one run; use it as a context manager.

    Args:
        console: where to write; standard error by default, so that results can be piped.
        pace: seconds between plain lines where the console is no terminal.
    """

    def __init__(self, console: Console | None = None, pace: float = PACE) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.pace = pace
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._total = self._first = 0
        self._began = self._told = 0.0

    def start(self, total: int, done: int = 0, name: str = "training") -> None:
        """Begin to count `total` steps, of which `done` were done before (the time left is judged by the others)."""
        self._total, self._first = total, done
        self._began, self._told = time.monotonic(), float("-inf")
        if done:
            self.note(f"resuming after step {done} of {total}")
        if self.console.is_terminal:
            self._stop()
            columns = (
                TextColumn("{task.description}"),
                BarColumn(24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[line]}"),
            )
            self._bar = Bar(*columns, console=self.console)
            self._task = self._bar.add_task(name, total=total, completed=done, line="")
            self._bar.start()

    def update(
        self,
        done: int,
        *,
        violation_rate: float | None = None,
        reward: float | None = None,
        kl: float | None = None,
        violations: float | None = None,
        episode_return: float | None = None,
    ) -> None:
        """Say that `done` steps are done, and what was measured last: of completions, or of episodes."""
        now = time.monotonic()
        left = _time_left(now - self._began, done - self._first, self._total - done)
        figures = _figures(violation_rate, reward, kl, violations, episode_return)
        line = "  ".join(filter(None, (*figures, left and f"{left} left")))
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, line=line)
        elif now - self._told >= self.pace or done >= self._total:
            self._told = now
            self.console.print(f"step {done}/{self._total}  {line}".rstrip(), soft_wrap=True)
        if done >= self._total:
            self._stop()

    def note(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, soft_wrap=True, markup=False)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()


def _figures(
    violation_rate: float | None,
    reward: float | None,
    kl: float | None,
    violations: float | None,
    episode_return: float | None,
) -> list[str]:
    return [
        text
        for value, text in (
            (violation_rate, f"violations {violation_rate or 0:.1%}"),
            (reward, f"reward {reward or 0:+.3f}"),
            (kl, f"KL {kl or 0:.4f}"),
            (violations, f"violations {violations or 0:.3g} an episode"),
            (episode_return, f"return {episode_return or 0:+.4g}"),
        )
        if value is not None
    ]


def _time_left(seconds: float, done: int, left: int) -> str:
    """`m:ss` or `h:mm:ss` at the pace so far; empty before there is one."""
    if done <= 0:
        return ""
    minutes, rest = divmod(round(seconds / done * max(left, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
