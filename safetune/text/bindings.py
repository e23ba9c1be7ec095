"""`[bind.text]`: which text makes a proposition hold.

    [bind.text]
    email = { regex = '\\b[\\w.+-]+@[\\w-]+\\.[a-z]{2,}\\b' }
    insult = { words = ["fool", "old hat"] }
    drug = { words = "drugs.txt", unicode = true }    # a file beside the spec, one entry a line, "# " begins a comment

Each kind of binding is one class here, told apart by its key; a new kind is a new class in `KINDS`.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, StrictBool, StrictStr, ValidationError, field_validator

from safetune.errors import BindingError, choices, nearest
from safetune.safeguard.complaints import complain
from safetune.safeguard.machine import Safeguard
from safetune.safeguard.wording import problems, shown
from safetune.text.automaton import ByteAutomaton, minimise, product
from safetune.text.regex import compile_regex
from safetune.text.words import compile_words

STATE_LIMIT = 100_000
"""How many states all patterns of a spec may have together."""


class RegexBinding(BaseModel):
    """Holds where a match of a regular expression ends; see `regex`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    regex: StrictStr
    """The pattern, in the syntax of Python's `re`."""
    unicode: StrictBool = False
    """Classes, boundaries and case folding are Unicode's, not ASCII's."""

    def compile(self, folder: Path) -> ByteAutomaton:
        """The automaton of this binding; `folder` is the spec's."""
        return compile_regex(self.regex, unicode=self.unicode)


class WordsBinding(BaseModel):
    """Holds where a whole word of a list ends, in any case; see `words`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: tuple[str, ...] | str
    """The words, or the file that lists them, relative to the spec."""
    unicode: StrictBool = False
    """Letters beyond ASCII are case folded as well."""

    @field_validator("words", mode="plain")
    @classmethod
    def _list_or_file(cls, value: Any) -> tuple[str, ...] | str:
        if isinstance(value, str):
            return value
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            return tuple(value)
        raise ValueError("expected a list of strings, or the path of a file with one word a line")

    def compile(self, folder: Path) -> ByteAutomaton:
        """The automaton of this binding; `folder` is the spec's."""
        words = read_words(folder / self.words) if isinstance(self.words, str) else self.words
        return compile_words(words, unicode=self.unicode)


Binding = RegexBinding | WordsBinding
KINDS: dict[str, type[RegexBinding] | type[WordsBinding]] = {"regex": RegexBinding, "words": WordsBinding}
_LATER = ("classifier", "length", "python", "tokens", "unless")


def compile_bindings(guard: Safeguard, *, state_limit: int = STATE_LIMIT) -> ByteAutomaton:
    """The minimal automaton that labels each position with the propositions that hold there, as `guard.encode` does."""
    parts: dict[str, ByteAutomaton] = {}
    wrong: list[str] = []
    for name, binding in read_bindings(guard).items():
        try:
            parts[name] = binding.compile(guard.spec.folder)
        except BindingError as error:
            wrong.append(f"bind.text.{name}: {error}")
    complain(guard, wrong)
    relabelled = {name: _relabel(part, guard.encode([name])) for name, part in parts.items()}
    smallest_first = sorted(relabelled.values(), key=lambda part: part.n_states)
    whole = smallest_first[0]
    try:
        for part in smallest_first[1:]:
            whole = minimise(product(whole, part, state_limit))
    except BindingError:
        complain(guard, [_too_large(parts, state_limit)])
    return whole


def read_bindings(guard: Safeguard) -> dict[str, Binding]:
    """The checked binding of every proposition but the built-in `end`."""
    tables = guard.spec.bind.get("text")
    if tables is None:
        first = next(iter(guard.spec.propositions))
        bound = f" (this spec binds {choices(guard.spec.bind)})" if guard.spec.bind else ""
        raise BindingError(
            f"{guard.spec.source}: no [bind.text] table: add one, which says what each proposition is in a text, as in "
            f"{first} = {{ regex = '…' }}{bound}"
        )
    bindings: dict[str, Binding] = {}
    wrong: list[str] = []
    for name in guard.spec.propositions:
        if name not in tables:
            hint = "bind it, such as " + name + " = { regex = '…' } or { words = [\"…\"] }"
            wrong.append(f"bind.text.{name}: this proposition is not bound; {hint}")
            continue
        try:
            bindings[name] = _model_for(tables[name]).model_validate(tables[name])
        except ValidationError as error:
            wrong += [f"bind.text.{name}.{text}" for text in problems(error, _model_for(tables[name]))]
        except BindingError as error:
            wrong.append(f"bind.text.{name}: {error}")
    complain(guard, wrong)
    return bindings


def read_words(path: Path) -> list[str]:
    """The words of a file: one a line, blank lines and comments (`# …`) left out."""
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BindingError(f"words: {path} is not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError) as error:
        hint = f'; for a list of words write words = ["{path.name}"]' if not path.suffix else ""
        raise BindingError(
            f"words: cannot read the file {path}: {getattr(error, 'strerror', None) or error}{hint}"
        ) from None
    words = [line.strip() for line in lines]
    words = [word for word in words if word and word != "#" and not word.startswith("# ")]
    if not words:
        raise BindingError(f"words: the file {path} lists no word")
    return words


def _model_for(table: dict[str, Any]) -> type[RegexBinding] | type[WordsBinding]:
    """The class for a binding's table, told by its key."""
    kinds = [key for key in table if key in KINDS or key in _LATER]
    if len(kinds) > 1:
        raise BindingError(f"a binding is of one kind, got {' and '.join(map(shown, kinds))}; declare two propositions")
    if not kinds:
        near = next((hint for key in table if (hint := nearest(key, KINDS))), "")
        got = choices(table) if table else "an empty table"
        raise BindingError(f"expected one of the keys {choices(KINDS)}, got {got}.{near}")
    if kinds[0] in _LATER:
        raise BindingError(f"'{kinds[0]}' comes in a later version of safetune; supported now: {choices(KINDS)}")
    return KINDS[kinds[0]]


def _relabel(automaton: ByteAutomaton, bit: int) -> ByteAutomaton:
    return ByteAutomaton(automaton.initial, automaton.next_state, automaton.labels * bit)


def _too_large(parts: dict[str, ByteAutomaton], limit: int) -> str:
    sizes = sorted(((part.n_states, name) for name, part in parts.items()), reverse=True)
    largest = ", ".join(f"'{name}' ({size:,} states)" for size, name in sizes[:3])
    return f"bind.text: together the patterns need more than {limit:,} states; the largest alone: {largest}"
