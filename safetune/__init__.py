"""safetune: rules written once, kept by language models and agents.

The names here load on first use, so that `import safetune` and the command line start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from safetune.safeguard import Safeguard

__all__ = ["Safeguard", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Safeguard":
        return import_module("safetune.safeguard").Safeguard
    raise AttributeError(f"module 'safetune' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
