"""The peers of bench_text.py: one library's matcher follows rows of tokens; prints one line of JSON.

    python scripts/bench_matchers.py outlines-core|xgrammar|llguidance FILE

The file holds regexes, the tokens' bytes and rows of ids. The matchers are made to say which tokens may come next;
here the patterns admit any text, and what is measured is advancing by a token and asking whether a match has ended.
Of the regexes the first is taken that the library follows through the text. Compiling is timed apart. A library that
is not installed, or refuses the patterns, says so.
"""

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

MEMORY = 12 * 2**30
SECONDS = 20  # of following tokens, at most
PASSES = 10

Rows = list[list[int]]
Step = Callable[[int], Any]


def outlines_core(pattern: str, tokens: list[bytes | None], eos: int) -> Callable[[], Step]:
    library = importlib.import_module("outlines_core")
    ids: dict[bytes, list[int]] = {}
    for index, token in enumerate(tokens):
        if token:
            ids.setdefault(token, []).append(index)
    index = library.Index(pattern, library.Vocabulary(eos, ids))

    def start() -> Step:
        guide = library.Guide(index)

        def step(token: int) -> bool:
            guide.advance(token, return_tokens=False)
            return bool(guide.is_finished())

        return step

    return start


def xgrammar(pattern: str, tokens: list[bytes | None], eos: int) -> Callable[[], Step]:
    library = importlib.import_module("xgrammar")
    info = library.TokenizerInfo([token or b"" for token in tokens], library.VocabType.RAW, stop_token_ids=[eos])
    grammar = library.GrammarCompiler(info, max_threads=1).compile_regex(pattern)

    def start() -> Step:
        matcher = library.GrammarMatcher(grammar)

        def step(token: int) -> bool:
            if not matcher.accept_token(token):
                raise ValueError(f"token {token} was refused")
            return bool(matcher.is_completed())

        return step

    return start


def llguidance(pattern: str, tokens: list[bytes | None], eos: int) -> Callable[[], Step]:
    library = importlib.import_module("llguidance")

    class Description:
        """What the library asks of a tokenizer."""

        eos_token_id, bos_token_id = eos, None

        def __init__(self) -> None:
            self.special_token_ids = [index for index, token in enumerate(tokens) if token is None]
            self.tokens = [token if token is not None else b"\xff<%d>" % index for index, token in enumerate(tokens)]

        def __call__(self, text: str | bytes) -> list[int]:
            return [0]

    tokenizer = library.LLTokenizer(library.TokenizerWrapper(Description()))
    grammar = library.LLMatcher.grammar_from_regex(pattern)

    def start() -> Step:
        matcher = library.LLMatcher(tokenizer, grammar)
        if matcher.is_error():
            raise ValueError(matcher.get_error())

        def step(token: int) -> bool:
            if not matcher.consume_token(token):
                raise ValueError(f"token {token} was refused: {matcher.get_error()[:80]}")
            return bool(matcher.is_accepting())

        return step

    return start


PEERS = {"outlines-core": outlines_core, "xgrammar": xgrammar, "llguidance": llguidance}


def measure(name: str, patterns: list[str], tokens: list[bytes | None], rows: Rows) -> dict[str, Any]:
    why = "no pattern"
    for pattern in patterns:
        begin = time.process_time()
        try:
            start = PEERS[name](pattern, tokens, tokens.index(None))
            start()
        except ImportError as error:
            return {"error": f"not installed ({error})"}
        except Exception as error:  # whatever a library raises on a pattern it cannot express
            why = f"refuses the pattern: {shortened(error)}"
            continue
        compiled = time.process_time() - begin
        try:
            seconds, followed = follow(start, rows)
        except ValueError as error:
            why = f"does not follow the text: {shortened(error)}"
            continue
        return {"compile": compiled, "seconds": seconds, "tokens": followed, "pattern": pattern}
    return {"error": why}


def shortened(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def follow(start: Callable[[], Step], rows: Rows) -> tuple[float, int]:
    """The best time of following all rows [s], and their tokens; of as many rows as there is time for."""
    best, begin, tokens = float("inf"), time.process_time(), sum(map(len, rows))
    for _ in range(PASSES):
        seconds, done = 0.0, 0
        for row in rows:
            step, before = start(), time.process_time()  # a matcher of its own, whose making does not count
            for token in row:
                step(token)
            seconds += time.process_time() - before
            done += len(row)
            if time.process_time() - begin > SECONDS:
                break
        best = min(best, seconds * tokens / done)
        if done < tokens:
            break
    return best, tokens


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    name, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        case = json.load(file)
    tokens = [None if token is None else bytes.fromhex(token) for token in case["tokens"]]
    print(json.dumps(measure(name, case["patterns"], tokens, case["rows"])))


if __name__ == "__main__":
    main()
