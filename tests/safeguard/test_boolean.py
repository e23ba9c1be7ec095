from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.safeguard.boolean import MAX_EXACT, _cover, _cubes, simplify
from safetune.safeguard.guards import truth_table
from safetune.safeguard.parser import parse

NAMES = ("lava", "suit", "end", "wood", "iron", "gun", "boss", "exit")


def table_of(number: int, n: int) -> np.ndarray:
    return np.array([number >> labels & 1 for labels in range(2**n)], dtype=np.bool_)


def reads_back(text: str, chosen: np.ndarray, names: tuple[str, ...]) -> bool:
    return np.array_equal(truth_table(parse(text, names, temporal=False), names), chosen)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_small_guard_reads_back_as_the_label_sets_it_came_from(n):
    for number in range(2**2**n):
        chosen = table_of(number, n)
        assert reads_back(simplify(chosen, NAMES[:n]), chosen, NAMES[:n])


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(4, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 2**2**n - 1))))
def test_wider_guards_read_back(case):
    n, number = case
    chosen = table_of(number, n)
    assert reads_back(simplify(chosen, NAMES[:n]), chosen, NAMES[:n])


def test_three_propositions_get_the_fewest_terms_or_one_more():
    tables = [table for _, table in _cubes(3)]
    for number in range(1, 2**8):
        fewest = next(
            size
            for size in range(1, 9)
            if any(_is_union(number, chosen) for chosen in combinations([t for t in tables if t & ~number == 0], size))
        )
        assert len(_cover(number, 3)) <= fewest + 1


def _is_union(number: int, tables: tuple[int, ...]) -> bool:
    union = 0
    for table in tables:
        union |= table
    return union == number


@pytest.mark.parametrize(
    "guard",
    [
        "true",
        "false",
        "lava",
        "!lava",
        "lava & !suit",
        "!lava | suit",
        "!lava & !suit",
        "lava & (suit | end)",
        "!(lava & suit | end & wood)",
        "lava & suit | end & wood",
    ],
)
def test_readable_guards_come_back_as_they_were(guard):
    assert simplify(truth_table(parse(guard), NAMES[:4]), NAMES[:4]) == guard


def test_propositions_that_do_not_matter_do_not_count_towards_the_width():
    assert simplify(truth_table(parse("boss | lava & exit"), NAMES), NAMES) == "lava & exit | boss"


def test_wide_conjunctions_and_their_negations_stay_exact():
    none_of_them = np.arange(256) == 0
    assert simplify(none_of_them, NAMES) == " & ".join(f"!{name}" for name in NAMES)
    assert simplify(~none_of_them, NAMES) == " | ".join(NAMES)


def test_other_wide_guards_are_summarised():
    assert len(NAMES) > MAX_EXACT
    odd = np.bitwise_count(np.arange(256)) % 2 == 1
    assert simplify(odd, NAMES) == "128 of 256 label sets"
    suited = odd & (np.arange(256) & 2 > 0) & (np.arange(256) & 1 == 0)
    assert simplify(suited, NAMES) == "!lava & suit & … 32 of 256 label sets"
