"""Random specs over random patterns, and random texts in which they match: cases for check_exactness.py.

A pattern is drawn together with a sampler of texts that it should match, so that matches are frequent. Texts are those
samples, whole and cut, mixed with composed sentences and characters of one to four bytes.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

LITERALS = ["a", "b", "A", "k", "s", "1", "2", "_", " ", "@", "-", "\\.", "\\n", "é", "ß", "ſ", "電", "😀"]
CLASSES = {
    r"\d": "0129",
    r"\w": "aZ_9é",
    r"\s": " \n\t",
    r"\D": "ax é",
    r"\W": " -.é",
    r"\S": "a1.電",
    ".": "ab 1é😀",
    "[a-c1-3]": "abc123",
    "[^ab]": "c1 é\n",
    "[aé電]": "aé電",
    "[^\\W\\d]": "ab_",
    "[A-Z]": "AKZ",
}
CONDITIONS = [
    r"\b",
    r"\B",
    "^",
    r"\A",
    r"\Z",
    "(?=a)",
    "(?![0-9])",
    "(?=[ .])",
    "(?<=a)",
    "(?<!1)",
    r"(?<=\d)",
    "(?<!ab)",
]
REPEATS = [(0, 1, "?"), (1, 3, "{1,3}"), (2, 2, "{2}"), (0, 4, "*"), (1, 4, "+"), (2, 4, "{2,}")]
SENTENCES = [
    "Please write to bob.lee@acme.org today.",
    "Call 555 0144 or 0155 5501 before noon; ask for Zoë.",
    "Take 25 mg (or 2.5 ml) twice – ask your doctor first!",
    "Order #4411-220 costs 3,50 €. Danke schön, 電話 ok 😀",
    "the cat's café is on www.example.com/a_b?c=1",
    "STRASSE straße Kelvin \u212a ſtop İstanbul",
]
WORDS = ["cat", "dog", "café", "ab", "a b", "mg", "don't", "e-mail", "STRASSE", "naïve", "doctor", "k", "555", "電話"]
FORMULAS = [
    ("p", "!p"),
    ("p", "p -> previously !p | !previously p"),
    ("pq", "q -> once p"),
    ("pq", "!(p & q)"),
    ("pq", "p -> !once[1] q"),
    ("pq", "(p since q) | !q | !p"),
    ("pe", "end -> once p"),
    ("pqr", "r -> !(once p & once q)"),
]


@dataclass(frozen=True)
class Pattern:
    """A binding as it stands in a spec, the pattern of `re` that must agree, and texts it may match."""

    binding: str
    flags: str
    reference: str
    unicode: bool
    sample: Callable[[random.Random], str]


@dataclass(frozen=True)
class Part:
    """A piece of a regex; `nested` where it repeats without bound, which `re` must not do twice over."""

    regex: str
    sample: Callable[[random.Random], str]
    nested: bool = False


def random_pattern(rng: random.Random) -> Pattern:
    """A regex or a list of words."""
    unicode = rng.random() < 0.25
    if rng.random() < 0.25:
        return _words(rng, unicode)
    flags = rng.choice(["", "", "(?i)", "(?s)", "(?m)", "(?im)"])
    part = _sequence(rng, depth=2)
    regex = part.regex
    # An end of line needs its flag: without it, `re` also matches before a final newline.
    if "m" in flags and rng.random() < 0.3:
        regex += "$"
    return Pattern(_table("regex", f"'''{flags}{regex}'''", unicode), flags, regex, unicode, part.sample)


def _sequence(rng: random.Random, depth: int) -> Part:
    parts = [_item(rng, depth) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.4:
        condition = Part(rng.choice(CONDITIONS), lambda _: "")
        parts.insert(rng.randint(0, len(parts)), condition)
    return Part(
        "".join(part.regex for part in parts),
        lambda r: "".join(part.sample(r) for part in parts),
        any(part.nested for part in parts),
    )


def _item(rng: random.Random, depth: int) -> Part:
    """A character, a class or a group, perhaps repeated."""
    kind = rng.random()
    if depth and kind < 0.25:
        choices = [_sequence(rng, depth - 1) for _ in range(rng.randint(1, 3))]
        regex = f"(?:{'|'.join(choice.regex for choice in choices)})"
        nested = any(choice.nested for choice in choices)
        return _repeated(rng, Part(regex, lambda r: r.choice(choices).sample(r), nested), group=True)
    if kind < 0.6:
        regex = rng.choice(LITERALS)
        text = regex.replace("\\.", ".").replace("\\n", "\n")
        return _repeated(rng, Part(regex, lambda _: text))
    regex, examples = rng.choice(list(CLASSES.items()))
    return _repeated(rng, Part(regex, lambda r: r.choice(examples)))


def _repeated(rng: random.Random, part: Part, *, group: bool = False) -> Part:
    if rng.random() < 0.6:
        return part
    least, most, sign = rng.choice(
        [(0, 1, "?"), (1, 3, "{1,3}"), (2, 2, "{2}"), (0, 4, "*"), (1, 4, "+"), (2, 4, "{2,}")]
    )
    endless = sign in ("*", "+", "{2,}")
    if endless and (group or part.nested):
        return part  # `re` may take exponential time over repeats within repeats
    lazy = rng.choice(["", "", "?"])
    return Part(
        part.regex + sign + lazy,
        lambda r: "".join(part.sample(r) for _ in range(r.randint(least, most))),
        endless or part.nested,
    )


def _words(rng: random.Random, unicode: bool) -> Pattern:
    words = rng.sample(WORDS, rng.randint(1, 4))
    listed = ", ".join(f'"{word}"' for word in words)
    body = "|".join("".join(map(_folded, word)) for word in words)
    reference = f"(?<![0-9A-Za-z_])(?:{body})(?![0-9A-Za-z_])"
    spell: list[Callable[[str], str]] = [str.lower, str.upper, str.title, str]
    binding = _table("words", f"[{listed}]", unicode)
    return Pattern(binding, "", reference, unicode, lambda r: r.choice(spell)(r.choice(words)))


def _folded(char: str) -> str:
    """Word lists fold ASCII letters among themselves, so the Kelvin sign is no k, as it is in `re`."""
    return f"[{char.lower()}{char.upper()}]" if char.isascii() and char.isalpha() else f"(?i:{char})"


def _table(kind: str, value: str, unicode: bool) -> str:
    return f"{{ {kind} = {value}{', unicode = true' if unicode else ''} }}"


def random_spec(rng: random.Random) -> tuple[str, list[Pattern]]:
    """A spec file's text with one to three propositions, and their patterns in declared order."""
    needs, formula = rng.choice(FORMULAS)
    names = [name for name in "pqr" if name in needs]
    patterns = [random_pattern(rng) for _ in names]
    lines = ['name = "case"', "[propositions]", *(f'{name} = "drawn"' for name in names)]
    for number, (rule, cost) in enumerate([(formula, 1.0), (rng.choice(["!p", "previously p -> !p"]), 0.25)]):
        lines += ["[[rule]]", f'name = "rule {number}"', f'always = "{rule}"', f"cost = {cost}"]
    lines.append("[bind.text]")
    lines += [f"{name} = {pattern.binding}" for name, pattern in zip(names, patterns, strict=True)]
    return "\n".join(lines), patterns


def random_text(rng: random.Random, patterns: list[Pattern], length: int) -> str:
    """At most `length` characters of samples, sentences and noise, at least one."""
    text = ""
    while len(text) < length:
        kind = rng.random()
        if kind < 0.5:
            text += rng.choice(patterns).sample(rng)
        elif kind < 0.7:
            sentence = rng.choice(SENTENCES)
            start = rng.randrange(len(sentence))
            text += sentence[start : start + rng.randint(1, 20)]
        else:
            text += rng.choice(["a", "b", "1", " ", "\n", ".", "_", "é", "e\u0301", "電", "😀", "A", "ß", "İ", "K"])
        if rng.random() < 0.05:
            break
    return text[:length] or "a"
