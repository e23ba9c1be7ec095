import io
from typing import Any

from rich.console import Console

from safetune.report import evaluation_page, evaluation_table, rows


def measures(mean: float, **others: Any) -> dict[str, Any]:
    interval = {"mean": mean, "low": mean - 0.5, "high": mean + 0.5}
    share = {"value": 0.25, "low": 0.1, "high": 0.5}
    return {
        "episodes": 40,
        "return": interval,
        "success": share,
        "violations_per_episode": interval,
        "clean_episodes": share,
        "cost_per_episode": interval,
        "rules": {"lava only within five steps after water | or never": {"per_episode": mean, "episodes": share}},
        "length_mean": 200.0,
        **others,
    }


EVALUATION = {
    "kind": "game",
    "spec": "craft-valley",
    "env": "safetune/Craft-Valley-v0",
    "before": measures(12.0),
    "after": measures(1.5),
}


def test_rows_of_a_game() -> None:
    found = {row.measure: row for row in rows(EVALUATION)}
    assert found["violations an episode"][1:] == ("12.000 [11.500, 12.500]", "1.500 [1.000, 2.000]")
    assert found["episodes that reach the goal"].after == "25.0% [10.0%, 50.0%]"
    assert found["  rule: lava only within five steps after water | or never"].before == "12.000 in 25.0%"


def test_a_game_without_a_goal_has_no_row_for_it() -> None:
    aimless = {key: value for key, value in measures(1.0).items() if key != "success"}
    found = [row.measure for row in rows({**EVALUATION, "before": aimless, "after": aimless})]
    assert "episodes that reach the goal" not in found


def test_the_table_of_a_game_fits_a_narrow_terminal() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(evaluation_table(EVALUATION))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 80
    assert "craft-valley: 40 episodes of safetune/Craft-Valley-v0" in text


def test_the_page_of_a_game() -> None:
    page = evaluation_page("valley", EVALUATION, [])
    assert "Spec: craft-valley. Over 40 episodes of safetune/Craft-Valley-v0; in brackets, 95 % intervals" in page
    assert "| violations an episode | 12.000 \\[11.500, 12.500] | 1.500 \\[1.000, 2.000] |" in page
