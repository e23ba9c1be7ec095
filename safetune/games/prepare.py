"""From a recipe to its parts: spec, environments, learner. What can be wrong is found here."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from safetune.errors import GameError
from safetune.games.agents.arguments import check_trainer, gamma_of
from safetune.games.agents.recorder import Recorder
from safetune.games.environments import env_spec, make_envs
from safetune.games.evaluate import Actor
from safetune.games.reward import RewardSettings
from safetune.games.vector import SafeguardVectorWrapper
from safetune.recipe import GameRecipe, fault
from safetune.safeguard import Safeguard

CHECKPOINTS = 20  # in a run whose recipe says nothing


class Learner(Protocol):
    """What learns, as a run needs it."""

    envs: SafeguardVectorWrapper

    @property
    def steps(self) -> int:
        """Steps learnt from so far."""

    @property
    def rollout(self) -> int:
        """Steps between two updates."""

    def learn(self, total: int, recorder: Recorder) -> None:
        """Learn until `total` steps are done."""

    def save(self, folder: Path) -> None:
        """Write all that `load` needs to go on."""

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote."""

    def save_policy(self, folder: Path) -> None:
        """Write the policy alone."""

    def load_policy(self, folder: Path) -> None:
        """Read a policy that `save_policy` wrote."""

    def seed(self, seed: int) -> None:
        """Seed all that is drawn from."""

    def actor(self, deterministic: bool) -> Actor:
        """The policy, to be played with."""


@dataclass(frozen=True)
class Plan:
    """A recipe whose words have been checked, before any environment is made."""

    recipe: GameRecipe
    guard: Safeguard
    reward: RewardSettings

    def learner(self, count: int | None = None) -> Learner:
        """Environments, as many as the recipe says or `count`, with a learner that knows nothing yet."""
        recipe = self.recipe
        envs = make_envs(recipe, self.guard, self.reward, recipe.env.count if count is None else count)
        try:
            if recipe.agent.algorithm == "tabular-q":
                from safetune.games.agents.table_learner import TableLearner

                return TableLearner(recipe, envs)
            from safetune.games.agents.deep import DeepLearner

            return DeepLearner(recipe, envs)
        except BaseException:
            envs.close()
            raise

    def checkpoint_every(self, total: int) -> int:
        """Steps between checkpoints."""
        return self.recipe.agent.checkpoint_every or max(1, total // CHECKPOINTS)


def read_plan(recipe: GameRecipe) -> Plan:
    """Read and check all that a recipe says, without making an environment.

    Raises:
        SafetuneError: the first thing found wrong, with the file and key.
    """
    check_trainer(recipe)
    settings = recipe.reward
    if recipe.agent.algorithm == "ppo-lagrangian" and (settings.weight or settings.form != "sparse"):
        raise fault(
            recipe,
            "reward: 'ppo-lagrangian' finds the price of a violation itself, and a penalty in the "
            "reward would count it twice; set form = 'sparse' and weight = 0",
        )
    if settings.form == "bonus" and not recipe.env.end_on_violation:
        raise fault(
            recipe,
            "reward.form: 'bonus' ends the episode at a violation; set env.end_on_violation = true, "
            "or choose 'sparse' or 'potential'",
        )
    try:
        reward = RewardSettings(
            form=settings.form,
            potential=settings.potential,
            kappa=settings.kappa,
            weight=settings.weight,
            bonus=settings.bonus,
            gamma=gamma_of(recipe),
        )
    except GameError as error:
        raise fault(recipe, str(error)) from error
    env_spec(recipe)
    return Plan(recipe, Safeguard.load(recipe.spec), reward)


def rounded(steps: int, rollout: int) -> int:
    """Steps rounded up to whole rollouts."""
    return -(-steps // rollout) * rollout


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the hosts' notes and deprecations: the run's own display and files say what is going on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def facts_of(plan: Plan) -> dict[str, Any]:
    """What a run would do; makes one environment and the learner, so that both are known to work."""
    recipe = plan.recipe
    with quiet():
        learner = plan.learner(count=1)
    try:
        envs = learner.envs
        rollout = learner.rollout * recipe.env.count
        return {
            "spec": plan.guard.name,
            "rules": [rule.name for rule in plan.guard.rules],
            "environment": recipe.env.id,
            "observations": str(envs.single_observation_space),
            "actions": str(envs.single_action_space),
            "algorithm": recipe.agent.algorithm,
            "steps": rounded(recipe.agent.steps, rollout),
            "episodes measured": recipe.evaluate.episodes,
        }
    finally:
        learner.envs.close()
