"""One mistake of the table."""

from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Case:
    """One mistake: the call, what its message must say, and the files that differ from the right ones."""

    what: str
    call: str
    says: tuple[str, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)
    full_disk: bool = False
