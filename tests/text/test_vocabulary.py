"""Token bytes of real tokenizer kinds, each trained here on a few sentences."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from safetune.errors import ModelError
from safetune.text.vocabulary import _BYTES, Vocabulary

TEXTS = [
    "Please write to bob@acme.org or call 555 0144 before noon.",
    "Zoë's 25 mg dose – 3,5 € – 電話 – 😀 naïve café",
    "  two  spaces,\ttabs\nand\r\nlines  ",
] * 20
QUIET = {"show_progress": False}
AWKWARD = ["", " ", " leading", "trailing ", "\n\n", "a\u0301", "😀😀", "<0x0A>", "▁", "Ġ", "\x00", "電"]


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<eos>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def byte_fallback(*, strip: bool = True) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if strip else steps)
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=500, limit_alphabet=60, special_tokens=["<unk>", "<s>", *bytes_], show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return with_plain_bytes(tokenizer)


def with_plain_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The trainer can only add byte tokens as special ones; in published tokenizers they are not."""
    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = [t for t in description["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(description))


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, unk_token="<unk>", special_tokens=["<unk>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


BYTE_LEVEL = byte_level()
MAKERS = [byte_level, byte_fallback, lambda: byte_fallback(strip=False), unigram]


@pytest.fixture(scope="module", params=MAKERS, ids=["byte_level", "byte_fallback", "byte_fallback_kept", "unigram"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return request.param()


def test_bytes_are_what_the_tokenizer_decodes(tokenizer: Tokenizer) -> None:
    vocabulary = Vocabulary.of(tokenizer)
    vocabulary.check(tokenizer, [*TEXTS[:3], *AWKWARD])
    assert len(vocabulary) == tokenizer.get_vocab_size()


@given(text=st.text(max_size=30))
def test_byte_level_bytes_spell_any_text(text: str) -> None:
    assert Vocabulary.of(BYTE_LEVEL).decode(BYTE_LEVEL.encode(text).ids) == text.encode()


def test_special_tokens_have_no_text_and_added_ones_keep_theirs() -> None:
    tokenizer = byte_level()
    tokenizer.add_tokens([AddedToken("<call> é", special=False), AddedToken("<sep>", special=True)])
    vocabulary = Vocabulary.of(tokenizer)
    assert vocabulary.tokens[tokenizer.token_to_id("<eos>")] is None
    assert vocabulary.tokens[tokenizer.token_to_id("<sep>")] is None
    assert vocabulary.tokens[tokenizer.token_to_id("<call> é")] == "<call> é".encode()
    vocabulary.check(tokenizer, ["a<call> é b<sep>c<eos>"])


def test_a_transformers_tokenizer_is_read_with_its_own_special_tokens() -> None:
    transformers = pytest.importorskip("transformers")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=byte_level(), eos_token="<eos>", pad_token="<pad>")
    vocabulary = Vocabulary.of(fast)
    assert len(vocabulary) == len(fast)
    assert vocabulary.tokens[fast.eos_token_id] is None
    assert vocabulary.tokens[fast.pad_token_id] is None
    assert vocabulary.decode(fast("Zoë: 25 mg")["input_ids"]) == "Zoë: 25 mg".encode()


def test_byte_tokens_are_bytes_and_marks_are_spaces() -> None:
    tokenizer = byte_fallback()
    vocabulary = Vocabulary.of(tokenizer)
    assert vocabulary.tokens[tokenizer.token_to_id("<0x0A>")] == b"\n"
    assert vocabulary.tokens[tokenizer.token_to_id("<0xE2>")] == b"\xe2"
    assert vocabulary.tokens[tokenizer.token_to_id("▁")] == b" "


def test_the_first_space_is_kept_where_decoding_drops_it() -> None:
    dropping, keeping = Vocabulary.of(byte_fallback()), Vocabulary.of(byte_fallback(strip=False))
    assert (dropping.drops_first_space, keeping.drops_first_space) == (True, False)
    tokenizer = byte_fallback()
    ids = tokenizer.encode("noon").ids
    assert (dropping.decode(ids), tokenizer.decode(ids)) == (b" noon", "noon")


def test_bytes_that_differ_from_what_is_decoded_are_an_error() -> None:
    vocabulary = Vocabulary.of(BYTE_LEVEL)
    wrong = Vocabulary((*vocabulary.tokens[:-1], b"?"))
    text = BYTE_LEVEL.decode([len(wrong) - 1])
    with pytest.raises(ModelError, match=r"do not give back what it decodes"):
        wrong.check(BYTE_LEVEL, [text])


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (decoders.WordPiece(), r"'WordPiece'\. Supported: 'ByteFallback', 'ByteLevel'"),
        (None, "from its decoder: got none"),
        (decoders.Sequence([decoders.Fuse(), decoders.Strip(".", 0, 1)]), "may strip a whole text's first space"),
        (decoders.Strip(" ", 1, 0), "may strip a whole text's first space"),
        (decoders.Replace(Regex("a+"), "b"), "expected a plain string"),
    ],
)
def test_decoders_that_are_not_understood_are_named(decoder: object, message: str) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    if decoder is not None:
        tokenizer.decoder = decoder
    with pytest.raises(ModelError, match=message):
        Vocabulary.of(tokenizer)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gpt2", "got str, expected a transformers fast tokenizer"),
        (object(), "got object, expected a transformers fast tokenizer"),
        ([b"a", "b"], "token 1: got str, expected bytes or None"),
    ],
)
def test_other_things_than_tokenizers_are_refused(source: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Vocabulary.of(source)


def test_the_byte_map_is_that_of_byte_level_tokenizers() -> None:
    assert sorted(_BYTES) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(_BYTES.values()) == list(range(256))
