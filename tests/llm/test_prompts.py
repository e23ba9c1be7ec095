"""Prompts from files: what is read, and what a wrong file is told."""

import json

import datasets
import pytest
from datasets import Dataset

from safetune.errors import DataError
from safetune.llm.prompts import load_prompts, training_rows


def _file(tmp_path, *lines):
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_texts_and_conversations(tmp_path):
    chat = [{"role": "user", "content": "hello"}]
    assert load_prompts(_file(tmp_path, '{"prompt": "a"}', "", '{"prompt": "b"}')) == ["a", "b"]
    assert load_prompts(_file(tmp_path, json.dumps({"prompt": chat}))) == [chat]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"prompt": "a"}', "{"], r"p\.jsonl:2: not a JSON object"),
        (['{"text": "a"}'], r"p\.jsonl:1: no 'prompt'; got 'text'"),
        (["[1]"], "got list"),
        (['{"prompt": ""}'], "expected a text or a list of messages"),
        (['{"prompt": [{"role": "user"}]}'], "'role' and 'content'"),
        ([""], "no prompts"),
        (['{"prompt": "a"}', '{"prompt": [{"role": "user", "content": "b"}]}'], "are mixed"),
    ],
)
def test_wrong_files(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        load_prompts(_file(tmp_path, *lines))


def test_csv_and_parquet(tmp_path):
    (tmp_path / "p.csv").write_text('id,question\n1,"a, b"\n2,c\n', encoding="utf-8")
    assert load_prompts(str(tmp_path / "p.csv"), "question") == ["a, b", "c"]
    chat = [{"role": "user", "content": "hello"}]
    Dataset.from_list([{"prompt": chat}]).to_parquet(tmp_path / "p.parquet")
    assert load_prompts(str(tmp_path / "p.parquet")) == [chat]
    with pytest.raises(DataError, match="no column 'prompt'; it has id, question"):
        load_prompts(str(tmp_path / "p.csv"))
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"broken\.parquet: cannot be read"):
        load_prompts(str(tmp_path / "broken.parquet"))


@pytest.mark.parametrize(("name", "message"), [("none.jsonl", "cannot be read"), ("none.csv", "no such file")])
def test_a_missing_file_is_named(tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        load_prompts(str(tmp_path / name))


def test_training_rows_use_every_prompt_before_any_again():
    prompts = [str(i) for i in range(7)]
    rows = training_rows(prompts, 17, seed=3)["prompt"]
    assert sorted(rows[:7]) == sorted(rows[7:14]) == prompts
    assert list(rows) == list(training_rows(prompts, 17, seed=3)["prompt"])
    assert list(rows) != list(training_rows(prompts, 17, seed=4)["prompt"])


def test_no_bar_is_shown_for_a_table_and_the_setting_comes_back(tmp_path, capfd):
    path = tmp_path / "prompts.csv"
    path.write_text("prompt\nWho?\n")
    for off in (False, True):
        (datasets.disable_progress_bars if off else datasets.enable_progress_bars)()
        try:
            assert load_prompts(str(path)) == ["Who?"]
            assert datasets.are_progress_bars_disabled() == off
        finally:
            datasets.enable_progress_bars()
    assert capfd.readouterr().err == ""
