"""From a recipe to its parts: spec, prompts, trainer configuration, model. What can be wrong is found here."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import LoraConfig

from safetune.errors import DataError, RecipeError
from safetune.llm.config import SafeguardPPOConfig, check_fields
from safetune.llm.evaluate import Evaluator
from safetune.llm.generate import Sampling
from safetune.llm.models import load_model, model_source
from safetune.llm.prompts import Prompt, load_prompts
from safetune.llm.tasks import RewardFunction, load_task
from safetune.recipe import LlmRecipe, fault
from safetune.recipe.arguments import check_finite
from safetune.safeguard import Safeguard
from safetune.text import TokenSafeguard

# What a run decides itself: a recipe that sets one of these would be silently overruled.
OWNED = {
    "output_dir": "the run folder",
    "seed": "the recipe's 'seed'",
    "data_seed": "the recipe's 'seed'",
    "reward_form": "[reward] form",
    "potential": "[reward] potential",
    "kappa": "[reward] kappa",
    "violation_weight": "[reward] weight",
    "safe_bonus": "[reward] bonus",
    "reward_placement": "[reward] placement",
    "shuffle_dataset": "the recipe's 'seed'",
    "num_train_epochs": "trainer.max_steps",
    "resume_from_checkpoint": "the run, which resumes by itself",
    "save_strategy": "the run, which resumes by itself",
    "save_only_model": "the run, which resumes by itself",
    "ignore_data_skip": "the run, which resumes by itself",
    "logging_steps": "the run, which logs every batch of completions",
    "logging_strategy": "the run, which logs every batch of completions",
    "eval_strategy": "[evaluate], before and after training",
    "do_eval": "[evaluate], before and after training",
    "min_p": "top_p and top_k, which evaluation knows as well",
    "generation_kwargs": "the trainer's own sampling fields, which evaluation knows as well",
}


@dataclass(frozen=True)
class Plan:
    """A recipe whose every part but the model's weights has been read and checked."""

    guard: Safeguard
    train_prompts: list[Prompt]
    heldout_prompts: list[Prompt]
    tasks: dict[str, RewardFunction]
    config: SafeguardPPOConfig

    @property
    def steps_per_generation(self) -> int:
        """Optimiser steps that one batch of completions is used for."""
        micro_steps = (self.config.steps_per_generation or 1) * self.config.num_iterations
        return max(1, micro_steps // self.config.gradient_accumulation_steps)

    @property
    def generations(self) -> int:
        """Batches of completions drawn over the whole training."""
        return self.config.max_steps // self.steps_per_generation

    @property
    def prompts_per_generation(self) -> int:
        return (self.config.generation_batch_size or 1) // self.config.num_generations


def read_plan(recipe: LlmRecipe, output_dir: Path) -> Plan:
    """Read and check all that a recipe names, without loading the model's weights.

    Raises:
        SafetuneError: the first thing found wrong, with the file and key.
    """
    guard = Safeguard.load(recipe.spec)
    model_source(recipe.model.name)
    try:
        tasks = _load_tasks(recipe)
        config = trainer_config(recipe, output_dir)
    except RecipeError as error:
        raise fault(recipe, str(error)) from error
    prompts = recipe.prompts
    train = load_prompts(prompts.train, prompts.column, prompts.train_split)
    heldout = load_prompts(prompts.heldout, prompts.column, prompts.heldout_split)
    _check_apart(train, heldout, recipe)
    return Plan(
        guard=guard,
        train_prompts=train,
        heldout_prompts=heldout,
        tasks=tasks,
        config=config,
    )


def _check_apart(train: list[Prompt], heldout: list[Prompt], recipe: LlmRecipe) -> None:
    """Held-out prompts that were trained on would show more than was learnt."""
    seen = {json.dumps(prompt) for prompt in train}
    shared = sum(json.dumps(prompt) in seen for prompt in heldout)
    if shared:
        raise DataError(
            f"{recipe.prompts.heldout}: {shared} of {len(heldout)} held-out prompts are training prompts as well "
            f"({recipe.prompts.train}); expected none"
        )


def _load_tasks(recipe: LlmRecipe) -> dict[str, RewardFunction]:
    tasks: dict[str, RewardFunction] = {}
    for source in recipe.reward.tasks:
        name, function = load_task(source)
        if name in tasks:
            raise RecipeError(f"reward.tasks: two functions are called '{name}', which names their metric; rename one")
        tasks[name] = function
    return tasks


def trainer_config(recipe: LlmRecipe, output_dir: Path) -> SafeguardPPOConfig:
    """The trainer's configuration: the run's settings under the recipe's `[trainer]` table.

    Raises:
        RecipeError: an unknown field, one the run decides itself, or a value TRL refuses.
    """
    table = dict(recipe.trainer)
    check_fields(table)
    check_finite(table)
    for name in table:
        if name in OWNED:
            raise RecipeError(f"[trainer]: '{name}' is decided by {OWNED[name]}; remove it from the recipe")
    reward = recipe.reward
    settings: dict[str, Any] = {
        "bf16": recipe.model.dtype == "bfloat16",
        "gradient_checkpointing": False,
        "max_steps": 100,
        "save_total_limit": 2,
        "report_to": ["tensorboard"],
        "disable_tqdm": True,
        **table,
        "output_dir": str(output_dir),
        "seed": recipe.seed,
        "shuffle_dataset": False,
        "reward_form": reward.form,
        "potential": reward.potential,
        "kappa": reward.kappa,
        "violation_weight": reward.weight,
        "safe_bonus": reward.bonus,
        "reward_placement": reward.placement,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = _construct(settings)
    return _align(config, table)


def _construct(settings: dict[str, Any]) -> SafeguardPPOConfig:
    try:
        config = SafeguardPPOConfig(**settings)
    except (ValueError, TypeError) as error:
        raise RecipeError(f"[trainer]: {error}") from error
    if config.max_steps < 1:
        raise RecipeError(f"trainer.max_steps: got {config.max_steps}, expected at least 1")
    return config


def _align(config: SafeguardPPOConfig, table: dict[str, Any]) -> SafeguardPPOConfig:
    """Log once a batch of completions, and save only between batches.

    A checkpoint in the middle of a batch could not be resumed exactly: the completions are not in it.
    """
    micro_steps = (config.steps_per_generation or 1) * config.num_iterations
    if micro_steps % config.gradient_accumulation_steps:
        raise RecipeError(
            f"[trainer]: steps_per_generation x num_iterations is {micro_steps}, expected a multiple of "
            f"gradient_accumulation_steps ({config.gradient_accumulation_steps})"
        )
    unit = micro_steps // config.gradient_accumulation_steps
    if config.max_steps % unit:
        raise RecipeError(
            f"trainer.max_steps: got {config.max_steps}, expected a multiple of {unit}, the optimiser steps on one "
            "batch of completions"
        )
    if config.save_total_limit is not None and config.save_total_limit < 2:
        raise RecipeError(
            f"trainer.save_total_limit: got {config.save_total_limit}, expected at least 2: the older checkpoint is "
            "kept until the newer one is whole"
        )
    config.logging_steps = unit
    wanted = int(table.get("save_steps", max(1, config.max_steps // 10)))
    config.save_steps = -(-wanted // unit) * unit
    return config


def lora_config(recipe: LlmRecipe) -> LoraConfig:
    lora = recipe.lora
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        task_type="CAUSAL_LM",
    )


def load_policy(recipe: LlmRecipe, guard: Safeguard) -> tuple[Any, Any, TokenSafeguard]:
    """The base model, its tokenizer, and the safeguard compiled for that tokenizer."""
    model, tokenizer = load_model(recipe.model.name, recipe.model.dtype)
    return model, tokenizer, TokenSafeguard.compile(guard, tokenizer, size=model.get_input_embeddings().num_embeddings)


def evaluator(recipe: LlmRecipe, plan: Plan, tokenizer: Any, tokens: TokenSafeguard) -> Evaluator:
    """The held-out evaluation, sampling as the trainer samples."""
    config, settings = plan.config, recipe.evaluate
    sampling = Sampling(
        max_new_tokens=config.max_completion_length or 256,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k or 0,
        repetition_penalty=config.repetition_penalty,
        batch_size=settings.batch_size,
        seed=settings.seed,
    )
    prompts = [prompt for prompt in plan.heldout_prompts for _ in range(settings.samples)]
    return Evaluator(
        tokens=tokens,
        tokenizer=tokenizer,
        prompts=prompts,
        sampling=sampling,
        tasks=plan.tasks,
        source=recipe.prompts.heldout,
    )
