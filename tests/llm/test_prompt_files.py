"""The prompt files beside the recipes: readable, without doubles, and split without overlap."""

import json
from pathlib import Path

import pytest

PROMPTS = Path(__file__).parents[2] / "recipes" / "prompts"


def rows(name: str) -> list[str]:
    prompts = [json.loads(line)["prompt"] for line in (PROMPTS / name).read_text(encoding="utf-8").splitlines()]
    return [prompt if isinstance(prompt, str) else prompt[0]["content"] for prompt in prompts]


@pytest.mark.parametrize("world", ["office", "pharmacy", "contact"])
def test_train_and_heldout_share_no_prompt(world: str) -> None:
    train, heldout = rows(f"{world}.train.jsonl"), rows(f"{world}.heldout.jsonl")
    assert len(train) >= 200
    assert len(heldout) >= 64
    assert len({*train, *heldout}) == len(train) + len(heldout)


@pytest.mark.parametrize("path", sorted(PROMPTS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_no_slot_is_left_unfilled(path: Path) -> None:
    assert not any("{" in prompt or "}" in prompt for prompt in rows(path.name))
