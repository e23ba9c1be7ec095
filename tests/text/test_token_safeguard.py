import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.errors import DataError, ModelError, SpecError
from safetune.safeguard import Safeguard, Spec
from safetune.text import Monitor, TokenSafeguard

# Ids 0 to 2 have no text: padding, end of text, and an added control token.
TOKENS = [
    None,
    None,
    b"",
    b" ",
    b"c",
    b"a",
    b"t",
    b"s",
    b"cat",
    b" cat",
    b"at c",
    b"cat cat ",
    b"\xc3",
    b"\xa9",
    b"dog",
]
PAD, EOS, CONTROL, SPACE, C, A, T, S, CAT, SPACE_CAT, AT_C, CATS, E1, E2, DOG = range(15)
HEAD = 'name = "test"\n[propositions]\ncat = "a cat"\ndog = "a dog"\n'
BINDS = "cat = { regex = '\\bcat\\b' }\ndog = { regex = 'dog' }\n"


def guard_of(*rules: str, binds: str = BINDS, text: str = "") -> Safeguard:
    tables = [f'[[rule]]\nname = "{rule}"\nalways = "{rule}"\ncost = {2.0**n}' for n, rule in enumerate(rules)]
    return Safeguard.from_spec(Spec.parse("\n".join([HEAD, *tables, "[bind.text]", binds, text])))


NEVER = guard_of("!cat & !dog")
MEMORY = guard_of("dog -> once cat", "end -> once dog", "!(cat & once[1] dog)")


@pytest.fixture(scope="module")
def never() -> TokenSafeguard:
    return TokenSafeguard.compile(NEVER, TOKENS)


@pytest.fixture(scope="module")
def memory() -> TokenSafeguard:
    return TokenSafeguard.compile(MEMORY, TOKENS)


def charged(tokens: TokenSafeguard, ids: list[int], **options: Any) -> list[float]:
    return tokens.trace([ids], **options).cost[0].tolist()


def test_a_match_across_tokens_is_charged_to_the_one_that_completes_it(never: TokenSafeguard) -> None:
    assert charged(never, [SPACE, C, A, T, SPACE]) == [0, 0, 0, 1, 0]
    assert charged(never, [C, AT_C, A]) == [0, 1, 0]


def test_a_match_that_the_next_token_undoes_is_not_charged(never: TokenSafeguard) -> None:
    assert charged(never, [CAT, S, SPACE]) == [0, 0, 0]
    assert charged(never, [S, CAT, SPACE]) == [0, 0, 0]


def test_two_events_in_one_token_add_up(never: TokenSafeguard) -> None:
    trace = never.trace([[SPACE, CATS, S]])
    assert trace.cost.tolist() == [[0, 2, 0]]
    assert trace.violations.tolist() == [[0, 2, 0]]
    assert trace.broken.tolist() == [[0, 1, 0]]


def test_one_step_may_break_several_rules() -> None:
    tokens = TokenSafeguard.compile(guard_of("!cat", "!cat | dog", "!dog"), TOKENS)
    trace = tokens.trace([[CAT, SPACE]])
    assert (trace.cost.tolist(), trace.broken.tolist(), trace.violations.tolist()) == ([[3, 0]], [[3, 0]], [[1, 0]])


def test_the_end_confirms_and_charges_the_last_token_with_text(never: TokenSafeguard) -> None:
    assert charged(never, [SPACE, CAT, EOS]) == [0, 1, 0]
    assert charged(never, [SPACE, CAT, CONTROL, EOS]) == [0, 1, 0, 0]
    assert charged(never, [SPACE, CAT]) == [0, 1]  # cut at the length limit: ended too
    assert charged(never, [SPACE, CAT], ended=False) == [0, 0]


def test_textless_tokens_do_not_part_a_match(never: TokenSafeguard) -> None:
    assert charged(never, [C, CONTROL, A, PAD, T, CONTROL, SPACE]) == [0, 0, 0, 0, 1, 0, 0]


def test_the_end_is_charged_to_the_last_token(memory: TokenSafeguard) -> None:
    assert charged(memory, [CAT, EOS]) == [0, 2]
    assert charged(memory, [CAT, SPACE]) == [0, 2]
    assert charged(memory, [CAT, SPACE, DOG, EOS]) == [0, 0, 0, 0]
    assert charged(memory, [DOG, EOS]) == [1, 0]


def test_padding_is_charged_nothing_and_keeps_the_state(memory: TokenSafeguard) -> None:
    ids, mask = [[CAT, EOS, CAT, CAT]], [[1, 1, 0, 0]]
    trace = memory.trace(ids, mask)
    assert trace.cost.tolist() == [[0, 2, 0, 0]]
    assert len(set(trace.states[0, 1:].tolist())) == 1


def test_a_row_without_tokens_is_charged_nothing(memory: TokenSafeguard) -> None:
    trace = memory.trace([[PAD, PAD], [DOG, PAD]], [[0, 0], [1, 0]])
    assert trace.cost.tolist() == [[0, 0], [1, 0]]


