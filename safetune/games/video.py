"""Episodes as a film (MP4) or a moving picture (GIF), with the safeguard's panel beside each frame."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from safetune.errors import GameError, RunError, choices
from safetune.games.environments import make_filmed_env
from safetune.games.evaluate import Actor
from safetune.games.panel import Frame, Moment, Panel
from safetune.games.prepare import quiet, read_plan
from safetune.games.train import need_agent
from safetune.games.wrapper import SafeguardWrapper
from safetune.progress import Progress
from safetune.recipe import GameRecipe
from safetune.run import Run, writing

SUFFIXES = (".mp4", ".gif")
MOST_FRAMES = 3000  # some five minutes; a longer film is cut there
_FPS = 10.0
_COLOURS = 128  # of a GIF's palette


def check_video(path: Path) -> None:
    """Raise `RunError` for a file of a kind that cannot be made."""
    if path.suffix not in SUFFIXES:
        raise RunError(f"{path}: a video of an unknown kind, expected a name that ends in one of {choices(SUFFIXES)}")


def film_run(recipe: GameRecipe, run: Run, progress: Progress, path: Path, episodes: int, every: int = 1) -> int:
    """Film a finished run's agent, every `every`-th step of it; returns the number of frames.

    Raises:
        RunError: the run has no agent yet, or the file is of an unknown kind.
        GameError: the environment cannot render.
    """
    check_video(path)
    need_agent(run)
    plan = read_plan(recipe)
    progress.note(f"filming {episodes} episode{'s' if episodes > 1 else ''}")
    with quiet():
        learner = plan.learner(count=1)
        env = None
        try:
            learner.load_policy(run.agent)
            learner.seed(recipe.evaluate.seed)
            env = make_filmed_env(recipe, plan.guard, plan.reward)
            actor = learner.actor(recipe.evaluate.deterministic)
            frames = _frames(env, actor, episodes, recipe.evaluate.seed)
            fps = min(float(env.metadata.get("render_fps") or _FPS), 30.0)
            return _write(path, islice(frames, 0, MOST_FRAMES * every, every), max(1.0, fps / every))
        finally:
            learner.envs.close()
            if env is not None:
                env.close()


def _frames(env: SafeguardWrapper, actor: Actor, episodes: int, seed: int) -> Iterator[Frame]:
    panel = Panel(env.guard)
    for episode in range(episodes):
        observation, info = env.reset(seed=seed + episode)
        panel.begin()
        moment = Moment(env.state, episode=episode + 1)
        yield panel.beside(_picture(env), moment)
        begun, over = True, False
        while not over:
            states = np.array([env.state])
            actions = actor(_batched(observation), np.array([begun]), states, lambda: env.action_masks()[None])
            observation, _, terminated, truncated, info = env.step(actions[0])
            begun, over = False, terminated or truncated
            verdict = info["safeguard"]
            moment.state, moment.labels, moment.broken = verdict["state"], verdict["labels"], verdict["broken"]
            moment.step += 1
            moment.task_return += info["task_reward"]
            moment.cost += info["cost"]
            yield panel.beside(_picture(env), moment)


def _picture(env: SafeguardWrapper) -> Frame:
    frame: Any = env.render()
    if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3:
        name = env.spec.id if env.spec else type(env.unwrapped).__name__
        raise GameError(f"{name}: render() gave no picture of shape (height, width, 3); this environment has no film")
    return frame.astype(np.uint8)


def _batched(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: _batched(value) for key, value in observation.items()}
    return np.asarray(observation)[None]


def _write(path: Path, frames: Iterator[Frame], fps: float) -> int:
    """Write to a neighbouring file and rename, so that a film that is there is whole."""
    draft = path.with_name(f".{path.stem}.draft{path.suffix}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            count = _gif(draft, frames, fps) if path.suffix == ".gif" else _mp4(draft, frames, fps)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return count


def _mp4(path: Path, frames: Iterator[Frame], fps: float) -> int:
    import imageio.v2 as imageio

    count = 0
    with imageio.get_writer(path, fps=fps, codec="libx264", macro_block_size=2, quality=5) as writer:
        for frame in frames:
            writer.append_data(frame)
            count += 1
    return count


def _gif(path: Path, frames: Iterator[Frame], fps: float) -> int:
    from PIL import Image

    pictures: list[Image.Image] = []
    for frame in frames:
        picture = Image.fromarray(frame)
        # One palette for all, so that a frame is stored as what has changed since the one before.
        palette = pictures[0] if pictures else picture.quantize(_COLOURS)
        pictures.append(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    duration = max(20, round(1000 / fps))
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=duration, loop=0, optimize=False)
    return len(pictures)
