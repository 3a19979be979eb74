"""Which changed copies of a photograph `wingbar data check` finds among others, and whether it takes others for copies.

    python benchmarks/copies.py [--data DATA/cub50] [--quick] [--write]

Every picture of a sample and its copy lie in one heap, change by change; so do drawn birds.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from _measure import Options, door, files, spread, table
from numpy import ndarray
from PIL import Image, ImageEnhance

from wingbar.data.duplicates import same_photographs, small_copy
from wingbar.data.synthetic import draw_bird

Change = Callable[[Image.Image], Image.Image]


def encoded(picture: Image.Image) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=40)
    return Image.open(content)


def cropped(share: float) -> Change:
    """Keep ``share`` of both sides, away from the left and the lower edge."""

    def crop(picture: Image.Image) -> Image.Image:
        width, height = picture.size
        return picture.crop((round(width * (1 - share)), 0, width, round(height * share)))

    return crop


CHANGES: dict[str, Change] = {
    "JPEG quality 40": encoded,
    "half the size": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "grey": lambda picture: picture.convert("L"),
    "darker by 0.7": lambda picture: ImageEnhance.Brightness(picture).enhance(0.7),
    "brighter by 1.3": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
    "contrast by 1.4": lambda picture: ImageEnhance.Contrast(picture).enhance(1.4),
    **{f"cropped to {share:.0%}": cropped(share) for share in (0.98, 0.95, 0.9, 0.85)},
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def small(picture: Image.Image) -> ndarray:
    return small_copy(np.asarray(picture.convert("RGB")))


def found(pictures: list[Image.Image], change: Change) -> tuple[float, int]:
    """Share of copies found, and how many groups hold pictures of different photographs."""
    smalls = np.stack([small(picture) for picture in (*pictures, *map(change, pictures))])
    groups, _ = same_photographs(map(str, range(len(smalls))), smalls)
    right = [group for group in groups if len({index % len(pictures) for index in group}) == 1]
    return len(right) / len(pictures), len(groups) - len(right)


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    paths, count = files(options.data), options.number(200, 10)
    kinds = {
        "cub50": [Image.open(paths[key]).convert("RGB") for key in spread(list(paths), count)],
        "drawn": [Image.fromarray(draw_bird(number % 8, number).pixels) for number in range(count)],
    }
    rows: list[list[object]] = []
    wrong = dict.fromkeys(kinds, 0)
    for name, change in CHANGES.items():
        row: list[object] = [name]
        for kind, pictures in kinds.items():
            share, mistaken = found(pictures, change)
            row.append(f"{share:.1%}")
            wrong[kind] = max(wrong[kind], mistaken)
        rows.append(row)
    mistakes = " and ".join(f"{number} ({kind})" for kind, number in wrong.items())
    return f"""## Copies found

`wingbar data check`, {count} pictures and a changed copy of each in one heap; the share of copies found:

{table(("change", *kinds), rows)}

Groups that hold different photographs, in the worst of these heaps: {mistakes}."""


if __name__ == "__main__":
    door(measure, __doc__)
