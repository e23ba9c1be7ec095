"""A run's report as a Markdown page: the table, and some completions before and after."""

from typing import Any

from safetune.report.measures import intervals, rows, subject


def evaluation_page(name: str, evaluation: dict[str, Any], samples: list[dict[str, Any]]) -> str:
    """The page's text. A sample has `prompt`, `before`, `after`, `broken_before`, `broken_after`."""
    lines = [
        f"# {_inline(name)}",
        "",
        f"Spec: {evaluation['spec']}. Over {subject(evaluation)}; in brackets, {intervals(evaluation)}.",
        "",
        "| measure | before | after |",
        "|---|---:|---:|",
        *(f"| {' | '.join(cell(text) for text in row)} |" for row in rows(evaluation)),
        "",
    ]
    if samples:
        lines += ["## Completions", ""]
    for sample in samples:
        lines += [f"**{_inline(_prompt_text(sample['prompt']))}**", ""]
        for when in ("before", "after"):
            broken = "; ".join(sample[f"broken_{when}"])
            lines += [f"- {when}{f' (breaks: {_inline(broken)})' if broken else ''}: {_inline(sample[when])}"]
        lines.append("")
    return "\n".join(lines)


def _prompt_text(prompt: str | list[dict[str, str]]) -> str:
    """A conversation as its last message, the one that is answered."""
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]


def cell(text: str) -> str:
    """A text inside a table."""
    return _inline(text).replace("|", "\\|")


def _inline(text: str) -> str:
    """One line, without signs that Markdown or HTML would act on."""
    flat = " ".join(text.split())
    for sign in ("\\", "`", "*", "_", "<", "["):
        flat = flat.replace(sign, f"\\{sign}" if sign != "<" else "&lt;")
    return flat
