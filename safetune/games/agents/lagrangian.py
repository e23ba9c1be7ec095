"""PPO-Lagrangian on stable-baselines3's PPO: the return is raised while the cost of an episode is held under a limit.

    maximise over the policy, minimise over m >= 0:   J_reward - m * (J_cost - limit)

As in Ray, Achiam and Amodei, "Benchmarking Safe Exploration in Deep Reinforcement Learning" (2019), and the
Lagrangian methods it rests on (Altman 1999; Tessler, Mankowitz and Mannor 2019):

- a critic of its own estimates the cost to come, and its advantages come from GAE (Schulman et al. 2016), cut and
  bootstrapped at time limits like the reward's;
- before each update the multiplier m = softplus(x) makes one step of Adam on -x * (cost of an episode - limit), with
  the mean cost of the episodes that ended in the last rollout;
- the policy's advantage is (A_reward - m * A_cost) / (1 + m), A_cost centred. With `normalize_advantage` A_reward is
  standardised, and m is in units of standardised reward; without, m is in units of reward.

Where we depart: the clipped surrogate is that of the combined advantage, so that the trust region holds for the cost
as well (their code leaves the cost's ratio unclipped), and stable-baselines3 scales the advantages of a minibatch,
unless `normalize_advantage` is off.

Notation: T steps of a rollout, N environments.
"""

from math import expm1, log
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import create_mlp
from stable_baselines3.common.utils import obs_as_tensor
from torch import Tensor, nn
from torch.nn import functional

from safetune.games.sb3 import SB3VecEnv

Floats = NDArray[np.float32]

_SMALL = 1e-8
_LARGE = 30.0  # from here on softplus(x) is x


class PPOLagrangian(PPO):
    """PPO under a limit on the cost of an episode; `env` is an `SB3VecEnv` of environments with a safeguard.

    The reward should hold no penalty of its own (`RewardSettings(form="sparse", weight=0)`): the multiplier is it.

    Args:
        policy: as for PPO.
        env: as for PPO.
        cost_limit: cost of an episode to stay under.
        cost_gamma: discount of the cost.
        cost_gae_lambda: lambda of the cost's advantages.
        cost_net_arch: layers of the cost's critic.
        multiplier_init: the multiplier at the start; more than 0.
        multiplier_learning_rate: step of the multiplier's Adam.
        **kwargs: all other arguments of PPO.
    """

    def __init__(
        self,
        policy: str,
        env: Any,
        *,
        cost_limit: float = 0.1,
        cost_gamma: float = 0.99,
        cost_gae_lambda: float = 0.95,
        cost_net_arch: list[int] | None = None,
        multiplier_init: float = 1.0,
        multiplier_learning_rate: float = 0.05,
        **kwargs: Any,
    ) -> None:
        for name, value, low, high in (
            ("cost_limit", cost_limit, 0.0, np.inf),
            ("cost_gamma", cost_gamma, 0.0, 1.0),
            ("cost_gae_lambda", cost_gae_lambda, 0.0, 1.0),
            ("multiplier_init", multiplier_init, _SMALL, np.inf),
            ("multiplier_learning_rate", multiplier_learning_rate, 0.0, np.inf),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name}: got {value}, expected a number from {low:g} to {high:g}")
        self.cost_limit, self.cost_gamma, self.cost_gae_lambda = cost_limit, cost_gamma, cost_gae_lambda
        self.cost_net_arch = [64, 64] if cost_net_arch is None else list(cost_net_arch)
        self.multiplier_init, self.multiplier_learning_rate = multiplier_init, multiplier_learning_rate
        self._recorder = _CostRecorder()
        super().__init__(policy, env, **kwargs)

    @property
    def multiplier(self) -> float:
        """m, the price of a unit of cost, in units of reward, standardised where `normalize_advantage` says so."""
        return float(self.price().detach())

    def _setup_model(self) -> None:
        super()._setup_model()
        layers = create_mlp(self.policy.features_dim, 1, self.cost_net_arch, nn.Tanh)
        self.cost_critic = nn.Sequential(*layers).to(self.device)
        self.cost_optimizer = torch.optim.Adam(self.cost_critic.parameters(), lr=self.lr_schedule(1.0), eps=1e-5)
        self.price = Multiplier(self.multiplier_init)
        self.price_optimizer = torch.optim.Adam(self.price.parameters(), lr=self.multiplier_learning_rate)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        total, callback = super()._setup_learn(*args, **kwargs)
        both = CallbackList([self._recorder, callback])
        both.init_callback(self)
        return total, both

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        names, variables = super()._get_torch_save_params()
        own = ["cost_critic", "cost_optimizer", "price", "price_optimizer"]
        return [*names, *own], variables

    def train(self) -> None:
        """Update the multiplier, then the policy and the reward's critic by PPO, then the cost's critic."""
        if self._recorder.ended:
            self._update_multiplier(float(np.mean(self._recorder.ended)))
        returns = self._combine_advantages()
        super().train()
        self._train_cost_critic(returns)

    def _update_multiplier(self, episode_cost: float) -> None:
        loss = -self.price.x * (episode_cost - self.cost_limit)
        self.price_optimizer.zero_grad()
        loss.backward()
        self.price_optimizer.step()
        self.logger.record("train/episode_cost", episode_cost)
        self.logger.record("train/multiplier", self.multiplier)

    def _combine_advantages(self) -> Tensor:
        """Put the combined advantages into the rollout buffer; (T*N,) the cost's returns, flat as the buffer's."""
        buffer, recorder = self.rollout_buffer, self._recorder
        values, last = self._cost_values()
        costs = recorder.costs.copy()
        for step, row, observation in recorder.cut:  # the episode went on where a time limit cut it
            costs[step, row] += self.cost_gamma * self._value_of(self.policy.obs_to_tensor(observation)[0])[0]
        advantages = generalised_advantages(
            costs, values, last, buffer.episode_starts, self._last_episode_starts, self.cost_gamma, self.cost_gae_lambda
        )
        reward = buffer.advantages
        reward = reward - reward.mean()
        if self.normalize_advantage:
            reward = reward / (reward.std() + _SMALL)
        buffer.advantages = (reward - self.multiplier * (advantages - advantages.mean())) / (1 + self.multiplier)
        flat = buffer.swap_and_flatten(advantages + values)
        return torch.as_tensor(flat.ravel(), dtype=torch.float32, device=self.device)

    def _cost_values(self) -> tuple[Floats, Floats]:
        """(T, N) what the cost's critic says of the rollout's observations, and (N,) of those that come next."""
        seen = self.rollout_buffer.observations
        values = np.stack([self._value_of(self._tensor(seen, step)) for step in range(self.n_steps)])
        return values, self._value_of(obs_as_tensor(self._last_obs, self.device))

    def _tensor(self, observations: Any, index: Any) -> Any:
        if isinstance(observations, dict):
            return {key: torch.as_tensor(value[index], device=self.device) for key, value in observations.items()}
        return torch.as_tensor(observations[index], device=self.device)

    def _value_of(self, observations: Any) -> Floats:
        with torch.no_grad():
            return self.cost_critic(self._features(observations)).flatten().cpu().numpy()

    def _features(self, observations: Any) -> Tensor:
        """The policy's features; the cost's critic reads them and does not shape them."""
        with torch.no_grad():
            features: Tensor = BasePolicy.extract_features(self.policy, observations, self.policy.vf_features_extractor)
        return features

    def _train_cost_critic(self, returns: Tensor) -> None:
        for group in self.cost_optimizer.param_groups:
            group["lr"] = self.lr_schedule(self._current_progress_remaining)
        losses = []
        for _ in range(self.n_epochs):
            order = np.random.permutation(len(returns))
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                features = self._features(self._tensor(self.rollout_buffer.observations, rows))
                loss = functional.mse_loss(self.cost_critic(features).flatten(), returns[torch.as_tensor(rows)])
                self.cost_optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.cost_critic.parameters(), self.max_grad_norm)
                self.cost_optimizer.step()
                losses.append(loss.item())
        self.logger.record("train/cost_value_loss", float(np.mean(losses)))


