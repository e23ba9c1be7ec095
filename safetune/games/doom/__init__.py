"""Doom: an environment of our own on VizDoom's engine, its scenarios, and what turns their steps into labels.

The engine is imported only when an environment is made, so that this package needs numpy and gymnasium alone.
"""

from safetune.games.doom.env import DoomEnv
from safetune.games.doom.labeller import DoomLabeller, labeller
from safetune.games.doom.register import register
from safetune.games.doom.scenario import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "DoomEnv", "DoomLabeller", "Scenario", "labeller", "register"]
