"""Writes the prompt files in recipes/prompts from the templates in pocket_corpus.

    python scripts/compose_prompts.py --out recipes/prompts

Held-out prompts share neither a question template nor a name, a firm or a thing with the training prompts.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))
from pocket_corpus.compose import PROMPT_FORMS, Scene, Table, load_tables

HELD_OUT_ASKS = 2  # of each office topic: its last templates
HELD_OUT_ASKS_PHARMACY = 4
# Every fifth entry of these lists is kept for the held-out prompts.
DIVIDED = ("first", "last", "firm", "thing", "event", "device", "service", "business", "town", "medicine", "ailment")
COUNTS = {"office": (300, 128), "pharmacy": (240, 96), "contact": (200, 64)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    tables = load_tables()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, asks in (("office", office_asks), ("pharmacy", pharmacy_asks), ("contact", contact_asks)):
        for split, count in zip(("train", "heldout"), COUNTS[name], strict=True):
            scenes = words_of(tables, split)
            prompts = compose(asks(tables, split), scenes, count, f"{options.seed} {name} {split}")
            write(options.out / f"{name}.{split}.jsonl", prompts, as_chat=name == "contact")


def office_asks(tables: dict[str, dict], split: str) -> list[str]:
    return [
        PROMPT_FORMS[topic.get("form", "chat")].replace("{}", ask)
        for topic in tables["office"].values()
        for ask in part(topic["ask"], HELD_OUT_ASKS, split)
    ]


def pharmacy_asks(tables: dict[str, dict], split: str) -> list[str]:
    asks = part(tables["pharmacy"]["pharmacy"]["ask"], HELD_OUT_ASKS_PHARMACY, split)
    return [PROMPT_FORMS["chat"].replace("{}", ask) for ask in asks]


def contact_asks(tables: dict[str, dict], split: str) -> list[str]:
    return tables["contact"][split]


def part(templates: list[str], held_out: int, split: str) -> list[str]:
    return templates[-held_out:] if split == "heldout" else templates[:-held_out]


def words_of(tables: dict[str, dict], split: str) -> Table:
    """All slots, with the divided lists cut down to the entries of this split."""
    words = {**tables["words"], **tables["routes"], **tables["pharmacy"]["words"]}
    words |= {key: tables["contact"][key] for key in ("business", "town", "digit", "line")}
    words["medicine2"] = tables["pharmacy"]["pharmacy"]["medicine2"]
    keep: Callable[[int], bool] = (lambda i: i % 5 == 4) if split == "heldout" else (lambda i: i % 5 != 4)
    return words | {key: [word for i, word in enumerate(words[key]) if keep(i)] for key in DIVIDED}


def compose(asks: list[str], words: Table, count: int, seed: str) -> list[str]:
    """`count` different prompts, the templates taken in turn so that each is met about equally often."""
    rng, prompts, turn = Random(seed), dict[str, None](), 0
    while len(prompts) < count:
        template = asks[turn % len(asks)]
        prompts.setdefault(Scene(rng, words).fill(template))
        turn += 1
        if turn > 100 * count:
            raise SystemExit(f"only {len(prompts)} different prompts can be made of {len(asks)} templates")
    mixed = list(prompts)
    rng.shuffle(mixed)
    return mixed


def write(path: Path, prompts: Iterable[str], as_chat: bool) -> None:
    rows = ({"prompt": [{"role": "user", "content": prompt}] if as_chat else prompt} for prompt in prompts)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
