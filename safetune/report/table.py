"""The before/after table for the terminal."""

from typing import Any

from rich.table import Table
from rich.text import Text

from safetune.report.measures import rows


def evaluation_table(evaluation: dict[str, Any]) -> Table:
    """Each measure before and after training, rates with their 95 % Wilson intervals."""
    count = evaluation["after"].get("completions", evaluation["prompts"])
    table = Table(
        title=Text(f"{evaluation['spec']}: {count} completions of held-out prompts"),
        caption=Text("in brackets: 95 % Wilson interval"),
        caption_justify="left",
    )
    table.add_column("measure", overflow="fold")
    table.add_column("before", justify="right", no_wrap=True)
    table.add_column("after", justify="right", no_wrap=True)
    for row in rows(evaluation):
        table.add_row(*map(Text, row))
    return table
