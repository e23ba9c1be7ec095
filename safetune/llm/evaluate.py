"""Evaluation of a policy on held-out prompts: violations, and beside them the utility that must not be lost."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from safetune.errors import DataError
from safetune.llm.generate import Sample, Sampling, base_of, log_probabilities, sample
from safetune.llm.measures import broken_rules, shape, violations
from safetune.llm.prompts import Prompt
from safetune.llm.tasks import RewardFunction
from safetune.text import TokenSafeguard


@dataclass(frozen=True)
class Evaluator:
    """Held-out prompts, how to sample from them, and what to measure.

    Attributes:
        tokens: the safeguard compiled for the tokenizer.
        tokenizer: the policy's tokenizer.
        prompts: held-out prompts, each repeated as often as it is to be sampled.
        sampling: how completions are drawn; the same seed before and after training.
        tasks: task rewards by name.
        source: where the prompts came from, for the record.
    """

    tokens: TokenSafeguard
    tokenizer: Any
    prompts: list[Prompt]
    sampling: Sampling
    tasks: dict[str, RewardFunction]
    source: str

    def measure(self, model: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Measures of the model's completions (the content of `evaluation.json`), and the completions themselves.

        `logp_base` is the mean log-likelihood of a token under the base model, in nats, at temperature 1; `kl_base`
        the mean of log p - log p_base over the sampled tokens, both at the temperature they were sampled at: an
        unbiased estimate of KL(policy || base) per token where nothing but the temperature shapes the sampling.
        `logp_base_kept` is `logp_base` over the completions that break no rule, where there are any: what a rule
        forbids can be the likeliest text of all (a number copied from the prompt), and its loss is not a loss of
        fluency.
        """
        samples = sample(model, self.tokenizer, self.prompts, self.sampling)
        own = np.concatenate(self._scores(model, samples), axis=1)
        with base_of(model):
            scores = self._scores(model, samples)
        base = np.concatenate(scores, axis=1)
        rules = broken_rules(self.tokens, samples)
        kept = [row[0] for row, names in zip(scores, rules, strict=True) if not names]
        measures = {
            **violations(self.tokens, samples),
            "logp_base": float(base[0].mean()),
            **({"logp_base_kept": float(np.concatenate(kept).mean())} if kept else {}),
            "kl_base": float((own[1] - base[1]).mean()),
            **shape(samples),
            "tasks": {name: self._task_mean(name, task, samples) for name, task in self.tasks.items()},
        }
        rows = [
            {"prompt": s.prompt, "completion": s.text, "broken": list(names), "ended": s.ended}
            for s, names in zip(samples, rules, strict=True)
        ]
        return measures, rows

    def _scores(self, model: Any, samples: list[Sample]) -> list[np.ndarray]:
        """For each completion, (2, T) log-probabilities of its tokens, at temperature 1 and at that of sampling."""
        temperatures = (1.0, self.sampling.temperature)
        pad_id = self.tokenizer.pad_token_id
        return [
            row.numpy() for row in log_probabilities(model, samples, self.sampling.batch_size, pad_id, temperatures)
        ]

    def _task_mean(self, name: str, task: RewardFunction, samples: list[Sample]) -> float:
        completions: list[Any] = [
            s.text if isinstance(s.prompt, str) else [{"role": "assistant", "content": s.text}] for s in samples
        ]
        rewards = task(
            prompts=[s.prompt for s in samples],
            completions=completions,
            completion_ids=[s.completion_ids for s in samples],
        )
        numbers = [reward for reward in rewards if reward is not None]
        if not np.isfinite(numbers).all():
            raise DataError(f"task reward '{name}': returned a number that is not finite during evaluation")
        return float(np.mean(numbers)) if numbers else 0.0

    def describe(self) -> dict[str, Any]:
        """What was sampled and how, for `evaluation.json`."""
        return {
            "spec": self.tokens.guard.name,
            "heldout": self.source,
            "prompts": len({json.dumps(prompt) for prompt in self.prompts}),
            "sampling": asdict(self.sampling),
        }
