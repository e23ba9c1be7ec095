"""The words of Craft: what a cell may hold, what can be carried, what can be done, and the signs that maps use.

Bit i of a cell's integer stands for `CELLS[i]`; bare ground is 0. The order of each tuple is part of observations and
of `info["facts"]`.
"""

CELLS = (
    "lava",
    "water",
    "creeper",
    "cow",
    "wood",
    "bench",
    "iron",
    "table",
    "diamond",
    "suit",
    "wall",
)
"""What a cell may hold; a walking creeper or cow counts for the cell that it is on."""

ITEMS = ("wood", "pick", "sword", "iron", "steel", "diamond", "suit", "meat")
"""What can be carried: `pick` and `sword` come from the bench, `steel` (the iron pick) from the smith table."""

GOALS = ("wood", "bench", "iron", "table", "diamond")
"""The sub-goals, each rewarded once an episode: both as a cell to `use` and as a key `reward.<goal>` of a map."""

CREATURES = ("creeper", "cow")
"""What walks about."""

ACTIONS = ("right", "up", "left", "down", "stay", "use", "attack")
"""`use` and `attack` are there on crafting maps alone."""
WALKING_ACTIONS = 5

MOST = 9
"""How many of one item can be carried."""
FAR = 99
"""The distance to a creature of which there is none."""

GLYPHS = {
    ".": None,
    "#": "wall",
    "~": "water",
    "L": "lava",
    "T": "wood",
    "B": "bench",
    "I": "iron",
    "S": "table",
    "D": "diamond",
    "U": "suit",
    "C": "creeper",
}
"""Sign to what stays in its cell; `.` is bare ground."""
START = "@"
WALKERS = {"c": "creeper", "w": "cow"}
"""Sign to the creature that starts there, on bare ground, and walks about."""


def bits_of(*names: str) -> int:
    """The integer of a cell that holds these."""
    return sum(1 << CELLS.index(name) for name in names)
