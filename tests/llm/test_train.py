"""A whole run on the model in the package, as short as can be: measured, trained, saved, measured, evaluated."""

import json

import pytest

from safetune.errors import RunError
from safetune.llm.train import evaluate_run, plan, train
from safetune.progress import Progress
from safetune.recipe import load_recipe
from safetune.run import Run

SETTINGS = [
    "trainer.max_steps=4", "trainer.per_device_train_batch_size=4", "trainer.num_iterations=2",
    "trainer.max_completion_length=12", "trainer.save_steps=2", "evaluate.samples=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def recipe(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    prompts = folder / "prompts.jsonl"
    prompts.write_text("\n".join(json.dumps({"prompt": f"Customer: Who is {n}?\nAgent:"}) for n in ("Ann", "Bo", "Cy")))
    heldout = folder / "heldout.jsonl"
    heldout.write_text(
        "\n".join(json.dumps({"prompt": f"Customer: Where is {n}?\nAgent:"}) for n in ("Di", "Ed", "Flo"))
    )
    source = request.config.rootpath / "recipes" / "quickstart.toml"
    return load_recipe(source, [*SETTINGS, f"prompts.train={prompts}", f"prompts.heldout={heldout}"])


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    run = Run.open(recipe, path=tmp_path_factory.mktemp("run"))
    with Progress() as progress:
        result = train(run.recipe, run, progress)
    yield run, result
    run.close()


def test_the_result_has_both_measures(finished):
    run, result = finished
    assert result == run.read_json("evaluation.json")
    for side in ("before", "after"):
        measures = result[side]
        assert measures["completions"] == 3
        assert {"violation_rate", "rules", "logp_base", "kl_base", "distinct_2", "eos_rate"} <= set(measures)
    assert result["before"]["kl_base"] == 0.0


def test_the_run_holds_what_belongs_to_it(finished):
    run, _ = finished
    for name in ("adapter_model.safetensors", "value_head.safetensors", "specs/no_contact_details.toml"):
        assert (run.adapter / name).is_file(), name
    rows = run.metrics()
    assert [row["step"] for row in rows] == [2, 4]
    assert [row["completions"] for row in rows] == [4, 8]
    samples = run.read_jsonl("samples.jsonl")
    assert len(samples) == 3
    assert {"prompt", "before", "after", "broken_before", "broken_after"} <= set(samples[0])
    assert not list(run.path.rglob("*.draft"))


def test_evaluating_a_run_again_gives_the_same_measures(finished):
    run, result = finished
    with Progress() as progress:
        again = evaluate_run(run.recipe, run, progress)
    for side in ("before", "after"):
        for key, value in result[side].items():
            assert again[side][key] == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value), key


def test_a_run_without_an_adapter_cannot_be_evaluated(recipe, tmp_path):
    with (
        Run.open(recipe, path=tmp_path / "run") as run,
        Progress() as progress,
        pytest.raises(RunError, match="no adapter yet"),
    ):
        evaluate_run(run.recipe, run, progress)


def test_the_dry_run_says_what_would_be_done(recipe):
    said = plan(recipe)
    assert said["completions"] == 8
    assert said["optimiser steps"] == 4
    assert said["rules"] == ["no e-mail address", "no phone number"]


def test_a_hub_model_is_planned_and_said_to_be_unchecked(recipe):
    hub = recipe.model_copy(update={"model": recipe.model.model_copy(update={"name": "no-one/nothing"})})
    assert plan(hub)["model"] == "no-one/nothing (hub id, not checked)"
    assert plan(recipe)["model"] == "pocket"


def test_the_hosts_template_is_not_kept_beside_the_adapter(finished):
    run, _ = finished
    assert not (run.adapter / "README.md").exists()
