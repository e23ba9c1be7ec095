"""The `[text]` table of a spec: settings of the text world that are not bindings."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from safetune.errors import SpecError
from safetune.safeguard.spec import Spec
from safetune.safeguard.wording import problems


class TextSettings(BaseModel):
    """`[text]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Literal["remember", "fresh"] = "remember"
    """remember: what the prompt says counts as said, and a match may begin in it; fresh: a completion starts anew."""

    @classmethod
    def of(cls, spec: Spec) -> "TextSettings":
        """Check the spec's `[text]` table."""
        try:
            return cls.model_validate(spec.text)
        except ValidationError as error:
            found = "; ".join(f"text.{problem}" for problem in problems(error, cls))
            raise SpecError(f"{spec.source}: {found}") from None
