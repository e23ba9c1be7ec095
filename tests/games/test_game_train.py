"""Whole runs of games in the toy corridor: measured, trained, saved, measured; killed and taken up; filmed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from safetune.cli import main
from safetune.errors import GameError, RunError
from safetune.games.panel import Moment, Panel
from safetune.games.train import evaluate_run, plan, train
from safetune.progress import Progress
from safetune.recipe import GameRecipe, load_recipe
from safetune.run import Run
from safetune.run.checkpoints import latest_checkpoint
from safetune.safeguard import Safeguard
from tests.games.agents.toy import RECIPE, SPEC

ROOT = Path(__file__).parents[2]
ALGORITHMS = {
    "ppo": (),
    "maskable-ppo": (),
    "recurrent-ppo": ("trainer.policy_kwargs={lstm_hidden_size = 8}",),
    "ppo-lagrangian": ("reward.form=sparse", "reward.weight=0.0"),
    "tabular-q": ("trainer={}",),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "spec.toml").write_text(SPEC)
    (tmp_path / "corridor.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opened(here: Path) -> Iterator[Callable[..., tuple[GameRecipe, Run]]]:
    """A function from overrides to a recipe and its run."""
    runs: list[Run] = []

    def make(*overrides: str) -> tuple[GameRecipe, Run]:
        run = Run.open(load_recipe(here / "corridor.toml", overrides), path=here / f"run-{len(runs)}")
        runs.append(run)
        assert isinstance(run.recipe, GameRecipe)
        return run.recipe, run

    yield make
    for run in runs:
        run.close()


def quiet_train(recipe: GameRecipe, run: Run) -> dict[str, Any]:
    with Progress() as progress:
        return train(recipe, run, progress)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_run_of_each_algorithm(opened: Any, name: str) -> None:
    recipe, run = opened(f"agent.algorithm={name}", *ALGORITHMS[name])
    result = quiet_train(recipe, run)
    assert result == run.read_json("evaluation.json")
    for when in ("before", "after"):
        assert result[when]["episodes"] == 6
        assert {"return", "success", "violations_per_episode", "clean_episodes", "rules"} <= set(result[when])
    assert (run.agent / "specs" / "spec.toml").read_text() == SPEC
    rows = run.metrics()
    assert rows[-1]["step"] == 256
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
    assert rows[-1]["episodes"] > 0
    assert any("violations_per_episode" in row for row in rows)
    assert all("violations_per_1k_steps" in row for row in rows)
    assert not list(run.path.rglob("*draft*"))
    assert len(list(run.checkpoints.iterdir())) == 2


def test_evaluating_a_run_again_gives_the_same_measures(opened: Any) -> None:
    recipe, run = opened()
    result = quiet_train(recipe, run)
    with Progress() as progress:
        assert evaluate_run(recipe, run, progress) == result


def test_the_same_recipe_learns_the_same(opened: Any) -> None:
    agents = []
    for seed in (1, 1, 2):
        recipe, run = opened(f"seed={seed}")
        quiet_train(recipe, run)
        agents.append((run.agent / "learner.safetensors").read_bytes())
    assert agents[0] == agents[1] != agents[2]


def test_a_run_without_an_agent_cannot_be_evaluated(opened: Any) -> None:
    recipe, run = opened()
    with Progress() as progress, pytest.raises(RunError, match="no agent yet"):
        evaluate_run(recipe, run, progress)


def test_the_dry_run_says_what_would_be_done(here: Path) -> None:
    recipe = load_recipe(here / "corridor.toml", ["agent.steps=250"])
    assert isinstance(recipe, GameRecipe)
    said = plan(recipe)
    assert said["steps"] == 256  # whole rollouts
    assert said["rules"] == ["no fire without the shield"]


@pytest.mark.parametrize("name", ["ppo", "tabular-q"])
def test_a_game_that_breaks_down_is_said_and_the_run_goes_on(
    opened: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = opened(f"agent.algorithm={name}", *ALGORITHMS[name], "env.options={die_at = 150}")
    quiet = Progress()
    with quiet:
        from safetune.games import train as module

        parts = module.read_plan(recipe)
        module._measure_before(parts, parts.learner(), run, quiet)
    monkeypatch.setenv("TOY_DIES", "1")
    recipe = recipe.model_copy(update={"env": recipe.env.model_copy(update={"options": {"die_at": 40}})})
    with pytest.raises(GameError, match=r"engine has stopped\. .*run-0 keeps all up to its last checkpoint"):
        quiet_train(recipe, run)
    checkpoint = latest_checkpoint(run.checkpoints)
    assert checkpoint is not None
    died_at = int(checkpoint.name.split("-")[1])
    assert 0 < died_at < 256
    monkeypatch.delenv("TOY_DIES")
    quiet_train(recipe, run)
    rows = run.metrics()
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
    assert rows[-1]["step"] == 256
    assert run.finished


def test_a_killed_run_is_taken_up_by_the_same_command(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = "env.options={die_at = 200, kill = true}"  # the evaluation before takes fewer steps
    settings = [options, "agent.steps=1024", "agent.checkpoint_every=256"]  # so it dies well after a checkpoint
    command = [sys.executable, "-m", "safetune", "train", "corridor.toml", *settings, "--run", "run"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TOY_DIES": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    checkpoint = latest_checkpoint(here / "run" / "checkpoints")
    assert checkpoint is not None
    step = int(checkpoint.name.split("-")[1])
    assert 0 < step < 1024
    with Run.load("run") as run:
        before = [row for row in run.metrics() if row["step"] <= step]
        assert len(run.metrics()) > len(before) > 0
    done = subprocess.run(command, env={**env, "TOY_DIES": ""}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"resuming after step {step} of 1024" in done.stderr
    with Run.load("run") as run:
        rows = run.metrics()
        assert rows[: len(before)] == before  # nothing is lost
        assert [row["step"] for row in rows] == list(range(64, 1025, 64))
        assert run.finished


# the commands


def test_the_commands_know_games(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "corridor.toml"]) == 0
    said = capsys.readouterr().out
    assert "corridor.toml: environment: tests.games.agents.toy:toy/Corridor-v0" in said
    assert "1 rule, 2 states" in said
    assert main(["train", "corridor.toml", "--dry-run"]) == 0
    assert "algorithm" in capsys.readouterr().out
    assert main(["show", "corridor.toml", "shield;fire"]) == 0
    assert "no fire without the shield" in capsys.readouterr().out
    assert main(["train", "corridor.toml", "--run", "run"]) == 0
    shown = capsys.readouterr()
    assert "violations an episode" in shown.out
    assert "return" in shown.err
    page = (here / "run" / "report.md").read_text()
    assert "6 episodes of tests.games.agents.toy:toy/Corridor-v0" in page
    assert main(["train", "corridor.toml", "--run", "run"]) == 0
    assert "this run is finished" in capsys.readouterr().err
    assert main(["eval", "run", "evaluate.episodes=3"]) == 0
    assert "3 episodes of" in capsys.readouterr().out
    assert main(["eval", "run", "agent.steps=3"]) == 2
    assert "the rest of a run's recipe is settled" in capsys.readouterr().err
    assert main(["eval", "run", "--episodes", "2"]) == 2
    assert main(["eval", "run", "--video", "film.avi"]) == 2
    assert "'.gif', '.mp4'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["film.gif", "film.mp4"])
def test_an_agent_is_filmed(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    imageio = pytest.importorskip("imageio.v3")
    assert main(["train", "corridor.toml", "agent.steps=64", "--run", "run"]) == 0
    capsys.readouterr()
    assert main(["eval", "run", "--video", name, "--episodes", "2"]) == 0
    frames = imageio.imread(here / name, index=None) if name.endswith("gif") else imageio.imread(here / name)
    said = int(capsys.readouterr().out.split(": ")[1].split()[0])
    assert len(frames) == said > 6
    assert frames[0].shape == (360, 616 + 300, 3)
    assert len({frame.tobytes() for frame in np.asarray(frames)}) > 3
    assert not list(here.glob(".*draft*"))


def test_a_film_may_leave_out_steps(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("PIL")
    assert main(["train", "corridor.toml", "agent.steps=64", "--run", "run"]) == 0
    counts = []
    for every in ("1", "3"):
        capsys.readouterr()
        assert main(["eval", "run", "--video", "film.gif", "--every", every]) == 0
        counts.append(int(capsys.readouterr().out.split(": ")[1].split()[0]))
    assert counts[1] == -(-counts[0] // 3)
    assert main(["eval", "run", "--video", "film.gif", "--every", "0"]) == 2
    assert "got --every 0, expected at least 1" in capsys.readouterr().err


def test_frames_are_sized_to_the_panel(repository: Path) -> None:
    pytest.importorskip("PIL")
    panel = Panel(Safeguard.load(repository / "specs" / "doom_fire_discipline.toml"))
    for shape, width in (((480, 640, 3), 480), ((60, 80, 3), 480), ((408, 432, 3), 432)):
        assert panel.beside(np.zeros(shape, dtype=np.uint8), Moment(0)).shape[1] == width + 300
