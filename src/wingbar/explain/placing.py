"""Labels of boxes: the numbers of parts, and places for labels that do not overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wingbar.boxes import Box


def place_labels(
    anchors: Sequence[Box],
    sizes: Sequence[tuple[int, int]],
    canvas: tuple[int, int],
    *,
    obstacles: Sequence[Box] = (),
    anywhere: bool = False,
) -> list[Box | None]:
    """Find a place for each label beside its anchor: inside the canvas, off other labels and off the obstacles.

    Args:
        anchors: the box that each label belongs to, in pixels.
        sizes: the (width, height) of each label.
        canvas: the (width, height) of the canvas.
        obstacles: boxes that no label may overlap.
        anywhere: use the free place that is nearest to the anchor if none beside it is free.

    Labels are placed in the given order, each at the first free one of twelve places at its anchor. Returns the box of
    each label, or None if there is no free place.
    """
    placed: list[Box | None] = []
    taken = list(obstacles)
    for anchor, size in zip(anchors, sizes, strict=True):
        places = beside(anchor, size)
        if anywhere:
            places = [*places, *sorted(_raster(size, canvas), key=lambda box: _distance(box, anchor))]
        free = (box for box in places if _inside(box, canvas) and not any(overlap(box, occupied) for occupied in taken))
        box = next(free, None)
        placed.append(box)
        if box is not None:
            taken.append(box)
    return placed


def beside(anchor: Box, size: tuple[int, int]) -> list[Box]:
    """The twelve places at an anchor, the most readable first: above its corner, in its corners, along its edges."""
    x1, y1, x2, y2 = anchor
    width, height = size
    middle_x, middle_y = (x1 + x2 - width) // 2, (y1 + y2 - height) // 2
    corners = [
        (x1, y1 - height), (x1, y1), (x2 - width, y1), (x1, y2 - height), (x2 - width, y2 - height),
        (x2, middle_y), (x1 - width, middle_y), (middle_x, y2), (middle_x, y1 - height),
        (x1, y2), (x2 - width, y1 - height), (x2 - width, y2),
    ]  # fmt: skip
    return [(x, y, x + width, y + height) for x, y in corners]


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes share a pixel."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _inside(box: Box, canvas: tuple[int, int]) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= canvas[0] and box[3] <= canvas[1]


def _raster(size: tuple[int, int], canvas: tuple[int, int]) -> Iterator[Box]:
    width, height = size
    for y in range(0, canvas[1] - height + 1, height):
        for x in range(0, canvas[0] - width + 1, width):
            yield x, y, x + width, y + height


def _distance(box: Box, anchor: Box) -> int:
    across = box[0] + box[2] - anchor[0] - anchor[2]
    down = box[1] + box[3] - anchor[1] - anchor[3]
    return across * across + down * down


def part_names(clusters: Sequence[int]) -> list[str]:
    """The name of each part: the number of its cluster from 1; with a letter (``1a``, ``1b``) if several share it."""
    names = []
    for position, cluster in enumerate(clusters):
        shared = clusters.count(cluster) > 1
        letter = chr(ord("a") + clusters[:position].count(cluster)) if shared else ""
        names.append(f"{cluster + 1}{letter}")
    return names
