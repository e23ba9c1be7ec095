"""The README of an adapter's folder: what it adapts, which rules it was trained under, what came of it, how to load it.

It goes where the adapter goes, so it names no path of the machine that it was made on.
"""

from pathlib import Path
from typing import Any

from safetune.recipe import LlmRecipe
from safetune.report.measures import intervals, rows, subject
from safetune.report.page import cell
from safetune.safeguard import Safeguard


def adapter_card(recipe: LlmRecipe, guard: Safeguard, evaluation: dict[str, Any] | None = None) -> str:
    """The card as Markdown, with the measures of before and after where they are known."""
    model = _model(recipe)
    base_model = [f"base_model: {model}"] if _on_hub(recipe) else []
    lines = [
        *("---", "library_name: peft", *base_model, "tags: [lora, safetune]", "---", ""),
        *(f"# {recipe.name}", ""),
        f"A LoRA adapter of rank {recipe.lora.rank} for the model `{model}`, trained with safetune under the spec",
        f"`{guard.name}`, which lies in `specs/`{f': {guard.spec.about}' if guard.spec.about else '.'}",
        "",
        *(f"- {rule.name} (cost {rule.cost:g}): `{rule.formula}`" for rule in guard.rules),
        "",
        *_measures(evaluation),
        *("## Loading", "", "```python", *_loading(recipe), "```", ""),
    ]
    return "\n".join(lines)


def _model(recipe: LlmRecipe) -> str:
    """The model's name: of a local one, which a recipe names by its whole path, that of the folder or file."""
    name = recipe.model.name
    return Path(name).name if Path(name).is_absolute() else name


def _on_hub(recipe: LlmRecipe) -> bool:
    name = recipe.model.name
    return name != "pocket" and not name.startswith("pypi:") and not Path(name).is_absolute()


def _measures(evaluation: dict[str, Any] | None) -> list[str]:
    if evaluation is None:
        return ["It has not been measured.", ""]
    return [
        f"Over {subject(evaluation)}; in brackets, {intervals(evaluation)}.",
        *("", "| measure | before | after |", "|---|---:|---:|"),
        *(f"| {' | '.join(map(cell, row))} |" for row in rows(evaluation)),
        "",
    ]


def _loading(recipe: LlmRecipe) -> list[str]:
    name = _model(recipe)
    if _on_hub(recipe):
        imports = "from transformers import AutoModelForCausalLM, AutoTokenizer"
        base = [f'{part} = Auto{cls}.from_pretrained("{name}")' for part, cls in _PARTS]
    else:
        imports, base = "from safetune.llm import load_model", [f'model, tokenizer = load_model("{name}")']
    adapter = 'model = PeftModel.from_pretrained(model, "adapter")  # the path of this folder'
    return ["from peft import PeftModel", imports, "", *base, adapter]


_PARTS = (("model", "ModelForCausalLM"), ("tokenizer", "Tokenizer"))
