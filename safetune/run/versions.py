"""Which versions are installed, read from package metadata: nothing is imported for it."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "safetune-rl", "numpy", "pydantic", "torch", "transformers", "tokenizers", "trl", "peft", "datasets", "accelerate",
    "safetensors", "gguf", "gymnasium", "stable-baselines3", "sb3-contrib", "vizdoom", "minigrid",
)  # fmt: skip


def installed_versions() -> dict[str, str]:
    """Python's version and those of the packages that shape a run's result; missing packages are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
