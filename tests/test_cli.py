import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from safetune.cli import main
from safetune.cli.main import COMMANDS
from safetune.cli.show import read_trace
from safetune.recipe import Recipe
from safetune.run import Run
from tests.bad_input.files import FILES, MACHINE, spec

ROOT = Path(__file__).parent.parent
RATE = {"value": 0.5, "low": 0.4, "high": 0.6}
MEASURES = {
    "completions": 2,
    "tokens": 20,
    "violation_rate": RATE,
    "violations_per_1k_tokens": 1.0,
    "rules": {"no e-mail": RATE},
    "logp_base": -1.0,
    "kl_base": 0.0,
    "distinct_1": 1.0,
    "distinct_2": 1.0,
    "length_mean": 10.0,
    "eos_rate": 1.0,
    "tasks": {},
}
EVALUATION = {"spec": "no-mail", "prompts": 2, "before": MEASURES, "after": MEASURES}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Host:
    """Stands in for `safetune.llm.train`: records its calls, and writes what the real one would."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.error: BaseException | None = None

    def plan(self, recipe: Recipe) -> dict[str, Any]:
        self.calls.append(("plan", recipe.seed))
        return {"spec": "no-mail", "rules": ["no e-mail"], "completions": 8}

    def train(self, recipe: Recipe, run: Run, progress: Any) -> dict[str, Any]:
        self.calls.append(("train", recipe.seed))
        assert recipe.spec.startswith(str(run.path.absolute()))  # the run's own copy
        if self.error:
            raise self.error
        return self.evaluate_run(recipe, run, progress)

    def evaluate_run(self, recipe: Recipe, run: Run, progress: Any) -> dict[str, Any]:
        self.calls.append(("evaluate", recipe.evaluate.samples))
        sample = {"prompt": "p", "before": "a@b", "after": "no", "broken_before": ["no e-mail"], "broken_after": []}
        run.write_jsonl("samples.jsonl", [sample] * 20)
        run.write_json("evaluation.json", EVALUATION)
        return EVALUATION


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host()
    module = SimpleNamespace(plan=host.plan, train=host.train, evaluate_run=host.evaluate_run)
    monkeypatch.setitem(sys.modules, "safetune.llm.train", module)
    return host


def names(host: Host) -> list[str]:
    return [name for name, _ in host.calls]


# the command itself


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in ([], ["-h"], ["--help"]):
        assert main(argv) == 0
        shown = capsys.readouterr().out
        assert [line.split()[0] for line in shown.splitlines() if line.startswith("  ")] == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: safetune {name}")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("safetune 0.")


def test_interrupted(here: Path, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.error = KeyboardInterrupt()
    assert main(["train", "recipe.toml"]) == 130
    assert "interrupted" in capsys.readouterr().err


# train


def test_train_shows_the_table_and_keeps_a_page(here: Path, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "recipe.toml", "seed=3", "--run", "run", "lora.rank=2"]) == 0
    assert host.calls == [("plan", 3), ("train", 3), ("evaluate", 1)]
    shown = capsys.readouterr()
    assert "50.0% [40.0%, 60.0%]" in shown.out
    page = (here / "run" / "report.md").read_text()
    assert "50.0% \\[40.0%, 60.0%]" in page
    assert page.count("**p**") == 12  # evaluate.samples_shown
    assert "rank = 2" in (here / "run" / "recipe.toml").read_text()


def test_the_same_command_shows_a_finished_run(here: Path, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["train", "recipe.toml"]) == 0
    assert names(host) == ["plan", "train", "evaluate"]
    shown = capsys.readouterr()
    assert "this run is finished" in shown.err
    assert shown.out.count("50.0% [40.0%, 60.0%]") == 8  # two rows, two columns, twice
    assert main(["train", "recipe.toml", "--fresh"]) == 0
    assert names(host)[3:] == ["plan", "train", "evaluate"]


def test_the_same_command_takes_up_an_interrupted_run(here: Path, host: Host) -> None:
    host.error = KeyboardInterrupt()
    assert main(["train", "recipe.toml"]) == 130
    host.error = None
    assert main(["train", "recipe.toml"]) == 0
    assert len(list((here / "runs").iterdir())) == 1


def test_a_runs_own_recipe_repeats_it(here: Path, host: Host) -> None:
    assert main(["train", "recipe.toml", "seed=5", "--run", "one"]) == 0
    assert main(["train", "one/recipe.toml", "--run", "two"]) == 0
    assert (here / "one" / "recipe.toml").read_text() == (here / "two" / "recipe.toml").read_text()


def test_a_dry_run_does_nothing(here: Path, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "recipe.toml", "--dry-run"]) == 0
    assert host.calls == [("plan", 0)]
    shown = capsys.readouterr().out
    assert "completions  8" in shown
    assert str(here / "runs" / "tiny-") in shown
    assert not (here / "runs").exists()


def test_a_full_disk_while_training(here: Path, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.error = RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/7")
    assert main(["train", "recipe.toml", "--run", "run"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: run: the disk is full")


def without_llm(arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process that has none of the extra's packages."""
    program = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'trl', 'peft', 'datasets'): sys.modules[name] = None\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from safetune.cli import main; raise SystemExit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, *arguments.split()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("arguments", ["train recipe.toml", "train recipe.toml --dry-run"])
def test_a_missing_extra_is_named(arguments: str, here: Path) -> None:
    done = without_llm(arguments, here)
    assert done.returncode == 2
    assert done.stderr.startswith("error: training a language model needs the 'llm' extra, and '")
    assert done.stderr.endswith("' is not installed. In a checkout of safetune: pip install -e '.[llm]'\n")
    assert not (here / "runs").exists()


