"""Token streams: patterns become automata over bytes, are composed with a safeguard and read tokens or text."""

from safetune.text.automaton import ByteAutomaton
from safetune.text.bindings import compile_bindings
from safetune.text.monitor import Monitor, Violation
from safetune.text.product import ByteSafeguard
from safetune.text.regex import compile_regex
from safetune.text.settings import TextSettings
from safetune.text.token_safeguard import TokenSafeguard, TokenTrace
from safetune.text.vocabulary import Vocabulary
from safetune.text.words import compile_words

__all__ = [
    "ByteAutomaton",
    "ByteSafeguard",
    "Monitor",
    "TextSettings",
    "TokenSafeguard",
    "TokenTrace",
    "Violation",
    "Vocabulary",
    "compile_bindings",
    "compile_regex",
    "compile_words",
]
