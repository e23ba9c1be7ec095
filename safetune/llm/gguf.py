"""Converts a GGUF file into a safetensors folder in the user's cache, so that it is slow to load only once."""

import hashlib
from pathlib import Path
from typing import Any

from safetune.errors import ModelError
from safetune.llm.folders import cached

FORMAT = 1  # part of the cache's key: raise it when the conversion changes


def converted(path: Path, name: str) -> Path:
    """The cached folder of this very file, known by its content, so that moving the file changes nothing."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return cached(f"{path.stem}-{digest[:16]}-{FORMAT}", name, lambda folder: convert(path, folder, name))


def convert(path: Path, folder: Path, name: str) -> None:
    """Reads the GGUF by transformers and writes bfloat16 weights: its quantised weights carry no finer figures."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from safetune.llm.quiet import no_progress_bar

    try:
        with no_progress_bar():
            here: dict[str, Any] = {"gguf_file": path.name, "trust_remote_code": False, "local_files_only": True}
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **here)
            quantised = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **here)
    except Exception as error:  # the host raises many kinds for one cause: this file cannot be read
        raise ModelError(f"model '{name}': {path} cannot be converted: {error}") from error
    try:
        with no_progress_bar():
            _plain(quantised).to(torch.bfloat16).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except SafetensorError as error:  # a full disk comes as this, not as an OSError
        raise ModelError(f"model '{name}': {folder} cannot be written: {error}") from error


def _plain(quantised: Any) -> Any:
    """The same weights in a model that was never quantised: the host refuses to save one that came from a GGUF."""
    from transformers import AutoModelForCausalLM

    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(quantised.state_dict())
    model.tie_weights()
    model.generation_config = quantised.generation_config
    return model
