"""Training an agent from a recipe: measure, train, save, measure again; each part resumable."""

import os
import shutil
from pathlib import Path
from typing import Any

from safetune.errors import GameError, RunError
from safetune.games.agents.recorder import Recorder
from safetune.games.evaluate import play
from safetune.games.measures import measures
from safetune.games.prepare import Learner, Plan, facts_of, quiet, read_plan, rounded
from safetune.progress import Progress
from safetune.recipe import GameRecipe
from safetune.run import Run, resume_command
from safetune.run.checkpoints import latest_checkpoint, write_state
from safetune.run.identity import copy_spec

BEFORE = "evaluation-before.json"


def plan(recipe: GameRecipe) -> dict[str, Any]:
    """Check all that a recipe names, one environment and the learner included, and say what it would do."""
    return facts_of(read_plan(recipe))


def train(recipe: GameRecipe, run: Run, progress: Progress) -> dict[str, Any]:
    """Train as the recipe says, in the run's folder; pick up where an interrupted run stopped.

    Returns:
        The content of `evaluation.json`: measures before and after, over the same episodes' seeds.

    Raises:
        SafetuneError: anything a user can mend; the run's data are kept.
    """
    parts = read_plan(recipe)
    with quiet():
        learner = parts.learner()
        try:
            before = _measure_before(parts, learner, run, progress)
            if run.agent.exists():
                learner.load_policy(run.agent)
            else:
                _fit(parts, learner, run, progress)
            progress.note("measuring the trained agent")
            after = _measured(parts, learner)
        except GameError as error:
            raise GameError(
                f"{str(error).rstrip('.')}. {run.path} keeps all up to its last checkpoint: the same command goes on "
                "from there"
            ) from error
        finally:
            learner.envs.close()
    return _write_evaluation(run, parts, before, after)


def evaluate_run(recipe: GameRecipe, run: Run, progress: Progress) -> dict[str, Any]:
    """Measure a finished run's agent again, and an untrained one beside it.

    Raises:
        RunError: the run has no agent yet.
    """
    need_agent(run)
    parts = read_plan(recipe)
    with quiet():
        learner = parts.learner()
        try:
            progress.note("measuring an untrained agent")
            before = _measured(parts, learner)
            learner.load_policy(run.agent)
            progress.note("measuring the trained agent")
            after = _measured(parts, learner)
        finally:
            learner.envs.close()
    return _write_evaluation(run, parts, before, after)


def need_agent(run: Run) -> None:
    """Raise `RunError` where nothing has been trained."""
    if not run.agent.exists():
        raise RunError(f"{run.path}: no agent yet; the run is not finished. To resume it: {resume_command(run.path)}")


def _fit(parts: Plan, learner: Learner, run: Run, progress: Progress) -> None:
    """Train, from the last whole checkpoint if there is one."""
    total = rounded(parts.recipe.agent.steps, learner.rollout)
    learner.seed(parts.recipe.seed)
    if checkpoint := latest_checkpoint(run.checkpoints):
        learner.load(checkpoint)
    rules = tuple(rule.name for rule in parts.guard.rules)
    recorder = Recorder(run, progress, total, parts.checkpoint_every(total), rules)
    try:
        learner.learn(total, recorder)
    finally:
        recorder.close()
    _save_agent(parts, learner, run.agent)


def _save_agent(parts: Plan, learner: Learner, folder: Path) -> None:
    """Save to a neighbouring folder and rename, so that an agent that is there is whole."""
    draft = folder.with_name(folder.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    learner.save_policy(draft)
    copy_spec(parts.recipe.spec, draft / "specs")
    described = {"algorithm": parts.recipe.agent.algorithm, "env": parts.recipe.env.id, "steps": learner.steps}
    write_state(draft, described)
    os.replace(draft, folder)


def _measure_before(parts: Plan, learner: Learner, run: Run, progress: Progress) -> dict[str, Any]:
    if (run.path / BEFORE).exists():
        before: dict[str, Any] = run.read_json(BEFORE)
        return before
    progress.note("measuring an untrained agent")
    before = _measured(parts, learner)
    run.write_json(BEFORE, before)
    return before


def _measured(parts: Plan, learner: Learner) -> dict[str, Any]:
    settings = parts.recipe.evaluate
    learner.seed(settings.seed)
    episodes = play(learner.envs, learner.actor(settings.deterministic), settings.episodes, settings.seed)
    return measures(episodes, [rule.name for rule in parts.guard.rules])


def _write_evaluation(run: Run, parts: Plan, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    result = {
        "kind": "game",
        "spec": parts.guard.name,
        "env": parts.recipe.env.id,
        "episodes": parts.recipe.evaluate.episodes,
        "seed": parts.recipe.evaluate.seed,
        "deterministic": parts.recipe.evaluate.deterministic,
        "before": before,
        "after": after,
    }
    run.write_json("evaluation.json", result)
    return result
