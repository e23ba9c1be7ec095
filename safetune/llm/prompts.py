"""Prompts: JSONL, CSV and Parquet files, and hub data sets."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from datasets import Dataset, load_dataset

from safetune.errors import DataError
from safetune.llm.quiet import no_data_bars, quiet_hub

Prompt = str | list[dict[str, str]]

TABLES = {".csv": Dataset.from_csv, ".parquet": Dataset.from_parquet}
"""Local files with a column of prompts, by their suffix; any other file is read as JSONL."""


def load_prompts(source: str, column: str = "prompt", split: str = "train") -> list[Prompt]:
    """The prompts of a JSONL file (`{"prompt": ...}` a line), of a CSV or Parquet file, or of a `datasets` hub id.

    A prompt is a string, or a conversation: a list of messages with `role` and `content`.

    Raises:
        DataError: no such source, a malformed line, a missing column, or no prompt at all.
    """
    suffix = Path(source).suffix
    with no_data_bars(), quiet_hub():
        if suffix in TABLES:
            prompts = _read_table(Path(source), column)
        elif suffix in (".jsonl", ".json") or Path(source).exists():
            prompts = _read_jsonl(Path(source), column)
        else:
            prompts = _read_hub(source, column, split)
    if not prompts:
        raise DataError(f"{source}: no prompts; expected at least one")
    kinds = {type(prompt) for prompt in prompts}
    if len(kinds) > 1:
        raise DataError(f"{source}: plain and conversational prompts are mixed; expected one kind a file")
    return prompts


def training_rows(prompts: list[Prompt], count: int, seed: int) -> Dataset:
    """`count` rows in a seeded order, every prompt once before any comes again.

    One pass over these rows is the whole training, so that an interrupted run finds its place by counting alone.
    """
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(prompts)) for _ in range(-(-count // len(prompts)))])[:count]
    return Dataset.from_list([{"prompt": prompts[i]} for i in order])


def _read_jsonl(path: Path, column: str) -> list[Prompt]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"prompts file {path}: cannot be read: {error}") from error
    return [_parse_line(line, column, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def _parse_line(line: str, column: str, where: str) -> Prompt:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not a JSON object: {error}") from error
    if not isinstance(row, dict) or column not in row:
        keys = ", ".join(map(repr, row)) if isinstance(row, dict) else type(row).__name__
        raise DataError(f"{where}: no '{column}'; got {keys}, expected an object with the key '{column}'")
    return _checked(row[column], where)


def _checked(prompt: Any, where: str) -> Prompt:
    if isinstance(prompt, str) and prompt:
        return prompt
    if isinstance(prompt, list) and prompt and all(map(_is_message, prompt)):
        return prompt
    raise DataError(f"{where}: got {prompt!r}, expected a text or a list of messages with 'role' and 'content'")


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str) and isinstance(value.get("content"), str)


def _read_table(path: Path, column: str) -> list[Prompt]:
    if not path.is_file():
        raise DataError(f"prompts file {path}: no such file")
    try:
        with TemporaryDirectory() as cache:  # `datasets` keeps a copy of what it reads; this one is small and read once
            return _column(TABLES[path.suffix](str(path), cache_dir=cache, keep_in_memory=True), column, str(path))
    except DataError:
        raise
    except Exception as error:  # `datasets` raises many kinds; the cause is kept
        raise DataError(f"prompts file {path}: cannot be read: {error}") from error


def _read_hub(source: str, column: str, split: str) -> list[Prompt]:
    try:
        data = load_dataset(source, split=split)
    except Exception as error:  # `datasets` raises many kinds; the cause is kept
        what = "no such file, and no data set of that name could be loaded"
        raise DataError(f"prompts '{source}': {what}: {error}") from error
    return _column(data, column, source)


def _column(data: Dataset, column: str, source: str) -> list[Prompt]:
    if column not in data.column_names:
        raise DataError(f"prompts '{source}': no column '{column}'; it has {', '.join(data.column_names)}")
    return [_checked(prompt, f"{source}[{row}]") for row, prompt in enumerate(data[column])]
