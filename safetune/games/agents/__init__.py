"""Agents: stable-baselines3's learners, PPO-Lagrangian on top of them, and tabular Q-learning on the product.

Here are the tabular ones, which need numpy alone. `safetune.games.agents.lagrangian` has `PPOLagrangian`, and needs
torch as `deep` does.
"""

from safetune.games.agents.staged import Outcome, Staged
from safetune.games.agents.tabular import QSettings, TabularQ

__all__ = ["Outcome", "QSettings", "Staged", "TabularQ"]
