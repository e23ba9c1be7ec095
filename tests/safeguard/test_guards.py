"""Truth tables over all sets of labels."""

import numpy as np
import pytest

from safetune.safeguard.guards import label_names, truth_table
from safetune.safeguard.parser import parse


@pytest.mark.parametrize(
    ("text", "holds_for"),
    [
        ("a", [1, 3]),
        ("b", [2, 3]),
        ("!a & b", [2]),
        ("a | b", [1, 2, 3]),
        ("a -> b", [0, 2, 3]),
        ("a <-> b", [0, 3]),
        ("true", [0, 1, 2, 3]),
        ("a & false", []),
    ],
)
def test_a_guard_holds_for_these_label_sets(text: str, holds_for: list[int]) -> None:
    assert np.flatnonzero(truth_table(parse(text), ("a", "b"))).tolist() == holds_for


def test_label_names_come_in_declared_order() -> None:
    assert label_names(0b101, ("z", "m", "a")) == ("z", "a")