def test_masked_ids_may_be_anything(memory: TokenSafeguard) -> None:
    assert memory.trace([[CAT, -100, 99]], [[1, 0, 0]]).cost.tolist() == [[2, 0, 0]]


def test_rows_end_each_for_itself(memory: TokenSafeguard) -> None:
    trace = memory.trace([[CAT, SPACE], [CAT, SPACE]], ended=[True, False])
    assert trace.cost.tolist() == [[0, 2], [0, 0]]


def test_a_prompt_is_remembered_and_not_charged(memory: TokenSafeguard) -> None:
    start = memory.read([[CAT, SPACE], [DOG, SPACE]])
    trace = memory.trace([[DOG, EOS], [DOG, EOS]], state=start)
    assert trace.cost.tolist() == [[0, 0], [1, 0]]


def test_a_match_begun_in_the_prompt_is_charged_where_it_ends(never: TokenSafeguard) -> None:
    assert charged(never, [T, SPACE], state=never.read([[SPACE, C, A]])) == [1, 0]


def test_a_match_complete_in_the_prompt_is_charged_to_nobody(never: TokenSafeguard) -> None:
    prompt = never.read([[SPACE, CAT]])
    assert charged(never, [SPACE, S], state=prompt) == [0, 0]
    assert charged(never, [EOS], state=prompt) == [0]
    assert charged(never, [CONTROL, SPACE, CAT], state=prompt) == [0, 0, 1]


def test_a_late_match_in_the_prompt_still_moves_the_safeguard(memory: TokenSafeguard) -> None:
    prompt = memory.read([[SPACE, CAT]])
    assert memory.spec_state[prompt[0]] == MEMORY.initial
    assert charged(memory, [SPACE, DOG, EOS], state=prompt) == [0, 0, 0]


def test_prompts_may_be_padded_on_either_side(memory: TokenSafeguard) -> None:
    left = memory.read([[PAD, PAD, C, AT_C], [C, AT_C, A, T]], [[0, 0, 1, 1], [1, 1, 1, 1]])
    right = memory.read([[C, AT_C, CAT, CAT], [C, AT_C, A, T]], [[1, 1, 0, 0], [1, 1, 1, 1]])
    assert left.tolist() == right.tolist()
    assert left[0] == memory.read([[C, AT_C]])[0]


def test_a_fresh_prompt_is_forgotten() -> None:
    tokens = TokenSafeguard.compile(guard_of("dog -> once cat", text='[text]\nprompt = "fresh"'), TOKENS)
    assert tokens.read([[CAT, SPACE], [C, A]]).tolist() == [tokens.initial] * 2


def test_characters_may_be_cut_by_tokens() -> None:
    guard = guard_of("!cat & !dog", binds="cat = { regex = 'é' }\ndog = { regex = 'dog' }")
    tokens = TokenSafeguard.compile(guard, TOKENS)
    assert charged(tokens, [E1, E2, E2, E1, CONTROL, E2]) == [0, 1, 0, 0, 0, 1]


def test_equal_texts_and_equal_effects_share_a_class() -> None:
    tokens = TokenSafeguard.compile(NEVER, [b"cat", b"cat", b"!", b"?", None, b"\xff", b""])
    first, second, mark, other, textless, stray, empty = tokens.token_class.tolist()
    assert first == second
    assert mark == other == stray
    assert textless == empty == 0
    assert tokens.maps[0].tolist() == list(range(tokens.n_states))


def test_a_token_that_changes_no_state_is_not_taken_for_no_text() -> None:
    # Once an 'a' was read, another changes no state. What the byte after it confirms is this 'a', not the one before.
    guard = guard_of("!cat & !dog", binds=r"cat = { regex = 'a\b' }" + "\ndog = { regex = 'dog' }")
    tokens = TokenSafeguard.compile(guard, [b"a", b"a ", b" ", b"aa"])
    assert charged(tokens, [0, 0, 1, 3, 2]) == [0, 0, 1, 1, 0]
    assert charged(tokens, [1]) == [1]


