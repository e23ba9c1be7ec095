"""Learners on disk: all of them comes back, nothing is unpickled, damage is said."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch

from safetune.errors import RunError
from safetune.games.agents import storage
from safetune.games.prepare import Learner, read_plan
from safetune.recipe import GameRecipe

Make = Callable[..., GameRecipe]
ALGORITHMS = {
    "ppo": (),
    "maskable-ppo": (),
    "recurrent-ppo": ("trainer.policy_kwargs={lstm_hidden_size = 8}",),
    "ppo-lagrangian": ("reward.form=sparse", "reward.weight=0.0"),
    "tabular-q": ("trainer={}",),
}


def learner(make_recipe: Make, name: str, *more: str) -> Learner:
    return read_plan(make_recipe(f"agent.algorithm={name}", *ALGORITHMS[name], *more)).learner()


def state_of(found: Any) -> dict[str, Any]:
    """All tensors of a learner by name."""
    if not hasattr(found, "model"):
        return {"values": torch.from_numpy(found.table.stages[0].values.copy())}
    names, _ = found.model._get_torch_save_params()
    tensors: dict[str, Any] = {}
    for name in names:
        part = storage.recursive_getattr(found.model, name)
        own = storage._optimizer_tensors(part) if isinstance(part, torch.optim.Optimizer) else part.state_dict()
        tensors |= {f"{name}/{key}": value.clone() for key, value in own.items()}
    return tensors


@pytest.fixture
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("something is unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(torch, "load", refuse)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.usefixtures("no_pickle")
def test_a_learner_comes_back_as_it_was(make_recipe: Make, name: str, tmp_path: Path) -> None:
    first = learner(make_recipe, name)
    teach(first, 64)
    first.save(tmp_path)
    expected, drawn = state_of(first), np.random.random()
    other = learner(make_recipe, name, "seed=5")
    assert any(not torch.equal(value, expected[key]) for key, value in state_of(other).items() if key in expected)
    other.load(tmp_path)
    found = state_of(other)
    assert set(found) == set(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert other.steps == first.steps == 64
    if name != "tabular-q":
        assert np.random.random() == drawn


def teach(found: Any, steps: int) -> None:
    """Learn without a run."""
    if hasattr(found, "model"):
        found.model.learn(steps, log_interval=None)
        return

    class Deaf:
        episodes = 0

        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    found.learn(steps, Deaf())


@pytest.mark.parametrize("name", ["ppo", "tabular-q"])
def test_damaged_and_foreign_files_are_said(make_recipe: Make, name: str, tmp_path: Path) -> None:
    one = learner(make_recipe, name)
    one.save(tmp_path)
    (file,) = [path for path in tmp_path.glob("*.safetensors") if path.name != storage.RANDOM]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"safetensors: cannot load the agent"):
        one.load(tmp_path)
    file.write_bytes(whole)
    other = learner(make_recipe, name, "env.observe=none") if name == "ppo" else None
    if other is not None:
        with pytest.raises(RunError, match=r"(?s)cannot load the agent.*size mismatch"):
            other.load_policy(tmp_path)
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(RunError, match=r"state\.json: cannot be read"):
        one.load(tmp_path)


def test_what_was_learnt_of_the_labels_comes_back(make_recipe: Make, tmp_path: Path) -> None:
    one = learner(make_recipe, "ppo", "reward.potential=value")
    teach(one, 64)
    one.save(tmp_path)
    counts = one.envs.label_counts
    assert counts is not None
    assert counts.sum() == 64
    other = learner(make_recipe, "ppo", "reward.potential=value")
    other.load(tmp_path)
    assert (other.envs.label_counts == counts).all()
