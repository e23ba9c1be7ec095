"""A small sample of scripts/check_exactness.py, with tokenizers trained on the spot."""

import random
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import check_exactness as exactness
from exactness_cases import SENTENCES


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=alphabet, special_tokens=["<eos>"], show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES * 20, trainer)
    return tokenizer


def words_and_bytes() -> Tokenizer:
    """Whole words with their space, and bytes for the rest."""
    words = {f"▁{word}" for sentence in SENTENCES for word in sentence.split() if word.isascii()}
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *sorted(words)]
    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


@pytest.fixture(scope="module")
def cutters() -> list[exactness.Cutter]:
    trained = [("byte-level", byte_level()), ("words and bytes", words_and_bytes())]
    return [*(exactness.from_tokenizer(*named) for named in trained), exactness.pieces(random.Random(0))]


@pytest.mark.parametrize("seed", range(6))
def test_verdicts_are_exact_and_the_same_for_every_tokenizer(cutters: list[exactness.Cutter], seed: int) -> None:
    report, rng = exactness.Report(), random.Random(seed)
    for _ in range(5):
        exactness.check(rng, cutters, 40, report)
    assert report.mismatches == []
    assert report.not_spelt == 0
    assert report.violations > 100


def test_the_harness_sees_a_wrong_reference(cutters: list[exactness.Cutter], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactness.Searcher, "ends", lambda self, text: [False] * len(text))
    report = exactness.Report()
    exactness.check(random.Random(0), cutters, 40, report)
    assert len(report.mismatches) > 20
