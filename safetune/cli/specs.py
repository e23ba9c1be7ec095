"""What `check` and `train` both do with a spec: compile it, and all that its worlds bind."""

from typing import NamedTuple

from safetune.safeguard import Safeguard
from safetune.safeguard.analysis import Finding, check


class Checked(NamedTuple):
    """A spec that can be used, and what its writer should know of it."""

    guard: Safeguard
    findings: list[Finding]
    text_states: int | None
    """States of the compiled text bindings; none where the spec has no text bindings."""

    @property
    def errors(self) -> list[str]:
        """The findings with which nothing can be trained."""
        return [finding_text(finding) for finding in self.findings if finding.severity == "error"]


def checked_spec(path: str, *, for_text: bool = False) -> Checked:
    """Load and compile a spec and analyse it; `for_text` demands text bindings."""
    guard = Safeguard.load(path)
    findings = check(guard)
    if not for_text and "text" not in guard.spec.bind and not guard.spec.text:
        return Checked(guard, findings if guard.spec.bind else [*findings, _UNBOUND], None)
    from safetune.text.bindings import compile_bindings
    from safetune.text.settings import TextSettings

    TextSettings.of(guard.spec)
    return Checked(guard, findings, len(compile_bindings(guard).next_state))


_UNBOUND = Finding(
    "note",
    None,
    "no [bind.text] table: add one to use this spec on text (a game has a table of its own, as [bind.craft])",
)


def finding_text(finding: Finding) -> str:
    """A finding in a line, with the rule that it is about."""
    rule = f"rule '{finding.rule}': " if finding.rule else ""
    return f"{rule}{finding.message}"
