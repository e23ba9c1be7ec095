"""The configuration of `SafeguardPPOTrainer`: TRL's `GRPOConfig` and, besides, only what the safeguard adds."""

from dataclasses import dataclass, field, fields
from typing import get_type_hints

from trl import GRPOConfig

from safetune.errors import RecipeError, choices, nearest
from safetune.recipe.arguments import Range, check_arguments, check_finite, check_ranges
from safetune.safeguard.shaping import FORMS, POTENTIALS

PLACEMENTS = ("dense", "terminal")
_COUNT, _SHARE, _NOT_NEGATIVE, _POSITIVE = Range(1), Range(0, 1), Range(0), Range(0, above=True)
# The host's own fields that recipes set: it checks few of them, and some only after hours.
HOST_RANGES = {
    "per_device_train_batch_size": _COUNT,
    "gradient_accumulation_steps": _COUNT,
    "generation_batch_size": _COUNT,
    "steps_per_generation": _COUNT,
    "num_generations": _COUNT,
    "num_iterations": _COUNT,
    "max_completion_length": _COUNT,
    "save_steps": _COUNT,
    "learning_rate": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "warmup_steps": _NOT_NEGATIVE,
    "max_grad_norm": _NOT_NEGATIVE,
    "adam_epsilon": _NOT_NEGATIVE,
    "adam_beta1": _SHARE,
    "adam_beta2": _SHARE,
    "beta": _NOT_NEGATIVE,
    "epsilon": _NOT_NEGATIVE,
    "epsilon_high": _NOT_NEGATIVE,
    "temperature": _POSITIVE,
    "repetition_penalty": _POSITIVE,
    "top_p": Range(0, 1, above=True),
    "top_k": _NOT_NEGATIVE,
}


@dataclass
class SafeguardPPOConfig(GRPOConfig):
    """`GRPOConfig` with the safeguard's reward and PPO's critic.

    Raises:
        RecipeError: a number is out of its range, or not finite.
    """

    num_generations: int = field(default=1, metadata={"help": "Completions per prompt; PPO needs no group, so 1."})
    reward_form: str = field(default="potential", metadata={"help": "Safeguard reward: sparse, bonus or potential."})
    potential: str = field(default="distance", metadata={"help": "Potential of the form 'potential'."})
    kappa: float = field(default=0.5, metadata={"help": "The distance potential is -kappa^d; between 0 and 1."})
    violation_weight: float = field(default=1.0, metadata={"help": "Reward lost per unit of a violation's cost."})
    safe_bonus: float = field(default=0.1, metadata={"help": "Reward of a safe step under the form 'bonus'."})
    reward_placement: str = field(
        default="dense", metadata={"help": "'dense': at the token that earned it; 'terminal': all at the last token."}
    )
    gamma: float = field(default=1.0, metadata={"help": "Discount per token, of the returns and of the shaping."})
    gae_lambda: float = field(default=0.95, metadata={"help": "Lambda of generalised advantage estimation."})
    whiten_advantages: bool = field(default=True, metadata={"help": "Scale advantages to unit variance."})
    whiten_floor: float = field(
        default=0.1, metadata={"help": "Least standard deviation that whitening divides by, in units of reward."}
    )
    value_coef: float = field(default=0.1, metadata={"help": "Weight of the value loss."})
    value_clip: float = field(default=0.2, metadata={"help": "Range of the clipped value loss, in units of reward."})
    value_learning_rate: float = field(default=1e-2, metadata={"help": "Learning rate of the value head."})
    value_hidden_size: int = field(default=128, metadata={"help": "Width of the value head's hidden layer."})

    def __post_init__(self) -> None:
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        check_finite(values)
        check_ranges(values, HOST_RANGES)
        _check_choice("reward_form", self.reward_form, FORMS)
        _check_choice("potential", self.potential, POTENTIALS)
        _check_choice("reward_placement", self.reward_placement, PLACEMENTS)
        if not 0.0 < self.kappa < 1.0:
            raise RecipeError(f"trainer.kappa: got {self.kappa}, expected a number in (0, 1)")
        for name in ("gamma", "gae_lambda"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise RecipeError(f"trainer.{name}: got {getattr(self, name)}, expected a number in [0, 1]")
        for name in (
            "violation_weight",
            "whiten_floor",
            "value_coef",
            "value_clip",
            "value_learning_rate",
            "value_hidden_size",
        ):
            if getattr(self, name) < 0:
                raise RecipeError(f"trainer.{name}: got {getattr(self, name)}, expected a number of at least 0")
        wanted = self.num_generations
        if wanted == 1:
            self.num_generations = self._group_stand_in()
        super().__post_init__()
        self.num_generations = wanted

    def _group_stand_in(self) -> int:
        """A group size of two or more that divides the generation batch.

        GRPO refuses one completion a prompt because its baseline is the group's mean; ours is the value head, so the
        host's check is passed with a stand-in and the wanted 1 restored.
        """
        candidates = (self.per_device_train_batch_size, self.steps_per_generation, self.gradient_accumulation_steps)
        for size in candidates:
            if size is not None and size >= 2:
                return int(size)
        raise RecipeError(
            "trainer.per_device_train_batch_size: a generation batch of one completion cannot be whitened; "
            "set per_device_train_batch_size or gradient_accumulation_steps to 2 or more"
        )


def check_fields(table: dict[str, object]) -> None:
    """Raise `RecipeError` for a key that is no field of the configuration, or a value of another type than its own."""
    hints = get_type_hints(SafeguardPPOConfig)
    types = {f.name: hints[f.name] for f in fields(SafeguardPPOConfig) if f.init}
    check_arguments(table, types, "SafeguardPPOConfig", own=OWN_FIELDS)


def _check_choice(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise RecipeError(f"trainer.{name}: got '{value}', expected one of {choices(valid)}.{nearest(value, valid)}")


OWN_FIELDS = tuple(sorted({f.name for f in fields(SafeguardPPOConfig)} - {f.name for f in fields(GRPOConfig)}))
