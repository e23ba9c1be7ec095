"""What a run's measures look like: a table for the terminal, a page for the run's folder."""

from safetune.report.card import adapter_card
from safetune.report.measures import Row, rows
from safetune.report.page import evaluation_page
from safetune.report.table import evaluation_table

__all__ = ["Row", "adapter_card", "evaluation_page", "evaluation_table", "rows"]
