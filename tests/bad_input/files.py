"""The right spec, machine, recipe and prompts that each mistake is made in."""

SPEC = """\
name = "no-mail"
[propositions]
email = "an e-mail address"
[[rule]]
name = "no e-mail"
always = "!email"
[bind.text]
email = { regex = '\\w+@\\w+' }
"""
MACHINE = """\
name = "suit"
[propositions]
lava = "in lava"
suit = "wears a suit"
[machine]
initial = "bare"
absorbing = false
unsafe = { burnt = 1.0 }
[[machine.transition]]
from = "bare"
when = "lava"
to = "burnt"
[[machine.transition]]
from = "bare"
when = "suit"
to = "suited"
"""
RECIPE = """\
kind = "llm"
name = "tiny"
spec = "spec.toml"
[model]
name = "pocket"
[prompts]
train = "train.jsonl"
heldout = "heldout.jsonl"
[trainer]
max_steps = 2
per_device_train_batch_size = 2
"""
PROMPTS = '{"prompt": "Who is it?"}\n{"prompt": "Where is it?"}\n'
HELDOUT = '{"prompt": "Where is the office?"}\n'
FILES = {"spec.toml": SPEC, "recipe.toml": RECIPE, "train.jsonl": PROMPTS, "heldout.jsonl": HELDOUT}


def spec(*changes: str, of: str = SPEC) -> dict[str, str | bytes]:
    """The right spec with each `old => new` done."""
    return {"spec.toml": _changed(of, changes)}


def recipe(*changes: str) -> dict[str, str | bytes]:
    """The right recipe with each `old => new` done."""
    return {"recipe.toml": _changed(RECIPE, changes)}


def _changed(text: str, changes: tuple[str, ...]) -> str:
    for change in changes:
        old, new = change.split(" => ")
        assert old in text, f"{old!r} is not there to be changed"
        text = text.replace(old, new)
    return text


def run_of(text: str) -> dict[str, str | bytes]:
    """A folder `run` made from a recipe, with the files it names beside it."""
    for name in ("spec.toml", "train.jsonl", "heldout.jsonl"):
        text = text.replace(f'"{name}"', f'"../{name}"')
    return {"run/recipe.toml": text, "run/versions.json": "{}"}