class Multiplier(nn.Module):
    """m = softplus(x), which stays above 0 whatever is learnt for x."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(log(expm1(start)) if start < _LARGE else start))

    def forward(self) -> Tensor:
        """The multiplier."""
        return functional.softplus(self.x)


def generalised_advantages(
    costs: Floats,
    values: Floats,
    last_values: Floats,
    starts: Floats,
    last_starts: Any,
    gamma: float,
    gae_lambda: float,
) -> Floats:
    """(T, N) advantages by GAE; `starts` (T, N) marks first steps of episodes, `last_starts` (N,) those that follow."""
    advantages = np.zeros_like(costs)
    following = np.zeros_like(last_values)
    next_values, goes_on = last_values, 1.0 - np.asarray(last_starts, dtype=np.float32)
    for step in reversed(range(len(costs))):
        delta = costs[step] + gamma * next_values * goes_on - values[step]
        following = delta + gamma * gae_lambda * goes_on * following
        advantages[step] = following
        next_values, goes_on = values[step], 1.0 - starts[step]
    return advantages


class _CostRecorder(BaseCallback):
    """Keeps the costs of a rollout's steps, where time limits cut episodes, and what ended episodes cost."""

    def _on_rollout_start(self) -> None:
        self.costs: Floats = np.zeros((self.model.n_steps, self.training_env.num_envs), dtype=np.float32)
        self.cut: list[tuple[int, int, Any]] = []
        self.ended: list[float] = []
        self._step = 0
        self._source = _watched(self.training_env)

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        self.costs[self._step] = self._source.step_infos["cost"]
        for row in map(int, np.flatnonzero(self.locals["dones"])):
            self.ended.append(infos[row]["episode"]["cost"])
            if infos[row].get("TimeLimit.truncated", False):
                self.cut.append((self._step, row, infos[row]["terminal_observation"]))
        self._step += 1
        return True


def _watched(env: Any) -> SB3VecEnv:
    """The `SB3VecEnv` inside stable-baselines3's own wrappers."""
    while not isinstance(env, SB3VecEnv):
        if not hasattr(env, "venv"):
            raise TypeError(f"PPOLagrangian: expected an SB3VecEnv, got {type(env).__name__}")
        env = env.venv
    return env
