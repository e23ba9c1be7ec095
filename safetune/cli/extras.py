"""What to say when a command needs an extra that is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from safetune.errors import SafetuneError, install_hint

EXTRAS = {
    "llm": ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "safetensors", "gguf", "tokenizers"),
    "games": ("gymnasium", "stable_baselines3", "sb3_contrib", "numba", "imageio", "PIL", "torch", "safetensors"),
    "draw": ("matplotlib",),
}


class MissingExtra(SafetuneError):
    """A package that an extra brings is not installed."""


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Turn the failed import of one of the extra's packages into advice."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS[extra]:
            raise
        raise MissingExtra(
            f"{what} needs the '{extra}' extra, and '{package}' is not installed. {install_hint(extra)}"
        ) from None
