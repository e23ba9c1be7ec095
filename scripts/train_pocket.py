"""Trains the packaged `pocket` model from text that the script composes itself.

    python scripts/train_pocket.py --out safetune/llm/pocket

The defaults made the model that ships, in about ten minutes on two idle cores. Seeds are fixed, but floating-point
sums differ between machines and library versions, so a second training gives an equal recipe, not equal bits.
"""

import argparse
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).parent))
from pocket_corpus.compose import Composer, Document

PAD, END = "<pad>", "</s>"
# Words take their leading space along; digits stand alone, so that numbers are spelt out token by token.
SPLIT = r" ?[A-Za-z]+| ?[0-9]|\n| ?[^\sA-Za-z0-9]|\s"
CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ 'Agent: ' + m['content'] + '</s>' }}"
    "{% else %}{{ 'Customer: ' + m['content'] + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Agent:' }}{% endif %}"
)


def main() -> None:
    options = parse_options()
    torch.manual_seed(options.seed)
    documents = compose(options.seed, options.documents)
    tokenizer = make_tokenizer([document.text for document in documents[:40_000]], options.vocabulary)
    rows = encode(tokenizer, documents)
    held_out = encode(tokenizer, compose(options.seed + 1, 1_000))
    print(f"{len(rows):,} documents, {sum(map(len, rows)):,} tokens, vocabulary {tokenizer.get_vocab_size()}")
    model = LlamaForCausalLM(make_config(tokenizer))
    print(f"{model.num_parameters():,} parameters")
    fit(model, rows, held_out, options)
    save(model, tokenizer, options.out)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the trained model")
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--documents", type=int, default=120_000)
    parser.add_argument("--batch-tokens", type=int, default=4_000)
    parser.add_argument("--vocabulary", type=int, default=2_048)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=20_240)
    return parser.parse_args()


def compose(seed: int, count: int) -> list[Document]:
    composer = Composer(seed)
    return [composer.document() for _ in range(count)]


def make_tokenizer(texts: list[str], size: int) -> Tokenizer:
    """Byte-fallback BPE without a normaliser: a space is a space, so that decoding gives back every text exactly."""
    alphabet = ["\n", *map(chr, range(32, 127))]
    draft = Tokenizer(models.BPE())
    draft.pre_tokenizer = pre_tokenizers.Split(Regex(SPLIT), behavior="isolated")
    size_without_bytes = size - 2 - 256
    draft.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=size_without_bytes, initial_alphabet=alphabet, show_progress=False),
    )
    learnt = json.loads(draft.to_str())["model"]
    pieces = sorted(learnt["vocab"], key=learnt["vocab"].get)
    vocabulary = [PAD, END, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={piece: index for index, piece in enumerate(vocabulary)},
            merges=[tuple(pair) for pair in learnt["merges"]],
            byte_fallback=True,
        )
    )
    tokenizer.pre_tokenizer = draft.pre_tokenizer
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([PAD, END])
    return tokenizer


def encode(tokenizer: Tokenizer, documents: list[Document]) -> list[list[int]]:
    end = tokenizer.token_to_id(END)
    return [[*item.ids, end] for item in tokenizer.encode_batch([document.text for document in documents])]


def make_config(tokenizer: Tokenizer) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        rope_theta=10_000.0,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.token_to_id(PAD),
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
    )


def batches(rows: list[list[int]], size: int, seed: int) -> Iterator[torch.Tensor]:
    """Endless batches of about `size` tokens, rows of like length together so that little is padding; pad is id 0."""
    rng = Random(seed)
    while True:
        order = sorted(range(len(rows)), key=lambda index: (len(rows[index]), rng.random()))
        groups: list[list[int]] = [[]]
        for index in order:
            if (len(groups[-1]) + 1) * len(rows[index]) > size:
                groups.append([])
            groups[-1].append(index)
        rng.shuffle(groups)
        for group in groups:
            yield pad([rows[index] for index in group])


def pad(rows: list[list[int]]) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor) -> torch.Tensor:
    """Mean nats a token; padding stands at the right, so causal attention never looks at it."""
    logits = model(input_ids=ids[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=0)


def fit(model: LlamaForCausalLM, rows: list[list[int]], held_out: list[list[int]], options: argparse.Namespace) -> None:
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.98))
    source, start = batches(rows, options.batch_tokens, options.seed), time.monotonic()
    for step in range(options.steps):
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * rate(step, options.steps)
        loss = loss_of(model, next(source))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 0 or step + 1 == options.steps:
            print(f"step {step:5d}  loss {loss.item():.3f}  {time.monotonic() - start:6.0f} s", flush=True)
    with torch.no_grad():
        losses = [loss_of(model, pad(held_out[start : start + 50])) for start in range(0, len(held_out), 50)]
    print(f"held-out loss {torch.stack(losses).mean().item():.3f} nats a token")


def rate(step: int, steps: int, warmup: int = 40) -> float:
    """Linear warm-up, then half a cosine down to a twentieth."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.05 + 0.475 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def save(model: LlamaForCausalLM, tokenizer: Tokenizer, out: Path) -> None:
    if out.exists():
        shutil.rmtree(out)
    end, padding = tokenizer.token_to_id(END), tokenizer.token_to_id(PAD)
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, eos_token_id=end, pad_token_id=padding
    )
    model.to(torch.bfloat16).save_pretrained(out)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=256,
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(out)
    for path in sorted(out.iterdir()):
        path.chmod(0o644)  # safetensors writes files that only their owner can read
        print(f"{path.name:26s} {path.stat().st_size:>10,} bytes")


if __name__ == "__main__":
    main()
