"""`Run`: one folder with all that belongs to one training.

    recipe.toml        the resolved recipe; `safetune train` on it takes the run up, with --fresh it repeats it
    specs/ prompts/    copies of the files that the recipe names
    versions.json      what was installed
    metrics.jsonl      a line per logged step
    checkpoints/       to resume from
    adapter/           the trained adapter of a language model
    agent/             the trained agent of a game
    samples.jsonl      held-out completions before and after, of a language model
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
from shlex import quote
from types import TracebackType
from typing import Any, Self

from safetune.errors import RunError, nearest
from safetune.recipe import Recipe, load_recipe, resolved_toml
from safetune.run.files import Lock, append_line, remove_drafts, write_atomic, writing
from safetune.run.identity import copy_sources, differences, fingerprint
from safetune.run.versions import installed_versions

RECIPE, METRICS, EVALUATION, VERSIONS = "recipe.toml", "metrics.jsonl", "evaluation.json", "versions.json"
SOURCES = ("specs", "prompts")  # folders with copies of what the recipe names


def runs_root() -> Path:
    """Where runs go unless one is named: `$SAFETUNE_RUNS`, else a folder in the user's cache."""
    return Path(os.environ.get("SAFETUNE_RUNS") or "~/.cache/safetune/runs").expanduser()


def is_run(folder: Path) -> bool:
    """Whether the folder was made by `Run`, and wholly; a folder that only keeps a recipe is none."""
    return (folder / RECIPE).is_file() and (folder / VERSIONS).is_file()


def find_run(name: str | Path) -> Path | None:
    """The run folder of this path, or of this name in the default place."""
    return next((folder for folder in (Path(name), runs_root() / name) if is_run(folder)), None)


def resume_command(folder: Path) -> str:
    """What to type to take a run up."""
    return f"safetune train {quote(str(folder / RECIPE))}"


class Run:
    """A run folder that this process holds until `close`; use it as a context manager.

    Attributes:
        path: the folder.
        recipe: the recipe as the folder has it; the spec and prompts that it names are the folder's copies.
        resumed: whether the folder was there already.
    """

    def __init__(self, path: Path, lock: Lock, *, resumed: bool, aside: Path | None = None) -> None:
        self.path = path
        self.resumed = resumed
        self._lock = lock
        self._aside = aside
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
            aside, resumed = None, is_run(folder) and not fresh
            if resumed:
                _check_same(folder, recipe)
            elif is_run(folder):
                aside, lock = _begin_anew(folder, lock, recipe)
            else:
                _fill(folder, recipe)
            remove_drafts(folder)
            return cls(folder, lock, resumed=resumed, aside=aside)
        except BaseException:
            lock.release()
            raise

    @staticmethod
    def folder_of(recipe: Recipe, root: str | Path | None = None, path: str | Path | None = None) -> Path:
        """The folder that `open` would use: for a run's own recipe.toml, its values unchanged, the run's."""
        if path is not None:
            return _named(Path(path))
        home = _named(recipe.source.parent)
        if root is None and recipe.source.name == RECIPE and is_run(home) and not _differences(home, recipe):
            return home
        return Path(root or runs_root()) / _folder_name(recipe)

    @classmethod
    def load(cls, path: str | Path) -> "Run":
        """Take up an existing run folder, given as a path or by its name in the default place."""
        folder = find_run(path)
        if folder is None:
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
    def agent(self) -> Path:
        """Where the trained agent goes."""
        return self.path / "agent"

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

    def discard(self) -> None:
        """Take back what `open` made, and what it put aside; nothing where the run was there already."""
        if self.resumed:
            return
        for name in (RECIPE, VERSIONS, ".lock"):
            (self.path / name).unlink(missing_ok=True)
        for name in SOURCES:
            shutil.rmtree(self.path / name, ignore_errors=True)
        if any(self.path.iterdir()):  # it has something of the user's own, or of a run that has begun
            return
        self.path.rmdir()
        if self._aside is not None:
            self._aside.rename(self.path)

    def close(self) -> None:
        """Let other processes take the folder up."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _named(folder: Path) -> Path:
    """The folder by a path that ends in its name, beside which another can be put."""
    return folder.resolve() if folder.name in ("", "..") else folder


def _folder_name(recipe: Recipe) -> str:
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", recipe.name).strip("-.") or "run"
    return f"{words[:60]}-{fingerprint(recipe)[:8]}"


def _make(folder: Path) -> None:
    """Create the folder; one that is there must be a run, the beginning of one, or empty."""
    folder.mkdir(parents=True, exist_ok=True)
    if is_run(folder):
        return
    strange = [p.name for p in folder.iterdir() if p.name not in (*SOURCES, VERSIONS) and p.name[0] != "."]
    if strange:
        raise RunError(f"{folder}: not a run folder, and not empty: it has '{min(strange)}'. Name a new folder")


def _begin_anew(folder: Path, lock: Lock, recipe: Recipe) -> tuple[Path, Lock]:
    """Put the old run aside; the new one is made first, since its recipe may name files of the old one."""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        with writing(draft):
            draft.mkdir()
        _fill(draft, recipe)
        return _swap(folder, draft, lock)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _swap(folder: Path, draft: Path, lock: Lock) -> tuple[Path, Lock]:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    with writing(folder):
        held = Lock(draft)
        folder.rename(aside)
        draft.rename(folder)
    lock.release()
    return aside, held


def _fill(folder: Path, recipe: Recipe) -> None:
    for name in SOURCES:
        shutil.rmtree(folder / name, ignore_errors=True)
    with writing(folder):
        copied = copy_sources(recipe, folder)
    write_atomic(folder / VERSIONS, (json.dumps(installed_versions(), indent=2) + "\n").encode())
    head = (
        "# Resolved: every default is written out. `safetune train` on this file takes the run up where it stopped\n"
        "# (or shows its result); with --fresh it repeats the run from the beginning.\n"
    )
    write_atomic(folder / RECIPE, (head + resolved_toml(copied)).encode())


def _check_same(folder: Path, recipe: Recipe) -> None:
    if keys := _differences(folder, recipe):
        raise RunError(
            f"{folder}: this folder holds a run of another recipe; it differs in {', '.join(keys)}. "
            "Name another folder with --run, or begin anew with --fresh"
        )


def _differences(folder: Path, recipe: Recipe) -> list[str]:
    return differences(load_recipe(folder / RECIPE), recipe)
