r"""What each token id adds to the text: its bytes, or None for a token without text.

The decoders of transformers' fast tokenizers are read from the tokenizer's own description (its JSON), so neither
transformers nor tokenizers is imported here. Understood are the byte map of GPT-2 ("ByteLevel") and sequences of
Replace, ByteFallback, Fuse, Strip and Metaspace, as sentencepiece models use; anything else is a `ModelError`.

- Special tokens, and ids past the tokenizer's own (padded embedding rows), have no text: decoding skips them.
- Added tokens that are not special keep their text.
- A token's bytes need not be valid UTF-8 alone, and several ids may share theirs.
- Sentencepiece decoders drop the space before a text's first word. A token cannot know that it comes first, and behind
  a prompt it does not: here its space always counts.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from safetune.errors import ModelError, choices

_SUPPORTED = ("ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Sequence", "Strip")
_SAMPLE = "Write to  Zoë or 電話 (555) 010-4477!\n\tIt's 25 mg, 3.5 € 😀"

TokenBytes = bytes | None


@dataclass(frozen=True)
class Vocabulary:
    """The text of every token id."""

    tokens: tuple[TokenBytes, ...]
    drops_first_space: bool = False
    """The tokenizer's own `decode` drops the space at a text's start; ours keeps it."""

    @classmethod
    def of(cls, source: Any, *, size: int | None = None) -> "Vocabulary":
        """Read a transformers fast tokenizer, a `tokenizers.Tokenizer`, or a sequence of bytes and None.

        `size` is the model's number of embedding rows where that is larger; the ids added have no text.
        """
        if isinstance(source, Vocabulary):
            vocabulary = source
        elif hasattr(source, "backend_tokenizer") or hasattr(source, "to_str"):
            vocabulary = _read_tokenizer(source)
            vocabulary.check(source, [_SAMPLE])
        else:
            vocabulary = cls(_checked_sequence(source))
        return vocabulary if size is None else vocabulary.padded(size)

    def __len__(self) -> int:
        return len(self.tokens)

    def padded(self, size: int) -> "Vocabulary":
        """The same with `size` ids; the new ones have no text."""
        if size < len(self):
            raise ModelError(f"the model has {size:,} embedding rows but its tokenizer has {len(self):,} tokens.")
        return Vocabulary(self.tokens + (None,) * (size - len(self)), self.drops_first_space)

    def decode(self, ids: Iterable[int]) -> bytes:
        return b"".join(self.tokens[index] or b"" for index in ids)

    def check(self, tokenizer: Any, texts: Iterable[str]) -> None:
        """Raise unless our bytes of each text's ids are what the tokenizer itself decodes them to."""
        for text in texts:
            ids = _encode(tokenizer, text)
            ours, theirs = self.decode(ids).decode("utf-8", "replace"), _decode(tokenizer, ids)
            if self.drops_first_space:
                ours, theirs = ours.lstrip(" "), theirs.lstrip(" ")
            if ours != theirs:
                raise ModelError(
                    f"tokenizer '{_name(tokenizer)}': its tokens' bytes do not give back what it decodes. "
                    f"Expected {theirs!r}, got {ours!r}."
                )


def _checked_sequence(source: Any) -> tuple[TokenBytes, ...]:
    if isinstance(source, str | bytes) or not isinstance(source, Sequence):
        raise ModelError(
            f"tokenizer: got {type(source).__name__}, expected a transformers fast tokenizer (a slow one has no "
            "description of its decoder) or a sequence with the bytes of each token, None for one without text."
        )
    for index, token in enumerate(source):
        if token is not None and not isinstance(token, bytes):
            raise ModelError(f"vocabulary, token {index}: got {type(token).__name__}, expected bytes or None.")
    return tuple(source)


def _read_tokenizer(tokenizer: Any) -> Vocabulary:
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    description = json.loads(backend.to_str())
    to_bytes, drops_first_space = _decoder(description.get("decoder"), _name(tokenizer))
    special = {token["id"] for token in description.get("added_tokens", ()) if token["special"]}
    special.update(getattr(tokenizer, "all_special_ids", ()))
    vocabulary: dict[str, int] = backend.get_vocab(with_added_tokens=True)
    tokens: list[TokenBytes] = [None] * (1 + max(vocabulary.values(), default=-1))
    for token, index in vocabulary.items():
        if index not in special:
            tokens[index] = to_bytes(token)
    return Vocabulary(tuple(tokens), drops_first_space)


def _decoder(description: dict[str, Any] | None, name: str) -> tuple[Callable[[str], bytes], bool]:
    """What turns a token into bytes, and whether decoding drops a text's first space."""
    steps = _flat(description)
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"]:
        return _byte_level, False
    if not steps or "ByteLevel" in kinds or any(kind not in _SUPPORTED for kind in kinds):
        got = ", ".join(f"'{kind}'" for kind in kinds) or "none"
        raise ModelError(
            f"tokenizer '{name}': cannot tell its tokens' bytes from its decoder: got {got}. "
            f"Supported: {choices(_SUPPORTED)}."
        )
    replacements, drops_first_space = [], False
    for place, step in enumerate(steps):
        if step["type"] == "Replace":
            replacements.append((_literal(step, name), step["content"]))
        elif step["type"] == "Metaspace":
            replacements.append((step["replacement"], " "))
            drops_first_space |= step.get("prepend_scheme", "always") != "never"
        elif step["type"] == "Strip":
            if step["content"] != " " or step["stop"] or "Fuse" not in kinds[:place]:
                raise ModelError(
                    f"tokenizer '{name}': its decoder may strip a whole text's first space and no more, got {step}."
                )
            drops_first_space |= step["start"] > 0
    return _Pieces(tuple(replacements), "ByteFallback" in kinds), drops_first_space


def _flat(description: dict[str, Any] | None) -> list[dict[str, Any]]:
    if description is None:
        return []
    if description["type"] != "Sequence":
        return [description]
    return [step for part in description["decoders"] for step in _flat(part)]


def _literal(step: dict[str, Any], name: str) -> str:
    pattern = step["pattern"]
    if "String" not in pattern:
        raise ModelError(f"tokenizer '{name}': its decoder replaces {pattern}, expected a plain string.")
    return str(pattern["String"])


@dataclass(frozen=True)
class _Pieces:
    """Sentencepiece's pieces: `▁` for a space, `<0x0A>` for a single byte."""

    replacements: tuple[tuple[str, str], ...]
    byte_fallback: bool

    def __call__(self, token: str) -> bytes:
        for old, new in self.replacements:
            token = token.replace(old, new)
        if self.byte_fallback and len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            try:
                return bytes([int(token[3:5], 16)])
            except ValueError:
                pass
        return token.encode()


def _byte_map() -> dict[str, int]:
    """GPT-2's characters for bytes: printable Latin-1 stands for itself, the rest is shifted past 255 in order."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    shifted = [byte for byte in range(256) if byte not in set(plain)]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(shifted)}


_BYTES = _byte_map()


def _byte_level(token: str) -> bytes:
    """A token with a character outside the byte map is an added one, and stands for itself."""
    if all(character in _BYTES for character in token):
        return bytes(_BYTES[character] for character in token)
    return token.encode()


def _encode(tokenizer: Any, text: str) -> list[int]:
    encoded = tokenizer.encode(text, add_special_tokens=False)
    return list(getattr(encoded, "ids", encoded))


def _decode(tokenizer: Any, ids: list[int]) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    return str(backend.decode(ids, skip_special_tokens=True))


def _name(tokenizer: Any) -> str:
    return str(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__)
