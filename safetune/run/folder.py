"""`Run`: one folder with all that belongs to one training.

    recipe.toml        the resolved recipe; `safetune train` on it repeats the run
    specs/ prompts/    copies of the files that the recipe names
    versions.json      what was installed
    metrics.jsonl      a line per logged step
    checkpoints/       to resume from
    adapter/           the trained adapter
    samples.jsonl      held-out completions before and after
    evaluation.json    the measures, written last: a run that has it is finished
    report.md          the same as a page to read

A run is the same run if every value of its recipe is the same and so are the bytes of the files it names; then an
interrupted one is resumed. `recipe.toml` is written last of the first four, so a folder with it has them all.
"""

import json
import os
import re
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from safetune.errors import RunError, nearest
from safetune.recipe import Recipe, load_recipe, resolved_toml
from safetune.run.files import Lock, append_line, remove_drafts, write_atomic, writing
from safetune.run.identity import copy_sources, differences, fingerprint
from safetune.run.versions import installed_versions

RECIPE, METRICS, EVALUATION, VERSIONS = "recipe.toml", "metrics.jsonl", "evaluation.json", "versions.json"


def runs_root() -> Path:
    """Where runs go unless one is named: `$SAFETUNE_RUNS`, else a folder in the user's cache."""
    return Path(os.environ.get("SAFETUNE_RUNS") or "~/.cache/safetune/runs").expanduser()


def is_run(folder: Path) -> bool:
    """Whether the folder was made by `Run`, and wholly; a folder that only keeps a recipe is none."""
    return (folder / RECIPE).is_file() and (folder / VERSIONS).is_file()


