"""A recipe's `[trainer]` table against the arguments that a host library's class takes: names and types."""

from collections.abc import Iterable, Mapping
from math import inf, isfinite
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from safetune.errors import RecipeError, choices, nearest


def check_arguments(
    table: Mapping[str, Any],
    types: Mapping[str, Any],
    of: str,
    *,
    own: Iterable[str] = (),
    what: str = "a field",
    where: str = "[trainer]",
) -> None:
    """Raise `RecipeError` for an unknown name or a value of another type than its own.

    Args:
        table: what the recipe says.
        types: every valid name with its type.
        of: the class that takes them, for the message.
        own: the names to offer where none is near.
        what: what the host calls such a name.
        where: the table, for the message.
    """
    for name in table:
        if name not in types:
            hint = (
                _usual(name, types)
                or nearest(name, types)
                or (f" Fields of safetune's own: {choices(own)}." if own else "")
            )
            raise RecipeError(f"{where}: '{name}' is not {what} of {of}.{hint}")
    for name, value in table.items():
        _check_type(name, value, types[name])


class Range(NamedTuple):
    """What numbers an argument may have."""

    low: float
    high: float = inf
    above: bool = False
    """Whether `low` itself is too low."""

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float):
            return False
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        if self.high < inf:
            return f"a number in {'(' if self.above else '['}{self.low:g}, {self.high:g}]"
        return f"{'more than' if self.above else 'at least'} {self.low:g}"


def check_ranges(values: Mapping[str, object], ranges: Mapping[str, Range]) -> None:
    """Raise `RecipeError` for the first number outside the range of its name; what is no number passes."""
    for name, value in values.items():
        if name in ranges and isinstance(value, int | float) and value not in ranges[name]:
            raise RecipeError(f"trainer.{name}: got {value}, expected {ranges[name]}")


def check_finite(values: Mapping[str, object]) -> None:
    """Raise `RecipeError` for the first value that is NaN or infinite."""
    for name, value in values.items():
        if isinstance(value, float) and not isfinite(value):
            raise RecipeError(f"trainer.{name}: got {value}, expected a finite number")


# What people call an argument from habit, too far from its name to be found by its letters.
_USUAL = {
    "lr": ("learning_rate",),
    "batch_size": ("per_device_train_batch_size",),
    "steps": ("max_steps", "n_steps"),
    "epochs": ("num_iterations", "n_epochs"),
    "max_new_tokens": ("max_completion_length",),
    "max_tokens": ("max_completion_length",),
    "kl_coef": ("beta",),
}


def _usual(name: str, valid: Iterable[str]) -> str:
    return next((f" Did you mean '{known}'?" for known in _USUAL.get(name, ()) if known in valid), "")


def _check_type(name: str, value: object, hint: Any) -> None:
    """Hosts check few types themselves: a text in place of a number would fail late and far from here."""
    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError:
        wanted = hint.__name__ if isinstance(hint, type) else str(hint)
        raise RecipeError(f"trainer.{name}: got {value!r}, expected {wanted}") from None
    except PydanticUserError:  # a type that cannot be checked; the host has the last word
        return