# eval


def test_eval_measures_again(here: Path, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "recipe.toml", "--run", "run"]) == 0
    assert main(["eval", "run", "evaluate.samples=4"]) == 0
    assert host.calls[-1] == ("evaluate", 4)
    assert "50.0% [40.0%, 60.0%]" in capsys.readouterr().out
    assert main(["eval", "run", "seed=2"]) == 2
    assert "the rest of a run's recipe is settled" in capsys.readouterr().err


# check


def test_check_counts_and_finds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "spec.toml"]) == 0
    assert capsys.readouterr().out.startswith("spec.toml: 1 rule, 1 state, text bindings of ")
    (here / "spec.toml").write_text(str(spec('"!email" => "email & !email"')["spec.toml"]))
    assert main(["check", "spec.toml"]) == 1
    assert "spec.toml: error: rule 'no e-mail': this rule cannot be kept" in capsys.readouterr().out
    assert main(["check", "recipe.toml"]) == 1


def test_check_reads_specs_that_bind_no_text(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "suit.toml").write_text(MACHINE.replace('"suit"\nto', '"suit & !lava"\nto'))
    assert main(["check", "suit.toml", "spec.toml"]) == 0
    assert "suit.toml: 1 rule, " in capsys.readouterr().out


def test_check_of_a_recipe_plans_it(here: Path, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "recipe.toml"]) == 0
    assert "recipe.toml: completions: 8" in capsys.readouterr().out


def test_check_of_a_recipe_without_the_extra_says_what_it_left_out(here: Path) -> None:
    done = without_llm("check recipe.toml", here)
    assert done.returncode == 0
    assert "recipe.toml: not checked: checking prompts and trainer fields needs the 'llm' extra" in done.stdout


# show


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a;;b", [["a"], [], ["b"]]),
        ("a, b ;", [["a", "b"], []]),
        ("", [[]]),
        ('[["a"], [], ["a", "b"]]', [["a"], [], ["a", "b"]]),
        ("[]", []),
    ],
)
def test_traces(text: str, steps: list[list[str]]) -> None:
    assert read_trace(text) == steps


def test_show_prints_tables(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "spec.toml", "email;;email"]) == 0
    shown = capsys.readouterr().out
    assert "rule 'no e-mail' (cost 1): !email" in shown
    assert "trace through no-mail" in shown


def test_show_writes_graphs_and_pictures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "spec.toml", "--format", "dot"]) == 0
    assert capsys.readouterr().out.startswith("digraph")
    assert main(["show", "spec.toml", "--format", "mermaid"]) == 0
    assert "stateDiagram" in capsys.readouterr().out
    pytest.importorskip("matplotlib")
    assert main(["show", "spec.toml", "email", "--output", "x.svg"]) == 0
    assert "<svg" in (here / "x.svg").read_text()


def test_show_follows_a_text(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "spec.toml", "--text", "to a@b now"]) == 0
    assert "no e-mail" in capsys.readouterr().out
    assert main(["show", "spec.toml", "--text", "to nobody"]) == 0
    assert capsys.readouterr().out == "no rule is broken\n"
    assert main(["show", "spec.toml", "email", "--text", "x"]) == 2


# guard


def test_guard_names_file_line_column_and_rule(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "clean.txt").write_text("nothing")
    (here / "mail.txt").write_text("one\nto a@b now\nc@d")
    assert main(["guard", "spec.toml", "clean.txt"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["guard", "spec.toml", "clean.txt", "mail.txt"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mail.txt:2:6: no e-mail: email held after ")
    assert lines[-1].startswith("mail.txt:3:3: no e-mail: ")


def test_guard_writes_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mail.txt").write_text("a@b.")
    assert main(["guard", "spec.toml", "mail.txt", "--json"]) == 1
    row = json.loads(capsys.readouterr().out)
    assert (row["file"], row["line"], row["column"], row["rule"], row["labels"]) == (
        "mail.txt",
        1,
        3,
        "no e-mail",
        ["email"],
    )


def test_guard_reads_standard_input(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"to a@b")))
    assert main(["guard", "spec.toml"]) == 1
    assert capsys.readouterr().out.startswith("<stdin>:1:6: no e-mail")


def test_guard_speaks_while_the_text_still_comes(here: Path) -> None:
    command = [sys.executable, "-m", "safetune", "guard", str(here / "spec.toml")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"to a@b now")
        process.stdin.flush()
        patience = threading.Timer(30, process.kill)
        patience.start()
        assert process.stdout.readline().startswith(b"<stdin>:1:6")  # before the end of the input
        patience.cancel()
        process.stdin.close()
        assert process.wait() == 1


@pytest.mark.parametrize("arguments", ["guard {}/spec.toml {}/long.txt", "show {}/spec.toml --format dot"])
def test_a_closed_pipe_ends_the_command_quietly(arguments: str, here: Path) -> None:
    (here / "long.txt").write_text("a@b and\n" * 20_000)
    command = [sys.executable, "-m", "safetune", *arguments.replace("{}", str(here)).split()]
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


# list


def test_list_shows_what_is_at_hand(here: Path, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "specs").mkdir()
    (here / "specs" / "a.toml").write_text('about = "all about it"')
    (here / "specs" / "broken.toml").write_text("about")
    assert main(["train", "recipe.toml"]) == 0
    capsys.readouterr()
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "recipes: none" in shown
    assert "specs/a.toml" in shown
    assert "all about it" in shown
    assert "(not valid TOML)" in shown
    assert "pocket" in shown
    assert "  finished" in shown
    assert main(["list", "runs"]) == 0
    assert "pocket" not in capsys.readouterr().out
