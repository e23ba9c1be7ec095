"""The tables of keys in docs/recipes.md, made from the code: `python -m tests.recipe_keys --write` renews them.

A table stands between `<!-- keys: NAME -->` and `<!-- end -->`; `test_documents` holds the page to them.
"""

import dataclasses
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from safetune.recipe import schema

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"
SLOT = re.compile(r"^<!-- keys: ([\w ]+) -->\n(.*?)^<!-- end -->$", flags=re.MULTILINE | re.DOTALL)
WORDS = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", dict: "table"}
NEEDED = "must be said"


def renewed(page: str) -> str:
    """The page with its tables as they should be."""
    return SLOT.sub(lambda found: f"<!-- keys: {found[1]} -->\n{TABLES[found[1]]()}<!-- end -->", page)


def keys(model: type[BaseModel]) -> str:
    """A table of the keys of one of the recipe's tables; keys that are tables themselves have their own."""
    rows = [
        (f"`{name}`", _kind(field), _default(field), field.description or "")
        for name, field in model.model_fields.items()
        if not _is_table(field)
    ]
    return _table(("key", "value", "default", "what it says"), rows)


def trainer_fields() -> str:
    """The fields that `SafeguardPPOConfig` adds to TRL's own, but for those that `[reward]` has."""
    from safetune.llm.config import OWN_FIELDS, SafeguardPPOConfig
    from safetune.llm.prepare import OWNED

    fields = {field.name: field for field in dataclasses.fields(SafeguardPPOConfig)}
    rows = [
        (f"`{name}`", f"`{_toml(fields[name].default)}`", fields[name].metadata["help"])
        for name in OWN_FIELDS
        if name not in OWNED
    ]
    return _table(("key", "default", "what it says"), rows)


def environments() -> str:
    """The ids that the package registers."""
    from safetune.games.craft.register import IDS as CRAFT
    from safetune.games.doom.register import IDS as DOOM

    maps = [(f"`{name}`", f"Craft, the map `{which}`") for name, (which, _) in CRAFT.items()]
    scenarios = [(f"`{name}`", f"Doom, the scenario `{which}`") for name, which in DOOM.items()]
    return _table(("id", "what it is"), [*maps, *scenarios])


def algorithms() -> str:
    """The algorithms and their classes."""
    from safetune.games.agents.arguments import ALGORITHMS

    rows = [(f"`{name}`", f"`{algorithm.module}.{algorithm.name}`") for name, algorithm in ALGORITHMS.items()]
    return _table(("algorithm", "class"), rows)


def _is_table(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _kind(field: FieldInfo) -> str:
    hint: Any = field.annotation
    if get_origin(hint) is Literal:
        return ", ".join(f'`"{value}"`' for value in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_word(part) for part in get_args(hint) if part is not NoneType)
    return _word(hint)


def _word(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return "list of texts"
    return WORDS[get_origin(hint) or hint]


def _default(field: FieldInfo) -> str:
    return NEEDED if field.is_required() else f"`{_toml(field.default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    first, *others = [f"| {' | '.join(line)} |\n" for line in [head, *rows]]
    return "".join([first, "|---" * len(head) + "|\n", *others])


def recipe_keys() -> str:
    """What a model's and an agent's recipe share, and `kind`, which tells them apart."""
    shared = keys(schema._Recipe).splitlines(keepends=True)
    kinds = ", ".join(f'`"{name}"`' for name in schema.KINDS)
    kind = f"| `kind` | {kinds} | {NEEDED} | What is trained: a language model or an agent. |\n"
    return "".join([*shared[:2], kind, *shared[2:]])


TABLES: dict[str, Callable[[], str]] = {
    "recipe": recipe_keys,
    "model": lambda: keys(schema.Model),
    "prompts": lambda: keys(schema.Prompts),
    "lora": lambda: keys(schema.Lora),
    "reward": lambda: keys(schema.Reward),
    "trainer": trainer_fields,
    "evaluate": lambda: keys(schema.Evaluate),
    "env": lambda: keys(schema.Environment),
    "environments": environments,
    "game reward": lambda: keys(schema.GameReward),
    "agent": lambda: keys(schema.Agent),
    "algorithms": algorithms,
    "game evaluate": lambda: keys(schema.GameEvaluate),
}

if __name__ == "__main__":
    text = renewed(PAGE.read_text(encoding="utf-8"))
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(text, encoding="utf-8")
    else:
        print(text)
