"""Maps: what they say is read, and what is wrong with one is told with its line and column."""

from pathlib import Path

import pytest

from safetune.errors import GameError
from safetune.games.craft.layout import FOLDER, Layout
from safetune.games.craft.names import bits_of

MAPS = sorted(FOLDER.glob("*.txt"))
GOOD = "slip = 0.1\nshift = 0.05\n\n[cells]\n.@L\nc..\n\n[shifted right]\n...\n.B.\n"


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_every_map_of_the_package_is_read_and_explains_its_signs(path: Path) -> None:
    layout = Layout.load(path.stem)
    assert layout.name == path.stem
    drawn = {sign for line in path.read_text().split("[cells]")[1].splitlines() if "[" not in line for sign in line}
    head = path.read_text().split("[cells]")[0]
    assert all(f" {sign} " in head for sign in drawn)


def test_settings_and_drawings_are_read() -> None:
    layout = Layout.parse(GOOD, "toy.txt")
    assert (layout.name, layout.shape, layout.settings.slip) == ("toy", (2, 3), 0.1)
    assert (layout.starts, layout.walkers) == ((1,), (("creeper", 3),))
    plain, right, left = (row.tolist() for row in layout.cells)
    assert plain == [0, 0, bits_of("lava"), 0, bits_of("bench"), 0]
    assert right == [0, 0, bits_of("lava"), 0, 0, bits_of("bench")]
    assert left == [0, 0, bits_of("lava"), bits_of("bench"), 0, 0]


def test_drawings_lie_on_one_another() -> None:
    layout = Layout.parse("[cells]\n@L\n[shifted down]\n.T\n")
    assert layout.cells[0].tolist() == [0, bits_of("lava", "wood")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace("@", "."), "toy.txt: [cells] has no start; mark one cell or several with '@'"),
        (GOOD.replace("c..", "c."), "toy.txt:6: expected 3 signs, as in the first row, got 2"),
        (GOOD.replace(".@L", ".@Z"), "toy.txt:5:3: unknown sign 'Z'. Valid signs: . # ~ L"),
        (GOOD.replace(".B.", "..B"), "toy.txt:10:3: what is drawn here leaves the map when it is shifted by +1"),
        (GOOD.replace(".B.", ".c."), "toy.txt:10:2: 'c' cannot be shifted; draw it in [cells]"),
        (GOOD.replace(".B.\n", ""), "toy.txt: [shifted right]: expected 2 rows, as in [cells], got 1"),
        (GOOD.replace("slip", "slipp"), "toy.txt:1: unknown key 'slipp'"),
        (GOOD.replace("slip", "slipp"), "Did you mean 'slip'?"),
        (GOOD.replace("0.1", "1.1"), "toy.txt:1: slip: expected a number from 0 to 1, got '1.1'"),
        (GOOD.replace("0.1", "nan"), "toy.txt:1: slip: expected a number from 0 to 1, got 'nan'"),
        (GOOD.replace("slip = 0.1", "steps = 0.5"), "toy.txt:1: steps: expected a whole number from 1 to"),
        (GOOD.replace("slip = 0.1", "reward.iron = inf"), "toy.txt:1: reward.iron: expected a finite number"),
        (GOOD.replace("0.05", "0.6"), "toy.txt:2: shift: expected at most 0.5"),
        (GOOD.replace("slip = 0.1", "slip"), "toy.txt:1: expected 'key = value' or '[cells]', got 'slip'"),
        (GOOD.replace("shift =", "slip ="), "toy.txt:2: 'slip' is set twice"),
        (GOOD.replace("right", "left"), "toy.txt:8: the drawing [shifted left] is unknown. Valid: 'cells'"),
        (GOOD + "[cells]\n", "toy.txt:11: the drawing [cells] is there twice"),
        (GOOD.split("[cells]")[0], "toy.txt: no drawing [cells]"),
        ("[cells]\n", "toy.txt: [cells] is empty"),
    ],
)
def test_what_is_wrong_with_a_map_is_told(text: str, says: str) -> None:
    with pytest.raises(GameError) as caught:
        Layout.parse(text, "toy.txt")
    assert says in str(caught.value)


def test_a_map_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(GameError, match=r"map 'valey': cannot read it.*'valley'\. Did you mean 'valley'\?"):
        Layout.load("valey")
