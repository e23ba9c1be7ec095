"""`check_labeller`: does a labeller keep what the wrappers rely on? For users' own environments, and for ours.

Random actions are played, and at each step the labeller is asked twice; in a vector environment each row is asked
again by itself. What it must keep is in `labeller`; a `GameError` says what it does not, at which step.
"""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from safetune.errors import GameError
from safetune.games.labeller import BatchLabeller, ForeseeingLabeller, as_labeller, called
from safetune.games.labels import LabelSource, Transition, checked_labels, row_of_step
from safetune.games.masks import checked_foresight
from safetune.games.rows import last_step, row_of_info
from safetune.games.vector import autoreset_mode
from safetune.safeguard import Safeguard
from safetune.safeguard.formula import END


class LabellerReport(NamedTuple):
    """What a conformance check saw; a proposition that never held may be bound to the wrong thing."""

    steps: int
    """Steps that were labelled, all environments together."""
    episodes: int
    """Episodes that ended. The last step is only checked where there are some."""
    held: dict[str, int]
    """Proposition to the number of steps at which it held."""
    foreseen: int
    """Labels that were foreseen for certain, and compared with what came."""


class _Check:
    """The state of one check."""

    def __init__(self, env: Any, guard: Safeguard, labeller: Any) -> None:
        self.env, self.guard = env, guard
        self.labeller = as_labeller(guard, env, labeller)
        self.source = LabelSource(guard, self.labeller)
        self.step = self.steps = self.episodes = self.foreseen = 0
        self.counts = np.zeros(len(guard.propositions), dtype=np.int64)
        self.facts: frozenset[str] | None = None

    def where(self) -> str:
        return f"{called(self.env)}: step {self.step}"

    def ask(self, step: Transition, ended: bool, skipped: Any = None) -> NDArray[np.int64]:
        """() or (N,) the labels of a step, asked for twice."""
        first, second = (self._answer(step, ended, skipped) for _ in range(2))
        if (first != second).any():
            raise GameError(
                f"{self.where()}: the labeller returned {first.tolist()}, and for the same step once more "
                f"{second.tolist()}; what it needs of earlier steps must stand in info['facts']"
            )
        return first

    def _answer(self, step: Transition, ended: bool, skipped: Any) -> NDArray[np.int64]:
        try:
            if skipped is None:
                return np.asarray(checked_labels(self.guard, self.labeller.labels(*step), self.where))
            return self.source(step, skipped, self.where)
        except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
            last = "the last step of an episode, whose info must say what the others' does" if ended else "this step"
            raise GameError(
                f"{self.where()}: the labeller failed with {type(error).__name__}: {error}, at {last}"
            ) from error

    def same_facts(self, info: dict[str, Any], ended: bool) -> None:
        """One environment's last step must say all that its other steps do in `info["facts"]`."""
        facts = info.get("facts")
        keys = frozenset(facts) if isinstance(facts, dict) else frozenset()
        if not ended:
            self.facts = keys if self.facts is None else self.facts & keys
        elif self.facts is not None and self.facts - keys:
            missing = ", ".join(sorted(self.facts - keys))
            raise GameError(f"{self.where()}: at the last step of an episode info['facts'] lacks {missing}")

    def alone(self, step: Transition, row: int, labels: int) -> None:
        """One environment's labels by themselves must be those of the batch."""
        answer = checked_labels(self.guard, self.labeller.labels(*row_of_step(step, row)), self.where)
        if answer != labels:
            raise GameError(
                f"{self.where()}: environment {row}: batch_labels says {self.guard.decode(labels)}, and "
                f"labels, asked for this environment alone, {self.guard.decode(answer)}"
            )

    def count(self, labels: NDArray[np.int64], made: NDArray[np.bool_], ended: NDArray[np.bool_]) -> None:
        """Labels (N,) of the environments that made a step."""
        bits = labels[made][:, None] >> np.arange(len(self.counts)) & 1
        self.counts += bits.sum(axis=0)
        self.steps += int(made.sum())
        self.episodes += int(ended.sum())

    def foresee(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
        """What each action would bring now, and where that is certain; nothing if the labeller cannot foresee."""
        if not isinstance(self.labeller, ForeseeingLabeller):
            return None
        single = not isinstance(self.env, gym.vector.VectorEnv)
        space = self.env.action_space if single else self.env.single_action_space
        shape = (() if single else (self.env.num_envs,)) + (int(space.n),)
        labels = checked_foresight(self.guard, self.labeller.foresee(self.env), shape)
        claims = getattr(self.labeller, "certain", None)
        certain = np.zeros(shape, dtype=np.bool_) if claims is None else np.asarray(claims(self.env))
        if certain.shape != shape or certain.dtype != np.bool_:
            got = f"{certain.dtype} of shape {certain.shape}"
            raise GameError(f"{self.where()}: certain: got {got}, expected bool of shape {shape}")
        return labels, certain

    def came_true(self, foreseen: Any, actions: Any, labels: NDArray[np.int64], made: NDArray[np.bool_]) -> None:
        """Compare what was certain with what came; all with a row for each environment."""
        if foreseen is None:
            return
        each = np.arange(len(labels))
        said, certain = (np.reshape(part, (len(labels), -1))[each, actions] for part in foreseen)
        wrong = np.flatnonzero(certain & made & (said != labels))
        if len(wrong):
            row = wrong[0]
            raise GameError(
                f"{self.where()}: environment {row}: foresee was certain of {self.guard.decode(int(said[row]))} for "
                f"action {int(actions[row])}, and what came was {self.guard.decode(int(labels[row]))}"
            )
        self.foreseen += int((certain & made).sum())

    def report(self) -> LabellerReport:
        names = [name for name in self.guard.propositions if name != END]
        held = {name: int(count) for name, count in zip(names, self.counts, strict=False)}
        return LabellerReport(self.steps, self.episodes, held, self.foreseen)


def check_labeller(
    env: Any, guard: Safeguard, labeller: Any = None, steps: int = 1000, seed: int = 0
) -> LabellerReport:
    """Play `steps` random steps in an environment or a vector environment, and check the labels of each.

    Raises:
        GameError: unknown bits, answers that are no whole numbers or differ for the same step, batch and single
            answers that disagree, info that is missing at the last step, or a foresight that was certain and wrong.
    """
    if steps < 1:
        raise GameError(f"steps: expected at least 1, got {steps}")
    check = _Check(env, guard, labeller)
    env.action_space.seed(seed)
    env.reset(seed=seed)
    if isinstance(env, gym.vector.VectorEnv):
        _play_vector(check, env, -(-steps // env.num_envs))
    else:
        _play(check, env, steps)
    return check.report()


def _play(check: _Check, env: gym.Env[Any, Any], steps: int) -> None:
    made = np.ones(1, dtype=np.bool_)
    for check.step in range(1, steps + 1):
        action, foreseen = env.action_space.sample(), check.foresee()
        observation, _, terminated, truncated, info = env.step(action)
        ended = terminated or truncated
        labels = check.ask((observation, action, info), ended).reshape(1)
        check.same_facts(info, ended)
        check.came_true(foreseen, np.asarray(action).reshape(1), labels, made)
        check.count(labels, made, made & ended)
        if ended:
            env.reset()


def _play_vector(check: _Check, env: gym.vector.VectorEnv[Any, Any, Any], steps: int) -> None:
    mode = autoreset_mode(env)
    array_only = getattr(check.labeller, "arrays", False)  # functions of whole batches know no single step
    done = np.zeros(env.num_envs, dtype=np.bool_)
    for check.step in range(1, steps + 1):
        skipped = done if mode is AutoresetMode.NEXT_STEP else np.zeros_like(done)
        actions, foreseen = env.action_space.sample(), check.foresee()
        observations, _, terminated, truncated, infos = env.step(actions)
        done = terminated | truncated
        if mode is AutoresetMode.SAME_STEP and done.any():
            observations, infos = last_step(observations, infos, done, check.where)
        step = (observations, actions, infos)
        if not skipped.all():
            labels = check.ask(step, bool(done.any()), skipped)
            for row in map(int, np.flatnonzero(~skipped)):
                check.same_facts(row_of_info(infos, row), bool(done[row]))
                if isinstance(check.labeller, BatchLabeller) and not array_only:
                    check.alone(step, row, int(labels[row]))
            check.came_true(foreseen, actions, labels, ~skipped)
            check.count(labels, ~skipped, done)
        if mode is AutoresetMode.DISABLED and done.any():
            env.reset(options={"reset_mask": done})
