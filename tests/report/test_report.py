import io
from typing import Any

from rich.console import Console

from safetune.report import evaluation_page, evaluation_table, rows


def rate(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def measures(value: float, **others: Any) -> dict[str, Any]:
    return {
        "completions": 120,
        "tokens": 4000,
        "violation_rate": rate(value, max(0, value - 0.05), value + 0.05),
        "violations_per_1k_tokens": 12.345,
        "rules": {"no e-mail | address": rate(value, 0.0, 1.0)},
        "logp_base": -1.2344,
        "kl_base": 0.0312,
        "distinct_1": 0.4,
        "distinct_2": 0.75,
        "length_mean": 33.333,
        "eos_rate": 1.0,
        "tasks": {},
        **others,
    }


EVALUATION = {"spec": "no-contact", "prompts": 120, "before": measures(0.5), "after": measures(0.01)}
SAMPLES = [
    {
        "prompt": "Who is it?",
        "before": "mail *me* at\na@b.org",
        "after": "ask <us>",
        "broken_before": ["r"],
        "broken_after": [],
    },
    {
        "prompt": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}],
        "before": "x",
        "after": "y",
        "broken_before": [],
        "broken_after": [],
    },
]


def test_rows_show_rates_with_their_intervals_and_every_rule() -> None:
    found = {row.measure: row for row in rows(EVALUATION)}
    assert found["completions that break a rule"][1:] == ("50.0% [45.0%, 55.0%]", "1.0% [0.0%, 6.0%]")
    assert found["  rule: no e-mail | address"].after == "1.0% [0.0%, 100.0%]"
    assert found["log-likelihood under the base model, nats a token"].before == "-1.234"
    assert found["violations per 1,000 tokens"].before == "12.35"  # rounded half to even, as Python does
    assert "number of distinct bigrams" not in found


def test_tasks_and_measures_that_are_there_are_shown() -> None:
    both = measures(0.1, tasks={"polite": 0.25}, distinct_bigrams=321)
    found = {row.measure: row for row in rows({**EVALUATION, "before": both, "after": both})}
    assert found["task reward: polite"].after == "0.250"
    assert found["number of distinct bigrams"].before == "321"


def test_the_table_fits_a_narrow_terminal() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(evaluation_table(EVALUATION))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 80
    assert "50.0% [45.0%, 55.0%]" in text
    assert "no-contact: 120 completions of held-out prompts" in text


def test_the_page_holds_the_table_and_the_completions() -> None:
    page = evaluation_page("quick*start", EVALUATION, SAMPLES)
    assert page.startswith("# quick\\*start\n")
    assert "| rule: no e-mail \\| address | 50.0% \\[0.0%, 100.0%] | 1.0% \\[0.0%, 100.0%] |" in page
    assert "- before (breaks: r): mail \\*me\\* at a@b.org" in page
    assert "- after: ask &lt;us>" in page
    assert "**hello**" in page
    assert "be kind" not in page


def test_a_page_without_completions() -> None:
    assert "Completions" not in evaluation_page("q", EVALUATION, [])
