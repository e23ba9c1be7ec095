"""Where the boxes and arrows of a diagram go: a layered layout in the manner of Sugiyama, sized to its texts.

States stand in layers from the start on; every arrow's label has a place of its own in the layers between them, so
labels never lie on one another, on a state, or on another arrow. Loops hang at their state, at one side or the other.

Coordinates are (along, across): along the direction of reading, and across it. `picture` turns them into x and y.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import NamedTuple

GAP = 16.0  # between neighbours in a layer
CURVE = 22.0  # between layers, where arrows bend
LOOP = 24.0  # how far a loop stands out from its state
STUB = 10.0  # arrows meet a box straight for at least this long, so that their heads point at it
_SWEEPS = 12


class Point(NamedTuple):
    """A place, or an extent."""

    along: float
    across: float


class Arrow(NamedTuple):
    """An arrow between two different boxes, and the size of its label."""

    source: int
    target: int
    label: Point


class Loop(NamedTuple):
    """An arrow from a box to itself; `side` is -1 (before it, across) or 1 (after it)."""

    box: int
    side: int
    label: Point


class Layout(NamedTuple):
    """Centres of boxes and labels, and the way of each arrow from border to border, in the order they were given."""

    size: Point
    boxes: tuple[Point, ...]
    ways: tuple[tuple[Point, ...], ...]
    labels: tuple[Point, ...]
    loop_labels: tuple[Point, ...]


@dataclass
class _Place:
    """Something with a place in a layer: a box with its loops, a label, or a bend of a long arrow."""

    layer: int
    along: float
    before: float  # extents across, from the centre line
    after: float
    centre: float = 0.0
    links: list[tuple[int, float]] = field(default_factory=list)  # (other place, how much it pulls)


def arrange(boxes: Sequence[Point], arrows: Sequence[Arrow], loops: Sequence[Loop]) -> Layout:
    """Lay out boxes (the first one is the start), arrows and loops."""
    layers_of_boxes = _layers([(arrow.source, arrow.target) for arrow in arrows], len(boxes))
    places = [_box_place(2 * layer, index, boxes, loops) for index, layer in enumerate(layers_of_boxes)]
    chains = [_chain(places, arrow) for arrow in arrows]
    layers = _ordered([[i for i, p in enumerate(places) if p.layer == n] for n in range(_depth(places))], places)
    _centre(layers, places)
    edges = _layer_edges(layers, places)
    middle = [(start + end) / 2 for start, end in edges]
    ways = tuple(_way(places, chain, boxes, edges, middle) for chain in _with_ports(places, chains, boxes))
    extent = max(place.centre + place.after for place in places)
    return Layout(
        Point(edges[-1][1], extent),
        tuple(Point(middle[place.layer], place.centre) for place in places[: len(boxes)]),
        tuple(way if arrow.source < arrow.target else way[::-1] for way, arrow in zip(ways, arrows, strict=True)),
        tuple(Point(middle[places[at].layer], places[at].centre) for at in (_label_of(chain) for chain in chains)),
        tuple(_loop_label(loop, places, boxes, middle) for loop in loops),
    )


def _layers(pairs: Sequence[tuple[int, int]], n_boxes: int) -> list[int]:
    """The layer of each box: an arrow leads to a later layer, unless it leads back to a box with a lower number."""
    layer = [0] * n_boxes
    for target in range(n_boxes):
        sources = [min(pair) for pair in pairs if max(pair) == target]
        layer[target] = max((layer[source] + 1 for source in sources), default=0)
    return layer


def _box_place(layer: int, index: int, boxes: Sequence[Point], loops: Sequence[Loop]) -> _Place:
    size = boxes[index]
    own = {loop.side: loop.label for loop in loops if loop.box == index}
    outside = {side: LOOP + label.across for side, label in own.items()}
    widest = max([size.along + 2 * STUB, *(label.along for label in own.values())])
    return _Place(layer, widest, size.across / 2 + outside.get(-1, 0.0), size.across / 2 + outside.get(1, 0.0))


def _chain(places: list[_Place], arrow: Arrow) -> list[int]:
    """The places an arrow passes, from the earlier layer to the later one; adds its label and bends to `places`."""
    first, last = sorted((arrow.source, arrow.target))
    start, end = places[first].layer, places[last].layer
    chain = [first]
    for layer in range(start + 1, end):
        is_label = layer == start + 1 + 2 * ((end - start - 1) // 4)
        size = arrow.label if is_label else Point(0.0, 0.0)
        chain.append(len(places))
        places.append(_Place(layer, size.along, size.across / 2, size.across / 2))
    chain.append(last)
    for one, other in pairwise(chain):
        # A long arrow should run straight between its bends; near the boxes it may turn.
        pull = 1.0 if {one, other} & {first, last} else 4.0
        places[one].links.append((other, pull))
        places[other].links.append((one, pull))
    return chain


def _label_of(chain: list[int]) -> int:
    return chain[1 + 2 * ((len(chain) - 2) // 4)]


def _depth(places: Sequence[_Place]) -> int:
    return 1 + max(place.layer for place in places)


def _ordered(layers: list[list[int]], places: Sequence[_Place]) -> list[list[int]]:
    """The layers with few crossings: each sorted by the mean position of its neighbours, to and fro, the best kept."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers, places)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for layer in layers[1:] if forward else layers[-2::-1]:
            position = {place: i for other in layers for i, place in enumerate(other)}
            side = places[layer[0]].layer + (-1 if forward else 1)
            mean = {}
            for place in layer:
                near = [position[other] for other, _ in places[place].links if places[other].layer == side]
                mean[place] = sum(near) / len(near) if near else position[place]
            layer.sort(key=mean.__getitem__)
        if (crossings := _crossings(layers, places)) < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _crossings(layers: Sequence[Sequence[int]], places: Sequence[_Place]) -> int:
    position = {place: i for layer in layers for i, place in enumerate(layer)}
    total = 0
    for layer in layers:
        before: list[int] = []  # where the arrows of the places so far end in the next layer, sorted
        for place in layer:
            ends = [position[o] for o, _ in places[place].links if places[o].layer == places[place].layer + 1]
            total += sum(len(before) - bisect_right(before, end) for end in ends)
            before = sorted(before + ends)
    return total


