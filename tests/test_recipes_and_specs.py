"""Every recipe and every spec in the repository works: it is read, checked, and each recipe trains for two steps."""

import tomllib
from pathlib import Path

import pytest

from safetune.cli import main
from safetune.cli.specs import checked_spec
from safetune.recipe import GameRecipe, LlmRecipe, load_recipe

ROOT = Path(__file__).parent.parent
SPECS = sorted((ROOT / "specs").rglob("*.toml"))
RECIPES = sorted((ROOT / "recipes").rglob("*.toml"))
MODELS, GAMES = (
    [path for path in RECIPES if tomllib.loads(path.read_text())["kind"] == kind] for kind in ("llm", "game")
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_are_some() -> None:
    assert len(SPECS) >= 2
    assert len(MODELS) >= 3
    assert len(GAMES) >= 5
    assert len(MODELS) + len(GAMES) == len(RECIPES)


@pytest.mark.parametrize("path", SPECS, ids=name)
def test_a_spec_has_no_findings(path: Path) -> None:
    checked = checked_spec(str(path))
    assert checked.findings == []
    assert checked.guard.spec.about


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_a_recipe_names_what_is_there(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.about
    assert not checked_spec(recipe.spec, for_text=path in MODELS).errors
    assert path.read_text().startswith(f"# safetune train {name(path)}\n")


@pytest.mark.parametrize("path", MODELS, ids=name)
def test_a_models_recipe_can_be_planned(path: Path) -> None:
    prepare = pytest.importorskip("safetune.llm.train")
    plan = prepare.plan(load_recipe(path))
    assert plan["completions"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("path", MODELS, ids=name)
def test_a_models_recipe_trains_for_two_steps(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = tmp_path / "heldout.jsonl"
    recipe = load_recipe(path)
    assert isinstance(recipe, LlmRecipe)
    few.write_text("".join(Path(recipe.prompts.heldout).read_text().splitlines(keepends=True)[:8]))
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


def needs(path: Path) -> str:
    """The recipe's game, where what it needs is installed."""
    pytest.importorskip("stable_baselines3")
    if path.name.startswith("doom_"):
        pytest.importorskip("vizdoom")
    return str(path)


@pytest.mark.parametrize("path", GAMES, ids=name)
def test_a_games_recipe_can_be_planned(path: Path) -> None:
    from safetune.games.train import plan

    recipe = load_recipe(needs(path))
    assert isinstance(recipe, GameRecipe)
    assert plan(recipe)["steps"] >= recipe.agent.steps


@pytest.mark.slow
@pytest.mark.parametrize("path", GAMES, ids=name)
def test_a_games_recipe_trains_for_a_few_steps(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    smaller = ["agent.steps=128", "env.count=2", "evaluate.episodes=2"]
    if load_recipe(path).trainer.get("n_steps"):
        smaller += ["trainer.n_steps=32", "trainer.batch_size=32"]
    run = tmp_path / "run"
    assert main(["train", needs(path), "--run", str(run), *smaller]) == 0
    assert "violations an episode" in capsys.readouterr().out
    assert list((run / "agent").glob("*.safetensors"))
    assert main(["eval", str(run)]) == 0
