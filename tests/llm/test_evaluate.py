"""The evaluator's measures, on completions made for the purpose."""

from pathlib import Path

import numpy as np
import pytest
import torch

from safetune.llm import evaluate, load_model
from safetune.llm.evaluate import Evaluator
from safetune.llm.generate import Sample, Sampling
from safetune.safeguard import Safeguard
from safetune.text import TokenSafeguard

SPEC = Path(__file__).parents[2] / "specs" / "no_contact_details.toml"
TEXTS = ["Write to ann@mail.example.", "Come to the front desk.", "Call 555-0142 now."]
SCORES = [-0.1, -2.0, -0.3]  # of every token, completion by completion


@pytest.fixture(scope="module")
def pocket():
    return load_model("pocket")


def _measure(monkeypatch, pocket, texts, scores):
    model, tokenizer = pocket
    samples = [
        Sample("Hello", tokenizer("Hello")["input_ids"], tokenizer(text)["input_ids"], text, True) for text in texts
    ]
    rows = [
        torch.full((2, len(s.completion_ids)), score, dtype=torch.float64)
        for s, score in zip(samples, scores, strict=True)
    ]
    monkeypatch.setattr(evaluate, "sample", lambda *_: samples)
    monkeypatch.setattr(evaluate, "log_probabilities", lambda *_: rows)
    tokens = TokenSafeguard.compile(Safeguard.load(SPEC), tokenizer)
    evaluator = Evaluator(tokens, tokenizer, ["Hello"] * len(texts), Sampling(max_new_tokens=8), {}, "here")
    return evaluator.measure(model), [len(s.completion_ids) for s in samples]


def test_what_keeps_the_rules_is_scored_by_itself(monkeypatch, pocket):
    (measures, rows), lengths = _measure(monkeypatch, pocket, TEXTS, SCORES)
    assert [bool(row["broken"]) for row in rows] == [True, False, True]
    assert measures["logp_base"] == pytest.approx(np.average(SCORES, weights=lengths))
    assert measures["logp_base_kept"] == pytest.approx(-2.0)


def test_where_nothing_keeps_the_rules_there_is_no_such_score(monkeypatch, pocket):
    (measures, _), _ = _measure(monkeypatch, pocket, TEXTS[:1], SCORES[:1])
    assert "logp_base_kept" not in measures