class Run:
    """A run folder that this process holds until `close`; use it as a context manager.

    Attributes:
        path: the folder.
        recipe: the recipe as the folder has it; the spec and prompts that it names are the folder's copies.
        resumed: whether the folder was there already.
    """

    def __init__(self, path: Path, lock: Lock, *, resumed: bool) -> None:
        self.path = path
        self.resumed = resumed
        self._lock = lock
        self.recipe: Recipe = load_recipe(path / RECIPE)

    @classmethod
    def open(
        cls, recipe: Recipe, root: str | Path | None = None, *, path: str | Path | None = None, fresh: bool = False
    ) -> "Run":
        """Create the recipe's run folder, or take up the one that is there.

        Args:
            recipe: what the run is of.
            root: the folder of all runs, in which the run's folder is named after its recipe.
            path: the run's folder itself, instead.
            fresh: put an existing folder aside, under another name, and begin anew.

        Raises:
            RunError: the folder belongs to another recipe or to another process, or cannot be written.
        """
        folder = cls.folder_of(recipe, root, path)
        with writing(folder):
            _make(folder)
        lock = Lock(folder)
        try:
            if fresh and is_run(folder):
                folder, lock = _begin_anew(folder, lock)
            resumed = is_run(folder)
            if resumed:
                _check_same(folder, recipe)
            else:
                _fill(folder, recipe)
            remove_drafts(folder)
            return cls(folder, lock, resumed=resumed)
        except BaseException:
            lock.release()
            raise

    @staticmethod
    def folder_of(recipe: Recipe, root: str | Path | None = None, path: str | Path | None = None) -> Path:
        """The folder that `open` would use."""
        return Path(path) if path is not None else Path(root or runs_root()) / _folder_name(recipe)

    @classmethod
    def load(cls, path: str | Path) -> "Run":
        """Take up an existing run folder, given as a path or by its name in the default place."""
        folder = Path(path)
        if not folder.exists() and (runs_root() / folder).is_dir():
            folder = runs_root() / folder
        if not is_run(folder):
            known = [entry.name for entry in runs_root().glob("*") if is_run(entry)]
            raise RunError(
                f"{path}: not a run folder: it has no {RECIPE} beside a {VERSIONS}.{nearest(Path(path).name, known)}"
            )
        return cls(folder, Lock(folder), resumed=True)

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go."""
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """Where the trained adapter goes."""
        return self.path / "adapter"

    @property
    def finished(self) -> bool:
        """Whether the run has been measured at its end."""
        return (self.path / EVALUATION).is_file()

    def log_metrics(self, row: dict[str, Any]) -> None:
        """Append a line to the metrics; it is on the disk when this returns."""
        append_line(self.path / METRICS, json.dumps(row, allow_nan=False).encode())

    def metrics(self) -> list[dict[str, Any]]:
        """The logged lines; a last one cut by a kill is left out."""
        path = self.path / METRICS
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        rows = []
        for number, line in enumerate(lines, 1):
            try:
                rows += [json.loads(line)] if line else []
            except ValueError:
                if number < len(lines):  # it is ended by a newline, so it was written whole and damaged since
                    raise RunError(f"{path}:{number}: not a line of JSON; the file was changed") from None
        return rows

    def truncate_metrics(self, step: int) -> None:
        """Drop the lines after `step`: training goes on from there and writes them again."""
        self.write_jsonl(METRICS, [row for row in self.metrics() if row.get("step", 0) <= step])

    def write_text(self, name: str, text: str) -> None:
        """Write a file of the run in one step."""
        write_atomic(self.path / name, text.encode())

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the run in one step; NaN and infinities are refused."""
        self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def write_jsonl(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write a JSONL file of the run in one step."""
        self.write_text(name, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run."""
        path = self.path / name
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: cannot be read: {error}") from None

    def read_jsonl(self, name: str) -> list[dict[str, Any]]:
        """Read a JSONL file of the run; none is an empty one."""
        path = self.path / name
        return [json.loads(line) for line in path.read_bytes().splitlines() if line] if path.exists() else []

    def changed_versions(self) -> dict[str, tuple[str | None, str | None]]:
        """Packages whose version is not what it was when the run began: (then, now)."""
        then, now = self.read_json(VERSIONS), installed_versions()
        return {name: (then.get(name), now.get(name)) for name in {**then, **now} if then.get(name) != now.get(name)}

    def close(self) -> None:
        """Let other processes take the folder up."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _folder_name(recipe: Recipe) -> str:
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", recipe.name).strip("-.") or "run"
    return f"{words[:60]}-{fingerprint(recipe)[:8]}"


def _make(folder: Path) -> None:
    """Create the folder; one that is there must be a run, the beginning of one, or empty."""
    folder.mkdir(parents=True, exist_ok=True)
    if is_run(folder):
        return
    strange = [p.name for p in folder.iterdir() if p.name not in ("specs", "prompts", VERSIONS) and p.name[0] != "."]
    if strange:
        raise RunError(f"{folder}: not a run folder, and not empty: it has '{min(strange)}'. Name a new folder")


def _begin_anew(folder: Path, lock: Lock) -> tuple[Path, Lock]:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    with writing(folder):
        folder.rename(aside)
        folder.mkdir()
    lock.release()
    return folder, Lock(folder)


def _fill(folder: Path, recipe: Recipe) -> None:
    for name in ("specs", "prompts"):
        shutil.rmtree(folder / name, ignore_errors=True)
    with writing(folder):
        copied = copy_sources(recipe, folder)
    write_atomic(folder / VERSIONS, (json.dumps(installed_versions(), indent=2) + "\n").encode())
    head = "# Resolved: every default is written out. `safetune train` on this file repeats the run.\n"
    write_atomic(folder / RECIPE, (head + resolved_toml(copied)).encode())


def _check_same(folder: Path, recipe: Recipe) -> None:
    if keys := differences(load_recipe(folder / RECIPE), recipe):
        raise RunError(
            f"{folder}: this folder holds a run of another recipe; it differs in {', '.join(keys)}. "
            "Name another folder with --run, or begin anew with --fresh"
        )
