"""`compiled` and `inlined`: numba's compiler with its results kept in the user's cache folder, never beside the code.

The first call on a machine compiles for some seconds; later processes load what was compiled. `SAFETUNE_CACHE` moves
the folder (default `~/.cache/safetune`); where nothing can be written, each process compiles anew.
"""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetune.errors import GameError, install_hint

try:
    import numba
except ImportError as error:  # a plain `pip install` brings the core alone
    raise GameError(f"Craft needs the extra 'games'. {install_hint('games')} ({error})") from error


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of compiled functions; as calls of their own they would take four times as long, for all their arrays."""
    return numba.njit(forceinline=True)(function)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled at its first call."""
    given = numba.config.CACHE_DIR
    try:
        numba.config.CACHE_DIR = given or str(_folder())
        return numba.njit(cache=True, nogil=True)(function)
    except (RuntimeError, OSError):  # no folder that can be written
        return numba.njit(nogil=True)(function)
    finally:
        numba.config.CACHE_DIR = given


def _folder() -> Path:
    """One folder a version of the code: numba itself does not see that a function called by another has changed."""
    root = os.environ.get("SAFETUNE_CACHE")
    folder = Path(root).expanduser() if root else Path.home() / ".cache" / "safetune"
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return folder / "numba" / sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
