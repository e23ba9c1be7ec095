"""Reading a recipe: TOML, overrides, checks, and paths made absolute; and writing a resolved one."""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from safetune.errors import RecipeError, choices, nearest
from safetune.recipe.schema import KINDS, GameRecipe, LlmRecipe, Recipe
from safetune.safeguard.wording import problems, shown, toml_fault

COMMAND_LINE = "command line"
DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


def load_recipe(path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe, lay `key=value` overrides over it, and check it.

    Relative paths in the file start from the file's folder, those on the command line from the working folder. In
    the result they are absolute.

    Raises:
        RecipeError: the file cannot be read, or a key or value is wrong.
    """
    path = Path(path)
    table = _read(path)
    overridden: set[str] = set()
    for override in overrides:
        overridden.add(_override(table, override))
    kind = _kind(table, path)
    _check_sections(kind, table, overridden)
    try:
        recipe = kind.model_validate(table)
    except ValidationError as error:
        raise _one_error(path, overridden, problems(error, kind)) from None
    free = {"trainer": recipe.trainer} | ({"env.options": recipe.env.options} if recipe.kind == "game" else {})
    if found := [text for where, table in free.items() for text in _not_finite(table, where)]:
        raise _one_error(path, overridden, found)
    recipe = _with_absolute_paths(recipe, path, overridden)
    recipe._source = path
    recipe._overridden = frozenset(overridden)
    return recipe


def fault(recipe: Recipe, problem: str) -> RecipeError:
    """An error about a recipe that has been read, `trainer.x: …`, with the file or the command line it comes from."""
    key = re.sub(r"^\[(\w+)\]: '(\w+)'.*", r"\1.\2:", problem)
    where = str(recipe.source)
    if _is_from(key, set(recipe._overridden)):
        where = COMMAND_LINE
    elif any(problem.startswith(f"[{given.partition('.')[0]}]") for given in recipe._overridden):
        where = f"{where} and {COMMAND_LINE}"  # about a whole table, to which both have set values
    return RecipeError(f"{where}: {problem}")


def resolved_table(recipe: Recipe) -> dict[str, Any]:
    """Every key of the recipe with its value, defaults included, as plain TOML values."""
    return recipe.model_dump()


def resolved_toml(recipe: Recipe) -> str:
    """The recipe with every default written out, as TOML."""
    return tomli_w.dumps(resolved_table(recipe))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: expected UTF-8 text, got byte {error.start} that is not") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"{path}: {toml_fault(error)}") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot read this recipe: {error.strerror or error}") from None
    except ValueError as error:  # a path with a null character
        raise RecipeError(f"{str(path)!r}: cannot read this recipe: {error}") from None


def _kind(table: dict[str, Any], path: Path) -> type[LlmRecipe] | type[GameRecipe]:
    kind = table.get("kind")
    if kind is None and "propositions" in table:
        raise RecipeError(
            f"{path}: this is a spec, not a recipe. `safetune check`, `show` and `guard` read specs; a recipe names "
            f"one, as in spec = {shown(path.name)}"
        )
    if kind is None:
        raise RecipeError(f"{path}: kind: this key is missing. Valid kinds: {choices(KINDS)}")
    if not isinstance(kind, str) or kind not in KINDS:
        raise RecipeError(
            f"{path}: kind: got {shown(kind)}, expected one of {choices(KINDS)}.{nearest(str(kind), KINDS)}"
        )
    return KINDS[kind]


def _override(table: dict[str, Any], override: str) -> str:
    """Set one `dotted.key=value` in the table; returns the key."""
    key, equals, text = override.partition("=")
    key = key.strip()
    parts = key.split(".")
    if not equals or not all(parts):
        raise RecipeError(f"{COMMAND_LINE}: got '{override}', expected key=value, such as seed=1 or lora.rank=16")
    for depth, part in enumerate(parts[:-1], 1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{COMMAND_LINE}: {key}: '{'.'.join(parts[:depth])}' is not a table, it has no keys")
    table[parts[-1]] = _value(key, text)
    return key


def _check_sections(kind: type[LlmRecipe] | type[GameRecipe], table: dict[str, Any], overridden: set[str]) -> None:
    """`model=pocket` means a key of the section: say which."""
    for name in overridden:
        field = kind.model_fields.get(name)
        section = field.annotation if field else None
        if isinstance(section, type) and issubclass(section, BaseModel) and not isinstance(table[name], dict):
            keys = list(section.model_fields)
            raise RecipeError(
                f"{COMMAND_LINE}: {name}: expected a table, got {shown(table[name])}; its keys are {choices(keys)}. "
                f"Did you mean {name}.{keys[0]}={table[name]}?"
            )


def _value(key: str, text: str) -> Any:
    """The text as a TOML value; a bare word or path is a string."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        if text.lstrip()[:1] in ("[", "{", '"', "'"):
            raise RecipeError(f"{COMMAND_LINE}: {key}: not a valid TOML value: {text} ({error})") from None
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _not_finite(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_finite(inner, f"{where}.{key}")
    elif isinstance(value, float) and not isfinite(value):
        yield f"{where}: expected a finite number, got {value}"


def _one_error(path: Path, overridden: set[str], found: list[str]) -> RecipeError:
    """All problems in one error, each with the place that it comes from."""
    if len(found) == 1:
        return RecipeError(f"{COMMAND_LINE if _is_from(found[0], overridden) else path}: {found[0]}")
    lines = [f"- {COMMAND_LINE}: {line}" if _is_from(line, overridden) else f"- {line}" for line in found]
    return RecipeError("\n".join([f"{path}: {len(lines)} problems", *lines]))


def _is_from(problem: str, keys: set[str]) -> bool:
    where = re.split(r"[:\[]", problem, maxsplit=1)[0]
    return any(where == key or where.startswith(f"{key}.") or key.startswith(f"{where}.") for key in keys)


def _with_absolute_paths(recipe: Recipe, path: Path, overridden: set[str]) -> Recipe:
    def folder(key: str) -> Path:
        return Path.cwd() if {key, key.partition(".")[0]} & overridden else path.absolute().parent

    spec = str(_absolute(recipe.spec, folder("spec")))
    if isinstance(recipe, GameRecipe):
        return recipe.model_copy(update={"spec": spec})
    prompts = recipe.prompts.model_copy(
        update={
            key: _data_source(getattr(recipe.prompts, key), folder(f"prompts.{key}")) for key in ("train", "heldout")
        }
    )
    model = recipe.model.model_copy(update={"name": _model_name(recipe.model.name, folder("model.name"))})
    return recipe.model_copy(update={"spec": spec, "prompts": prompts, "model": model})


def _data_source(name: str, folder: Path) -> str:
    path = _absolute(name, folder)
    return str(path) if _looks_like_path(name) or name.endswith(DATA_SUFFIXES) or path.exists() else name


def _model_name(name: str, folder: Path) -> str:
    if name == "pocket" or name.startswith("pypi:"):
        return name
    path = _absolute(name, folder)
    return str(path) if _looks_like_path(name) or name.endswith(".gguf") or path.exists() else name


def _looks_like_path(name: str) -> bool:
    return name.startswith((".", "/", "~"))


def _absolute(name: str, folder: Path) -> Path:
    """The path without `.` and `..`, symbolic links left as they are."""
    return Path(os.path.normpath(folder / Path(name).expanduser()))
