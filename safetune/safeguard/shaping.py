"""Rewards from verdicts: the three forms, and the two potentials.

For a step from q to q' that breaks rules of total cost c:

    r = - weight * c + bonus * [nothing broken] + gamma * phi(q') - phi(q)

`sparse` has the first term alone; `bonus` the first two, and ends at the first violation; `potential` the first and
the shaping. The task's own reward is added by the caller. Because phi is a function of the state and counts as 0 at a
true end, the discounted shaping of a finished stream sums to -phi(q0), whatever happened in it: shaping moves credit
to earlier steps and changes no optimal policy (Ng, Harada and Russell 1999; Grzes 2017). Where a learner bootstraps
past a time limit the stream has not ended, and phi is kept.

Notation: S states, L label sets, T steps; `…` is nothing or any leading dimensions (B, …).
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safetune.errors import DataError, choices, nearest

Form = Literal["sparse", "bonus", "potential"]
Potential = Literal["distance", "value"]
FORMS: tuple[str, ...] = get_args(Form)
POTENTIALS: tuple[str, ...] = get_args(Potential)

Floats = NDArray[np.float64]

_PRECISION = 1e-9
_SWEEPS = 40  # times the horizon: exp(-40) is beyond the precision of a float


def distance_potential(distance: ArrayLike, kappa: float = 0.5) -> Floats:
    """(S,) -kappa**d for a violation d steps away, 0 where none can come; 0 < kappa < 1."""
    steps = np.asarray(distance, dtype=np.float64)
    if not 0 < kappa < 1:
        raise DataError(f"kappa: expected a number between 0 and 1, got {kappa}")
    if np.isnan(steps).any() or (steps < 0).any():
        raise DataError("distance: expected numbers of steps, at least 0 or inf, got NaN or a negative number")
    return np.where(np.isinf(steps), 0.0, -(kappa**steps))


def label_probabilities(labels: ArrayLike, n_labels: int, prior: float = 1.0) -> Floats:
    """(L,) how often each label set was seen; `prior` is the weight, in steps, of all being equally likely."""
    seen = np.asarray(labels).ravel()
    if seen.size and not np.issubdtype(seen.dtype, np.integer):
        raise DataError(f"labels: expected whole numbers, got {seen.dtype}")
    if seen.size and (seen.min() < 0 or seen.max() >= n_labels):
        raise DataError(f"labels: expected 0 to {n_labels - 1}, got {seen.min()} to {seen.max()}")
    _check_number("prior", prior, 0.0, np.inf)
    if not seen.size and prior == 0:
        raise DataError("labels: none seen, and prior = 0 says nothing of them either")
    counts = np.bincount(seen.astype(np.int64), minlength=n_labels) + prior / n_labels
    return counts / counts.sum()


def value_potential(
    next_state: ArrayLike,
    cost: ArrayLike,
    probability: ArrayLike,
    gamma: float = 1.0,
    *,
    horizon: int = 200,
) -> Floats:
    """(S,) minus the expected discounted cost from each state, labels drawn from `probability` (L,) or (S, L).

    A discount near 1 is held down to 1 - 1/horizon here, because the undiscounted cost of an unending stream has no
    finite sum. A potential may be any function of the state, so the laws of shaping hold all the same.
    Also for other alphabets than label sets: any tables (S, U) with their probabilities. Exact to a billionth of the
    largest cost.
    """
    following, costs, chance = _checked_chain(next_state, cost, probability)
    _check_number("gamma", gamma, 0.0, 1.0)
    if horizon < 1:
        raise DataError(f"horizon: expected at least 1 step, got {horizon}")
    discount = min(gamma, 1 - 1 / horizon)
    source, target, weight = _edges(following, np.broadcast_to(chance, following.shape))
    expected = (costs * chance).sum(axis=1)
    enough = _PRECISION * costs.max(initial=0.0) * (1 - discount)
    value, change = expected, expected
    for _ in range(int(_SWEEPS / (1 - discount))):
        # What the sweeps to come can still add to a state lies between the least and the greatest change of the last
        # one, times discount / (1 - discount): once these are close, half-way is the limit (Puterman, section 6.6.3).
        if np.ptp(change) * discount <= enough:
            break
        swept = expected + discount * np.bincount(source, weight * value[target], minlength=len(value))
        value, change = swept, swept - value
    return 0.0 - value - discount / (1 - discount) * (change.max() + change.min()) / 2


def _checked_chain(
    next_state: ArrayLike, cost: ArrayLike, probability: ArrayLike
) -> tuple[NDArray[Any], Floats, Floats]:
    following, costs, chance = np.asarray(next_state), _finite("cost", cost), _finite("probability", probability)
    shape = following.shape
    if len(shape) != 2 or not following.size or costs.shape != shape or chance.shape not in (shape, shape[1:]):
        raise DataError(
            "expected next_state (S, L), cost (S, L) and probability (L,) or (S, L), "
            f"got {shape}, {costs.shape} and {chance.shape}"
        )
    if not np.issubdtype(following.dtype, np.integer) or following.min() < 0 or following.max() >= len(following):
        raise DataError(f"next_state: expected whole numbers from 0 to {len(following) - 1}")
    if (chance < 0).any() or not np.allclose(chance.sum(axis=-1), 1.0, atol=1e-6):
        raise DataError("probability: expected numbers of at least 0 that sum to 1 in each row")
    return following, costs, chance


def _edges(next_state: NDArray[np.integer], chance: Floats) -> tuple[NDArray[Any], NDArray[Any], Floats]:
    """The distinct edges of a chain: source, target and probability, many labels of one edge taken together."""
    n_states = len(next_state)
    keys = np.arange(n_states)[:, None] * n_states + next_state
    distinct, inverse = np.unique(keys, return_inverse=True)
    weight = np.bincount(inverse.ravel(), chance.ravel(), minlength=len(distinct))
    return distinct // n_states, distinct % n_states, weight.astype(np.float64)


def shaped_rewards(
    cost: ArrayLike,
    broken: ArrayLike,
    *,
    form: str,
    weight: float = 1.0,
    bonus: float = 0.1,
    gamma: float = 1.0,
    phi: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    ended: ArrayLike = True,
) -> Floats:
    """(…, T) the reward of each step, 0 where `mask` is 0.

    `cost` and `broken` are (…, T), broken non-zero at a violation. `phi` (…, T+1) is the potential of each state, for
    the form `potential`; the others leave it aside. `mask` (…, T) is 1 at the real steps, the first ones of each row.
    `ended`, one or (…), says whether a row came to a true end, or goes on where the caller bootstraps.
    """
    if form not in FORMS:
        valid = choices(FORMS) + "." + nearest(str(form), FORMS)
        raise DataError(f"form: unknown reward form {form!r}. Valid forms: {valid}")
    _check_number("weight", weight, 0.0, np.inf)
    _check_number("bonus", bonus, 0.0, np.inf)
    _check_number("gamma", gamma, 0.0, 1.0)
    costs, violated = _finite("cost", cost), _finite("broken", broken) != 0
    if costs.ndim == 0 or costs.shape != violated.shape:
        raise DataError(f"cost, broken: expected one shape (…, T), got {costs.shape} and {violated.shape}")
    real = np.ones(costs.shape, dtype=np.bool_) if mask is None else _prefix(mask, costs.shape)
    if form == "bonus":
        reward = np.where(violated, -weight * costs, bonus) * ~_after_first(violated & real)
    else:
        reward = 0.0 - weight * costs
    if form == "potential":
        reward = reward + _shaping(phi, real, gamma, ended)
    return np.where(real, reward, 0.0)


def _shaping(phi: ArrayLike | None, real: NDArray[np.bool_], gamma: float, ended: ArrayLike) -> Floats:
    """(…, T) gamma * phi' - phi, with 0 for phi' at the last real step of a row that ended."""
    if phi is None:
        raise DataError("phi: the form 'potential' needs the potential of each state, shape (…, T+1)")
    potential = _finite("phi", phi)
    shape = (*real.shape[:-1], real.shape[-1] + 1)
    if potential.shape != shape:
        raise DataError(f"phi: expected shape {shape}, got {potential.shape}")
    finished = np.asarray(ended)
    if finished.shape not in ((), real.shape[:-1]) or finished.dtype != np.bool_:
        got = f"{finished.dtype} of shape {finished.shape}"
        raise DataError(f"ended: expected true or false, one or of shape {real.shape[:-1]}, got {got}")
    last = np.zeros_like(real)
    last[..., :-1] = real[..., :-1] & ~real[..., 1:]
    last[..., -1:] = real[..., -1:]
    after = np.where(last & finished[..., None], 0.0, potential[..., 1:])
    return gamma * after - potential[..., :-1]


def _after_first(violated: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(…, T) the steps after the first violation of each row."""
    return np.asarray(np.cumsum(violated, axis=-1) - violated > 0)


def _prefix(mask: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    values = np.asarray(mask)
    if values.shape != shape:
        raise DataError(f"mask: expected shape {shape}, got {values.shape}")
    real = values != 0
    if (real[..., 1:] & ~real[..., :-1]).any():
        raise DataError("mask: expected the real steps first in each row, got a 1 after a 0")
    return real


def _finite(name: str, values: ArrayLike) -> Floats:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name}: expected numbers in rows of one length") from None
    if not np.isfinite(array).all():
        raise DataError(f"{name}: expected finite numbers, got NaN or infinity")
    return array


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if not (low <= value <= high and np.isfinite(value)):
        wanted = f"from {low:g} to {high:g}" if np.isfinite(high) else f"at least {low:g}"
        raise DataError(f"{name}: expected a number {wanted}, got {value}")
