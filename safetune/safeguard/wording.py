"""pydantic's validation errors in safetune's wording: the key path, what was expected, what was got, the valid keys."""

from typing import Any

from pydantic import BaseModel, ValidationError

from safetune.errors import choices, nearest

_EXPECTED = {
    "string_type": "a string",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "tuple_type": "a list",
    "list_type": "a list",
    "finite_number": "a finite number",
}
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_SHOWN = 60


class Told(ValueError):
    """Raised by a validator whose message says all, the value that was got included."""


def problems(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One `key.path: what is wrong` for each problem; `model` is the class of the whole file."""
    return [f"{key_path(detail['loc'])}: {_describe(dict(detail), model)}" for detail in error.errors()]


def key_path(parts: tuple[int | str, ...]) -> str:
    """`rule[0].cost` for ("rule", 0, "cost")."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".") or "the file"


def shown(value: object) -> str:
    """A value as a person may have written it in TOML, shortened."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def toml_fault(error: Exception) -> str:
    """What a TOML reader complained of, with what usually helps."""
    hint = r"; write patterns in single quotes, as in regex = '\d+'" if "Unescaped '\\'" in str(error) else ""
    return f"not valid TOML: {error}{hint}"


def _describe(detail: dict[str, Any], model: type[BaseModel]) -> str:
    kind, got = detail["type"], shown(detail["input"])
    if kind == "missing":
        return "this key is missing"
    if isinstance(told := detail.get("ctx", {}).get("error"), Told):
        return str(told)
    if kind == "extra_forbidden":
        return _unknown_key(detail["loc"], model)
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return f"expected {words} {detail['ctx'][key]:g}, got {got}"
    if kind in ("tuple_type", "list_type") and isinstance(detail["input"], dict):
        return f"expected a list of tables, got one table; write [[{key_path(detail['loc'])}]], with double brackets"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {got}"
    if kind == "literal_error":
        return f"expected {detail['ctx']['expected']}, got {got}"
    return f"{detail['msg'].removeprefix('Value error, ')} (got {got})"


def _unknown_key(parts: tuple[int | str, ...], model: type[BaseModel]) -> str:
    keys = _keys_at(parts[:-1], model)
    key = str(parts[-1])
    return f"unknown key '{key}'. Valid keys: {choices(keys)}.{nearest(key, keys)}" if keys else f"unknown key '{key}'"


def _keys_at(parts: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The keys that a table of the file may have: follows the path through the models' fields."""
    current: type[BaseModel] | None = model
    for part in parts:
        if current is None:
            return []
        if isinstance(part, str) and (by_key := _by_key(current)).get(part) is not None:
            current = _model_in(by_key[part])
    return list(_by_key(current)) if current else []


def _by_key(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The one model class inside an annotation such as `tuple[Rule, ...]` or `Machine | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = {inner for part in getattr(annotation, "__args__", ()) if (inner := _model_in(part))}
    return found.pop() if len(found) == 1 else None
