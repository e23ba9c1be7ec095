"""What makes two runs the same: the recipe's values, and the bytes of the files it names."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from safetune.errors import DataError
from safetune.recipe import LlmRecipe, Recipe, resolved_table
from safetune.safeguard.spec import Spec

PROSE = ("about",)


def fingerprint(recipe: Recipe) -> str:
    """A digest that is the same for the same run."""
    return hashlib.sha256(json.dumps(_facts(recipe), sort_keys=True, default=str).encode()).hexdigest()


def differences(old: Recipe, new: Recipe) -> list[str]:
    """The keys in which two recipes differ, each as `key (old, not new)`."""
    before, after = _facts(old), _facts(new)
    return [
        f"{key} ({_shown(before.get(key))}, not {_shown(after.get(key))})"
        for key in sorted({**before, **after})
        if before.get(key) != after.get(key)
    ]


def copy_sources(recipe: Recipe, folder: Path) -> Recipe:
    """Copy the spec, the files it names and the prompts; returns the recipe with paths relative to `folder`.

    Files keep their places relative to one another, so that what the spec says of them holds for the copies.
    """
    spec = copy_spec(recipe.spec, folder / "specs").relative_to(folder).as_posix()
    if not isinstance(recipe, LlmRecipe):
        return recipe.model_copy(update={"spec": spec})
    prompts = {}
    for key in ("train", "heldout"):
        source = Path(getattr(recipe.prompts, key))
        if source.is_absolute():
            prompts[key] = f"prompts/{key}{source.suffix}"
            _copy(source, folder / prompts[key], f"prompts.{key}")
    return recipe.model_copy(update={"spec": spec, "prompts": recipe.prompts.model_copy(update=prompts)})


def copy_spec(path: str, folder: Path) -> Path:
    """Copy a spec and the files it names into `folder`; returns where the copy of the spec is."""
    sources = spec_files(path)
    base = Path(os.path.commonpath([source.parent for source in sources]))
    for source in sources:
        _copy(source, folder / source.relative_to(base), "spec")
    return folder / sources[0].relative_to(base)


def spec_files(path: str) -> list[Path]:
    """The spec file, then the files that its bindings name by a relative path, as `words = "names.txt"` does."""
    spec = Spec.load(path)
    named = [
        Path(os.path.normpath(Path(path).parent / table["words"]))
        for bindings in spec.bind.values()
        for table in bindings.values()
        if isinstance(table.get("words"), str) and not Path(table["words"]).is_absolute()
    ]
    return [Path(path), *dict.fromkeys(named)]


def _facts(recipe: Recipe) -> dict[str, Any]:
    """Dotted key to value, with a digest of its bytes in place of a file's path."""
    facts = _flat({key: value for key, value in resolved_table(recipe).items() if key not in PROSE})
    facts["spec"] = [_digest(path, "spec") for path in spec_files(recipe.spec)]
    for key in ("prompts.train", "prompts.heldout") if isinstance(recipe, LlmRecipe) else ():
        source = Path(facts[key])
        if source.is_absolute():
            facts[key] = [_digest(source, key)]
    return facts


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _digest(path: Path, key: str) -> str:
    return hashlib.sha256(_read(path, key)).hexdigest()


def _copy(source: Path, target: Path, key: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(_read(source, key))


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot read this file, which the recipe's '{key}' names: {error.strerror}") from None


def _shown(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) and len(item) == 64 for item in value) and value:
        return f"content {value[0][:8]}"
    return "not set" if value is None else json.dumps(value, default=str)
