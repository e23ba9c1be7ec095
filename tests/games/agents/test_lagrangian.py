"""PPO-Lagrangian: its cost advantages against a slow reference, its multiplier, and that it learns to be safe."""

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from safetune.games.agents.deep import DeepLearner
from safetune.games.agents.lagrangian import Multiplier, PPOLagrangian, generalised_advantages
from safetune.games.evaluate import play
from safetune.games.measures import measures
from safetune.games.prepare import read_plan
from safetune.recipe import GameRecipe

Make = Callable[..., GameRecipe]
ARM = ("agent.algorithm=ppo-lagrangian", "reward.form=sparse", "reward.weight=0.0")


@pytest.fixture
def learner(make_recipe: Make) -> DeepLearner:
    plan = read_plan(make_recipe(*ARM))
    found = plan.learner()
    assert isinstance(found, DeepLearner)
    return found


def slow_advantage(costs: list[float], values: list[float], after: float, gamma: float, lam: float) -> list[float]:
    """One episode's advantages, as the exponentially weighted sum of its temporal differences."""
    following = [*values[1:], after]
    deltas = [c + gamma * n - v for c, n, v in zip(costs, following, values, strict=True)]
    return [sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, len(deltas))) for t in range(len(deltas))]


def test_advantages_are_those_of_each_episode_by_itself() -> None:
    rng = np.random.default_rng(0)
    costs, values = rng.random((9, 2)).astype(np.float32), rng.random((9, 2)).astype(np.float32)
    starts = np.zeros((9, 2), dtype=np.float32)
    starts[0] = 1
    starts[4, 0] = 1  # the first environment's episode ends after step 3, and another after the last
    last_values, last_starts = np.array([5.0, 0.5], dtype=np.float32), np.array([True, False])
    found = generalised_advantages(costs, values, last_values, starts, last_starts, 0.9, 0.8)
    one = slow_advantage(costs[:4, 0].tolist(), values[:4, 0].tolist(), 0.0, 0.9, 0.8)
    two = slow_advantage(costs[4:, 0].tolist(), values[4:, 0].tolist(), 0.0, 0.9, 0.8)
    other = slow_advantage(costs[:, 1].tolist(), values[:, 1].tolist(), 0.5, 0.9, 0.8)
    np.testing.assert_allclose(found[:, 0], [*one, *two], rtol=1e-5)
    np.testing.assert_allclose(found[:, 1], other, rtol=1e-5)


@pytest.mark.parametrize("start", [0.01, 1.0, 50.0])
def test_the_multiplier_starts_where_it_is_told(start: float) -> None:
    assert float(Multiplier(start)().detach()) == pytest.approx(start, rel=1e-5)


def test_the_multiplier_rises_above_the_limit_and_falls_below_it(make_recipe: Make) -> None:
    found = read_plan(make_recipe(*ARM, "trainer.cost_limit=1.0")).learner()
    assert isinstance(found, DeepLearner)
    model = found.model
    assert isinstance(model, PPOLagrangian)
    course = [model.multiplier]
    for cost in [2.0] * 20 + [0.0] * 60:
        model._update_multiplier(cost)
        course.append(model.multiplier)
    assert course[0] < course[10] < course[20]
    assert course[20] > course[50] > course[80] > 0
    assert course[80] < course[0]


def test_a_high_price_makes_the_advantage_that_of_the_cost(learner: DeepLearner) -> None:
    model = learner.model
    assert isinstance(model, PPOLagrangian)
    model.train = lambda: None  # type: ignore[method-assign] # only collect
    model.learn(model.n_steps * learner.envs.num_envs)
    recorder = model._recorder
    assert recorder.costs.shape == (16, 4)
    assert recorder.costs.sum() > 0
    reward = model.rollout_buffer.advantages.copy()
    with np.errstate(all="raise"):
        model.price.x.data.fill_(1e4)
        returns = model._combine_advantages()
    assert returns.shape == (64,)
    values, last = model._cost_values()
    cost = generalised_advantages(
        recorder.costs, values, last, model.rollout_buffer.episode_starts, model._last_episode_starts, 0.99, 0.95
    )
    combined = model.rollout_buffer.advantages
    assert not np.allclose(combined, reward)
    np.testing.assert_allclose(combined, -(cost - cost.mean()), atol=1e-2)


@pytest.mark.parametrize("standardised", [True, False])
def test_the_reward_is_standardised_only_where_advantages_are(make_recipe: Make, standardised: bool) -> None:
    found = read_plan(make_recipe(*ARM, f"trainer.normalize_advantage={str(standardised).lower()}")).learner()
    assert isinstance(found, DeepLearner)
    model = found.model
    assert isinstance(model, PPOLagrangian)
    model.train = lambda: None  # type: ignore[method-assign] # only collect
    model.learn(model.n_steps * found.envs.num_envs)
    reward = model.rollout_buffer.advantages.copy()
    model.price.x.data.fill_(-50.0)  # the cost counts for nothing
    model._combine_advantages()
    wanted = reward - reward.mean()
    np.testing.assert_allclose(
        model.rollout_buffer.advantages, wanted / reward.std() if standardised else wanted, rtol=1e-4, atol=1e-6
    )


def test_an_episode_cut_by_a_time_limit_goes_on_in_the_cost(make_recipe: Make) -> None:
    plan = read_plan(make_recipe(*ARM, "trainer.n_steps=64", "env.count=1"))
    found = plan.learner()
    assert isinstance(found, DeepLearner)
    model = found.model
    assert isinstance(model, PPOLagrangian)
    model.train = lambda: None  # type: ignore[method-assign]
    model.policy.action_net.bias.data[:] = model.policy.action_net.bias.data.new_tensor([20.0, -20.0])  # go left
    model.learn(64)
    assert [(step, row) for step, row, _ in model._recorder.cut] == [(39, 0)]
    model.cost_critic[-1].bias.data.fill_(2.0)
    model.cost_critic[-1].weight.data.zero_()
    flat = model._combine_advantages()
    # Every value is 2 and no step costs anything, so the return before the cut is 2 * gamma, bootstrapped.
    assert float(flat[39]) == pytest.approx(2.0 * 0.99, rel=1e-5)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="cost_limit: got -1"):
        PPOLagrangian("MlpPolicy", None, cost_limit=-1)


@pytest.mark.slow
def test_the_limit_decides_whether_the_short_way_is_taken(make_recipe: Make) -> None:
    broken = {}
    for limit, start in ((0.05, 4.0), (100.0, 0.1)):
        settings = ("trainer.n_steps=64", "trainer.learning_rate=1e-3", f"trainer.multiplier_init={start}")
        speed = ("trainer.multiplier_learning_rate=0.5", f"trainer.cost_limit={limit}")
        found = read_plan(make_recipe(*ARM, *settings, *speed)).learner()
        assert isinstance(found, DeepLearner)
        found.model.learn(8000)
        result = measures(play(found.envs, found.actor(False), 40, seed=0), ["no fire without the shield"])
        broken[limit] = result["violations_per_episode"]["mean"]
    assert broken[0.05] <= 0.2
    assert broken[100.0] >= 0.8
