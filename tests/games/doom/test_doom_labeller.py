from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.errors import BindingError, GameError
from safetune.games.doom.labeller import DoomLabeller, ForeseeingDoomLabeller, labeller
from safetune.games.doom.scenario import Scenario
from safetune.safeguard import Safeguard, Spec

PROTECTION, CENTER = Scenario.load("protection"), Scenario.load("defend_the_center")
ALL = """
in_lava = { inside = "lava" }
anywhere = { inside = ["lava", "boss"] }
suit = { variable = "ARMOR", above = 0 }
weak = { variable = "HEALTH", below = 30 }
full = { variable = "HEALTH", equals = 100 }
healed = { variable = "HEALTH", rises = true }
hurt = { variable = "HEALTH", falls = true }
fire = { action = "attack" }
"""


def guard(bindings: str) -> Safeguard:
    names = [line.split(" =")[0] for line in bindings.strip().splitlines()]
    declared = "\n".join(f'{name} = "a proposition"' for name in names)
    rule = " & ".join(f"!{name}" for name in names)
    text = f'name = "s"\n[propositions]\n{declared}\n[[rule]]\nname = "r"\nalways = "{rule}"\n[bind.doom]\n{bindings}'
    return Safeguard.from_spec(Spec.parse(text, "spec.toml"))


def env(scenario: Scenario, aims: dict[str, bool] | None = None) -> Any:
    inner = SimpleNamespace(scenario=scenario, game=SimpleNamespace(names=scenario.read))
    inner.aims = lambda: aims or dict.fromkeys(scenario.enemies, False)
    inner.unwrapped = inner
    return inner


def info(**given: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "variables": {"HEALTH": 50.0, "ARMOR": 0.0},
        "changes": {"HEALTH": 0.0, "ARMOR": 0.0},
        "inside": {"lava": False, "boss": False},
        "aims_at": {"Demon": False, "MarineChainsawVzd": False},
        "events": {"shot_missed": False},
        "action": 0,
    }
    return {"facts": facts | given}


@pytest.mark.parametrize(
    ("step", "names"),
    [
        (info(), set()),
        (info(inside={"lava": True, "boss": False}), {"in_lava", "anywhere"}),
        (info(inside={"lava": False, "boss": True}), {"anywhere"}),
        (info(variables={"HEALTH": 100.0, "ARMOR": 1.0}), {"full", "suit"}),
        (info(variables={"HEALTH": 29.0, "ARMOR": 0.0}), {"weak"}),
        (info(changes={"HEALTH": 5.0, "ARMOR": 0.0}), {"healed"}),
        (info(changes={"HEALTH": -5.0, "ARMOR": 0.0}), {"hurt"}),
        (info(action=5), {"fire"}),
        (info(action=-1), set()),
    ],
)
def test_each_kind_reads_its_fact(step: dict[str, Any], names: set[str]) -> None:
    spec = guard(ALL)
    bits = labeller(spec, env(PROTECTION)).labels(None, None, step)
    assert isinstance(bits, int)
    assert set(spec.decode(bits)) == names


def test_aims_and_facts() -> None:
    spec = guard("target = { aims_at = 'enemy' }\ndemon = { aims_at = ['Demon'] }\nmissed = { fact = 'shot_missed' }")
    made = labeller(spec, env(CENTER))
    marine = {"Demon": False, "MarineChainsawVzd": True}
    assert spec.decode(made.labels(None, None, info(aims_at=marine))) == ("target",)
    both = info(aims_at={"Demon": True, "MarineChainsawVzd": False}, events={"shot_missed": True})
    assert spec.decode(made.labels(None, None, both)) == ("target", "demon", "missed")


