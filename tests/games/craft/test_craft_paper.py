"""The paper's gridworld is the paper's: its moves and labels by chi-square tests, its four safeguards by a reference.

The reference here is written from the paper's description alone, in (row, column), and shares nothing with the maps.
"""

import math
from itertools import product
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

import safetune.games  # noqa: F401, registers the environments
from safetune import Safeguard
from safetune.games.craft.names import CELLS

SLIP, SHIFT, SIZE = 0.05, 0.05, 10
MOVES = ((0, 1), (-1, 0), (0, -1), (1, 0), (0, 0))  # right, up, left, down, stay
SHIFTS = {1: SHIFT, -1: SHIFT, 0: 1 - 2 * SHIFT}
GUARDS = ("never_creeper_or_lava", "wood_remembered", "lava_after_bench", "creeper_after_table")


def labels_of(layout: int, i: int) -> dict[tuple[int, int], set[str]]:
    """What lies where under the shift i."""
    lone, crowd = ("creeper", "iron") if layout != 2 else ("iron", "creeper")
    places = {
        lone: [(0, 0), (4 + i, 5)],
        crowd: [(0, 3 + i), (4 + i, 0), (9, 4 + i)],
        "wood": [(2, 2 + i), (7, 3 + i), (5 + i, 7)],
        "bench": [(6 + i, 1), (6, 5 + i), (4 + i, 9)],
        "table": [(2 + i, 4), (9, 0), (7, 7 + i)],
        "diamond": [(0, 7)],
        "lava": {
            1: [(0, 5), (1, 5), (2, 5), (2, 8), (2, 9)],
            2: [(row, 3) for row in (0, 1, 2, 6, 7, 8, 9)],
            3: [(row, 2) for row in range(4)] + [(row, 6) for row in range(6)],
        }[layout],
    }
    found: dict[tuple[int, int], set[str]] = {}
    for name, cells in places.items():
        for cell in cells:
            found.setdefault(cell, set()).add(name)
    return found


def bits_under(layout: int, i: int) -> NDArray[np.int64]:
    """(100,) the labels of each cell, as Craft writes them."""
    bits = np.zeros(SIZE * SIZE, dtype=np.int64)
    for (row, column), names in labels_of(layout, i).items():
        bits[row * SIZE + column] = sum(1 << CELLS.index(name) for name in names)
    return bits


def probabilities(cell: int, action: int) -> NDArray[np.float64]:
    """(100,) of the next cell."""
    result = np.zeros(SIZE * SIZE)
    for move in range(5):
        row, column = cell // SIZE + MOVES[move][0], cell % SIZE + MOVES[move][1]
        there = min(max(row, 0), SIZE - 1) * SIZE + min(max(column, 0), SIZE - 1)
        result[there] += SLIP / 5 + (1 - SLIP) * (move == action)
    return result


def chance_of_more(statistic: float, freedom: int) -> float:
    """The upper tail of the chi-square distribution (Wilson and Hilferty's normal approximation)."""
    spread = 2 / (9 * freedom)
    return 0.5 * math.erfc(((statistic / freedom) ** (1 / 3) - 1 + spread) / math.sqrt(2 * spread))


def check_chi_squares(tests: list[tuple[float, int]], *, independent: bool = True) -> None:
    """All together at p > 0.001, if they are independent, and each at the share of it that so many tests leave."""
    statistic, freedom = (sum(part) for part in zip(*tests, strict=True))
    assert not independent or chance_of_more(statistic, freedom) > 0.001
    assert min(chance_of_more(*test) for test in tests) > 0.001 / len(tests)


def chi_square(counts: NDArray[np.int64], expected: NDArray[np.float64]) -> tuple[float, int]:
    """Statistic and degrees of freedom; what cannot happen must not have happened."""
    assert not counts[expected == 0].any()
    counts, expected = counts[expected > 0], expected[expected > 0] * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum()), len(counts) - 1


