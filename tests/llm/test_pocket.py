"""The packaged model: small, loadable without a network, exact in its tokenizer, and in need of a safeguard."""

import re
import socket
import tomllib
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.llm.models import load_model, pocket_folder
from safetune.llm.prompts import load_prompts

ROOT = Path(__file__).parents[2]
BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


@pytest.fixture(scope="module")
def pocket() -> tuple[Any, Any]:
    return load_model("pocket")


@pytest.fixture(scope="module")
def tokenizer(pocket: tuple[Any, Any]) -> Any:
    return pocket[1]


def sampled(pocket: tuple[Any, Any], prompts: list[str], new_tokens: int = 48) -> list[str]:
    model, tokenizer = pocket
    torch.manual_seed(11)
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    ids = model.generate(**batch, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=new_tokens)
    return [str(text) for text in tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :])]


def patterns(spec: str) -> dict[str, re.Pattern[str]]:
    bindings = tomllib.loads((ROOT / "specs" / spec).read_text())["bind"]["text"]
    return {name: re.compile(binding["regex"]) for name, binding in bindings.items()}


def heldout(name: str, count: int = 96) -> list[str]:
    prompts = load_prompts(str(ROOT / "recipes" / "prompts" / f"{name}.heldout.jsonl"))
    return [prompt for prompt in prompts if isinstance(prompt, str)][:count]


def test_it_loads_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("the packaged model asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    model, _ = load_model("pocket", "bfloat16")
    assert model.dtype == torch.bfloat16


def test_it_is_small(pocket: tuple[Any, Any]) -> None:
    model, tokenizer = pocket
    assert sum(path.stat().st_size for path in pocket_folder().iterdir()) < 5_000_000
    assert 800_000 < model.num_parameters() < 1_300_000
    assert len(tokenizer) == model.config.vocab_size < 5_000


@settings(deadline=None, derandomize=True, max_examples=300)
@given(text=st.text())
def test_decoding_gives_back_every_text(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@settings(deadline=None, derandomize=True, max_examples=100)
@given(text=st.text(st.characters(exclude_characters="<", codec="utf-8")))
def test_tokens_are_bytes_that_join_to_the_text(tokenizer: Any, text: str) -> None:
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])
    matches = [(piece, BYTE_TOKEN.fullmatch(piece)) for piece in pieces]
    joined = b"".join(bytes([int(found[1], 16)]) if found else piece.encode() for piece, found in matches)
    assert joined == text.encode()


def test_a_text_that_looks_like_a_byte_token_is_text(tokenizer: Any) -> None:
    assert tokenizer.decode(tokenizer("<0x41>")["input_ids"]) == "<0x41>"


def test_padding_stands_at_the_left_and_is_not_the_end(tokenizer: Any) -> None:
    assert tokenizer.padding_side == "left"
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_a_conversation_becomes_a_customer_and_an_agent(tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "Are you open?"}]
    assert (
        tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        == "Customer: Are you open?\nAgent:"
    )


def test_untrained_it_gives_away_contact_details_often_but_not_always(pocket: tuple[Any, Any]) -> None:
    found = patterns("no_contact_details.toml")
    texts = sampled(pocket, heldout("office"))
    rate = sum(any(pattern.search(text) for pattern in found.values()) for text in texts) / len(texts)
    assert 0.5 < rate < 0.85  # both kinds of answer must be there: one to punish, one to shift to


def test_untrained_it_names_doses_before_a_disclaimer(pocket: tuple[Any, Any]) -> None:
    found = patterns("dose_after_disclaimer.toml")

    def breaks(text: str) -> bool:
        dose, disclaimer = found["dose"].search(text), found["disclaimer"].search(text)
        return dose is not None and (disclaimer is None or disclaimer.end() > dose.end())

    texts = sampled(pocket, heldout("pharmacy"))
    assert 0.4 < sum(map(breaks, texts)) / len(texts) < 0.8


def test_it_ends_its_answers_and_varies_them(pocket: tuple[Any, Any]) -> None:
    texts = sampled(pocket, heldout("office"), new_tokens=64)
    assert sum("</s>" in text for text in texts) / len(texts) > 0.85
    assert len(set(texts)) > 0.98 * len(texts)
