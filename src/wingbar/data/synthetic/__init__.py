"""Drawn birds: look-alikes that differ in small parts only, with exact boxes and part positions.

Pose, size, place, body colour, habitat, light and blur are random and say nothing about the species;
only the bill, the crown, the wing bar and the tip of the tail do. It is the data of ``wingbar demo``, of
the tests and of the documentation, and a data set whose truth is known to the pixel.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image, ImageFilter

from wingbar.boxes import Box, box_of_mask
from wingbar.data.synthetic._drawing import GOLD, LONG_BILL, SCARLET, WHITE, SpeciesMarks, keypoints, paint, random_bird
from wingbar.data.synthetic._scenery import backdrop
from wingbar.errors import DataError

SPECIES: tuple[tuple[str, SpeciesMarks], ...] = (
    ("Plain Wren", SpeciesMarks()),
    ("Yellow-billed Wren", SpeciesMarks(bill=GOLD)),
    ("Red-crowned Wren", SpeciesMarks(crown=SCARLET)),
    ("White-barred Wren", SpeciesMarks(wing_bar=WHITE)),
    ("White-tailed Wren", SpeciesMarks(tail_tip=WHITE)),
    ("Yellow-billed Barwing", SpeciesMarks(bill=GOLD, wing_bar=WHITE)),
    ("Red-crowned Tiptail", SpeciesMarks(crown=SCARLET, tail_tip=WHITE)),
    ("Needle-billed Wren", SpeciesMarks(bill_reach=LONG_BILL)),
    ("Red-crowned Barwing", SpeciesMarks(crown=SCARLET, wing_bar=WHITE)),
    ("Yellow-billed Tiptail", SpeciesMarks(bill=GOLD, tail_tip=WHITE)),
    ("White-capped Wren", SpeciesMarks(crown=WHITE)),
    ("Gold-barred Wren", SpeciesMarks(wing_bar=GOLD)),
    ("Gold-tailed Wren", SpeciesMarks(tail_tip=GOLD)),
    ("Gold-barred Needlebill", SpeciesMarks(bill_reach=LONG_BILL, wing_bar=GOLD)),
    ("White-capped Tiptail", SpeciesMarks(crown=WHITE, tail_tip=WHITE)),
    ("Gold-tailed Needlebill", SpeciesMarks(bill_reach=LONG_BILL, tail_tip=GOLD)),
)
"""Species by label: name and marks. A set of n classes has the first n."""

PARTS = (
    *("back", "beak", "belly", "breast", "crown", "forehead", "left eye", "left leg"),
    *("left wing", "nape", "right eye", "right leg", "right wing", "tail", "throat"),
)
"""The part names of CUB-200-2011, in its order."""

MARK_POINTS = {
    "bill": ("beak",), "bill_reach": ("beak",), "crown": ("crown",),
    "wing_bar": ("left wing", "right wing"), "tail_tip": ("tail",),
}  # fmt: skip
"""Where each of the `SpeciesMarks` is to be seen, by names of `PARTS`."""

SETTINGS_FILE = "drawn.json"
DRAWING = 1
"""Raised whenever the same arguments draw other pictures, so that stored sets are drawn anew."""


def telling_points(label: int) -> tuple[str, ...]:
    """Names of the points at which a species differs from the plainest one, which has none."""
    plainest, marks = vars(SPECIES[0][1]), vars(SPECIES[label][1])
    return tuple(name for mark, names in MARK_POINTS.items() if marks[mark] != plainest[mark] for name in names)


@dataclass(frozen=True)
class Drawing:
    """A drawn picture and the truth about it."""

    pixels: UInt8[ndarray, "height width 3"]
    box: Box
    """Half-open ``xyxy``, tight around the bird's pixels."""
    keypoints: dict[str, tuple[float, float]]
    """Visible parts by CUB-200-2011's names: ``(x, y)`` in pixels; "tail" is its tip."""
    mask: Bool[ndarray, "height width"]
    """The bird's pixels: those it covers by half or more."""


def draw_bird(label: int, seed: int, size: tuple[int, int] = (240, 180), classes: int = 8) -> Drawing:
    """Bird number ``seed`` of species ``label``, in a picture of ``size`` (width, height).

    The same arguments give the same picture. Two labels with one seed give the same bird in the same
    place with other marks. Raises DataError for a label or a number of classes that there is not.
    """
    _check(classes, size)
    if not 0 <= label < classes:
        raise DataError(f"No drawn bird has label {label}: with {classes} classes, use 0 .. {classes - 1}.")
    rng = np.random.Generator(np.random.PCG64(seed))
    marks = SPECIES[label][1]
    bird = random_bird(size, rng)
    scene = backdrop(size, bird.feet, float(bird.world.matrix[1, 1]), rng)
    layer = paint(bird, marks, size)
    cover = layer[..., 3:].astype(np.float32) / 255
    pixels = _photograph(scene * (1 - cover) + layer[..., :3] * cover, rng)
    mask = layer[..., 3] >= 128
    box = box_of_mask(mask)
    assert box is not None  # the bird is larger than the scenery before it
    return Drawing(pixels, box, keypoints(bird, marks), mask)