def _centre(layers: Sequence[Sequence[int]], places: Sequence[_Place]) -> None:
    """Set each place's centre: near the mean of its neighbours, in order, with room between."""
    for _ in range(3 * _SWEEPS):
        for layer in (*layers, *reversed(layers)):
            wished = []
            for index in layer:
                links = places[index].links
                pull = sum(weight for _, weight in links)
                wished.append(sum(places[other].centre * weight for other, weight in links) / pull if pull else 0.0)
            for index, centre in zip(layer, _spread(wished, [places[i] for i in layer]), strict=True):
                places[index].centre = centre
    top = min(place.centre - place.before for place in places)
    for place in places:
        place.centre -= top


def _spread(wished: Sequence[float], row: Sequence[_Place]) -> list[float]:
    """The centres nearest to those wished for (least squares) that keep the order and leave room: pooled averages."""
    room = list(accumulate((a.after + b.before + GAP for a, b in pairwise(row)), initial=0.0))
    pools: list[tuple[float, int]] = []  # sum and number of the members that share one mean
    for value, taken in zip(wished, room, strict=True):
        total, members = value - taken, 1
        while pools and pools[-1][0] * members > total * pools[-1][1]:
            total, members = total + pools[-1][0], members + pools[-1][1]
            pools.pop()
        pools.append((total, members))
    means = (total / members for total, members in pools for _ in range(members))
    return [mean + taken for mean, taken in zip(means, room, strict=True)]


def _layer_edges(layers: Sequence[Sequence[int]], places: Sequence[_Place]) -> list[tuple[float, float]]:
    """Where each layer starts and ends along; the gap before it is wider where arrows climb steeply."""
    edges: list[tuple[float, float]] = []
    position = 0.0
    for layer in layers:
        climbs = [
            abs(places[place].centre - places[other].centre)
            for place in layer
            for other, _ in places[place].links
            if places[other].layer < places[place].layer
        ]
        start = position + (min(CURVE + 0.2 * max(climbs), 3 * CURVE) if climbs else 0.0)
        position = start + max(places[place].along for place in layer)
        edges.append((start, position))
    return edges


class _Ported(NamedTuple):
    chain: list[int]
    leaves: float  # across, where the arrow meets the border of its first box
    enters: float  # and that of its last one


def _with_ports(places: Sequence[_Place], chains: Sequence[list[int]], boxes: Sequence[Point]) -> list[_Ported]:
    """Spread the arrows that meet one side of a box over that side, in the order in which they come."""
    ports: dict[tuple[int, int], float] = {}  # (chain, 0 at its first box or -1 at its last) to across
    for box, size in enumerate(boxes):
        for end, next_to in ((0, 1), (-1, -2)):
            meeting = [i for i, chain in enumerate(chains) if chain[end] == box]
            meeting.sort(key=lambda i: places[chains[i][next_to]].centre)
            step = min(14.0, 0.6 * size.across / max(len(meeting) - 1, 1))
            for number, i in enumerate(meeting):
                ports[i, end] = places[box].centre + step * (number - (len(meeting) - 1) / 2)
    return [_Ported(chain, ports[i, 0], ports[i, -1]) for i, chain in enumerate(chains)]


def _way(
    places: Sequence[_Place],
    arrow: _Ported,
    boxes: Sequence[Point],
    edges: Sequence[tuple[float, float]],
    middle: Sequence[float],
) -> tuple[Point, ...]:
    """Straight through every layer, so that an arrow bends in the gaps alone, where nothing else stands."""
    first, last = arrow.chain[0], arrow.chain[-1]
    start, end = places[first].layer, places[last].layer
    way = [Point(middle[start] + boxes[first].along / 2, arrow.leaves), Point(edges[start][1], arrow.leaves)]
    for index in arrow.chain[1:-1]:
        way += [Point(side, places[index].centre) for side in edges[places[index].layer]]
    way += [Point(edges[end][0], arrow.enters), Point(middle[end] - boxes[last].along / 2, arrow.enters)]
    return tuple(way)


def _loop_label(loop: Loop, places: Sequence[_Place], boxes: Sequence[Point], middle: Sequence[float]) -> Point:
    place = places[loop.box]
    outside = boxes[loop.box].across / 2 + LOOP + loop.label.across / 2
    return Point(middle[place.layer], place.centre + loop.side * outside)
