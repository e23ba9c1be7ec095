"""Sampling completions for evaluation, and their log-probabilities; independent of the trainer."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from safetune.llm.prompts import Prompt


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn."""

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    batch_size: int = 32
    seed: int = 0


@dataclass(frozen=True)
class Sample:
    """One completion: ids without padding; `ended` is true where the model ended it itself."""

    prompt: Prompt
    prompt_ids: list[int]
    completion_ids: list[int]
    text: str
    ended: bool


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompts: list[Prompt]) -> list[list[int]]:
    """Token ids of each prompt, a conversation through the tokenizer's chat template."""
    rows = []
    for prompt in prompts:
        if isinstance(prompt, str):
            rows.append(list(tokenizer(prompt)["input_ids"]))
        else:
            rows.append(
                list(tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True)["input_ids"])
            )
    return rows


def sample(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[Prompt], sampling: Sampling
) -> list[Sample]:
    """One completion a prompt, the same for the same seed and model; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=_devices(model)), evaluating(model):
        torch.manual_seed(sampling.seed)
        return [
            item
            for start in range(0, len(prompts), sampling.batch_size)
            for item in _sample_batch(model, tokenizer, prompts[start : start + sampling.batch_size], sampling)
        ]


@torch.no_grad()
def _sample_batch(model: Any, tokenizer: Any, prompts: list[Prompt], sampling: Sampling) -> Iterator[Sample]:
    rows = prompt_ids(tokenizer, prompts)
    batch = tokenizer.pad({"input_ids": rows}, padding=True, padding_side="left", return_tensors="pt").to(model.device)
    ends = end_ids(model, tokenizer)
    config = GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=True,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        repetition_penalty=sampling.repetition_penalty,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=sorted(ends),
    )
    out = model.generate(**batch, generation_config=config)[:, batch["input_ids"].shape[1] :].tolist()
    for prompt, ids, generated in zip(prompts, rows, out, strict=True):
        stop = next((i for i, token in enumerate(generated) if token in ends), None)
        completion = generated if stop is None else generated[: stop + 1]
        text = tokenizer.decode(completion, skip_special_tokens=True)
        yield Sample(prompt, ids, completion, text, stop is not None)


def end_ids(model: Any, tokenizer: Any) -> set[int]:
    """Every token id that ends a completion, by the model's generation config and the tokenizer."""
    declared = model.generation_config.eos_token_id
    ids = set(declared) if isinstance(declared, list) else {declared}
    return {i for i in ids | {tokenizer.eos_token_id} if i is not None}


@torch.no_grad()
def log_probabilities(
    model: Any, samples: list[Sample], batch_size: int, pad_id: int, temperatures: tuple[float, ...] = (1.0,)
) -> list[torch.Tensor]:
    """For each sample, (K, T) log-probabilities of its completion's T tokens at each of K temperatures."""
    out = []
    with evaluating(model):
        for start in range(0, len(samples), batch_size):
            out += _score_batch(model, samples[start : start + batch_size], pad_id, temperatures)
    return out


def _score_batch(model: Any, samples: list[Sample], pad_id: int, temperatures: tuple[float, ...]) -> list[torch.Tensor]:
    rows = [s.prompt_ids + s.completion_ids for s in samples]
    width = max(map(len, rows))
    ids = torch.tensor([row + [pad_id] * (width - len(row)) for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    keep = width - min(len(s.prompt_ids) for s in samples) + 1
    logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=keep).logits[:, :-1].float()
    targets = ids[:, -logits.shape[1] :]
    scores = torch.stack(
        [torch.log_softmax(logits / t, dim=-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1) for t in temperatures]
    ).cpu()
    offset = width - scores.shape[-1]
    return [
        scores[:, i, len(s.prompt_ids) - offset : len(row) - offset].double()
        for i, (s, row) in enumerate(zip(samples, rows, strict=True))
    ]


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """The model in evaluation mode, and back."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def base_of(model: Any) -> Any:
    """A context in which a LoRA model answers as its base; nothing to do for a plain model."""
    return model.disable_adapter() if hasattr(model, "disable_adapter") else nullcontext()


def _devices(model: Any) -> list[Any]:
    return [model.device] if model.device.type == "cuda" else []
