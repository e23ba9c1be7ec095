"""Measures with their 95 % intervals: rates, and means over episodes."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

Z95 = 1.959963984540054  # 97.5 % point of the normal distribution


def wilson(successes: int, total: int) -> dict[str, float]:
    """A rate with its 95 % score interval (Wilson 1927)."""
    if total == 0:
        return {"value": 0.0, "low": 0.0, "high": 1.0}
    rate = successes / total
    scale = 1 + Z95**2 / total
    centre = (rate + Z95**2 / (2 * total)) / scale
    half = Z95 * sqrt(rate * (1 - rate) / total + Z95**2 / (4 * total**2)) / scale
    return {"value": rate, "low": max(0.0, centre - half), "high": min(1.0, centre + half)}


def mean_interval(values: Sequence[float], *, resamples: int = 2000, seed: int = 0) -> dict[str, float]:
    """A mean with its 95 % percentile bootstrap interval (Efron 1979), the same for the same values.

    Returns and violations are far from normal (many zeros, a long tail), so no shape is assumed.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not sample.size:
        raise ValueError("mean_interval: no values")
    rng = np.random.default_rng(seed)
    means = [sample[rng.integers(sample.size, size=sample.size)].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [0.025, 0.975])
    return {"mean": float(sample.mean()), "low": float(low), "high": float(high)}
