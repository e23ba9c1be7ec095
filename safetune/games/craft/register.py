"""Registers the maps of the package with Gymnasium, as single environments and as batches."""

import gymnasium as gym

IDS = {
    "safetune/Craft-Paper1-v0": ("paper_1", "cell"),
    "safetune/Craft-Paper2-v0": ("paper_2", "cell"),
    "safetune/Craft-Paper3-v0": ("paper_3", "cell"),
    "safetune/Craft-Valley-v0": ("valley", "egocentric"),
    "safetune/Craft-Mountains-v0": ("mountains", "egocentric"),
}
"""Id to map and default observation."""


def register() -> None:
    """Make the ids known; once is enough, and more does no harm."""
    for name, (map_name, observation) in IDS.items():
        if name not in gym.registry:
            gym.register(
                name,
                entry_point="safetune.games.craft.env:CraftEnv",
                vector_entry_point="safetune.games.craft.vector:CraftVectorEnv",
                kwargs={"map": map_name, "observation": observation},
            )
