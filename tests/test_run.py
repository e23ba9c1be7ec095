import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from safetune.errors import DataError, RunError, SpecError
from safetune.recipe import Recipe, load_recipe, resolved_table
from safetune.run import Run, files, runs_root, writing

SPEC = """
name = "tiny"
[propositions]
bad = "a bad word"
[[rule]]
name = "no bad word"
always = "!bad"
[bind.text]
bad = { words = "../words/bad.txt" }
"""
RECIPE = """
kind = "llm"
name = "a tiny/run"
about = "…"
spec = "specs/tiny.toml"
[model]
name = "pocket"
[prompts]
train = "train.jsonl"
heldout = "heldout.jsonl"
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    for name, text in {
        "specs/tiny.toml": SPEC,
        "words/bad.txt": "darn\n",
        "train.jsonl": '{"prompt": "a"}\n',
        "heldout.jsonl": '{"prompt": "b"}\n',
        "tiny.toml": RECIPE,
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return home / "tiny.toml"


@pytest.fixture
def recipe(recipe_file: Path) -> Recipe:
    return load_recipe(recipe_file)


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe) -> None:
    assert runs_root() == tmp_path / "runs"
    monkeypatch.delenv("SAFETUNE_RUNS")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert runs_root() == tmp_path / ".cache" / "safetune" / "runs"
    assert Run.folder_of(recipe).parent == runs_root()


def test_a_run_holds_copies_of_all_that_its_recipe_names(recipe: Recipe, recipe_file: Path) -> None:
    with Run.open(recipe) as run:
        assert run.path.name.startswith("a-tiny-run-")
        assert (run.path / "specs" / "specs" / "tiny.toml").read_text() == SPEC
        assert (run.path / "specs" / "words" / "bad.txt").read_text() == "darn\n"
        assert run.recipe.spec == str(run.path / "specs" / "specs" / "tiny.toml")
        assert run.recipe.prompts.train == str(run.path / "prompts" / "train.jsonl")
        assert Path(run.recipe.prompts.heldout).read_text() == '{"prompt": "b"}\n'
        assert "numpy" in run.read_json("versions.json")
        assert run.changed_versions() == {}
        assert not run.finished
        assert not run.resumed
        for path in recipe_file.parent.rglob("*.*"):  # the run stands on its own
            path.unlink()
        assert load_recipe(run.path / "recipe.toml").spec == run.recipe.spec


def test_the_same_recipe_is_the_same_run(recipe: Recipe, recipe_file: Path) -> None:
    with Run.open(recipe) as run:
        run.log_metrics({"step": 1})
    with Run.open(load_recipe(recipe_file)) as again:
        assert again.resumed
        assert again.path == run.path
        assert again.metrics() == [{"step": 1}]


def test_the_resolved_recipe_leads_to_the_same_run(recipe: Recipe) -> None:
    with Run.open(recipe) as run:
        pass
    resolved = load_recipe(run.path / "recipe.toml")
    assert Run.folder_of(resolved) == run.path
    with Run.open(resolved, path=run.path) as again:
        assert again.resumed


def test_the_resolved_recipe_repeats_the_run_elsewhere(recipe: Recipe, tmp_path: Path) -> None:
    with Run.open(recipe, path=tmp_path / "one") as one:
        pass
    moved = (tmp_path / "one").rename(tmp_path / "moved")
    with Run.open(load_recipe(moved / "recipe.toml"), path=tmp_path / "two") as two:
        assert (two.path / "recipe.toml").read_text() == (moved / "recipe.toml").read_text()
        assert Path(two.recipe.spec).read_text() == SPEC
        assert resolved_table(one.recipe).keys() == resolved_table(two.recipe).keys()


def test_another_value_or_another_file_is_another_run(recipe: Recipe, recipe_file: Path) -> None:
    folders = {Run.folder_of(recipe)}
    folders.add(Run.folder_of(load_recipe(recipe_file, ["seed=1"])))
    for name in ("words/bad.txt", "specs/tiny.toml", "train.jsonl", "heldout.jsonl"):
        path = recipe_file.parent / name
        path.write_text(path.read_text() + "\n")
        folders.add(Run.folder_of(load_recipe(recipe_file)))
    assert len(folders) == 6
    prose = load_recipe(recipe_file, ["about=other words"])
    assert Run.folder_of(prose) in folders


def test_a_folder_of_another_recipe_names_what_differs(recipe: Recipe, recipe_file: Path, tmp_path: Path) -> None:
    with Run.open(recipe, path=tmp_path / "run"):
        pass
    (recipe_file.parent / "train.jsonl").write_text("{}")
    other = load_recipe(recipe_file, ["seed=3", "trainer.max_steps=7"])
    with pytest.raises(RunError) as caught:
        Run.open(other, path=tmp_path / "run")
    message = str(caught.value)
    for words in (
        "prompts.train (content",
        "seed (0, not 3)",
        "trainer.max_steps (not set, not 7)",
        "--run",
        "--fresh",
    ):
        assert words in message
    assert "heldout" not in message


def test_fresh_puts_the_old_folder_aside(recipe: Recipe, recipe_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    for step in (1, 2):
        with Run.open(recipe, path=path, fresh=True) as run:
            assert run.metrics() == []
            run.log_metrics({"step": step})
    with Run.open(load_recipe(recipe_file, ["seed=9"]), path=path, fresh=True) as run:
        assert run.recipe.seed == 9
    assert json.loads((tmp_path / "run.old-1" / "metrics.jsonl").read_text()) == {"step": 1}
    assert json.loads((tmp_path / "run.old-2" / "metrics.jsonl").read_text()) == {"step": 2}


def test_a_folder_with_other_things_is_left_alone(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("…")
    with pytest.raises(RunError, match=r"not empty: it has 'home'"):
        Run.open(recipe, path=tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_half_made_folder_is_made_again(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "run" / "specs").mkdir(parents=True)
    (tmp_path / "run" / "specs" / "tiny.toml").write_text("na")
    (tmp_path / "run" / ".recipe.toml.1.draft").write_text("kind")
    with Run.open(recipe, path=tmp_path / "run") as run:
        assert not run.resumed
        assert Path(run.recipe.spec).read_text() == SPEC
        assert not list(run.path.rglob("*.draft"))


def test_two_processes_do_not_share_a_folder(recipe: Recipe) -> None:
    with Run.open(recipe) as run:
        with pytest.raises(RunError, match="another process is working in this run folder"):
            Run.open(recipe)
        with pytest.raises(RunError, match="another process"):
            Run.load(run.path)
        with pytest.raises(RunError, match="another process"):
            Run.open(recipe, fresh=True)
    with Run.load(run.path):
        pass


def test_the_lock_is_gone_when_its_process_is_killed(recipe: Recipe, recipe_file: Path) -> None:
    program = (
        "import sys, time; from safetune.recipe import load_recipe; from safetune.run import Run\n"
        f"run = Run.open(load_recipe({str(recipe_file)!r})); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another process"):
            Run.open(recipe)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with Run.open(recipe) as run:
        assert run.resumed


def test_load_takes_a_path_or_a_name_and_offers_the_nearest(recipe: Recipe, tmp_path: Path) -> None:
    with Run.open(recipe) as run:
        name = run.path.name
    for given in (run.path, name):
        with Run.load(given) as loaded:
            assert loaded.path == run.path
    with pytest.raises(RunError, match=f"not a run folder.* Did you mean '{name}'"):
        Run.load(name[:-1])


def test_metrics_are_lines_on_the_disk(recipe: Recipe) -> None:
    with Run.open(recipe) as run:
        for step in range(1, 6):
            run.log_metrics({"step": step, "loss": 0.5})
        assert [row["step"] for row in run.metrics()] == [1, 2, 3, 4, 5]
        run.truncate_metrics(3)
        assert [row["step"] for row in run.metrics()] == [1, 2, 3]
        run.truncate_metrics(0)
        assert run.metrics() == []
        with pytest.raises(ValueError, match="JSON"):
            run.log_metrics({"step": 1, "loss": float("nan")})
        assert run.metrics() == []


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_last_line_cut_by_a_kill_is_dropped(recipe: Recipe, cut: int) -> None:
    with Run.open(recipe) as run:
        run.log_metrics({"step": 1, "loss": 0.25})
        size = (run.path / "metrics.jsonl").stat().st_size
        run.log_metrics({"step": 2, "loss": 0.25})
        os.truncate(run.path / "metrics.jsonl", size + cut)
        assert [row["step"] for row in run.metrics()] == [1]
        run.truncate_metrics(2)
        run.log_metrics({"step": 2, "loss": 0.5})
        assert run.metrics() == [{"step": 1, "loss": 0.25}, {"step": 2, "loss": 0.5}]


def test_a_damaged_line_in_the_middle_is_an_error(recipe: Recipe) -> None:
    with Run.open(recipe) as run:
        (run.path / "metrics.jsonl").write_text('{"step": 1}\n{"ste\n{"step": 3}\n')
        with pytest.raises(RunError, match=r"metrics\.jsonl:2: not a line of JSON"):
            run.metrics()


def test_json_files_come_back_and_finish_the_run(recipe: Recipe) -> None:
    with Run.open(recipe) as run:
        run.write_jsonl("samples.jsonl", [{"prompt": "é\n"}, {"prompt": "\u2028"}])
        assert run.read_jsonl("samples.jsonl") == [{"prompt": "é\n"}, {"prompt": "\u2028"}]
        assert run.read_jsonl("nothing.jsonl") == []
        with pytest.raises(ValueError, match="JSON"):
            run.write_json("evaluation.json", {"value": float("inf")})
        assert not run.finished
        run.write_json("evaluation.json", {"value": 1.5})
        assert run.finished
        assert run.read_json("evaluation.json") == {"value": 1.5}
        with pytest.raises(RunError, match=r"nothing\.json: cannot be read"):
            run.read_json("nothing.json")


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_and_loses_nothing(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    with Run.open(recipe) as run:
        run.log_metrics({"step": 1})
        run.write_json("notes.json", {"a": 1})
        with monkeypatch.context() as patch:
            patch.setattr(files.os, "fsync", full_disk)  # the last moment at which a disk can be full
            with pytest.raises(RunError, match=r"metrics\.jsonl: the disk is full.* it resumes"):
                run.log_metrics({"step": 2})
            with pytest.raises(RunError, match=r"notes\.json: the disk is full"):
                run.write_json("notes.json", {"a": 2})
        assert run.metrics() == [{"step": 1}]
        assert run.read_json("notes.json") == {"a": 1}
        assert not list(run.path.glob(".*.draft"))


def test_what_libraries_say_of_a_full_disk_is_understood(tmp_path: Path) -> None:
    for message in (
        "I/O error: No space left on device (os error 28)",
        "PytorchStreamWriter failed writing file data/0",
    ):
        with pytest.raises(RunError, match="the disk is full"), writing(tmp_path):
            raise RuntimeError(message)
    with pytest.raises(RuntimeError, match="else"), writing(tmp_path):
        raise RuntimeError("something else")
    with pytest.raises(OSError, match="else"), writing(tmp_path):
        raise OSError("something else")


def test_a_folder_that_cannot_be_made(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match="cannot be written"):
            Run.open(recipe, path=path)


def test_files_that_the_recipe_names_must_be_there(recipe: Recipe, recipe_file: Path) -> None:
    (recipe_file.parent / "heldout.jsonl").unlink()
    with pytest.raises(
        DataError, match=r"heldout\.jsonl: cannot read this file, which the recipe's 'prompts\.heldout'"
    ):
        Run.open(recipe)
    (recipe_file.parent / "specs" / "tiny.toml").unlink()
    with pytest.raises(SpecError, match=r"tiny\.toml: cannot read"):
        Run.open(recipe)
    assert not list(runs_root().glob("*"))


def test_a_kill_at_any_moment_leaves_whole_files(recipe: Recipe, recipe_file: Path) -> None:
    """A process that writes all the time is killed at five moments; each time everything in the folder can be read."""
    program = (
        "from safetune.recipe import load_recipe; from safetune.run import Run\n"
        f"run = Run.open(load_recipe({str(recipe_file)!r}))\n"
        "rows = run.metrics(); run.truncate_metrics(10**9); print('go', flush=True)\n"
        "for step in range(len(rows), 10**9):\n"
        "    run.log_metrics({'step': step, 'text': 'x' * 1000})\n"
        "    run.write_json('state.json', {'step': step, 'text': 'x' * 10000})\n"
    )
    seen = 0
    for pause in (0.0, 0.011, 0.023, 0.05, 0.08):
        writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        with writer.stdout:
            writer.stdout.readline()
            time.sleep(pause)
            writer.kill()
            writer.wait()
        with Run.open(recipe) as run:
            steps = [row["step"] for row in run.metrics()]
            assert steps == list(range(len(steps)))
            assert len(steps) >= seen
            seen = len(steps)
            if (run.path / "state.json").exists():
                assert run.read_json("state.json")["step"] <= seen
            assert not list(run.path.glob(".*.draft"))
    assert seen > 0
