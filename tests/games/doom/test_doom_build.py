import importlib.util
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_doom", ROOT / "scripts" / "build_doom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUILD = load()
TILES = {
    ".": {"flat": "A", "top": "B", "wall": "C", "ceiling": 128, "light": 160},
    "~": {"flat": "L", "top": "B", "wall": "D", "ceiling": 128, "light": 160, "floor": -8, "damage": 5},
    "b": {"flat": "A", "top": "B", "wall": "C", "ceiling": 128, "light": 160, "closed": True},
}
THINGS = {"P": {"type": 1000, "on": ".", "start": True, "dice": 1001}}


def layout(text: str) -> Any:
    return BUILD.Layout({"name": "test", "map": text}, {"cell": 64, "tile": TILES, "thing": THINGS})


def test_the_packaged_wads_are_those_of_the_source() -> None:
    paths = [path for path in BUILD.SCENARIOS.glob("*.toml") if "[build]" in path.read_text()]
    assert len(paths) >= 2
    for path in paths:
        target, content = BUILD.build(path)
        assert target.read_bytes() == content, f"run scripts/build_doom.py: {target.name} is not up to date"


def test_a_wad_is_a_header_its_lumps_and_a_directory() -> None:
    data = BUILD.wad([("ONE", b"abc"), ("TWO", b"")])
    kind, count, start = struct.unpack_from("<4sii", data)
    assert (kind, count) == (b"PWAD", 2)
    entries = [struct.unpack_from("<ii8s", data, start + 16 * index) for index in range(2)]
    assert [(data[at : at + size], name.rstrip(b"\0")) for at, size, name in entries] == [
        (b"abc", b"ONE"),
        (b"", b"TWO"),
    ]
    assert len(data) == start + 32


def test_lines_have_their_front_on_the_right() -> None:
    # One cell of floor in walls: four walls that run clockwise around it, as seen from above.
    (first, *rest) = list(layout("###\n#P#\n###").edges())
    edges = [first, *rest]
    assert len(edges) == 4
    assert {(right, left) for _, _, right, left in edges} == {(".", None)}
    follows = {start: stop for start, stop, _, _ in edges}
    point, turned = first[0], []
    for _ in range(4):
        turned.append(point)
        point = follows[point]
    assert point == first[0]
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(turned, [*turned[1:], turned[0]], strict=True)) / 2
    assert area == -64 * 64


def test_two_tiles_meet_in_a_line_with_two_sides() -> None:
    text = layout("####\n#P~#\n####").textmap()
    assert text.count("twosided = true") == 1
    assert text.count("blocking = true") == 6
    assert "damageamount = 5" in text
    assert text.count("type = 1;") == 1
    assert text.count("type = 1001;") == 1


def test_a_closed_tile_keeps_its_monsters() -> None:
    assert "blockmonsters = true; blocksight = true; blockprojectiles = true" in layout("####\n#Pb#\n####").textmap()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("###\n#P#\n##", "line 3 has 2 letters, line 1 has 3"),
        ("###\n#x#\n###", r"line 2, column 2: unknown letter 'x'"),
        ("#.#\n#P#\n###", "the first and the last line must be wall"),
        ("###\n#.#\n###", "no start"),
    ],
)
def test_a_wrong_map_is_refused(text: str, message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        layout(text).textmap()
