"""The contract with TRL: every private hook that `SafeguardPPOTrainer` overrides or reads, by name and shape.

When a TRL release moves one, this file says which; the trainer's other tests then say what breaks.
"""

import inspect

import pytest
from trl import GRPOConfig, GRPOTrainer

from safetune.errors import RecipeError
from safetune.llm import SafeguardPPOConfig

HOOKS = {
    "_get_per_token_logps_and_entropies": ["self", "model", "input_ids", "attention_mask", "logits_to_keep"],
    "_generate": ["self", "prompts"],
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_generate_and_score_completions": ["self", "inputs"],
    "_compute_loss": ["self", "model", "inputs"],
    "_save_checkpoint": ["self", "model", "trial"],
    "_save": ["self", "output_dir", "state_dict"],
    "_load_from_checkpoint": ["self", "resume_from_checkpoint", "model"],
    "create_optimizer": ["self", "model"],
    "training_step": ["self", "model", "inputs", "num_items_in_batch"],
}

# What the overrides read in TRL's own code: (hook, text that must stand in its source, what for).
READS = [
    ("_compute_loss", "advantages.dim() == 1", "advantages of shape (B, T) from subclasses"),
    ("_generate", "return prompt_ids, completion_ids,", "the prompts' token ids, first of what _generate returns"),
    ("_generate_and_score_completions", '"old_per_token_logps"', "the old policy's log-probabilities in the batch"),
    ("_generate_and_score_completions", "self._calculate_rewards(", "the rewards are computed inside the rollout"),
    ("_calculate_rewards", "completion_ids=completion_ids_list", "reward callables get the completions' token ids"),
    ("_calculate_rewards", "gather(rewards_per_func)", "rewards come back for every process, in process order"),
    ("_get_per_token_logps_and_entropies", "fused_lm_head=True", "scoring runs the backbone as `base_model`"),
]


@pytest.mark.parametrize("name", HOOKS)
def test_hook_still_has_its_signature(name):
    hook = getattr(GRPOTrainer, name, None)
    assert hook is not None, f"TRL moved a hook: GRPOTrainer.{name} is gone; see safetune/llm/trainer.py"
    got = list(inspect.signature(hook).parameters)
    want = HOOKS[name]
    assert got[: len(want)] == want, f"TRL moved a hook: GRPOTrainer.{name}{tuple(got)}; expected it to start {want}"


@pytest.mark.parametrize(("name", "text", "what"), READS)
def test_hook_still_does_what_the_trainer_relies_on(name, text, what):
    source = inspect.getsource(inspect.unwrap(getattr(GRPOTrainer, name)))
    assert text in source, f"TRL moved a hook: GRPOTrainer.{name} no longer shows `{text}` ({what})"


def test_the_host_refuses_one_generation_and_ours_allows_it(tmp_path):
    settings = {"output_dir": str(tmp_path), "per_device_train_batch_size": 4, "bf16": False}
    with pytest.raises(ValueError, match="at least 2 generations"):
        GRPOConfig(num_generations=1, **settings)
    config = SafeguardPPOConfig(**settings)
    assert config.num_generations == 1
    assert config.generation_batch_size == 4


@pytest.mark.parametrize("batch", [1, 3])
def test_one_generation_with_odd_batches(tmp_path, batch):
    config = SafeguardPPOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=batch, gradient_accumulation_steps=3, bf16=False
    )
    assert config.num_generations == 1
    assert config.generation_batch_size == 3 * batch


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("reward_form", "potentail", "Did you mean 'potential'"),
        ("potential", "none", "expected one of 'distance', 'value'"),
        ("kappa", 1.5, "expected a number in"),
        ("gamma", float("nan"), "expected a finite number"),
        ("learning_rate", float("inf"), "learning_rate: got inf"),
        ("value_coef", -1.0, "at least 0"),
    ],
)
def test_wrong_values_are_refused(tmp_path, field, value, message):
    with pytest.raises(RecipeError, match=message):
        SafeguardPPOConfig(output_dir=str(tmp_path), per_device_train_batch_size=2, bf16=False, **{field: value})


def test_only_our_fields_are_added():
    own = set(SafeguardPPOConfig.__dataclass_fields__) - set(GRPOConfig.__dataclass_fields__)
    assert own == {
        "gae_lambda", "gamma", "kappa", "potential", "reward_form", "reward_placement", "safe_bonus", "value_clip",
        "value_coef", "value_hidden_size", "value_learning_rate", "violation_weight", "whiten_advantages",
        "whiten_floor",
    }  # fmt: skip
