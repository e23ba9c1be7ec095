"""The trainer on a toy policy: what it adds to TRL's batch, its loss, its checkpoints."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from safetune.errors import DataError, RunError
from safetune.llm.checkpoint import load_value_head
from safetune.llm.value import ValueHead
from safetune.run.checkpoints import latest_checkpoint


def _batch(trainer):
    inputs = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    return trainer._generate_and_score_completions(inputs)


def _episode(trainer):
    """The batch, and what the safeguard said of it."""
    kept = {}
    take = trainer._take_episode
    trainer._take_episode = lambda: kept.setdefault("episode", take())
    return _batch(trainer), kept["episode"]


def test_advantages_and_returns_are_per_token(make_trainer):
    trainer = make_trainer()
    batch, episode = _episode(trainer)
    shape = batch["completion_ids"].shape
    for name in ("advantages", "returns", "old_values", "old_per_token_logps"):
        assert batch[name].shape == shape, name
    assert batch["state_features"].shape[:2] == shape
    # The head starts at zero, so with lambda = 1 the returns are the rewards to go.
    assert (batch["old_values"] == 0).all()
    real = batch["completion_mask"].bool().numpy()
    assert (episode.rewards[~real[:, : episode.rewards.shape[1]]] == 0).all()


def test_returns_are_rewards_to_go_before_the_critic_learns(make_trainer):
    trainer = make_trainer(gae_lambda=1.0)
    batch, episode = _episode(trainer)
    to_go = np.flip(np.flip(episode.rewards, 1).cumsum(1), 1)
    mask = batch["completion_mask"].numpy()
    np.testing.assert_allclose(batch["returns"].numpy(), to_go * mask, atol=1e-6)


def test_whitened_over_real_tokens_only(make_trainer):
    batch = _batch(make_trainer(whiten_floor=0.0))
    real = batch["advantages"][batch["completion_mask"].bool()]
    assert abs(real.mean()) < 1e-5
    assert abs(real.std(unbiased=False) - 1) < 1e-3
    assert (batch["advantages"][~batch["completion_mask"].bool()] == 0).all()


def test_hidden_states_predict_the_token_they_are_paired_with(make_trainer):
    """The caught hidden states, through the model's own head, give TRL's log-probabilities."""
    trainer = make_trainer(temperature=1.0)
    batch = _batch(trainer)
    trainer._policy_hidden = None
    logps = trainer._score_policy(batch)
    hidden = trainer._take_hidden()
    logits = trainer._causal_lm().lm_head(hidden)
    own = torch.log_softmax(logits, -1).gather(-1, batch["completion_ids"].unsqueeze(-1)).squeeze(-1)
    mask = batch["completion_mask"].bool()
    torch.testing.assert_close(own[mask], logps[mask], atol=1e-4, rtol=1e-4)


def test_the_old_policy_is_caught_and_not_the_reference(make_trainer):
    """After some steps adapter and base differ; the values must come from the adapter's hidden states."""
    trainer = make_trainer(num_iterations=2)
    trainer.train()
    caught = {}
    take = trainer._take_hidden
    trainer._take_hidden = lambda: caught.setdefault("hidden", take())
    batch = _batch(trainer)
    trainer._policy_hidden = None
    del trainer._take_hidden
    trainer._score_policy(batch)
    torch.testing.assert_close(caught["hidden"], trainer._take_hidden(), atol=1e-5, rtol=1e-4)


def test_task_rewards_are_added_at_the_last_token(make_trainer):
    def length(completion_ids, **_):
        return [float(len(ids)) for ids in completion_ids]

    trainer = make_trainer(reward_funcs=[length], reward_weights=[2.0])
    inputs = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    kept = {}
    token_rewards = trainer._token_rewards

    def keep(episode, width):
        kept["rewards"], kept["episode"] = token_rewards(episode, width), episode
        return kept["rewards"]

    trainer._token_rewards = keep
    trainer._generate_and_score_completions(inputs)
    difference = kept["rewards"].numpy() - kept["episode"].rewards
    lengths = kept["episode"].lengths
    np.testing.assert_allclose(difference.sum(1), 2.0 * lengths, rtol=1e-6)
    np.testing.assert_allclose(difference[np.arange(len(lengths)), lengths - 1], 2.0 * lengths, rtol=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_task_reward_that_is_not_finite_is_an_error(make_trainer, value):
    def broken(completions, **_):
        return [value] * len(completions)

    with pytest.raises(DataError, match="task reward 'broken' returned"):
        make_trainer(reward_funcs=broken).train()


def test_a_task_reward_of_none_counts_nothing(make_trainer):
    def silent(completions, **_):
        return [None] * len(completions)

    trainer = make_trainer(reward_funcs=silent)
    trainer.train()
    assert (trainer._task_totals == 0).all()


def test_no_value_gradient_reaches_the_policy(make_trainer):
    trainer = make_trainer(value_coef=1.0, beta=0.0)
    batch = _batch(trainer)
    batch["advantages"] = torch.zeros_like(batch["advantages"])
    batch["returns"] = torch.ones_like(batch["returns"])
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = 1
    trainer._compute_loss(trainer.model, batch).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in trainer.value_head.parameters())
    policy = [p for n, p in trainer.model.named_parameters() if "lora" in n and p.grad is not None]
    assert all(p.grad.abs().max() == 0 for p in policy)


