import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.errors import GameError
from safetune.games.doom.ground import DIRECTIONS, REACH, Ground
from safetune.games.doom.scenario import SCENARIOS, Scenario

NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml"))
MINIMAL = """
about = "a test"
wad = "stock:basic.wad"
timeout = 40
actions = [["ATTACK"], []]
variables = ["HEALTH"]
[reward]
HEALTH = 1.0
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "scenario.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_packaged_scenario_is_whole(name: str) -> None:
    scenario = Scenario.load(name)
    assert scenario.about
    assert Scenario.load(SCENARIOS / f"{name}.toml") == scenario
    for wad in filter(None, (scenario.wad, scenario.patch)):
        assert wad.startswith("stock:") or (SCENARIOS / wad).stat().st_size > 0


def test_what_is_read_is_what_anything_speaks_of(tmp_path: Path) -> None:
    text = MINIMAL + "[gauges]\nARMOR = 100\n[fact.hurt]\nfalls = ['HEALTH']\nsteady = ['AMMO2']\n"
    scenario = Scenario.load(write(tmp_path, text))
    assert scenario.read == ("HEALTH", "ARMOR", "AMMO2")
    assert scenario.buttons == ("ATTACK",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("about = 3", r"scenario.toml: about: "),
        ("nonsense", r"scenario.toml: not valid TOML"),
        (MINIMAL.replace("timeout", "timeot"), r"unknown key 'timeot'.*Did you mean 'timeout'"),
        (MINIMAL.replace("40", "0"), r"timeout: expected more than 0, got 0"),
        (MINIMAL.replace("1.0", "inf"), r"reward.HEALTH: expected a finite number, got inf"),
        (MINIMAL + "[vector]\nrays = ['wal']", r"vector.rays: unknown 'wal'. Valid: 'wall'. Did you mean 'wall'"),
        (MINIMAL + "[[layout]]\nname = 'a'\nmap = '#'", r"layout: needs a \[build\] table"),
    ],
)
def test_a_wrong_file_is_explained(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(GameError, match=message):
        Scenario.load(write(tmp_path, text))


def test_an_unknown_name_is_explained(tmp_path: Path) -> None:
    with pytest.raises(GameError, match=r"unknown 'protecton'.*Did you mean 'protection'"):
        Scenario.load("protecton")
    with pytest.raises(GameError, match=r"absent.toml: cannot read"):
        Scenario.load(tmp_path / "absent.toml")


GROUNDS = [
    Ground(layout, scenario.build, scenario.regions)
    for scenario in [Scenario.load("protection")]
    for layout in scenario.layout
    if scenario.build
]


def naive_inside(layout: str, regions: dict[str, str], x: float, y: float) -> set[str]:
    rows = layout.strip("\n").splitlines()
    letter = rows[len(rows) - 1 - int(y // 64)][int(x // 64)]
    return {regions[letter]} if letter in regions else set()


@settings(deadline=None, derandomize=True)
@given(layout=st.integers(0, len(GROUNDS) - 1), across=st.integers(0, 1023), up=st.integers(0, 1023))
def test_a_position_is_in_the_region_of_its_letter(layout: int, across: int, up: int) -> None:
    ground, source = GROUNDS[layout], Scenario.load("protection").layout[layout].map
    x, y = (across + 0.5) * ground.size[0] / 1024, (up + 0.5) * ground.size[1] / 1024  # never between two cells
    # relics spring up in lava, the boss stands in its own area
    letters = {"~": "lava", "R": "lava", "b": "boss", "B": "boss"}
    found = {name for name, inside in zip(ground.regions, ground.inside(x, y), strict=True) if inside}
    assert found == naive_inside(source, letters, x, y)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(layout=st.integers(0, len(GROUNDS) - 1), heading=st.floats(0, 360), seed=st.integers(0, 99))
def test_a_ray_ends_in_the_first_cell_of_its_kind(layout: int, heading: float, seed: int) -> None:
    ground = GROUNDS[layout]
    x, y = np.random.default_rng(seed).uniform(64, ground.size - 64)
    rays = ground.rays(x, y, heading, ("lava", "boss"))
    assert rays.shape == (2, DIRECTIONS)
    for kind, row in zip(("lava", "boss"), rays, strict=True):
        for turn, distance in enumerate(row):
            angle = np.deg2rad(heading + turn * 360 / DIRECTIONS)
            steps = np.arange(32, REACH + 1, 32)
            inside = [ground.inside(x + np.cos(angle) * s, y + np.sin(angle) * s) for s in steps]
            hits = [s for s, here in zip(steps, inside, strict=True) if here[ground.regions.index(kind)]]
            # beyond the map's edge is what stands on the edge, a wall
            assert distance == pytest.approx(hits[0] / REACH if hits else 1.0)


def test_outside_the_map_is_no_region() -> None:
    assert not GROUNDS[0].inside(-5, 1e6).any()


def test_every_layout_has_what_the_task_needs() -> None:
    scenario = Scenario.load("protection")
    assert len(scenario.layout) >= 4
    for layout in scenario.layout:
        counts = {letter: layout.map.count(letter) for letter in "PSMRGB"}
        assert counts["G"] == counts["B"] == 1
        assert counts["P"] >= 6
        assert min(counts["S"], counts["M"], counts["R"] - 2) >= 2
        assert re.fullmatch(r"[a-z]+", layout.name)
