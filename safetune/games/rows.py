"""One environment's share of what a vector environment returns, and shares put in place of others.

Vector environments hand out arrays with a row for each environment; in `infos` a mask `_key` beside a key says which
environments said anything.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safetune.errors import GameError


def row_of(values: Any, row: int) -> Any:
    """One environment's observation or action out of a batch: arrays, and dicts and tuples of them."""
    if isinstance(values, dict):
        return {key: row_of(value, row) for key, value in values.items()}
    if isinstance(values, tuple) and values and not np.isscalar(values[0]):
        return tuple(row_of(value, row) for value in values)
    return values[row]


def row_of_info(infos: dict[str, Any], row: int) -> dict[str, Any]:
    """What one environment said: only the keys that its masks allow."""
    info: dict[str, Any] = {}
    for key, value in infos.items():
        mask = infos.get(f"_{key}")
        if _is_mask(key, infos) or (mask is not None and not mask[row]):
            continue
        if isinstance(value, dict):
            info[key] = row_of_info(value, row)
        elif isinstance(value, np.ndarray | list | tuple) and len(value) > row:
            info[key] = value[row]
        else:
            info[key] = value
    return info


def last_step(
    observations: Any, infos: dict[str, Any], done: NDArray[np.bool_], where: Callable[[], str]
) -> tuple[Any, dict[str, Any]]:
    """Observations and infos of the step itself where the mode SAME_STEP gives those of the reset that followed it.

    `done` (N,) marks the episodes that ended; `where()` is what an error begins with.
    """
    if "final_info" not in infos or "final_obs" not in infos:
        raise GameError(
            f"{where()}: an episode ended and infos lack 'final_info' or 'final_obs', which Gymnasium's autoreset "
            "mode SAME_STEP asks for"
        )
    own = {key: value for key, value in infos.items() if key.lstrip("_") not in ("final_info", "final_obs")}
    return replaced(observations, infos["final_obs"], done), replaced_infos(own, infos["final_info"], done)


def replaced(values: Any, others: Any, rows: NDArray[np.bool_]) -> Any:
    """`values` (N, …) with the rows that `rows` (N,) marks taken from `others`; dicts are gone through."""
    if isinstance(values, dict):
        if isinstance(others, np.ndarray) and others.dtype == object:  # one dict a row, or None
            others = {key: _gathered([other and other[key] for other in others], values[key]) for key in values}
        return {key: replaced(value, others[key], rows) for key, value in values.items()}
    result = np.array(values)
    for row in np.flatnonzero(rows):
        result[row] = others[row]
    return result


def replaced_infos(infos: dict[str, Any], others: dict[str, Any], rows: NDArray[np.bool_]) -> dict[str, Any]:
    """`infos` with the marked rows taken from `others`, masks included; keys that either has."""
    result: dict[str, Any] = {}
    for key in [*infos, *(key for key in others if key not in infos)]:
        value, other = infos.get(key), others.get(key)
        known = other if value is None else value
        if isinstance(known, dict):
            result[key] = replaced_infos(value or {}, other or {}, rows)
        elif isinstance(known, np.ndarray):
            blank = np.zeros_like(known)
            mine, theirs = (blank if value is None else value), (blank if other is None else other)
            picked = rows.reshape(-1, *[1] * (known.ndim - 1))
            result[key] = np.where(picked, theirs, mine)
        else:
            result[key] = known
    return result


def _gathered(rows: list[Any], like: Any) -> Any:
    return rows if not isinstance(like, dict) else np.array([*rows, None], dtype=object)[:-1]


def _is_mask(key: str, infos: dict[str, Any]) -> bool:
    return key.startswith("_") and key[1:] in infos
