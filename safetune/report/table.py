"""The before/after table for the terminal."""

from typing import Any

from rich.table import Table
from rich.text import Text

from safetune.report.measures import intervals, rows, subject


def evaluation_table(evaluation: dict[str, Any]) -> Table:
    """Each measure before and after training, with its interval."""
    table = Table(
        title=Text(f"{evaluation['spec']}: {subject(evaluation)}"),
        caption=Text(f"in brackets: {intervals(evaluation)}"),
        caption_justify="left",
    )
    table.add_column("measure", overflow="fold")
    table.add_column("before", justify="right", no_wrap=True)
    table.add_column("after", justify="right", no_wrap=True)
    for row in rows(evaluation):
        table.add_row(*map(Text, row))
    return table
