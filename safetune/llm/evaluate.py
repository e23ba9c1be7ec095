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
        """
        samples = sample(model, self.tokenizer, self.prompts, self.sampling)
        own = self._flat_scores(model, samples)
        with base_of(model):
            base = self._flat_scores(model, samples)
        measures = {
            **violations(self.tokens, samples),
            "logp_base": float(base[0].mean()),
            "kl_base": float((own[1] - base[1]).mean()),
            **shape(samples),
            "tasks": {name: self._task_mean(name, task, samples) for name, task in self.tasks.items()},
        }
        rules = broken_rules(self.tokens, samples)
        rows = [
            {"prompt": s.prompt, "completion": s.text, "broken": list(names), "ended": s.ended}
            for s, names in zip(samples, rules, strict=True)
        ]
        return measures, rows

    def _flat_scores(self, model: Any, samples: list[Sample]) -> np.ndarray:
        """(2, N) log-probabilities of all tokens, at temperature 1 and at the temperature of sampling."""
        temperatures = (1.0, self.sampling.temperature)
        pad_id = self.tokenizer.pad_token_id
        scores = log_probabilities(model, samples, self.sampling.batch_size, pad_id, temperatures)
        return np.concatenate([row.numpy() for row in scores], axis=1)

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
