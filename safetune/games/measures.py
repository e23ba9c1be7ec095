"""Measures of episodes: return and success, and how often rules were broken, each with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safetune.intervals import mean_interval, wilson


@dataclass(frozen=True)
class Episode:
    """What one finished episode came to."""

    task_return: float
    """The sum of the environment's own rewards."""
    length: int
    cost: float
    violations: int
    """Steps at which a rule was broken."""
    rules: tuple[int, ...]
    """Steps at which each rule was broken."""
    success: bool | None
    """Whether the goal was reached, where the environment says."""


def measures(episodes: Sequence[Episode], rule_names: Sequence[str]) -> dict[str, Any]:
    """The content of `evaluation.json` for one policy; means with bootstrap, shares with Wilson intervals."""
    broken = np.array([episode.rules for episode in episodes], dtype=np.int64).reshape(len(episodes), len(rule_names))
    known = [episode.success for episode in episodes if episode.success is not None]
    result: dict[str, Any] = {
        "episodes": len(episodes),
        "return": mean_interval([episode.task_return for episode in episodes]),
    }
    if known:
        result["success"] = wilson(sum(known), len(known))
    result |= {
        "violations_per_episode": mean_interval([episode.violations for episode in episodes]),
        "clean_episodes": wilson(sum(episode.violations == 0 for episode in episodes), len(episodes)),
        "cost_per_episode": mean_interval([episode.cost for episode in episodes]),
        "rules": {name: _rule(broken[:, index]) for index, name in enumerate(rule_names)},
        "length_mean": float(np.mean([episode.length for episode in episodes])),
    }
    return result


def _rule(broken: NDArray[np.int64]) -> dict[str, Any]:
    return {"per_episode": float(broken.mean()), "episodes": wilson(int((broken > 0).sum()), len(broken))}
