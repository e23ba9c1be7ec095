import io
import time

import pytest
from rich.console import Console

from safetune.progress import Progress


def lines_of(progress: Progress) -> list[str]:
    file = progress.console.file
    assert isinstance(file, io.StringIO)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def plain(pace: float = 0.0) -> Progress:
    return Progress(Console(file=io.StringIO(), width=200), pace=pace)


def test_plain_lines_show_step_and_figures() -> None:
    with plain() as progress:
        progress.note("measuring [the base] model")
        progress.start(10)
        progress.update(1, violation_rate=0.406, reward=-0.3125, kl=0.0123)
        progress.update(2, reward=1.0)
    lines = lines_of(progress)
    assert lines[0] == "measuring [the base] model"
    assert lines[1].startswith("step 1/10  violations 40.6%  reward -0.312  KL 0.0123  ")
    assert lines[2].startswith("step 2/10  reward +1.000")
    assert "violations" not in lines[2]


def test_time_left_is_judged_by_the_steps_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = plain()
    progress.start(100, done=40)
    now += 20
    progress.update(50)  # ten steps in twenty seconds; fifty are left
    now += 3600 * 2
    progress.update(51)
    assert lines_of(progress) == [
        "resuming after step 40 of 100",
        "step 50/100  1:40 left",
        "step 51/100  8:56:02 left",
    ]


def test_plain_lines_keep_a_pace_but_the_last_one_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = plain(pace=10.0)
    progress.start(100)
    for step in range(1, 101):
        now += 1
        progress.update(step)
    shown = [line.split()[1] for line in lines_of(progress)]
    assert shown == ["1/100", *(f"{step}/100" for step in range(11, 100, 10)), "100/100"]


def test_a_terminal_gets_a_live_bar() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    with Progress(console) as progress:
        progress.start(4)
        progress.update(3, violation_rate=0.5)
        progress.note("a line that stays")
        progress.update(4, violation_rate=0.25, kl=0.1)
    text = "\n".join(lines_of(progress))
    assert "4/4" in text
    assert "violations 25.0%" in text
    assert "a line that stays" in text
