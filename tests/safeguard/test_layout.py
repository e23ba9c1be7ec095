from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetune.safeguard.layout import Arrow, Loop, Point, arrange


@st.composite
def graphs(draw):
    """Boxes, arrows and loops of all sizes."""
    n = draw(st.integers(1, 7))
    size = st.builds(Point, st.floats(10, 120), st.floats(8, 60))
    boxes = draw(st.lists(size, min_size=n, max_size=n))
    ends = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda pair: pair[0] != pair[1])
    pairs = draw(st.lists(ends, max_size=14)) if n > 1 else []
    looped = draw(st.lists(st.tuples(st.integers(0, n - 1), st.sampled_from((-1, 1))), unique=True, max_size=6))
    return boxes, [Arrow(*pair, draw(size)) for pair in pairs], [Loop(*loop, draw(size)) for loop in looped]


def box(centre, size):
    return (
        centre.along - size.along / 2,
        centre.along + size.along / 2,
        centre.across - size.across / 2,
        centre.across + size.across / 2,
    )


def overlap(one, other):
    return (
        one[0] < other[1] - 1e-6 and other[0] < one[1] - 1e-6 and one[2] < other[3] - 1e-6 and other[2] < one[3] - 1e-6
    )


@settings(deadline=None, derandomize=True, max_examples=150)
@given(graphs())
def test_nothing_in_a_layout_lies_on_anything_else(graph):
    boxes, arrows, loops = graph
    layout = arrange(boxes, arrows, loops)
    things = [box(centre, size) for centre, size in zip(layout.boxes, boxes, strict=True)]
    things += [box(centre, arrow.label) for centre, arrow in zip(layout.labels, arrows, strict=True)]
    things += [box(centre, loop.label) for centre, loop in zip(layout.loop_labels, loops, strict=True)]
    for index, one in enumerate(things):
        assert not any(overlap(one, other) for other in things[index + 1 :])
        assert one[0] >= -1e-6
        assert one[2] >= -1e-6
        assert one[1] <= layout.size.along + 1e-6
        assert one[3] <= layout.size.across + 1e-6


@settings(deadline=None, derandomize=True, max_examples=150)
@given(graphs())
def test_arrows_go_from_border_to_border_through_their_label_and_nothing_else(graph):
    boxes, arrows, loops = graph
    layout = arrange(boxes, arrows, loops)
    states = [box(centre, size) for centre, size in zip(layout.boxes, boxes, strict=True)]
    labels = [box(centre, arrow.label) for centre, arrow in zip(layout.labels, arrows, strict=True)]
    labels += [box(centre, loop.label) for centre, loop in zip(layout.loop_labels, loops, strict=True)]
    for index, (arrow, way) in enumerate(zip(arrows, layout.ways, strict=True)):
        for end, at in ((way[0], arrow.source), (way[-1], arrow.target)):
            left, right, top, bottom = states[at]
            assert end.along in (pytest.approx(left), pytest.approx(right))
            assert top < end.across < bottom
        pieces = [(min(p.along, q.along), max(p.along, q.along), p.across, q.across) for p, q in pairwise(way)]
        for number, (left, right, top, bottom) in enumerate((*labels, *states)):
            thing = (left, right, top, bottom)
            straight = [(a, b, c - 1e-5, d + 1e-5) for a, b, c, d in pieces if c == d]
            assert any(overlap(piece, thing) for piece in straight) == (number == index)
            # Where an arrow bends there is nothing at all, above or below.
            assert not any(overlap((a, b, top, bottom), thing) for a, b, c, d in pieces if c != d)


def test_layers_are_read_from_the_start_on():
    boxes = [Point(60.0, 30.0)] * 3
    layout = arrange(boxes, [Arrow(0, 1, Point(20, 10)), Arrow(1, 2, Point(20, 10)), Arrow(2, 0, Point(20, 10))], [])
    assert layout.boxes[0].along < layout.labels[0].along < layout.boxes[1].along < layout.labels[1].along
    assert layout.ways[2][0].along > layout.ways[2][-1].along  # the way back runs backwards


def test_one_lonely_box():
    assert arrange([Point(60.0, 30.0)], [], []).boxes[0].across == 15.0
