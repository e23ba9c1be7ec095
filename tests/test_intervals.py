import numpy as np
import pytest

from safetune.intervals import mean_interval, wilson


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 100, 0.0018, 0.0545)],
)
def test_wilson_intervals(successes, total, low, high):
    interval = wilson(successes, total)
    assert interval["value"] == successes / total
    assert interval["low"] == pytest.approx(low, abs=1e-4)
    assert interval["high"] == pytest.approx(high, abs=1e-4)


def test_wilson_of_nothing_says_nothing():
    assert wilson(0, 0) == {"value": 0.0, "low": 0.0, "high": 1.0}


def test_a_mean_lies_within_its_interval_which_narrows() -> None:
    rng = np.random.default_rng(0)
    few, many = (mean_interval(rng.exponential(size=count).tolist()) for count in (20, 2000))
    for interval in (few, many):
        assert interval["low"] < interval["mean"] < interval["high"]
    assert many["high"] - many["low"] < (few["high"] - few["low"]) / 5
    assert many["high"] - many["low"] == pytest.approx(2 * 1.96 / np.sqrt(2000), rel=0.15)


def test_an_interval_is_the_same_for_the_same_values() -> None:
    assert mean_interval([0, 1, 5]) == mean_interval([0, 1, 5])
    assert mean_interval([2.0] * 4) == {"mean": 2.0, "low": 2.0, "high": 2.0}
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])
