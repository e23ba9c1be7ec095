"""Every recipe and every spec in the repository works: it is read, checked, and each recipe trains for two steps."""

from pathlib import Path

import pytest

from safetune.cli import main
from safetune.cli.specs import checked_spec
from safetune.recipe import load_recipe

ROOT = Path(__file__).parent.parent
SPECS = sorted((ROOT / "specs").rglob("*.toml"))
RECIPES = sorted((ROOT / "recipes").rglob("*.toml"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_are_some() -> None:
    assert len(SPECS) >= 2
    assert len(RECIPES) >= 3


@pytest.mark.parametrize("path", SPECS, ids=name)
def test_a_spec_has_no_findings(path: Path) -> None:
    checked = checked_spec(str(path))
    assert checked.findings == []
    assert checked.guard.spec.about


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_a_recipe_names_what_is_there(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.about
    assert not checked_spec(recipe.spec, for_text=True).errors
    assert path.read_text().startswith(f"# safetune train {name(path)}\n")


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_a_recipe_can_be_planned(path: Path) -> None:
    prepare = pytest.importorskip("safetune.llm.train")
    plan = prepare.plan(load_recipe(path))
    assert plan["completions"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_a_recipe_trains_for_two_steps(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = tmp_path / "heldout.jsonl"
    few.write_text("".join(Path(load_recipe(path).prompts.heldout).read_text().splitlines(keepends=True)[:8]))
    smaller = [
        f"prompts.heldout={few}",
        "model.name=pocket",
        "trainer.max_steps=2",
        "trainer.num_iterations=1",
        "trainer.max_completion_length=16",
    ]
    run = tmp_path / "run"
    assert main(["train", str(path), "--run", str(run), *smaller]) == 0
    assert "completions that break a rule" in capsys.readouterr().out
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
    assert main(["eval", str(run)]) == 0
