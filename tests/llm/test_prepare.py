"""From a recipe to its parts: settings, alignment of checkpoints, and what wrong recipes are told."""

import json
import math

import pytest

from safetune.errors import DataError, RecipeError
from safetune.llm.prepare import read_plan, trainer_config
from safetune.llm.tasks import load_task
from safetune.recipe import load_recipe

RECIPE = """
kind = "llm"
name = "t"
spec = "no.toml"
[model]
name = "pocket"
[prompts]
train = "p.jsonl"
heldout = "h.jsonl"
[trainer]
max_steps = 12
per_device_train_batch_size = 4
num_iterations = 2
"""
SPEC = """
name = "no"
[propositions]
bad = "bad"
[[rule]]
name = "not bad"
always = "!bad"
[bind.text]
bad = { words = ["bad"] }
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "r.toml").write_text(RECIPE)
    (tmp_path / "no.toml").write_text(SPEC)
    (tmp_path / "p.jsonl").write_text(json.dumps({"prompt": "hello"}))
    (tmp_path / "h.jsonl").write_text(json.dumps({"prompt": "good day"}))
    return lambda *overrides: load_recipe(tmp_path / "r.toml", overrides)


def test_a_plan_counts_its_completions(recipe, tmp_path):
    plan = read_plan(recipe(), tmp_path)
    assert plan.steps_per_generation == 2
    assert plan.generations == 6
    assert plan.prompts_per_generation == 4


def test_the_reward_table_reaches_the_trainer(recipe, tmp_path):
    config = trainer_config(recipe("reward.form=bonus", "reward.weight=2.0", "reward.placement=terminal"), tmp_path)
    assert (config.reward_form, config.violation_weight, config.reward_placement) == ("bonus", 2.0, "terminal")


@pytest.mark.parametrize("wanted", [1, 3, 4, 7])
def test_checkpoints_fall_between_batches_of_completions(recipe, tmp_path, wanted):
    config = trainer_config(recipe(f"trainer.save_steps={wanted}", "trainer.num_iterations=3"), tmp_path)
    assert config.save_steps == 3 * math.ceil(wanted / 3)
    assert config.logging_steps == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.learning_rat=1", "Did you mean 'learning_rate'"),
        ("trainer.seed=3", "'seed' is decided by the recipe's 'seed'"),
        ("trainer.reward_form=sparse", r"decided by \[reward\] form"),
        ("trainer.max_steps=0", "expected at least 1"),
        ("trainer.max_steps=11", "expected a multiple of 2"),
        ("trainer.max_steps=two", "trainer.max_steps: got 'two', expected int"),
        ("trainer.save_total_limit=1", "expected at least 2"),
        ("trainer.save_only_model=true", "resumes by itself"),
        ("trainer.optim=no_such_optimiser", r"\[trainer\]: "),
    ],
)
def test_wrong_trainer_tables(recipe, tmp_path, override, message):
    with pytest.raises(RecipeError, match=message):
        trainer_config(recipe(override), tmp_path)


def test_a_batch_of_completions_must_fill_whole_optimiser_steps(recipe, tmp_path):
    overrides = ("trainer.gradient_accumulation_steps=3", "trainer.steps_per_generation=1")
    with pytest.raises(RecipeError, match="is 2, expected a multiple of gradient_accumulation_steps"):
        trainer_config(recipe(*overrides), tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("json", "expected 'module:function'"),
        ("no_such_module:f", "cannot import 'no_such_module'"),
        ("json:lods", "has no function 'lods'"),
    ],
)
def test_wrong_task_rewards(name, message):
    with pytest.raises(RecipeError, match=message):
        load_task(name)


def test_held_out_prompts_must_not_be_trained_on(recipe, tmp_path):
    with pytest.raises(DataError, match="1 of 1 held-out prompts are training prompts"):
        read_plan(recipe(f"prompts.heldout={tmp_path / 'p.jsonl'}"), tmp_path)


def test_two_tasks_of_one_name_are_refused(recipe, tmp_path):
    with pytest.raises(RecipeError, match="two functions are called 'loads'"):
        read_plan(recipe('reward.tasks=["json:loads", "json:loads"]'), tmp_path)


def test_a_task_reward_is_found_by_its_name():
    name, function = load_task("json:loads")
    assert (name, function) == ("loads", json.loads)
