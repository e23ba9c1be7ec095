"""A toy policy: a two-layer llama over single letters, made in the test; nothing is loaded."""

import string

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from safetune.llm import SafeguardPPOConfig, SafeguardPPOTrainer
from safetune.safeguard import Safeguard
from safetune.safeguard.spec import Spec

NO_BAD_PAIR = """
name = "no-xy"
[propositions]
bad = "x and y side by side"
x = "an x"
[[rule]]
name = "no xy"
always = "!bad"
cost = 1.0
[[rule]]
name = "at most one x"
always = "x -> !previously once x"
cost = 0.5
[bind.text]
bad = { regex = 'xy' }
x = { regex = 'x' }
"""


@pytest.fixture(scope="session")
def toy_tokenizer():
    vocabulary = {"<pad>": 0, "</s>": 1, **{c: i + 2 for i, c in enumerate(string.ascii_lowercase)}}
    # A byte-level tokenizer whose merges are all missing: every letter is a token.
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", padding_side="left")


@pytest.fixture
def toy_model(toy_tokenizer):
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=28, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=64, pad_token_id=0, eos_token_id=1, bos_token_id=None, tie_word_embeddings=False,
        )
    )  # fmt: skip
    # Favour x and y, so that rules break often; a bias-free head of larger weights, so that LoRA can move it.
    with torch.no_grad():
        model.lm_head.weight.normal_(std=0.1)
        model.lm_head.weight[[toy_tokenizer.convert_tokens_to_ids(c) for c in "xy"]] += 0.02
    return model


@pytest.fixture(scope="session")
def guard():
    return Safeguard.from_spec(Spec.parse(NO_BAD_PAIR))


@pytest.fixture
def make_trainer(toy_model, toy_tokenizer, guard, tmp_path):
    """A function from configuration overrides to a trainer on the toy policy."""

    def make(reward_funcs=None, callbacks=None, folder="out", **overrides):
        settings = {
            "output_dir": str(tmp_path / folder), "per_device_train_batch_size": 8, "num_iterations": 2,
            "max_steps": 4, "max_completion_length": 8, "learning_rate": 1e-2, "beta": 0.01, "bf16": False,
            "logging_steps": 2, "save_steps": 2, "report_to": [], "disable_tqdm": True, "use_cpu": True,
            "gradient_checkpointing": False, "shuffle_dataset": False,
        } | overrides  # fmt: skip
        return SafeguardPPOTrainer(
            model=toy_model,
            guard=guard,
            args=SafeguardPPOConfig(**settings),
            train_dataset=Dataset.from_list([{"prompt": "ab"}, {"prompt": "xa"}] * 64),
            processing_class=toy_tokenizer,
            reward_funcs=reward_funcs,
            callbacks=callbacks,
            peft_config=LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
        )

    return make
