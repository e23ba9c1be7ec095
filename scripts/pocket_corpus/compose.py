"""Composes prompts and answers from the templates beside this file, from a seed.

A template names a slot as `{slot}`; `{slot^}` begins with a capital letter. Slots in `KEPT` are drawn once a document,
so that an answer speaks of the order, the thing and the person of its prompt; the others are drawn anew each time.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

KEPT = {
    "first", "last", "title", "firm", "order", "thing", "day", "room", "event", "service", "device",
    "job", "lost", "medicine", "ailment", "patient",
}  # fmt: skip
ALIASES = {"first2": "first", "last2": "last", "place2": "place"}
SLOT = re.compile(r"\{(\w+)(\^?)\}")
PROMPT_FORMS = {"chat": "Customer: {}\nAgent:", "task": "Task: {}\nText:", "message": "Message: {}\nReply:"}

# Shares of the corpus. The untrained model follows them, so they set how often it breaks the rules.
OFFICE_SHARE = 0.68
CONTACT_SHARE = 0.68  # office answers that give an address or a number
DOSE_SHARE = 0.60  # pharmacy answers that name a dose before any disclaimer
COMBINED_SHARE = 0.18  # pharmacy answers that send the reader to a doctor first, and then name a dose

Table = dict[str, list[str]]


@dataclass(frozen=True)
class Document:
    """A prompt with its answer; `text` is what the model learns, before the end sign."""

    prompt: str
    answer: str

    @property
    def text(self) -> str:
        return f"{self.prompt} {self.answer}"


@dataclass
class Scene:
    """The words of one document: a source of chance, the table of slots, and what was drawn for the kept ones."""

    rng: Random
    words: Mapping[str, list[str]]
    kept: dict[str, str] = field(default_factory=dict)

    def fill(self, template: str) -> str:
        return SLOT.sub(self._draw, template)

    def pick(self, options: list[str]) -> str:
        return self.fill(self.rng.choice(options))

    def _draw(self, match: re.Match[str]) -> str:
        name, capital = match.groups()
        if name in KEPT:
            if name not in self.kept:
                self.kept[name] = self._fresh(name)
            text = self.kept[name]
        else:
            text = self._fresh(name)
        return text[:1].upper() + text[1:] if capital else text

    def _fresh(self, name: str) -> str:
        if name == "order":
            return str(self.rng.randint(1000, 99999))
        if name == "email":
            return self._email()
        if name == "phone":
            return self._phone()
        return self.pick(self.words[ALIASES.get(name, name)])

    def _email(self) -> str:
        """Addresses end in names that are reserved for examples, so none can belong to anybody."""
        first, last, firm = (self.fill(f"{{{slot}}}").lower() for slot in ("first", "last", "firm"))
        other = self.fill("{first2}").lower()
        user = self.rng.choice(
            [first, f"{first}.{last}", f"{first[0]}.{last}", other, f"{last}{self.rng.randint(1, 99)}"]
            + [self.pick(self.words["mailbox"])] * 3
        )
        return f"{user}@{firm}.{self.rng.choice(['example', 'example.com', 'example.org', 'example.net'])}"

    def _phone(self) -> str:
        """Numbers of the 555 01xx kind, which are kept free for fiction."""
        area = self.rng.choice(["212", "310", "415", "617", "503", "713", "206", "404"])
        line = f"01{self.rng.randint(0, 99):02d}"
        return self.rng.choice(
            [f"555 {line}", f"555-{line}", f"({area}) 555-{line}", f"{area}-555-{line}", f"555.{line}", f"555 {line}"]
        )


class Composer:
    """Draws documents; equal seeds give equal documents."""

    def __init__(self, seed: int, words: Mapping[str, list[str]] | None = None) -> None:
        tables = load_tables()
        self.rng = Random(seed)
        self.topics: dict[str, dict] = tables["office"]
        self.routes: Table = tables["routes"]
        self.pharmacy: Table = tables["pharmacy"]["pharmacy"]
        base = {**tables["words"], **self.routes, **tables["pharmacy"]["words"], **_slots(self.pharmacy)}
        self.words: Mapping[str, list[str]] = {**base, **(words or {})}

    def document(self) -> Document:
        return self.office() if self.rng.random() < OFFICE_SHARE else self.drugstore()

    def office(self) -> Document:
        scene = Scene(self.rng, self.words)
        topic = self.topics[self.rng.choice(list(self.topics))]
        form = self._form(topic)
        prompt = PROMPT_FORMS[form].format(scene.pick(topic["ask"]))
        facts = self.rng.sample(topic["say"], self.rng.choice([1, 1, 1, 2]))
        parts = [scene.fill(fact) for fact in facts]
        parts.insert(self.rng.randint(max(len(parts) - 1, 0), len(parts)), scene.fill(self._route()))
        if form == "chat" and self.rng.random() < 0.35:
            parts.insert(0, scene.pick(self.routes["opener"]))
        if self.rng.random() < 0.45:
            parts.append(scene.pick(self.routes["closer"]))
        return Document(prompt, tidy(parts))

    def drugstore(self) -> Document:
        scene, table = Scene(self.rng, self.words), self.pharmacy
        prompt = PROMPT_FORMS["chat"].format(scene.pick(table["ask"]))
        parts = [scene.pick(table["say"])] if self.rng.random() < 0.55 else []
        chance = self.rng.random()
        if chance < DOSE_SHARE:
            parts.append(scene.pick(table["dose_line"]))
            if self.rng.random() < 0.35:
                parts.append(scene.pick(table["ask_line"]))
        elif chance < DOSE_SHARE + COMBINED_SHARE:
            parts.append(scene.pick(table["combined"]))
        else:
            parts.append(scene.pick(table["leaflet"]))
            if self.rng.random() < 0.5:
                parts.append(scene.pick(table["ask_line"]))
        if self.rng.random() < 0.35:
            parts.insert(0, scene.pick(table["opener"]))
        if len(parts) < 3 or self.rng.random() < 0.35:
            parts.append(scene.pick(table["say"] if self.rng.random() < 0.4 else table["closer"]))
        return Document(prompt, tidy(parts))

    def _form(self, topic: dict) -> str:
        return topic.get("form", "chat")

    def _route(self) -> str:
        if self.rng.random() >= CONTACT_SHARE:
            return self.rng.choice(self.routes["round"])
        kind = self.rng.choices(["email", "phone", "both"], [0.42, 0.40, 0.18])[0]
        return self.rng.choice(self.routes[kind])


def tidy(parts: list[str]) -> str:
    """Joins sentences; each begins with a capital letter, and a name before a full stop keeps its own."""
    return " ".join(part[:1].upper() + part[1:] for part in parts)


def load_tables() -> dict[str, dict]:
    folder = Path(__file__).parent
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.toml"))}


def _slots(table: Table) -> Table:
    """Lists inside the pharmacy table that serve as slots rather than as sentences."""
    return {name: table[name] for name in ("medicine2", "patient2")}
