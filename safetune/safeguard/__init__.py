"""The core: specs, formulas, machines with verdicts, and the rewards made from them. numpy and pydantic only."""

from safetune.safeguard.formula import Formula
from safetune.safeguard.machine import Rule, Safeguard, Step, Trace
from safetune.safeguard.parser import parse
from safetune.safeguard.shaping import (
    FORMS,
    POTENTIALS,
    distance_potential,
    label_probabilities,
    shaped_rewards,
    value_potential,
)
from safetune.safeguard.spec import Spec

__all__ = [
    "FORMS",
    "POTENTIALS",
    "Formula",
    "Rule",
    "Safeguard",
    "Spec",
    "Step",
    "Trace",
    "distance_potential",
    "label_probabilities",
    "parse",
    "shaped_rewards",
    "value_potential",
]
