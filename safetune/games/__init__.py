"""Games: Gymnasium environments watched by a safeguard, labellers of their worlds, and agents that learn in them.

Importing this registers the environments of Craft and Doom with Gymnasium; it needs numpy and gymnasium alone.
"""

from safetune.games.bindings import read_bindings, unknown_name
from safetune.games.conformance import LabellerReport, check_labeller
from safetune.games.craft.register import register as _register_craft
from safetune.games.doom.register import register as _register_doom
from safetune.games.functions import FunctionLabeller
from safetune.games.labeller import (
    WORLDS,
    BatchLabeller,
    ForeseeingLabeller,
    Labeller,
    as_labeller,
    build_labeller,
    load_function,
    world_of,
)
from safetune.games.observation import OBSERVE
from safetune.games.reward import RewardSettings
from safetune.games.vector import SafeguardVectorWrapper
from safetune.games.wrapper import SafeguardWrapper
from safetune.safeguard.complaints import complain

__all__ = [
    "OBSERVE",
    "WORLDS",
    "BatchLabeller",
    "ForeseeingLabeller",
    "FunctionLabeller",
    "Labeller",
    "LabellerReport",
    "RewardSettings",
    "SafeguardVectorWrapper",
    "SafeguardWrapper",
    "as_labeller",
    "build_labeller",
    "check_labeller",
    "complain",
    "load_function",
    "read_bindings",
    "unknown_name",
    "world_of",
]

_register_craft()
_register_doom()