def test_the_value_head_learns_at_its_own_rate_and_is_in_the_optimiser_once(make_trainer):
    trainer = make_trainer(value_learning_rate=0.5, learning_rate=0.25)
    optimizer = trainer.create_optimizer()
    head = {id(p) for p in trainer.value_head.parameters()}
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert all(rates[i] == 0.5 for i in head)
    assert {rate for i, rate in rates.items() if i not in head} == {0.25}
    assert len(rates) == sum(len(group["params"]) for group in optimizer.param_groups)


def test_checkpoints_hold_the_value_head_apart_from_the_adapter(make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.train()
    checkpoint = latest_checkpoint(tmp_path / "out")
    assert checkpoint == tmp_path / "out" / "checkpoint-4"
    adapter = load_file(checkpoint / "adapter_model.safetensors")
    assert adapter
    assert not any("value_head" in name for name in adapter)
    saved = load_file(checkpoint / "value_head.safetensors")
    for name, value in trainer.value_head.state_dict().items():
        assert torch.equal(saved[name], value)


def test_a_value_head_of_another_shape_is_refused(make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.train()
    with pytest.raises(RunError, match="cannot load the value head"):
        load_value_head(ValueHead(32, 99, 16, 3), tmp_path / "out" / "checkpoint-4")


def test_half_written_checkpoints_are_passed_over(make_trainer, tmp_path):
    make_trainer().train()
    (tmp_path / "out" / "checkpoint-4" / "complete").unlink()
    assert latest_checkpoint(tmp_path / "out").name == "checkpoint-2"
    assert not (tmp_path / "out" / "checkpoint-4").exists()


def test_resuming_ends_where_an_uninterrupted_run_ends(make_trainer, toy_model, tmp_path):
    start = {name: value.clone() for name, value in toy_model.state_dict().items()}
    whole = make_trainer(folder="whole", max_steps=8)
    whole.train()
    want = load_file(tmp_path / "whole" / "checkpoint-8" / "adapter_model.safetensors")
    toy_model = whole.model.unload()
    assert all(torch.equal(toy_model.state_dict()[name], value) for name, value in start.items() if "lora" not in name)
    resumed = make_trainer(folder="whole", max_steps=8)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    got = load_file(tmp_path / "whole" / "checkpoint-8" / "adapter_model.safetensors")
    assert want.keys() == got.keys()
    for name in want:
        assert torch.equal(want[name], got[name]), name


def test_logs_carry_the_safeguard_and_the_critic(make_trainer, guard):
    trainer = make_trainer()
    trainer.train()
    logs = json.loads(json.dumps(trainer.state.log_history[0]))
    expected = {"safeguard/violation_rate", "safeguard/cost", "safeguard/explained_variance", "value_loss", "kl"}
    expected |= {f"safeguard/rule/{rule.name}" for rule in guard.rules}
    assert expected <= set(logs)
    assert 0 < trainer.timings["safeguard"] < trainer.timings["step"]


def test_the_value_potential_is_learnt_and_resumed(make_trainer, tmp_path):
    trainer = make_trainer(potential="value")
    first = trainer.safeguard_reward.potential.copy()
    trainer.train()
    assert (trainer.safeguard_reward.potential <= 0).all()
    assert not np.allclose(first, trainer.safeguard_reward.potential)
    saved = load_file(tmp_path / "out" / "checkpoint-4" / "value_head.safetensors")
    assert saved["class_counts"].sum() > 0


@pytest.mark.parametrize("form", ["sparse", "bonus", "potential"])
@pytest.mark.parametrize("placement", ["dense", "terminal"])
def test_every_reward_form_trains(make_trainer, form, placement):
    trainer = make_trainer(reward_form=form, reward_placement=placement, max_steps=2)
    trainer.train()
    assert np.isfinite(trainer.state.log_history[0]["loss"])


def test_training_lowers_the_violation_rate(make_trainer):
    trainer = make_trainer(per_device_train_batch_size=32, max_steps=60, save_steps=100, beta=0.0)
    trainer.train()
    rates = [log["safeguard/violation_rate"] for log in trainer.state.log_history if "loss" in log]
    assert np.mean(rates[:3]) > 0.1
    assert np.mean(rates[-5:]) < 0.5 * np.mean(rates[:3]), rates