@settings(deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 6))
def test_a_batch_is_its_parts(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    steps = [
        info(
            variables={"HEALTH": float(rng.choice([20, 50, 100])), "ARMOR": float(rng.integers(2))},
            changes={"HEALTH": float(rng.integers(-1, 2)), "ARMOR": 0.0},
            inside={"lava": bool(rng.integers(2)), "boss": bool(rng.integers(2))},
            action=int(rng.integers(-1, 6)),
        )
        for _ in range(count)
    ]
    made = labeller(guard(ALL), env(PROTECTION))
    assert made.batch_labels(None, None, stacked(steps)).tolist() == [made.labels(None, None, step) for step in steps]


def stacked(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Infos as a Gymnasium vector environment gathers them."""

    def join(parts: list[Any]) -> Any:
        if isinstance(parts[0], dict):
            return {key: join([part[key] for part in parts]) for key in parts[0]}
        return np.array(parts)

    joined: dict[str, Any] = join(steps)
    return joined


def test_only_what_is_known_before_the_step_is_foreseen() -> None:
    spec = guard("fire = { action = 'attack' }\ntarget = { aims_at = 'enemy' }\nmissed = { fact = 'shot_missed' }")
    aiming = env(CENTER, {"Demon": True, "MarineChainsawVzd": False})
    made = labeller(spec, aiming)
    assert isinstance(made, ForeseeingDoomLabeller)
    target, fire = spec.encode(["target"]), spec.encode(["fire"])
    assert made.foresee(aiming).tolist() == [target, target, target, target | fire]
    both = SimpleNamespace(envs=[aiming, env(CENTER)])
    both.unwrapped = both
    assert made.foresee(both).tolist() == [[target] * 3 + [target | fire], [0] * 3 + [fire]]
    assert made.certain(both).shape == (2, 4)
    assert not made.certain(aiming).any()
    sure = labeller(guard("fire = { action = 'attack' }\ntarget = { aims_at = 'enemy' }"), aiming)
    assert isinstance(sure, ForeseeingDoomLabeller)
    assert sure.certain(aiming).all()
    blind = labeller(guard("lava = { inside = 'lava' }"), env(PROTECTION))
    assert isinstance(blind, DoomLabeller)
    assert not hasattr(blind, "foresee")


@pytest.mark.parametrize(
    ("binding", "scenario", "message"),
    [
        ("{ inside = 'lva' }", PROTECTION, r"spec.toml: bind.doom.p.inside: unknown region 'lva'.*Did you mean 'lava'"),
        ("{ inside = 'lava' }", CENTER, r"unknown region 'lava'. Valid regions: \(none\)"),
        ("{ variable = 'ARMOUR', above = 0 }", PROTECTION, r"unknown variable 'ARMOUR'.*Did you mean 'ARMOR'"),
        ("{ variable = 'ARMOR' }", PROTECTION, r"expected 'variable' and one of above, below"),
        ("{ variable = 'ARMOR', above = 0, below = 3 }", PROTECTION, r"expected 'variable' and one of"),
        ("{ variable = 'ARMOR', rises = false }", PROTECTION, r"expected 'variable' and one of"),
        ("{ variable = 'ARMOR', above = inf }", PROTECTION, r"bind.doom.p.above: expected a finite number, got inf"),
        ("{ action = 'atack' }", PROTECTION, r"p.action: unknown button 'atack'.*Did you mean 'attack'"),
        ("{ aims_at = 'enemy' }", PROTECTION, r"p.aims_at: unknown object 'enemy'. Valid objects: \(none\)"),
        ("{ aims_at = 'Deman' }", CENTER, r"unknown object 'Deman'.*Did you mean 'Demon'"),
        ("{ fact = 'miss' }", CENTER, r"p.fact: unknown fact 'miss'. Valid facts: 'shot_missed'"),
        ("{ fact = 'shot_missed', above = 1 }", CENTER, r"unknown key 'above'"),
        ("{ insid = 'lava' }", PROTECTION, r"expected one of the keys.*Did you mean 'inside'"),
    ],
)
def test_a_wrong_binding_is_explained(binding: str, scenario: Scenario, message: str) -> None:
    with pytest.raises(BindingError, match=message):
        labeller(guard(f"p = {binding}"), env(scenario))


def test_a_strange_environment_is_explained() -> None:
    spec = guard("p = { inside = 'lava' }")
    with pytest.raises(GameError, match="expected an environment made of DoomEnv"):
        labeller(spec, SimpleNamespace(unwrapped=object()))
    with pytest.raises(GameError, match="no 'facts'"):
        labeller(spec, env(PROTECTION)).labels(None, None, {})
