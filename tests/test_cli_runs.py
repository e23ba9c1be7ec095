# ruff: noqa: F811 - fixtures of another file are named by arguments
"""Run folders as the commands see them: which one is meant, what is kept, what is taken back."""

import json
from pathlib import Path

import pytest

from safetune.cli import main
from safetune.errors import ModelError
from safetune.recipe import load_recipe
from safetune.run import Run
from safetune.run.checkpoints import mark_complete
from tests.test_cli import Host, here, host, names  # noqa: F401

TRAINED = ["plan", "train", "evaluate"]


def test_fresh_on_a_runs_own_recipe_repeats_the_run(here: Path, host: Host) -> None:
    assert main(["train", "recipe.toml", "--run", "run"]) == 0
    (here / "run" / "mark").touch()
    for given in ("run/recipe.toml", "run"):
        assert main(["train", given, "--fresh"]) == 0
    assert names(host) == TRAINED * 3
    assert (here / "run.old-1" / "mark").exists()
    assert (here / "run.old-2" / "evaluation.json").exists()
    assert (here / "run" / "specs" / "spec.toml").read_text() == (here / "spec.toml").read_text()
    assert not list(here.glob(".*"))


def test_fresh_that_cannot_begin_leaves_the_old_run_alone(here: Path, host: Host) -> None:
    assert main(["train", "recipe.toml", "--run", "run"]) == 0
    (here / "run" / "prompts" / "train.jsonl").unlink()
    assert main(["train", "run/recipe.toml", "--fresh"]) == 2
    assert (here / "run" / "evaluation.json").exists()
    assert sorted(path.name for path in here.iterdir() if path.is_dir()) == ["run"]


@pytest.mark.parametrize("given", ["run/recipe.toml", "run", "recipe.toml", "."])
def test_a_runs_own_recipe_means_that_run(
    given: str, here: Path, host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host.error = KeyboardInterrupt()
    assert main(["train", "recipe.toml", "--run", "run"]) == 130
    host.error = None
    if not given.startswith("run"):
        monkeypatch.chdir(here / "run")
    assert main(["train", given]) == 0
    assert names(host) == ["plan", "train", *TRAINED]
    assert (here / "run" / "evaluation.json").exists()
    capsys.readouterr()
    assert main(["train", given]) == 0
    assert "this run is finished" in capsys.readouterr().err
    assert names(host) == ["plan", "train", *TRAINED]
    assert not (here / "runs").exists()


def test_a_runs_own_recipe_with_another_value_is_another_run(here: Path, host: Host) -> None:
    assert main(["train", "recipe.toml", "--run", "run"]) == 0
    assert main(["train", "run/recipe.toml", "seed=4"]) == 0
    assert len(list((here / "runs").iterdir())) == 1


def test_the_header_of_a_runs_recipe_says_what_training_on_it_does(here: Path) -> None:
    with Run.open(load_recipe("recipe.toml"), path="run") as run:
        head = (run.path / "recipe.toml").read_text().partition("\nkind")[0].replace("\n# ", " ")
    assert "takes the run up where it stopped" in head
    assert "with --fresh it repeats the run" in head


def test_an_unfinished_run_is_listed_with_the_command_that_resumes_it(
    here: Path, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.error = KeyboardInterrupt()
    assert main(["train", "recipe.toml"]) == 130
    host.error = None
    capsys.readouterr()
    assert main(["list", "runs"]) == 0
    command = capsys.readouterr().out.partition("to resume it: safetune ")[2].split()
    assert command[0] == "train"
    assert main(command) == 0
    assert len(list((here / "runs").iterdir())) == 1
    assert main(["train", next((here / "runs").iterdir()).name]) == 0  # by its name, as for eval
    assert names(host) == ["plan", "train", *TRAINED]


def test_an_interruption_says_where_the_run_goes_on(here: Path, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.error = KeyboardInterrupt()
    for _ in range(2):
        assert main(["train", "recipe.toml", "--run", "run"]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "interrupted; there is no checkpoint yet, so the same command begins again"
    for step in (5, 20):
        checkpoint = here / "run" / "checkpoints" / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        mark_complete(checkpoint)
    assert main(["train", "recipe.toml", "--run", "run"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted; the same command resumes after step 20"


def test_a_run_without_its_model_leaves_nothing_behind(
    here: Path, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.error = ModelError("model 'no/where': cannot be read")
    assert main(["train", "recipe.toml", "--run", "run"]) == 2
    assert capsys.readouterr().err.endswith("error: model 'no/where': cannot be read\n")
    assert not (here / "run").exists()
    host.error = None
    assert main(["train", "recipe.toml", "--run", "run"]) == 0
    host.error = ModelError("model 'no/where': cannot be read")
    assert main(["train", "recipe.toml", "--run", "run", "--fresh"]) == 2
    assert (here / "run" / "evaluation.json").exists()  # what was put aside is back
    assert not (here / "run.old-1").exists()
    (here / "mine").mkdir()
    (here / "mine" / ".notes").touch()
    assert main(["train", "recipe.toml", "--run", "mine"]) == 2
    assert [path.name for path in (here / "mine").iterdir()] == [".notes"]


def test_an_adapter_gets_a_card_without_a_path(here: Path, host: Host) -> None:
    with Run.open(load_recipe("recipe.toml"), path="run") as run:
        run.adapter.mkdir()
    assert main(["train", "recipe.toml", "--run", "run"]) == 0
    card = (here / "run" / "adapter" / "README.md").read_text()
    assert "for the model `pocket`" in card
    assert "- no e-mail (cost 1): `!email`" in card
    assert "| completions that break a rule | 50.0% \\[40.0%, 60.0%] |" in card
    assert 'load_model("pocket")' in card
    assert 'PeftModel.from_pretrained(model, "adapter")' in card
    assert str(here) not in card


def test_check_goes_on_after_a_file_that_is_not_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "none.toml", "spec.toml", "nor.toml"]) == 2
    shown = capsys.readouterr()
    assert "spec.toml: 1 rule" in shown.out
    assert [line.split(":")[1].strip() for line in shown.err.splitlines()] == ["none.toml", "nor.toml"]


def test_check_says_that_a_spec_binds_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "spec.toml").write_text((here / "spec.toml").read_text().partition("[bind")[0])
    assert main(["check", "spec.toml"]) == 0
    assert "spec.toml: note: no [bind.text] table: add one" in capsys.readouterr().out


def test_long_names_of_states_are_numbers_explained_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = f"once[4] ({' | '.join(['email & email'] * 8)})"
    text = (here / "spec.toml").read_text().replace("[[rule]]", 'phone = "a phone number"\n[[rule]]')
    text = text.replace("!email", f"phone -> {long}") + "phone = { regex = '\\d' }\n"
    (here / "spec.toml").write_text(text)
    assert main(["show", "spec.toml", "email"]) == 0
    tables, _, listed = capsys.readouterr().out.partition("\ns1: ")
    assert "email & email" not in tables.partition("│")[2]
    assert " ".join(f"s1: {listed}".split()).startswith(f"s1: {long}, ")
    assert main(["show", "spec.toml", "--text", "a@b 1 2 3 4 5 6"]) == 0
    assert "states: start → s" in capsys.readouterr().out


def test_guard_says_that_it_marks_the_end_of_a_match(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guard", "--help"]) == 0
    assert "`offset` is the byte after the match" in capsys.readouterr().out
    (here / "mail.txt").write_text("to a@b now")
    assert main(["guard", "spec.toml", "mail.txt", "--json"]) == 1
    row = json.loads(capsys.readouterr().out)
    assert (row["marks"], row["offset"]) == ("end of match", len("to a@b"))