def _photograph(scene: ndarray, rng: np.random.Generator) -> UInt8[ndarray, "height width 3"]:
    """Light from one side, a tint, more or less contrast, a little blur and grain."""
    height, width = scene.shape[:2]
    tint = rng.uniform(0.78, 1.15) * (1 + rng.uniform(-0.08, 0.08, 3))
    slope_x, slope_y = rng.uniform(-0.15, 0.15, 2)
    light = 1 + slope_x * np.linspace(-1, 1, width)[None, :] + slope_y * np.linspace(-1, 1, height)[:, None]
    contrast = rng.uniform(0.8, 1.1)
    lit = ((scene - 128) * contrast + 128).astype(np.float32) * light[..., None].astype(np.float32)
    lit *= tint.astype(np.float32)
    blurred = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(rng.uniform(0.0, 0.7))
    )
    grain = rng.integers(-6, 7, (height, width, 1), dtype=np.int16)
    return np.clip(np.asarray(blurred) + grain, 0, 255).astype(np.uint8)


def _check(classes: int, size: tuple[int, int]) -> None:
    if not 2 <= classes <= len(SPECIES):
        raise DataError(f"A drawn set has 2 to {len(SPECIES)} classes, not {classes}.")
    if min(size) < 32:
        raise DataError(f"Drawn pictures are at least 32 pixels wide and high, not {size[0]} x {size[1]}.")


def write_dataset(
    folder: Path,
    *,
    classes: int = 8,
    train: int = 40,
    test: int = 20,
    size: tuple[int, int] = (240, 180),
    seed: int = 0,
) -> Path:
    """Draw a set in CUB-200-2011's layout, ``train`` and ``test`` pictures a class; returns ``folder``.

    The set is complete or not there; one with the same settings is left as it is. Raises DataError when
    the settings are impossible or ``folder`` holds anything else.
    """
    _check(classes, size)
    if min(train, test) < 0 or train + test == 0:
        raise DataError(f"A drawn set needs pictures: train={train} and test={test} are not counts.")
    folder = Path(folder)
    settings = {
        "classes": classes,
        "train": train,
        "test": test,
        "size": [*size],
        "seed": seed,
        "drawing": DRAWING,
    }
    if _stored_settings(folder) == settings:
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        fresh = Path(temporary) / "set"
        fresh.mkdir()
        _write_set(fresh, classes, train, test, size, seed)
        (fresh / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n")
        _clear(folder)
        fresh.rename(folder)
    return folder


def _stored_settings(folder: Path) -> dict[str, Any] | None:
    file = folder / SETTINGS_FILE
    return json.loads(file.read_text()) if file.is_file() else None


def _clear(folder: Path) -> None:
    if (folder / SETTINGS_FILE).is_file():
        shutil.rmtree(folder)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} holds something else than a drawn set: name a new folder, or empty it.")
    elif folder.exists():
        folder.rmdir()


def _write_set(folder: Path, classes: int, train: int, test: int, size: tuple[int, int], seed: int) -> None:
    tables: dict[str, list[str]] = {name: [] for name in ("images", "labels", "split", "boxes", "parts")}
    names = [f"{label + 1:03}.{SPECIES[label][0].replace(' ', '_')}" for label in range(classes)]
    number = 0
    for label, name in enumerate(names):
        (folder / "images" / name).mkdir(parents=True)
        for index in range(train + test):
            number += 1
            drawing = draw_bird(label, picture_seed(seed, number), size, classes)
            path = f"{name}/{name[4:]}_{index + 1:04}.jpg"
            Image.fromarray(drawing.pixels).save(folder / "images" / path, quality=95, subsampling=0)
            x1, y1, x2, y2 = drawing.box
            tables["images"].append(f"{number} {path}")
            tables["labels"].append(f"{number} {label + 1}")
            tables["split"].append(f"{number} {int(index < train)}")
            tables["boxes"].append(f"{number} {x1}.0 {y1}.0 {x2 - x1}.0 {y2 - y1}.0")
            tables["parts"].extend(_part_lines(number, drawing.keypoints))
    (folder / "parts").mkdir()
    _write_lines(folder / "classes.txt", (f"{label + 1} {name}" for label, name in enumerate(names)))
    _write_lines(folder / "images.txt", tables["images"])
    _write_lines(folder / "image_class_labels.txt", tables["labels"])
    _write_lines(folder / "train_test_split.txt", tables["split"])
    _write_lines(folder / "bounding_boxes.txt", tables["boxes"])
    _write_lines(folder / "parts" / "parts.txt", (f"{part} {name}" for part, name in enumerate(PARTS, 1)))
    _write_lines(folder / "parts" / "part_locs.txt", tables["parts"])


def picture_seed(seed: int, number: int) -> int:
    """The seed of picture ``number`` (from 1) of the set with ``seed``."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])


def _part_lines(number: int, points: dict[str, tuple[float, float]]) -> Iterable[str]:
    for part, name in enumerate(PARTS, 1):
        x, y = points.get(name, (0.0, 0.0))
        yield f"{number} {part} {x:.1f} {y:.1f} {int(name in points)}"


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))
