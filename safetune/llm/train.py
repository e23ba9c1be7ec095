"""Training a language model from a recipe: measure, train, save, measure again; each part resumable."""

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import transformers
from peft import PeftModel
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from safetune.errors import RunError
from safetune.llm.callbacks import RunLogger
from safetune.llm.evaluate import Evaluator
from safetune.llm.models import is_on_hub
from safetune.llm.prepare import Plan, evaluator, load_policy, lora_config, read_plan
from safetune.llm.prompts import training_rows
from safetune.llm.trainer import SafeguardPPOTrainer
from safetune.progress import Progress
from safetune.recipe import LlmRecipe
from safetune.run import Run, resume_command
from safetune.run.checkpoints import checkpoint_step, latest_checkpoint

BEFORE = "evaluation-before.json"


def plan(recipe: LlmRecipe) -> dict[str, Any]:
    """Check all that a recipe names without loading weights (the dry run), and say what it would do."""
    parts = read_plan(recipe, Path("."))
    return {
        "spec": parts.guard.name,
        "rules": [rule.name for rule in parts.guard.rules],
        "model": recipe.model.name + (" (hub id, not checked)" if is_on_hub(recipe.model.name) else ""),
        "train prompts": len(parts.train_prompts),
        "held-out prompts": len(parts.heldout_prompts),
        "optimiser steps": parts.config.max_steps,
        "completions": parts.generations * (parts.config.generation_batch_size or 1),
    }


def train(recipe: LlmRecipe, run: Run, progress: Progress) -> dict[str, Any]:
    """Train as the recipe says, in the run's folder; pick up where an interrupted run stopped.

    Returns:
        The content of `evaluation.json`: measures before and after on the held-out prompts.

    Raises:
        SafetuneError: anything a user can mend; the run's data are kept.
    """
    parts = read_plan(recipe, run.checkpoints)
    with _quiet():
        model, tokenizer, tokens = load_policy(recipe, parts.guard)
        measuring = evaluator(recipe, parts, tokenizer, tokens)
        before = _measure_before(run, progress, measuring, model)
        if not run.adapter.exists():
            model = _fit(recipe, run, progress, parts, model, tokenizer, tokens)
        else:
            model = PeftModel.from_pretrained(model, run.adapter)
        progress.note("measuring the trained model on held-out prompts")
        after, rows = measuring.measure(model)
    return _write_evaluation(run, measuring, before, after, rows)


def evaluate_run(recipe: LlmRecipe, run: Run, progress: Progress) -> dict[str, Any]:
    """Measure a finished run's adapter again, and its base beside it.

    Raises:
        RunError: the run has no adapter yet.
    """
    if not run.adapter.exists():
        raise RunError(f"{run.path}: no adapter yet; the run is not finished. To resume it: {resume_command(run.path)}")
    parts = read_plan(recipe, run.checkpoints)
    with _quiet():
        base, tokenizer, tokens = load_policy(recipe, parts.guard)
        measuring = evaluator(recipe, parts, tokenizer, tokens)
        progress.note("measuring the base model on held-out prompts")
        before, rows_before = measuring.measure(base)
        progress.note("measuring the trained model on held-out prompts")
        after, rows = measuring.measure(PeftModel.from_pretrained(base, run.adapter))
    return _write_evaluation(run, measuring, {"measures": before, "rows": rows_before}, after, rows)


def _fit(
    recipe: LlmRecipe, run: Run, progress: Progress, parts: Plan, model: Any, tokenizer: Any, tokens: Any
) -> PeftModel:
    """Train the adapter, from the last whole checkpoint if there is one."""
    config = parts.config
    trainer = SafeguardPPOTrainer(
        model=model,
        guard=tokens,
        args=config,
        train_dataset=training_rows(
            parts.train_prompts, parts.generations * parts.prompts_per_generation, seed=recipe.seed
        ),
        processing_class=tokenizer,
        reward_funcs=list(parts.tasks.values()),
        peft_config=lora_config(recipe),
        callbacks=[RunLogger(run, progress, parts.steps_per_generation, config.generation_batch_size or 1)],
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    checkpoint = latest_checkpoint(run.checkpoints)
    step = checkpoint_step(checkpoint) if checkpoint else 0
    run.truncate_metrics(step)
    progress.start(config.max_steps, step)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    _save_adapter(trainer, run.adapter)
    run.write_json("timings.json", trainer.timings)
    return trainer.accelerator.unwrap_model(trainer.model)


def _save_adapter(trainer: SafeguardPPOTrainer, folder: Path) -> None:
    """Save to a neighbouring folder and rename, so that an adapter that is there is whole."""
    draft = folder.with_name(folder.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    trainer.save_model(str(draft))
    (draft / "README.md").unlink(missing_ok=True)  # the host's template, with a path of this machine in it
    os.replace(draft, folder)


def _measure_before(run: Run, progress: Progress, measuring: Evaluator, model: Any) -> dict[str, Any]:
    path = run.path / BEFORE
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    progress.note("measuring the base model on held-out prompts")
    measures, rows = measuring.measure(model)
    before = {"measures": measures, "rows": rows}
    run.write_json(BEFORE, before)
    return before


def _write_evaluation(
    run: Run, measuring: Evaluator, before: dict[str, Any], after: dict[str, Any], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    result = {**measuring.describe(), "before": before["measures"], "after": after}
    samples = [
        {
            "prompt": old["prompt"],
            "before": old["completion"],
            "broken_before": old["broken"],
            "after": new["completion"],
            "broken_after": new["broken"],
        }
        for old, new in zip(before["rows"], rows, strict=True)
    ]
    run.write_jsonl("samples.jsonl", samples)
    run.write_json("evaluation.json", result)
    return result


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the hosts' bars, notes and deprecations: the run's own display and files say what is going on."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
