"""Token bytes of real tokenizer kinds, each trained here on a few sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from safetune.text.vocabulary import Vocabulary

TEXTS = [
    "Please write to bob@acme.org or call 555 0144 before noon.",
    "Zoë's 25 mg dose – 3,5 € – 電話 – 😀 naïve café",
    "  two  spaces,\ttabs\nand\r\nlines  ",
] * 20
AWKWARD = ["", " ", " leading", "trailing ", "\n\n", "a\u0301", "😀😀", "<0x0A>", "▁", "Ġ", "\x00", "電"]


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=["<eos>"])
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def byte_fallback(*, strip: bool = True) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if strip else steps)
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=500, limit_alphabet=60, special_tokens=["<unk>", "<s>", *bytes_])
    tokenizer.train_from_iterator(TEXTS, trainer)
    return with_plain_bytes(tokenizer)


def with_plain_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The trainer can only add byte tokens as special ones; in published tokenizers they are not."""
    import json

    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = [t for t in description["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(description))


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, unk_token="<unk>", special_tokens=["<unk>", "</s>"])
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


MAKERS = [byte_level, byte_fallback, lambda: byte_fallback(strip=False), unigram]


@pytest.fixture(scope="module", params=MAKERS, ids=["byte_level", "byte_fallback", "byte_fallback_kept", "unigram"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return request.param()


def test_bytes_are_what_the_tokenizer_decodes(tokenizer: Tokenizer) -> None:
    vocabulary = Vocabulary.of(tokenizer)
    vocabulary.check(tokenizer, [*TEXTS[:3], *AWKWARD])
    assert len(vocabulary) == tokenizer.get_vocab_size()


@given(text=st.text(max_size=30))
def test_byte_level_text_comes_back(text: str) -> None:
    tokenizer = _BYTE_LEVEL
    assert Vocabulary.of(tokenizer).decode(tokenizer.encode(text).ids) == text.encode()
