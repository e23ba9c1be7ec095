"""Spec files: their shape, and reading one from TOML.

The models below say which keys a file may have; `checks` says what must be true of their values together. How a
world binds the propositions (`[bind.<world>]`, `[text]`) is kept as it stands: each world checks its own.

Every problem with a file is a `SpecError` (or its child `FormulaError`) that names the file and the key.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, StrictBool, ValidationError

from safetune.errors import FormulaError, SpecError
from safetune.safeguard.checks import alphabet, problems_of
from safetune.safeguard.wording import Told, problems, shown, toml_fault

Cost = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RuleSpec(_Table):
    """`[[rule]]`: a formula that must hold at every step."""

    name: str
    """What a verdict says when the rule is broken."""
    always: str
    """The formula, in pure-past temporal logic."""
    cost: Cost = 1.0
    """What one violation costs: at least 0."""


class Unsafe(_Table):
    """An unsafe state of a `[machine]`; entering it is the violation."""

    cost: Cost = 1.0


class TransitionSpec(_Table):
    """`[[machine.transition]]`."""

    start: str = Field(alias="from")
    when: str
    """A guard: a formula about the present step alone."""
    to: str


class MachineSpec(_Table):
    """`[machine]`: states and transitions instead of rules. Where no guard matches, the machine stays."""

    initial: str
    absorbing: StrictBool
    """true: the first entry into an unsafe state is charged and the machine stays there; false: every step that
    ends in an unsafe state is charged."""
    unsafe: Annotated[dict[str, Unsafe], BeforeValidator(lambda value: _as_tables(value))]
    """State to cost, or to a table with a cost."""
    transition: tuple[TransitionSpec, ...] = ()
    states: tuple[str, ...] | None = None
    """All the states, where a file lists them; then any other name is an error."""

    @property
    def state_names(self) -> tuple[str, ...]:
        """Every state, the initial one first, the others as listed or in order of appearance."""
        named = [name for step in self.transition for name in (step.start, step.to)]
        return tuple(dict.fromkeys([self.initial, *(self.states or ()), *named, *self.unsafe]))


def _as_tables(value: Any) -> Any:
    """Each state's cost as a table; a state without one is told what is written there."""
    if not isinstance(value, dict):
        names = value if isinstance(value, list) else [value]
        raise _no_cost("states with their costs", next((name for name in names if isinstance(name, str)), "bad"), value)
    for name, cost in value.items():
        if isinstance(cost, bool) or not isinstance(cost, int | float | dict):
            raise _no_cost(f"a cost of '{name}'", name, cost)
    return {name: cost if isinstance(cost, dict) else {"cost": cost} for name, cost in value.items()}


def _no_cost(expected: str, name: str, got: Any) -> Told:
    key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f"'{name}'"
    return Told(f"expected {expected}, as in unsafe = {{ {key} = 1.0 }}, got {shown(got)}")


def _spec_of(table: dict[str, Any]) -> str:
    named = table.get("spec")
    return f"; the spec that it names is {shown(named)}" if isinstance(named, str) else ""


class Spec(_Table):
    """A spec file: propositions, rules (or a machine), and how worlds bind the propositions."""

    name: str
    about: str = ""
    propositions: dict[str, str]
    """Name to what it means, in words."""
    rule: tuple[RuleSpec, ...] = ()
    machine: MachineSpec | None = None
    bind: dict[str, dict[str, dict[str, Any]]] = {}
    """World to proposition to that world's own binding table."""
    text: dict[str, Any] = {}
    """Settings of the text world, which checks them."""
    _source: str = PrivateAttr("<string>")

    @property
    def source(self) -> str:
        """The file that the spec was read from."""
        return self._source

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the spec start from."""
        return Path(self._source).parent

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The propositions in declared order, and `end` after them where a formula speaks of it."""
        return alphabet(self)

    @classmethod
    def load(cls, path: str | Path) -> "Spec":
        """Read and check a spec file."""
        try:
            text = Path(path).read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SpecError(f"{path}: expected UTF-8 text, got byte {error.start} that is not") from None
        except OSError as error:
            raise SpecError(f"{path}: cannot read this spec file: {error.strerror or error}") from None
        except ValueError as error:  # a path with a null character
            raise SpecError(f"{str(path)!r}: cannot read this spec file: {error}") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, toml_text: str, source: str = "<string>") -> "Spec":
        """Check a spec given as text; `source` is what errors call it, and where relative paths start from."""
        try:
            table = tomllib.loads(toml_text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise SpecError(f"{source}: {toml_fault(error)}") from None
        if "kind" in table and "propositions" not in table:
            raise SpecError(f"{source}: this is a recipe, not a spec{_spec_of(table)}")
        try:
            spec = cls.model_validate(table)
        except ValidationError as error:
            raise _one_error(source, [(SpecError, text) for text in problems(error, cls)]) from None
        spec._source = source
        if found := problems_of(spec):
            raise _one_error(source, found)
        return spec


def _one_error(source: str, found: list[tuple[type[SpecError], str]]) -> SpecError:
    """All problems in one error, which is a FormulaError when formulas alone are wrong."""
    kind = FormulaError if all(kind is FormulaError for kind, _ in found) else SpecError
    if len(found) == 1:
        return kind(f"{source}: {found[0][1]}")
    return kind(f"{source}: {len(found)} problems\n" + "\n".join(f"- {text}" for _, text in found))
