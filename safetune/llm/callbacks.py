"""What the host's training loop tells the run: metrics to the run's file, a line to the person watching."""

from math import isfinite
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from safetune.errors import RunError
from safetune.progress import Progress
from safetune.run import Run

# Metrics without which a run cannot be judged; a run that loses one of them has gone wrong.
MUST_BE_FINITE = ("loss", "grad_norm", "value_loss", "kl", "reward")


class RunLogger(TrainerCallback):
    """Write every log of the trainer to the run, and show progress.

    Args:
        run: the run folder.
        progress: the live display.
        steps_per_generation: optimiser steps per batch of completions.
        completions_per_generation: completions in such a batch, over all processes.
    """

    def __init__(self, run: Run, progress: Progress, steps_per_generation: int, completions_per_generation: int):
        self.run = run
        self.progress = progress
        self.steps_per_generation = steps_per_generation
        self.completions_per_generation = completions_per_generation

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        for name in MUST_BE_FINITE:
            if name in logs and logs[name] is not None and not isfinite(logs[name]):
                raise RunError(
                    f"{self.run.path}: {name} is {logs[name]} at step {state.global_step}; training has diverged. "
                    f"The checkpoints before it are kept; a lower trainer.learning_rate usually helps"
                )
        completions = -(-state.global_step // self.steps_per_generation) * self.completions_per_generation
        self.run.log_metrics({"step": state.global_step, "completions": completions, **logs})
        self.progress.update(
            state.global_step,
            violation_rate=logs.get("safeguard/violation_rate"),
            reward=logs.get("reward"),
            kl=logs.get("kl"),
        )
