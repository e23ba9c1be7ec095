"""Gymnasium ids of the Doom scenarios; the engine is imported only when one is made."""

import gymnasium as gym

IDS = {
    "safetune/Doom-Protection-v0": "protection",
    "safetune/Doom-DefendTheCenter-v0": "defend_the_center",
    "safetune/Doom-HealthGathering-v0": "health_gathering",
}
"""Id to scenario."""


def register() -> None:
    """Make the ids known to Gymnasium; calling it again changes nothing."""
    for name, scenario in IDS.items():
        if name not in gym.registry:
            gym.register(name, "safetune.games.doom.env:DoomEnv", kwargs={"scenario": scenario})
