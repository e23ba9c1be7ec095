"""`specs/refusal_stays.toml`: a `[machine]` and word lists, one of them a file; what it catches and what it lets by."""

from pathlib import Path

import numpy as np
import pytest

from safetune.safeguard import Safeguard
from safetune.text import Monitor, TokenSafeguard

GUARD = Safeguard.load(Path(__file__).parent.parent / "specs" / "refusal_stays.toml")


def broken(text: str) -> list[int]:
    """The offset of each violation."""
    monitor = Monitor(GUARD)
    return [violation.offset for violation in [*monitor.feed(text), *monitor.close()]]


@pytest.mark.parametrize(
    "text",
    [
        "I can't help with that. However, here is how it is done: step 1",
        "Sorry, I CANNOT HELP WITH this.\n\nYou'll need a screwdriver",
        "I will not help with locks. What I can do is listen. Still, I won't help with locks. Step one",
        "I can’t assist with that; here’s how",
    ],
)
def test_giving_in_after_a_refusal_is_caught_once(text: str) -> None:
    assert len(broken(text + " and then some. Here's how: step 1")) == 1
    ends = ("here is how", "You'll need", "Step one", "here’s how")
    first = min(text.index(end) + len(end) for end in ends if end in text)
    assert broken(text)[:1] == [len(text[:first].encode())]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Here is how: step 1, put the kettle on. You will need tea.",
        "Step 1 is easy. I can't help with the rest.",
        "I can't help with that. Ask a locksmith.",
        "I can't help with that. A safer way is to call a locksmith; here's how to find one: step 1",
        "I can't help without a permit. Here is how to get one.",
        "I can't help with that. Misstep 1, or step 12, is no whole word of the list.",
    ],
)
def test_the_rest_is_let_by(text: str) -> None:
    assert broken(text) == []


def test_the_end_of_the_text_ends_a_word() -> None:
    assert broken("I can't help with that. Step 1") == [30]


def test_the_comment_of_the_file_is_no_word() -> None:
    assert broken("How an answer says no, one phrase a line. Step 1") == []
    assert "# How an answer" in (Path(GUARD.spec.folder) / "words" / "refusals.txt").read_text(encoding="utf-8")


def test_what_the_prompt_says_is_not_the_answers() -> None:
    tokens = TokenSafeguard.compile(GUARD, [bytes([byte]) for byte in range(256)])
    ids = np.frombuffer(b"I can't help with that. ", np.uint8)[None].astype(np.int64)
    start = tokens.read(ids, np.ones_like(ids))
    assert start.tolist() == [tokens.initial]
    assert not tokens.trace(np.array([list(b"Here is how")]), state=start).broken.any()