def test_ids_beyond_the_vocabulary_have_no_text_where_a_size_is_given() -> None:
    tokens = TokenSafeguard.compile(NEVER, TOKENS, size=20)
    assert charged(tokens, [C, A, 19, T]) == [0, 0, 0, 1]
    assert tokens.token_bytes(19) is None
    assert tokens.token_bytes(CAT) == b"cat"
    with pytest.raises(ModelError, match="3 embedding rows"):
        TokenSafeguard.compile(NEVER, TOKENS, size=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 99]],), "expected 0 to 14, got 99"),
        (([[1, -1]],), "expected 0 to 14, got -1"),
        (([1, 2],), r"shape \(B, T\).*got \(2,\)"),
        ((np.zeros((0, 4), int),), r"at least one row and column, got \(0, 4\)"),
        ((np.zeros((4, 0), int),), r"at least one row and column"),
        (([[1.0, 2.0]],), "whole numbers, got float64"),
        (([[1, 2]], [[1, 1, 1]]), r"shape of the token ids, \(1, 2\), got \(1, 3\)"),
        (([[1, 2], [1, 2]], [[1, 1], [0, 1]]), "row 1 has a real token after a masked one"),
        (([[1, 2]], None, [0, 0]), r"state: expected one whole number or shape \(1,\)"),
        (([[1, 2]], None, 10_000), "state: expected 0 to"),
        (([[1, 2]], None, -1), "state: expected 0 to"),
        (([[1, 2]], None, 0.5), "state: expected one whole number"),
        (([[1, 2]], None, None, [True, False]), r"ended: expected one bool or shape \(1,\)"),
        (([[1, 2], [1]],), "token ids: "),
    ],
)
def test_wrong_calls_are_told_what_is_wrong(never: TokenSafeguard, arguments: tuple, message: str) -> None:
    with pytest.raises(DataError, match=message):
        never.trace(*arguments)


def test_ids_for_token_bytes_are_checked(never: TokenSafeguard) -> None:
    with pytest.raises(DataError, match="expected 0 to 14, got 15"):
        never.token_bytes(15)


def test_settings_of_the_text_world_are_checked() -> None:
    with pytest.raises(SpecError, match=r"text\.promt: unknown key 'promt'.*Did you mean 'prompt'"):
        TokenSafeguard.compile(guard_of("!cat & !dog", text='[text]\npromt = "fresh"'), TOKENS)
    with pytest.raises(SpecError, match=r"text\.prompt: expected 'remember' or 'fresh', got 'new'"):
        TokenSafeguard.compile(guard_of("!cat & !dog", text='[text]\nprompt = "new"'), TOKENS)


def test_a_pickle_gives_the_same_verdicts(memory: TokenSafeguard) -> None:
    again = pickle.loads(pickle.dumps(memory))
    assert charged(again, [CAT, SPACE, DOG, EOS]) == charged(memory, [CAT, SPACE, DOG, EOS])


ids = st.lists(st.integers(0, len(TOKENS) - 1), min_size=1, max_size=12)


@given(rows=st.lists(ids, min_size=1, max_size=5), prompts=st.lists(ids, min_size=5, max_size=5))
@settings(max_examples=200)
def test_a_batch_is_its_rows(memory: TokenSafeguard, rows: list[list[int]], prompts: list[list[int]]) -> None:
    width = max(map(len, rows)) + 1
    starts = np.concatenate([memory.read([prompt]) for prompt in prompts[: len(rows)]])
    padded = [row + [CAT] * (width - len(row)) for row in rows]
    batch = memory.trace(padded, [[1] * len(row) + [0] * (width - len(row)) for row in rows], starts)
    for place, row in enumerate(rows):
        alone = memory.trace([row], state=starts[place : place + 1])
        for whole, part in zip(batch, alone, strict=True):
            assert whole[place, : part.shape[1]].tolist() == part[0].tolist()
            assert (whole[place, part.shape[1] :] == (part[0, -1] if whole is batch.states else 0)).all()


@st.composite
def cuts(draw: st.DrawFn) -> tuple[bytes, list[list[bytes]]]:
    """A text and three ways to cut it."""
    pieces = st.sampled_from([b"cat", b"dog", b" ", b"c", b"at", b"s", b"\xc3\xa9", b"cat dog", b"\xff", b"og"])
    text = b"".join(draw(st.lists(pieces, min_size=1, max_size=8)))
    ways = []
    for _ in range(3):
        places = [0, *sorted(draw(st.sets(st.integers(1, len(text)))) | {len(text)})]
        ways.append([text[a:b] for a, b in itertools.pairwise(places)])
    return text, ways


@given(case=cuts(), tokens=st.sampled_from(["never", "memory"]))
@settings(max_examples=150)
def test_the_same_text_has_the_same_verdict(
    never: TokenSafeguard, memory: TokenSafeguard, case: tuple[bytes, list[list[bytes]]], tokens: str
) -> None:
    text, ways = case
    machine = (never if tokens == "never" else memory).machine
    monitor = Monitor(machine)
    found = monitor.feed(text) + monitor.close()
    for way in ways:
        vocabulary = [*dict.fromkeys(way), None]
        trace = TokenSafeguard.compile(machine, vocabulary).trace([[vocabulary.index(piece) for piece in way]])
        assert trace.cost.sum() == sum(violation.cost for violation in found)
        ends = np.cumsum([len(piece) for piece in way])
        expected = np.zeros(len(way))
        for violation in found:  # a violation is of the token that holds its last byte
            expected[np.searchsorted(ends, violation.offset)] += violation.cost
        assert trace.cost[0].tolist() == expected.tolist()
