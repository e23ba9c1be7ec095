"""The one error tree of safetune, and the wording helpers that every message uses.

Each message says what is wrong, where (file and key), what was got, what was expected and the valid choices.
The command line turns any `SafetuneError` into one line on stderr and exit code 2.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SafetuneError(Exception):
    """Base of every error that a user can cause and mend."""


class SpecError(SafetuneError):
    """A spec file, or a rule in it, is wrong."""


class FormulaError(SpecError):
    """A formula or guard does not parse; the message shows the text with the column marked."""


class BindingError(SpecError):
    """A world's binding of a proposition is missing, wrong or cannot be expressed exactly."""


class RecipeError(SafetuneError):
    """A recipe, or an override of one of its keys, is wrong."""


class ModelError(SafetuneError):
    """A model or tokenizer cannot be found, read or used."""


class DataError(SafetuneError):
    """Prompts, labels, tokens or rewards are missing, malformed or not finite."""


class GameError(SafetuneError):
    """An environment, its labeller or its wrapper is wrong, or an environment gave what cannot be used."""


class RunError(SafetuneError):
    """A run folder cannot be created, resumed or read."""


def choices(names: Iterable[str]) -> str:
    """`a, b, c`, quoted and sorted; `(none)` when there is nothing to choose."""
    return ", ".join(f"'{name}'" for name in sorted(names)) or "(none)"


def install_hint(extra: str) -> str:
    """How to get an extra. The distribution is not on PyPI, so a name there must not be trusted to be this one."""
    return f"In a checkout of safetune: pip install -e '.[{extra}]'"


def nearest(name: str, names: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the closest valid name, or an empty string."""
    close = get_close_matches(name, list(names), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
