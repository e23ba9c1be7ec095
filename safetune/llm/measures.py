"""Measures of a set of completions: how often rules break, and beside it how useful the text still is."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from safetune.intervals import wilson
from safetune.llm.episode import pad_right
from safetune.llm.generate import Sample
from safetune.text import TokenSafeguard


def violations(tokens: TokenSafeguard, samples: Sequence[Sample]) -> dict[str, Any]:
    """Violation rate, rate per rule and violations per thousand tokens, prompts read first and never charged."""
    start = tokens.read(*pad_right([s.prompt_ids for s in samples]))
    trace = tokens.trace(*pad_right([s.completion_ids for s in samples]), state=start)
    broken = np.bitwise_or.reduce(trace.broken, axis=1)
    n_tokens = sum(len(s.completion_ids) for s in samples)
    rules = {
        rule.name: wilson(int(((broken >> i) & 1).sum()), len(samples)) for i, rule in enumerate(tokens.guard.rules)
    }
    return {
        "completions": len(samples),
        "tokens": n_tokens,
        "violation_rate": wilson(int((broken != 0).sum()), len(samples)),
        "violations_per_1k_tokens": 1000.0 * float(trace.violations.sum()) / max(n_tokens, 1),
        "rules": rules,
    }


def broken_rules(tokens: TokenSafeguard, samples: Sequence[Sample]) -> list[tuple[str, ...]]:
    """The names of the rules that each completion broke."""
    start = tokens.read(*pad_right([s.prompt_ids for s in samples]))
    trace = tokens.trace(*pad_right([s.completion_ids for s in samples]), state=start)
    return [tokens.guard.rule_names(int(bits)) for bits in np.bitwise_or.reduce(trace.broken, axis=1)]


def ngrams(samples: Sequence[Sample], n: int) -> list[tuple[str, ...]]:
    """All n-grams of words of the completions, within a completion."""
    return [tuple(words[i : i + n]) for s in samples for words in [s.text.split()] for i in range(len(words) - n + 1)]


def shape(samples: Sequence[Sample]) -> dict[str, float]:
    """Length, end-of-text rate and diversity: distinct-n (Li et al. 2016) and the number of distinct bigrams."""
    words, bigrams = ngrams(samples, 1), ngrams(samples, 2)
    return {
        "distinct_1": len(set(words)) / max(len(words), 1),
        "distinct_2": len(set(bigrams)) / max(len(bigrams), 1),
        "distinct_bigrams": len(set(bigrams)),
        "length_mean": float(np.mean([len(s.completion_ids) for s in samples])),
        "eos_rate": float(np.mean([s.ended for s in samples])),
    }
