"""stable-baselines3's learners as a run needs them: built from a recipe, taught step by step, saved and taken up.

A run that is taken up goes on with the same weights, optimiser and random generators. Games in progress when it died
are not kept: each environment begins an episode, with seeds of the step at which it resumes.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from safetune.games.agents import storage
from safetune.games.agents.arguments import algorithm_class, argument_default, policy_name, policy_settings
from safetune.games.agents.recorder import Recorder
from safetune.games.evaluate import Tally
from safetune.games.sb3 import SB3VecEnv
from safetune.games.vector import SafeguardVectorWrapper
from safetune.recipe import GameRecipe, fault
from safetune.run.checkpoints import read_state, write_state

MUST_BE_FINITE = (
    "train/loss", "train/value_loss", "train/policy_gradient_loss", "train/approx_kl", "train/cost_value_loss",
    "train/multiplier",
)  # fmt: skip
LABEL_COUNTS = "label_counts"


class DeepLearner:
    """One learner of stable-baselines3 or sb3-contrib, with its environments."""

    def __init__(self, recipe: GameRecipe, envs: SafeguardVectorWrapper) -> None:
        self.recipe, self.envs, self.episodes = recipe, envs, 0
        self.source = SB3VecEnv(envs)
        if recipe.agent.algorithm == "maskable-ppo" and not self.source.has_attr("action_masks"):
            raise fault(
                recipe,
                f"agent.algorithm: 'maskable-ppo' needs a labeller that can foresee an action's "
                f"labels, and that of {recipe.env.id} cannot; choose 'ppo' or 'ppo-lagrangian'",
            )
        self.model = self._built()

    @property
    def steps(self) -> int:
        """Steps learnt from so far."""
        return int(self.model.num_timesteps)

    @property
    def rollout(self) -> int:
        """Steps between two updates."""
        return int(self.model.n_steps) * self.envs.num_envs

    def learn(self, total: int, recorder: Recorder) -> None:
        """Learn until `total` steps, rounded up to whole rollouts, are done."""
        recorder.start(self.steps, self.episodes)
        remaining = total - self.steps
        if remaining > 0:
            # Without a log interval stable-baselines3 dumps nothing; the callback reads what its logger gathered.
            self.model.learn(remaining, _Reports(self, recorder), log_interval=None, reset_num_timesteps=False)

    def save(self, folder: Path) -> None:
        """Write all that `load` needs to go on."""
        storage.save_learner(self.model, folder)
        storage.save_random(folder)
        counts = self.envs.label_counts
        write_state(
            folder,
            {
                "algorithm": self.recipe.agent.algorithm,
                "steps": self.steps,
                "episodes": self.episodes,
                "updates": self.model._n_updates,
                LABEL_COUNTS: None if counts is None else counts.tolist(),
            },
        )

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote."""
        state = read_state(folder)
        storage.load_learner(self.model, folder)
        self.model.num_timesteps, self.episodes = int(state["steps"]), int(state["episodes"])
        self.model._n_updates = int(state["updates"])
        if state[LABEL_COUNTS] is not None:
            self.envs.label_counts = np.array(state[LABEL_COUNTS], dtype=np.int64)
        seeds = np.random.SeedSequence([self.recipe.seed, self.steps])
        assert self.model.env is not None
        self.model.env.seed(int(seeds.generate_state(1)[0]) >> 1)
        storage.load_random(folder)

    def save_policy(self, folder: Path) -> None:
        """Write the policy alone."""
        storage.save_learner(self.model, folder, policy_only=True)

    def load_policy(self, folder: Path) -> None:
        """Read a policy that `save_policy` wrote."""
        storage.load_learner(self.model, folder, policy_only=True)

    def seed(self, seed: int) -> None:
        """Seed all that is drawn from: the policy's actions, numpy, torch and the environments."""
        self.model.set_random_seed(seed)

    def actor(self, deterministic: bool) -> "PolicyActor":
        """The policy, to be played with."""
        return PolicyActor(self.model, deterministic, masked=self.recipe.agent.algorithm == "maskable-ppo")

    def _built(self) -> BaseAlgorithm:
        recipe = self.recipe
        cls = algorithm_class(recipe)
        given = {key: value for key, value in recipe.trainer.items() if key not in ("policy", "policy_kwargs")}
        settings = {"device": "cpu", **given, "seed": recipe.seed, "policy_kwargs": policy_settings(recipe)}
        settings |= self._batch_size(cls, given)
        try:
            model: BaseAlgorithm = cls(policy_name(recipe, self.envs.single_observation_space), self.source, **settings)
        except (AssertionError, ValueError, TypeError) as error:
            raise fault(recipe, f"[trainer]: {error or type(error).__name__}") from error
        model.set_logger(Logger(None, []))
        return model

    def _batch_size(self, cls: type[Any], given: dict[str, Any]) -> dict[str, int]:
        """The host's default minibatch, cut to the rollout where that is shorter."""
        if "batch_size" in given:
            return {}
        n_steps = given.get("n_steps", argument_default(cls, "n_steps"))
        return {"batch_size": min(int(argument_default(cls, "batch_size")), int(n_steps) * self.envs.num_envs)}


class PolicyActor:
    """A policy of stable-baselines3 at work, with the memory that a recurrent one has."""

    def __init__(self, model: BaseAlgorithm, deterministic: bool, *, masked: bool) -> None:
        self._model, self._deterministic, self._masked = model, deterministic, masked
        self._memory: Any = None

    def __call__(self, observations: Any, begun: NDArray[np.bool_], states: Any, masks: Any) -> NDArray[Any]:
        extra = {"action_masks": masks()} if self._masked else {}
        actions, self._memory = self._model.predict(
            observations, state=self._memory, episode_start=begun, deterministic=self._deterministic, **extra
        )
        return np.asarray(actions)


class _Reports(BaseCallback):
    """Tells the recorder of each rollout and its update.

    A rollout starts when the update before it is over, which is when its losses are known and a checkpoint is whole.
    """

    def __init__(self, learner: DeepLearner, recorder: Recorder) -> None:
        super().__init__()
        self._learner, self._recorder = learner, recorder
        self._tally = Tally(learner.envs.num_envs, len(learner.envs.guard.rules))
        self._updated = False

    def _on_rollout_start(self) -> None:
        self._report()
        self._updated = True

    def _on_step(self) -> bool:
        ended = self._tally.add(self._learner.source.step_infos, self.locals["dones"])
        self._recorder.add(episode for _, episode in ended)
        return True

    def _on_training_end(self) -> None:
        self._report()

    def _report(self) -> None:
        if not self._updated:
            return
        figures = {**self.logger.name_to_value, "violations_per_1k_steps": self._tally.violations_per_1k_steps()}
        self.logger.name_to_value.clear()
        learner = self._learner
        self._recorder.update(learner.steps, figures, MUST_BE_FINITE)
        learner.episodes = self._recorder.episodes
        self._recorder.checkpoint(learner.steps, learner.save)
