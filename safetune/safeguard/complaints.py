"""Wrong bindings of a spec, reported all at once; each world finds its own."""

from collections.abc import Sequence

from safetune.errors import BindingError
from safetune.safeguard.machine import Safeguard


def complain(guard: Safeguard, wrong: Sequence[str]) -> None:
    """Raise one `BindingError` with the spec's file and all the problems, if there are any."""
    if len(wrong) == 1:
        raise BindingError(f"{guard.spec.source}: {wrong[0]}")
    if wrong:
        raise BindingError(f"{guard.spec.source}: {len(wrong)} problems\n" + "\n".join(f"- {text}" for text in wrong))
