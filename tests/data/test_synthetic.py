from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from wingbar.data import load
from wingbar.data import synthetic as drawn
from wingbar.data.synthetic._drawing import LONG_BILL, SpeciesMarks, random_bird, shapes
from wingbar.errors import DataError

# Where each species' marks are, by its name: what the pictures may differ in.
MARKED = {
    "billed": "beak",
    "crowned": "crown",
    "capped": "crown",
    "barred": "wing",
    "Barwing": "wing",
    "tailed": "tail",
    "Tiptail": "tail",
    "Needlebill": "beak",
}


def digest(drawing: drawn.Drawing) -> str:
    return hashlib.sha256(drawing.pixels.tobytes()).hexdigest()


def marked_parts(species: str) -> set[str]:
    return {part for word, part in MARKED.items() if word in species}


def positions(drawing: drawn.Drawing, part: str) -> list[tuple[float, float]]:
    return [point for name, point in drawing.keypoints.items() if name.endswith(part)]


@pytest.mark.parametrize("size", [(240, 180), (97, 64), (120, 200)])
def test_same_arguments_draw_the_same_picture(size: tuple[int, int]) -> None:
    first, second = drawn.draw_bird(2, 7, size), drawn.draw_bird(2, 7, size)
    assert first.pixels.shape == (size[1], size[0], 3)
    assert digest(first) == digest(second)
    assert (first.box, first.keypoints) == (second.box, second.keypoints)


def test_seeds_draw_different_birds() -> None:
    birds = [drawn.draw_bird(1, seed) for seed in range(20)]
    assert len({digest(bird) for bird in birds}) == len({bird.box for bird in birds}) == 20


def test_the_number_of_classes_does_not_change_a_bird() -> None:
    assert digest(drawn.draw_bird(1, 3, classes=2)) == digest(drawn.draw_bird(1, 3, classes=16))


@pytest.mark.parametrize("seed", range(25))
def test_the_box_is_tight_and_the_points_are_on_the_bird(seed: int) -> None:
    bird = drawn.draw_bird(seed % 16, seed, classes=16)
    x1, y1, x2, y2 = bird.box
    assert bird.mask[y1:y2, x1:x2].sum() == bird.mask.sum() > 0
    inside = bird.mask[y1:y2, x1:x2]
    assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
    assert set(bird.keypoints) < set(drawn.PARTS)
    assert all(bird.mask[int(y), int(x)] for x, y in bird.keypoints.values())


@pytest.mark.parametrize("seed", range(6))
def test_species_differ_at_their_marks_and_nowhere_else(seed: int) -> None:
    plain = drawn.draw_bird(0, seed, classes=16)
    reach = 0.3 * (plain.box[2] - plain.box[0])
    for label in range(1, 16):
        bird = drawn.draw_bird(label, seed, classes=16)
        rows, columns = np.nonzero((bird.pixels != plain.pixels).any(-1))
        parts = marked_parts(drawn.SPECIES[label][0])
        points = np.array([point for part in parts for point in positions(bird, part)])
        away = np.hypot(columns[:, None] + 0.5 - points[:, 0], rows[:, None] + 0.5 - points[:, 1])
        assert away.min(1).max() < reach
        assert (away.min(0) < 3).all(), "every mark shows at its keypoint"


def test_every_species_has_marks_of_its_own() -> None:
    names, marks = zip(*drawn.SPECIES, strict=True)
    assert len(set(names)) == len(set(marks)) == len(names)


@pytest.mark.parametrize("size", [(240, 180), (64, 200)])
def test_birds_lie_inside_the_picture_whatever_their_marks(size: tuple[int, int]) -> None:
    for seed in range(50):
        bird = random_bird(size, np.random.default_rng(seed))
        points = np.concatenate([shape for shape, _ in shapes(bird, SpeciesMarks(bill_reach=LONG_BILL))])
        assert (points >= 0).all() and (points <= size).all()


def test_nothing_but_the_marks_tells_the_species() -> None:
    # Over many pictures of a set, mean box centre and size of two species agree within four standard errors.
    boxes = np.array([[drawn.draw_bird(label, 100 * label + i).box for i in range(40)] for label in (0, 3)])
    difference = boxes[0].mean(0) - boxes[1].mean(0)
    error = np.sqrt((boxes.var(1, ddof=1) / 40).sum(0))
    assert (np.abs(difference) < 4 * error).all()


def test_round_trip_through_load(tmp_path: Path) -> None:
    folder = drawn.write_dataset(tmp_path / "birds", classes=3, train=2, test=1, size=(120, 90), seed=5)
    data = load(folder)
    assert not data.skipped
    assert data.keypoint_names == drawn.PARTS
    assert [(sample.label, sample.split) for sample in data.samples] == [
        (label, split) for label in range(3) for split in ("train", "train", "test")
    ]
    for number, sample in enumerate(data.samples, 1):
        bird = drawn.draw_bird(sample.label, drawn.picture_seed(5, number), (120, 90), classes=3)
        assert sample.box == pytest.approx(bird.box)
        result = {point.name: (point.x, point.y) for point in sample.keypoints}
        assert result.keys() == bird.keypoints.keys()
        for name, point in bird.keypoints.items():
            assert result[name] == pytest.approx(point, abs=0.051)


def test_a_complete_set_with_the_same_settings_is_left_alone(tmp_path: Path) -> None:
    folder, settings = tmp_path / "birds", {"classes": 2, "train": 1, "test": 1, "size": (64, 48)}
    drawn.write_dataset(folder, **settings)
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.rglob("*") if file.is_file()}
    drawn.write_dataset(folder, **settings)
    after = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.rglob("*") if file.is_file()}
    assert before == after
    drawn.write_dataset(folder, **settings, seed=1)
    assert {file.name for file in after} == {file.name for file in folder.rglob("*") if file.is_file()}
    assert any(file.read_bytes() != content for file, (_, content) in after.items() if file.suffix == ".jpg")
    assert [entry.name for entry in tmp_path.iterdir()] == ["birds"], "no temporary folder stays"


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="something else"):
        drawn.write_dataset(tmp_path, classes=2, train=1, test=0)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"classes": 1}, {"classes": 17}, {"train": 0, "test": 0}, {"size": (10, 180)}])
def test_impossible_settings_are_refused(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(DataError):
        drawn.write_dataset(tmp_path / "birds", **wrong)
    assert not (tmp_path / "birds").exists()


def test_a_label_out_of_range_is_refused() -> None:
    with pytest.raises(DataError, match=r"0 \.\. 7"):
        drawn.draw_bird(8, 0)
