"""Language models: the PPO trainer on TRL, models, training and evaluation from recipes.

Names are loaded on first use, so that importing this package does not import torch.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "SafeguardPPOConfig": "config",
    "SafeguardPPOTrainer": "trainer",
    "ValueHead": "value",
    "load_model": "models",
    "load_prompts": "prompts",
}

__all__ = [
    "SafeguardPPOConfig",
    "SafeguardPPOTrainer",
    "ValueHead",
    "load_model",
    "load_prompts",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
