"""What a checkpoint holds besides TRL's own files: the value head and the spec."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from safetune.errors import RunError
from safetune.run.identity import copy_spec
from safetune.safeguard import Safeguard

VALUE_HEAD_FILE = "value_head.safetensors"
SPECS = "specs"


def save_value_head(head: nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {key: value.detach().cpu().contiguous() for key, value in head.state_dict().items()}, folder / VALUE_HEAD_FILE
    )


def load_value_head(head: nn.Module, folder: Path) -> None:
    """Load the head saved beside an adapter.

    Raises:
        RunError: the file is missing, unreadable or of another shape (another spec, or another model).
    """
    path = folder / VALUE_HEAD_FILE
    try:
        head.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise RunError(f"{path}: cannot load the value head: {error}") from error


def write_spec(guard: Safeguard, folder: Path) -> None:
    """Copy the spec that trained an adapter, and the files it names, beside it; a spec from a string has no file."""
    if Path(guard.spec.source).is_file():
        copy_spec(str(guard.spec.source), folder / SPECS)