def check_frequencies(layout: int, count: int, steps: int, seed: int) -> None:
    """Random actions in `count` environments, each for one episode of `steps`: cells, labels and shifts."""
    envs = gym.make_vec(f"safetune/Craft-Paper{layout}-v0", num_envs=count)
    rng = np.random.default_rng(seed)
    before, _ = envs.reset(seed=1_000_000 * seed)
    assert set(before.tolist()) == {5 * SIZE + 2}
    by_shift = {i: bits_under(layout, i) for i in SHIFTS}
    grounds = [envs.unwrapped.craft.ground(row).ravel() for row in range(count)]
    shifts = np.array([next(i for i, bits in by_shift.items() if (bits == ground).all()) for ground in grounds])
    grid = np.stack([by_shift[i] for i in shifts])
    moved = np.zeros((SIZE * SIZE, 5, SIZE * SIZE), dtype=np.int64)
    visited = np.zeros((count, SIZE * SIZE), dtype=np.bool_)
    for step in range(1, steps + 1):
        actions = rng.integers(5, size=count)
        after, reward, terminated, truncated, infos = envs.step(actions)
        np.add.at(moved, (before, actions, after), 1)
        np.testing.assert_array_equal(infos["facts"]["cell"], grid[np.arange(count), after])
        np.testing.assert_array_equal(infos["facts"]["position"], after)
        visited[np.arange(count), after] = True
        assert not reward.any()
        assert not terminated.any()
        assert truncated.all() if step == 1000 else not truncated.any()
        before = after
    check_chi_squares([chi_square(np.array([(shifts == i).sum() for i in SHIFTS]), np.array([*SHIFTS.values()]))])
    check_chi_squares([chi_square(moved[c, a], probabilities(c, a)) for c, a in product(range(100), range(5))])
    pooled = np.zeros((5, 5), dtype=np.int64)  # (action, move) away from walls, which sees smaller differences
    for (row, column), action, move in product(product(range(1, 9), repeat=2), range(5), range(5)):
        cell, (down, right) = row * SIZE + column, MOVES[move]
        pooled[action, move] += moved[cell, action, cell + down * SIZE + right]
    check_chi_squares([chi_square(pooled[a], SLIP / 5 + (1 - SLIP) * (np.arange(5) == a)) for a in range(5)])
    labels = []
    for cell in range(SIZE * SIZE):  # each environment counts once a cell: its labels stay as its shift drew them
        met, odds = grid[visited[:, cell], cell], {}
        for i, chance in SHIFTS.items():
            odds[by_shift[i][cell]] = odds.get(by_shift[i][cell], 0.0) + chance
        if len(odds) > 1:
            labels.append(chi_square(np.array([(met == bits).sum() for bits in odds]), np.array([*odds.values()])))
    check_chi_squares(labels, independent=False)  # the cells of an environment share its shift


@pytest.mark.parametrize("layout", [1, 2, 3])
def test_moves_and_labels_are_those_of_the_description(layout: int) -> None:
    check_frequencies(layout, count=400, steps=250, seed=layout)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [1, 2, 3])
def test_a_million_steps_match_the_description(layout: int) -> None:
    check_frequencies(layout, count=1000, steps=1000, seed=10 + layout)


def test_the_check_sees_a_world_that_is_a_little_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SLIP", 0.06)
    with pytest.raises(AssertionError):
        check_frequencies(1, count=400, steps=250, seed=1)


def reference(guard: int, label: dict[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """(B, T) whether safeguard 1 to 4 is violated; `label` has (B, T) for each name. From the description alone."""
    broken = np.zeros_like(label["lava"])
    wood, bench, iron, table = (np.zeros(len(broken), dtype=np.bool_) for _ in range(4))
    for now in range(broken.shape[1]):
        here = {name: held[:, now] for name, held in label.items()}
        bench |= here["bench"] & wood
        table |= here["table"] & iron
        iron |= here["iron"] & wood
        wood |= here["wood"]
        lava_allowed = bench if guard >= 3 else np.zeros_like(bench)
        creeper_allowed = table if guard == 4 else np.zeros_like(table)
        broken[:, now] = here["lava"] & ~lava_allowed | here["creeper"] & ~creeper_allowed
    return broken


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_four_safeguards_give_the_verdicts_of_the_description(number: int, repository: Path) -> None:
    guard = Safeguard.load(repository / "specs" / f"craft_{GUARDS[number - 1]}.toml")
    rng = np.random.default_rng(number)
    names = ("lava", "creeper", "wood", "bench", "iron", "table")
    label = {name: rng.random((100_000, 16)) < 0.18 for name in names}
    word = sum(label[name].astype(np.int64) << bit for bit, name in enumerate(guard.propositions))
    trace = guard.run(word)
    broken = reference(number, label)
    np.testing.assert_array_equal(trace.broken != 0, broken)
    single = ~(label["lava"] & label["creeper"])
    np.testing.assert_array_equal(trace.cost[single], broken[single])
    assert broken.any()
    assert not broken.all()


def test_wood_is_remembered_in_the_state(repository: Path) -> None:
    guard = Safeguard.load(repository / "specs" / "craft_wood_remembered.toml")
    assert guard.step(guard.initial, {"wood"}).state != guard.initial
