"""What README.md and docs/ show is so: specs and recipes are read, code runs, calls parse, links lead somewhere."""

import re
import shlex
import tomllib
from argparse import RawTextHelpFormatter
from pathlib import Path
from typing import Any

import pytest

from safetune.cli.main import COMMANDS, Parser, _command
from safetune.cli.specs import checked_spec
from safetune.recipe import GameRecipe, load_recipe
from safetune.safeguard import Safeguard, Spec
from tests import recipe_keys

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *(ROOT / "docs" / name for name in ("specs.md", "recipes.md"))]
BASE = {"llm": ROOT / "recipes" / "quickstart.toml", "game": ROOT / "recipes" / "craft_valley.toml"}
HEAVY = re.compile(r"^(?:from|import) (?:datasets|peft|safetune\.llm)\b", flags=re.MULTILINE)
GAMES = re.compile(r"^(?:from|import) (?:gymnasium|safetune\.games)\b", flags=re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


TOML = [
    pytest.param(tomllib.loads(text), text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, text in enumerate(blocks(page, "toml"), 1)
]


def test_there_are_examples() -> None:
    assert all(blocks(page, "toml") for page in PAGES)
    assert len(TOML) >= 8


@pytest.mark.parametrize(("table", "text"), TOML)
def test_a_toml_block_is_a_right_spec_or_recipe(table: dict[str, Any], text: str, tmp_path: Path) -> None:
    if "propositions" in table:
        (tmp_path / "words").symlink_to(ROOT / "specs" / "words")
        (tmp_path / "example.toml").write_text(text, encoding="utf-8")
        checked = checked_spec(str(tmp_path / "example.toml"), for_text="text" in table.get("bind", {}))
        assert checked.findings == []
    elif set(table) == {"bind"}:
        ((world, bindings),) = table["bind"].items()
        check_bindings(world, list(bindings), text, tmp_path)
    else:
        check_recipe(text, table, tmp_path)


def check_bindings(world: str, names: list[str], text: str, folder: Path) -> None:
    """Bindings by themselves are read under a spec that forbids each proposition."""
    lines = ['name = "example"', "[propositions]", *(f'{name} = "…"' for name in names)]
    lines += [line for name in names for line in ("[[rule]]", f'name = "{name}"', f'always = "!{name}"')]
    (folder / "words").mkdir()
    (folder / "words" / "drugs.txt").write_text("# of the shelf\naspirin\n", encoding="utf-8")
    guard = Safeguard.from_spec(Spec.parse("\n".join([*lines, text]), str(folder / "example.toml")))
    if world == "text":
        from safetune.text import compile_bindings

        assert compile_bindings(guard).n_states > 1
        return
    gym = pytest.importorskip("gymnasium")
    from safetune.games import build_labeller, read_bindings
    from safetune.games.craft.labeller import KINDS as CRAFT
    from safetune.games.doom.labeller import KINDS as DOOM
    from safetune.games.minigrid import KINDS as MINIGRID

    kinds = {"craft": CRAFT, "doom": DOOM, "minigrid": MINIGRID}[world]
    assert list(read_bindings(guard, world, kinds)) == names
    assert {key for binding in guard.spec.bind[world].values() for key in binding if key in kinds} == set(kinds)
    if world == "craft":  # names as well: its environment needs no package but numba
        pytest.importorskip("numba")
        build_labeller(guard, gym.make("safetune/Craft-Valley-v0"))


def check_recipe(text: str, table: dict[str, Any], folder: Path) -> None:
    """A table by itself is laid over a recipe of the repository; the files that a whole one names must be there."""
    if whole := "kind" in table:
        path = folder / "recipes" / "example.toml"
        path.parent.mkdir()
        (folder / "specs").symlink_to(ROOT / "specs")
        (path.parent / "prompts").symlink_to(ROOT / "recipes" / "prompts")
        path.write_text(text, encoding="utf-8")
        recipe = load_recipe(path)
    else:
        over = [f"{name}.{key}={value!r}" for name, values in table.items() for key, value in values.items()]
        recipe = load_recipe(BASE["llm"], over)
    assert Path(recipe.spec).is_file()
    if isinstance(recipe, GameRecipe):
        pytest.importorskip("stable_baselines3")
        from safetune.games.train import plan

        assert plan(recipe)["steps"] >= recipe.agent.steps
    elif whole:
        prepare = pytest.importorskip("safetune.llm.train")
        assert prepare.plan(recipe)["optimiser steps"] == recipe.trainer["max_steps"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_calls_parse_and_name_files_that_are_there(page: Path) -> None:
    for line in "".join(blocks(page, "sh")).splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["safetune"]:
            assert words[1] in COMMANDS
            parser = Parser(prog=line, allow_abbrev=False, formatter_class=RawTextHelpFormatter)
            _command(words[1]).configure(parser)
            parser.parse_intermixed_args(words[2:])
        named = [word.partition("=")[2] or word for word in words]
        assert [
            name for name in named if re.match(r"(specs|recipes|scripts)/", name) and not (ROOT / name).exists()
        ] == []


@pytest.mark.parametrize("line", [line for page in PAGES for line in "".join(blocks(page, "sh")).splitlines()])
def test_recipes_that_calls_name_take_what_they_say(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(line, comments=True)
    if words[:2] == ["safetune", "train"]:
        load_recipe(words[2], [word for word in words[3:] if "=" in word])


@pytest.mark.parametrize(
    "page", [*PAGES, *sorted((ROOT / "docs" / "results").glob("*.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    linked = re.findall(r"\]\(([\w./-]+)\)", page.read_text(encoding="utf-8"))
    assert [name for name in linked if not (page.parent / name).exists()] == []


def run_blocks(page: Path, wanted: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run those of a page's Python blocks in turn, as a reader would in one session."""
    (folder / "specs").symlink_to(ROOT / "specs")
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": page.stem}
    chosen = [source for source in blocks(page, "python") if wanted(source)]
    for number, source in enumerate(chosen, 1):
        exec(compile(source, f"{page.name}, Python block {number}", "exec"), names)
    return len(chosen)


def test_python_of_the_core_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run_blocks(
            PAGES[0], lambda source: not HEAVY.search(source) and not GAMES.search(source), tmp_path, monkeypatch
        )
        == 2
    )
    assert capsys.readouterr().out.startswith("line 1, column 10: broke 'no dose before the disclaimer'")


def test_python_of_games_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("gymnasium", "numba"):
        pytest.importorskip(package)
    assert run_blocks(PAGES[0], GAMES.search, tmp_path, monkeypatch) == 1


@pytest.mark.slow
def test_python_of_language_models_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peft = pytest.importorskip("peft")
    from safetune.llm import load_model

    adapted = peft.get_peft_model(
        load_model("pocket")[0], peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear")
    )
    adapted.save_pretrained(tmp_path / "RUN" / "adapter")
    assert run_blocks(PAGES[0], HEAVY.search, tmp_path, monkeypatch) == 2


def test_the_keys_of_recipes_are_those_of_the_code() -> None:
    pytest.importorskip("trl")
    pytest.importorskip("gymnasium")
    page = recipe_keys.PAGE.read_text(encoding="utf-8")
    assert [name for name, _ in recipe_keys.SLOT.findall(page)] == list(recipe_keys.TABLES)
    assert page == recipe_keys.renewed(page), "renew the page: python -m tests.recipe_keys --write"


def test_the_operators_are_those_of_the_code() -> None:
    from safetune.safeguard.formula import PRECEDENCE, UNARY

    page = (ROOT / "docs" / "specs.md").read_text(encoding="utf-8")
    table = page.partition("| operator |")[2].partition("\n\n")[0].replace("\\|", "|")
    named = re.findall(r"^\| `(.+?)` \|", table, flags=re.MULTILINE)
    unary = [name for name in named if not re.match(r"p ", name)]
    assert {re.match(r"!|[a-z]+", name)[0] for name in unary} == set(UNARY)  # type: ignore[index]
    assert [name.split()[1] for name in named[len(unary) :]] == sorted(PRECEDENCE, key=lambda op: -PRECEDENCE[op])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("once p & q", "(once p) & q"),
        ("p & q since r", "p & (q since r)"),
        ("p | q & r", "p | (q & r)"),
        ("p -> q | r", "p -> (q | r)"),
        ("p <-> q -> r", "p <-> (q -> r)"),
        ("p -> q -> r", "p -> (q -> r)"),
        ("p since q since r", "(p since q) since r"),
        ("p -> !r since q", "p -> ((!r) since q)"),
    ],
)
def test_precedence_is_as_the_page_says(written: str, meant: str) -> None:
    from safetune.safeguard.parser import parse

    assert parse(written) == parse(meant)


def test_the_page_has_the_keys_of_specs() -> None:
    from safetune.safeguard.spec import MachineSpec, RuleSpec, TransitionSpec
    from safetune.text import TextSettings

    page = (ROOT / "docs" / "specs.md").read_text(encoding="utf-8")
    keys = [
        f"`{field.alias or name}`"
        for model in (Spec, RuleSpec, MachineSpec, TransitionSpec, TextSettings)
        for name, field in model.model_fields.items()
        if name not in Spec.model_fields
    ]
    tables = [f"[{name}" for name in ("propositions", "[rule]", "machine", "bind.", "text")]
    assert [key for key in [*keys, *tables] if key not in page and key != "`transition`"] == []


def test_the_machine_shown_is_the_file() -> None:
    (shown,) = [text for text in blocks(ROOT / "docs" / "specs.md", "toml") if "[machine]" in text]
    assert shown == (ROOT / "specs" / "refusal_stays.toml").read_text(encoding="utf-8")


def step_count(pattern: str, text: str) -> int:
    from safetune.text import Monitor

    guard = Safeguard.from_spec(
        Spec.parse(
            'name = "x"\n[propositions]\np = "p"\n[[rule]]\nname = "r"\nalways = "!p"\n'
            f"[bind.text]\np = {{ regex = '{pattern}' }}"
        )
    )
    monitor = Monitor(guard)
    return len(monitor.feed(text)) + len(monitor.close())


def test_steps_of_text_are_as_the_page_says() -> None:
    assert step_count(r"\d+", "in 123 days") == 3
    assert step_count(r"\b\d+\b", "in 123 days") == 1
