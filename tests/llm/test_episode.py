"""Rewards of completions: placement, prompts, and the laws that dense and terminal share."""

import numpy as np
import pytest

from safetune.errors import DataError
from safetune.llm import SafeguardPPOConfig
from safetune.llm.episode import EpisodeReward, at_last_token, pad_right
from safetune.text import TokenSafeguard


@pytest.fixture
def scorer(guard, toy_tokenizer, tmp_path):
    tokens = TokenSafeguard.compile(guard, toy_tokenizer)

    def make(**overrides):
        settings = {"output_dir": str(tmp_path), "per_device_train_batch_size": 2, "bf16": False, "use_cpu": True}
        return EpisodeReward(tokens, SafeguardPPOConfig(**settings | overrides))

    return make


def _ids(tokenizer, text):
    return tokenizer(text)["input_ids"]


def test_sparse_rewards_stand_where_the_rule_broke(scorer, toy_tokenizer):
    episode = scorer(reward_form="sparse").score([[]], [_ids(toy_tokenizer, "axyb")])
    np.testing.assert_allclose(episode.rewards, [[0, 0, -1, 0]])
    assert episode.violated.tolist() == [True]


def test_the_prompt_is_read_and_not_charged(scorer, toy_tokenizer):
    sparse = scorer(reward_form="sparse")
    within = sparse.score([_ids(toy_tokenizer, "xyxy")], [_ids(toy_tokenizer, "ab")])
    assert not within.violated.any()
    across = sparse.score([_ids(toy_tokenizer, "x")], [_ids(toy_tokenizer, "yb")])
    np.testing.assert_allclose(across.rewards, [[-1, 0]])
    again = sparse.score([_ids(toy_tokenizer, "x")], [_ids(toy_tokenizer, "bx")])
    np.testing.assert_allclose(again.rewards, [[0, -0.5]])  # the formula remembers the prompt's x


@pytest.mark.parametrize("form", ["sparse", "bonus", "potential"])
def test_terminal_is_dense_summed_at_the_last_token(scorer, toy_tokenizer, form):
    completions = [_ids(toy_tokenizer, text) for text in ("xyab", "b", "xaxaxy")]
    dense = scorer(reward_form=form).score([[]] * 3, completions)
    terminal = scorer(reward_form=form, reward_placement="terminal").score([[]] * 3, completions)
    np.testing.assert_allclose(dense.rewards.sum(1), terminal.rewards.sum(1))
    assert [np.flatnonzero(row).tolist() for row in terminal.rewards if row.any()] in ([[3], [0], [5]], [[3], [5]])


@pytest.mark.parametrize("potential", ["distance", "value"])
def test_shaping_sums_to_the_potential_of_the_start(scorer, toy_tokenizer, potential):
    shaped = scorer(potential=potential)
    plain = scorer(reward_form="sparse")
    prompts = [_ids(toy_tokenizer, text) for text in ("x", "ab", "")]
    completions = [_ids(toy_tokenizer, text) for text in ("ya", "bxbxy", "a")]
    difference = shaped.score(prompts, completions).rewards.sum(1) - plain.score(prompts, completions).rewards.sum(1)
    start = shaped.tokens.read(*pad_right(prompts))
    np.testing.assert_allclose(difference, -shaped.potential[start], atol=1e-9)


def test_the_value_potential_fears_what_it_saw(scorer, toy_tokenizer):
    value = scorer(potential="value")
    before = value.potential.copy()
    value.potential = value.learnt_potential(value.count_classes([_ids(toy_tokenizer, "xyxyxy")] * 20))
    after_x = value.tokens.read(*pad_right([_ids(toy_tokenizer, "x")]))
    assert value.potential[after_x] < before[after_x] < 0


def test_as_many_prompts_as_completions(scorer):
    with pytest.raises(DataError, match="2 prompts for 1 completions"):
        scorer().score([[], []], [[3]])


def test_rewards_at_the_last_token_pass_over_empty_rows():
    out = at_last_token(np.array([1.0, 2.0]), np.array([0, 2]), 3)
    np.testing.assert_allclose(out, [[0, 0, 0], [0, 2, 0]])
