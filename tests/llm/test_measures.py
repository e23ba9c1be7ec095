"""Measures of completions, against figures worked out by hand."""

import pytest

from safetune.llm.generate import Sample
from safetune.llm.measures import broken_rules, shape, violations
from safetune.text import TokenSafeguard


@pytest.fixture
def samples(toy_tokenizer):
    def one(prompt, text, ended):
        ids = toy_tokenizer(text)["input_ids"] + ([toy_tokenizer.eos_token_id] if ended else [])
        return Sample(prompt, toy_tokenizer(prompt)["input_ids"], ids, text, ended)

    return [one("a", "xyb", True), one("xy", "ab", True), one("x", "y", False), one("a", "bb", False)]


def test_violations_by_completion_token_and_rule(samples, guard, toy_tokenizer):
    measured = violations(TokenSafeguard.compile(guard, toy_tokenizer), samples)
    assert measured["violation_rate"]["value"] == 0.5
    assert measured["rules"]["no xy"]["value"] == 0.5
    assert measured["rules"]["at most one x"]["value"] == 0.0
    assert measured["tokens"] == 4 + 3 + 1 + 2
    assert measured["violations_per_1k_tokens"] == pytest.approx(1000 * 2 / 10)


def test_broken_rules_are_named_per_completion(samples, guard, toy_tokenizer):
    named = broken_rules(TokenSafeguard.compile(guard, toy_tokenizer), samples)
    assert named == [("no xy",), (), ("no xy",), ()]


def test_shape(samples):
    measured = shape(samples)
    assert measured["eos_rate"] == 0.5
    assert measured["length_mean"] == 2.5
    assert measured["distinct_1"] == 1.0
    assert measured["distinct_bigrams"] == 0
