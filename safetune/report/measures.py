"""The rows of the before/after table: which measures are shown, in which words and units.

`evaluation.json` is made by `safetune.llm.evaluate` or `safetune.games.measures`, and says by its `kind` which; a
measure that a file does not have is left out of the table.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Measures = dict[str, Any]


class Row(NamedTuple):
    """One line of the table, ready to be shown."""

    measure: str
    before: str
    after: str


def _rate(value: dict[str, float]) -> str:
    return f"{value['value']:.1%} [{value['low']:.1%}, {value['high']:.1%}]"


def _mean(value: dict[str, float]) -> str:
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _times(value: dict[str, Any]) -> str:
    return f"{value['per_episode']:.3f} in {value['episodes']['value']:.1%}"


def _number(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:.{digits}f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


VIOLATIONS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("violation_rate", "completions that break a rule", _rate),
)
OTHERS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("violations_per_1k_tokens", "violations per 1,000 tokens", _number(2)),
    ("logp_base", "log-likelihood under the base model, nats a token", _number(3)),
    ("logp_base_kept", "the same, of completions that keep the rules", _number(3)),
    ("kl_base", "KL to the base model, nats a token", _number(4)),
    ("distinct_1", "distinct words", _percent),
    ("distinct_2", "distinct bigrams", _percent),
    ("distinct_bigrams", "number of distinct bigrams", _number(0)),
    ("length_mean", "length, tokens", _number(1)),
    ("eos_rate", "ended by the model itself", _percent),
)


GAME: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("return", "return, the task's own", _mean),
    ("success", "episodes that reach the goal", _rate),
    ("violations_per_episode", "violations an episode", _mean),
    ("clean_episodes", "episodes without a violation", _rate),
    ("cost_per_episode", "cost an episode", _mean),
    ("length_mean", "length, steps", _number(1)),
)


def is_game(evaluation: dict[str, Any]) -> bool:
    """Whether an agent was measured, over episodes, and not a language model."""
    return evaluation.get("kind") == "game"


def subject(evaluation: dict[str, Any]) -> str:
    """What was measured: `120 completions of held-out prompts`."""
    if is_game(evaluation):
        return f"{evaluation['after']['episodes']} episodes of {evaluation['env']}"
    return f"{evaluation['after'].get('completions', evaluation['prompts'])} completions of held-out prompts"


def intervals(evaluation: dict[str, Any]) -> str:
    """Which intervals the brackets hold."""
    if is_game(evaluation):
        return "95 % intervals (means: bootstrap; shares: Wilson). A rule: times an episode, in how many episodes"
    return "95 % Wilson interval"


def rows(evaluation: dict[str, Any]) -> list[Row]:
    """The table's rows, from the content of `evaluation.json`."""
    make = _game_rows if is_game(evaluation) else _rows
    return list(make(evaluation["before"], evaluation["after"]))


def _game_rows(before: Measures, after: Measures) -> Iterator[Row]:
    yield from _known(before, after, GAME)
    for rule in after.get("rules", {}):
        yield Row(f"  rule: {rule}", _times(before["rules"][rule]), _times(after["rules"][rule]))


def _rows(before: Measures, after: Measures) -> Iterator[Row]:
    yield from _known(before, after, VIOLATIONS)
    for rule in after.get("rules", {}):
        yield Row(f"  rule: {rule}", _rate(before["rules"][rule]), _rate(after["rules"][rule]))
    yield from _known(before, after, OTHERS)
    for task in after.get("tasks", {}):
        yield Row(f"task reward: {task}", _number(3)(before["tasks"][task]), _number(3)(after["tasks"][task]))


def _known(
    before: Measures, after: Measures, shown: tuple[tuple[str, str, Callable[[Any], str]], ...]
) -> Iterator[Row]:
    for key, words, form in shown:
        if key in before and key in after:
            yield Row(words, form(before[key]), form(after[key]))
