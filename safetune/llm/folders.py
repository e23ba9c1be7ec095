"""Checks a model folder by its small files and headers, and puts finished folders into the cache in one move."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from safetune.errors import ModelError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def check_folder(folder: Path, name: str) -> Path:
    """The folder, if config, tokenizer and all of the weights are there in full length; else a `ModelError`."""
    try:
        _check(folder, name)
    except OSError as error:
        raise ModelError(f"model '{name}': {folder} cannot be read: {error.strerror or error}") from error
    return folder


def _check(folder: Path, name: str) -> None:
    present = {path.name for path in folder.iterdir()}
    if "config.json" not in present:
        hint = " It holds an adapter: name the model that it adapts." if "adapter_config.json" in present else ""
        raise ModelError(f"model '{name}': no config.json in {folder.absolute()}.{hint}")
    if "model_type" not in _json(folder / "config.json", name):
        raise ModelError(f"model '{name}': {folder / 'config.json'} has no 'model_type'")
    if not present & set(TOKENIZER_FILES):
        raise ModelError(f"model '{name}': no tokenizer in {folder} (one of {', '.join(TOKENIZER_FILES)})")
    for shard in _shards(folder, present, name):
        _check_weights(folder / shard, name)


def _shards(folder: Path, present: set[str], name: str) -> list[str]:
    if SINGLE in present:
        return [SINGLE]
    if INDEX not in present:
        others = sorted(file for file in present if file.endswith((".bin", ".pt", ".pth", ".ckpt")))
        hint = f" {', '.join(others)} is not read: only safetensors are safe to open." if others else ""
        raise ModelError(f"model '{name}': no {SINGLE} or {INDEX} in {folder}.{hint}")
    shards = sorted(set(_json(folder / INDEX, name).get("weight_map", {}).values()))
    if missing := [shard for shard in shards if shard not in present]:
        raise ModelError(f"model '{name}': incomplete, {folder} lacks {', '.join(missing)}")
    return shards


def _check_weights(path: Path, name: str) -> None:
    """A safetensors file is eight bytes of header length, a JSON header with byte ranges, and the data."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise ModelError(f"model '{name}': {path} is cut short or no safetensors file ({size:,} bytes)")
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"model '{name}': {path} has no safetensors header: {error}") from error
    if size != 8 + length + max(ends, default=0):
        expected = 8 + length + max(ends, default=0)
        raise ModelError(f"model '{name}': {path} has {size:,} bytes, its header says {expected:,}")


def _json(path: Path, name: str) -> dict:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"model '{name}': {path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"model '{name}': {path} holds no table")
    return value


def cache_folder() -> Path:
    """`$SAFETUNE_CACHE`, else `~/.cache/safetune`; models lie in its folder `models`."""
    root = os.environ.get("SAFETUNE_CACHE")
    return Path(root).expanduser() if root else Path.home() / ".cache" / "safetune"


def cached(key: str, name: str, build: Callable[[Path], None]) -> Path:
    """The folder `key` of the cache; where it is not there, `build(empty folder)` fills one and it is moved in.

    The move is one rename, so a reader never sees half a model; of two processes at once the second finds the folder
    taken and uses it.
    """
    models = cache_folder() / "models"
    final = models / key
    if final.is_dir():
        return check_folder(final, name)
    try:
        models.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=models))
    except OSError as error:
        raise ModelError(f"model '{name}': the cache {models} cannot be written: {error.strerror or error}") from error
    try:
        build(work)
        check_folder(work, name)
        work.chmod(0o755)
        try:
            work.rename(final)
        except OSError:
            if not final.is_dir():
                raise
    except OSError as error:
        raise ModelError(f"model '{name}': the cache {models} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return check_folder(final, name)
