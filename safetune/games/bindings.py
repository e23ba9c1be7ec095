"""`[bind.<world>]` of a game: one table a proposition, each of one kind, told by its key.

A world lists its kinds as pydantic models by key; here they are matched with what a spec says. Names inside a binding
(cells, items, regions) are checked by the world itself, which reports them with `unknown_name` and `complain`.
"""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ValidationError

from safetune.errors import BindingError, choices, nearest
from safetune.safeguard import Safeguard
from safetune.safeguard.complaints import complain
from safetune.safeguard.wording import problems, shown


def read_bindings(guard: Safeguard, world: str, kinds: Mapping[str, type[BaseModel]]) -> dict[str, BaseModel]:
    """The checked binding of every proposition but the built-in `end`, in declared order.

    `kinds` has the key that tells a kind, such as "cell", and the model of its whole table. Every proposition must be
    bound. All problems are told in one `BindingError` with their key path, such as `bind.craft.hazard.cell`.
    """
    tables = guard.spec.bind.get(world)
    if tables is None:
        bound = f"it binds {choices(guard.spec.bind)}" if guard.spec.bind else "it binds no world"
        raise BindingError(f"{guard.spec.source}: no [bind.{world}] table, so this spec cannot be used here; {bound}")
    bindings: dict[str, BaseModel] = {}
    wrong: list[str] = []
    for name in guard.spec.propositions:
        path = f"bind.{world}.{name}"
        if name not in tables:
            wrong.append(f"{path}: this proposition is not bound; bind it by one of the keys {choices(kinds)}")
            continue
        kind = _kind_of(tables[name], kinds)
        if kind not in kinds:
            wrong.append(f"{path}: {kind}")
            continue
        try:
            bindings[name] = kinds[kind].model_validate(tables[name])
        except ValidationError as error:
            wrong += [f"{path}.{text}" for text in problems(error, kinds[kind])]
    complain(guard, wrong)
    return bindings


def unknown_name(path: str, what: str, name: object, valid: Iterable[str]) -> str:
    """One problem: `bind.craft.hazard.cell: unknown cell 'lva'. Valid cells: …. Did you mean 'lava'?`"""
    names = list(valid)
    return f"{path}: unknown {what} {shown(name)}. Valid {what}s: {choices(names)}.{nearest(str(name), names)}"


def _kind_of(table: Mapping[str, object], kinds: Iterable[str]) -> str:
    """The one key that tells the kind; otherwise what is wrong."""
    names = list(kinds)
    found = [key for key in table if key in names]
    if len(found) == 1:
        return found[0]
    if found:
        return f"a binding is of one kind, got {' and '.join(map(shown, found))}; declare two propositions"
    near = next((hint for key in table if (hint := nearest(key, names))), "")
    return f"expected one of the keys {choices(names)}, got {choices(table) if table else 'an empty table'}.{near}"
