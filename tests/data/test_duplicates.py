"""Copies of a photograph are found, and different pictures are not taken for copies."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from wingbar.data import duplicates
from wingbar.data.duplicates import BITS, PATIENCE, SIDE, close_pairs, hashes, same_photographs, similarity, small_copy
from wingbar.data.synthetic import draw_bird


def bird(seed: int, label: int = 0) -> Image.Image:
    return Image.fromarray(draw_bird(label, seed).pixels)


def encoded(picture: Image.Image, quality: int) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality)
    return Image.open(content)


def cropped(picture: Image.Image, share: float) -> Image.Image:
    width, height = picture.size
    return picture.crop((round(width * (1 - share)), round(height * (1 - share) / 2), width, round(height * share)))


CHANGES = {
    "encoded anew": lambda picture: encoded(picture, 40),
    "half the size": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.7),
    "grey": lambda picture: picture.convert("L"),
    "cropped": lambda picture: cropped(picture, 0.97),
}


def smalls(*pictures: Image.Image) -> np.ndarray:
    return np.stack([small_copy(np.asarray(picture.convert("RGB"))) for picture in pictures])


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", range(4))
def test_a_changed_copy_is_found_among_others(change: str, seed: int) -> None:
    pictures = [bird(number, number % 8) for number in range(seed, seed + 6)]
    pictures.append(CHANGES[change](pictures[2]))
    groups, links = same_photographs(map(str, range(7)), smalls(*pictures))
    assert groups == [[2, 6]] and links[2, 6] >= 0.9


def test_different_drawn_birds_are_no_copies() -> None:
    pictures = [bird(number, number % 8) for number in range(80)]
    assert same_photographs(map(str, range(80)), smalls(*pictures)) == ([], {})


def test_equal_files_are_one_group_whatever_they_show() -> None:
    flat = [Image.new("RGB", (40, 40), grey) for grey in ("white", "black", "white")]
    assert same_photographs(["w", "b", "w"], smalls(*flat)) == ([[0, 2]], {})
    assert same_photographs([], np.zeros((0, SIDE, SIDE), np.uint8)) == ([], {})


def test_copies_of_copies_are_one_group_and_compared_no_more_than_needed() -> None:
    first = bird(5)
    copies = [first, *(encoded(first, quality) for quality in (90, 80, 70, 60))]
    groups, links = same_photographs("abcde", smalls(*copies))
    assert groups == [[0, 1, 2, 3, 4]] and len(links) == 4


def test_of_many_alike_each_is_compared_with_a_few_and_the_copy_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a camera that never moves: one scene, and in each picture something else in it."""
    rng, scene = np.random.default_rng(0), small_copy(np.asarray(bird(5))).astype(float)
    alike = np.clip(scene + rng.normal(0, 15, (200, SIDE, SIDE)), 0, 255).astype(np.uint8)
    alike = np.concatenate([alike, alike[[7]] // 2])
    compared: list[float] = []
    monkeypatch.setattr(
        duplicates, "similarity", lambda one, other: compared.append(similarity(one, other)) or compared[-1]
    )
    groups, _ = same_photographs(map(str, range(201)), alike)
    assert groups == [[7, 200]]
    pairs = sum(map(len, close_pairs(hashes(alike))))
    assert pairs > 4 * len(compared) and len(compared) <= PATIENCE * len(alike) + 1


def test_close_pairs_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    signs = rng.choice([-1, 1], (60, BITS)).astype(np.float32)
    signs[40:50] = signs[:10] * np.where(rng.random((10, BITS)) < 0.2, -1, 1)
    expected = {(i, j) for i in range(60) for j in range(i + 1, 60) if (signs[i] != signs[j]).sum() <= 60}
    result = np.concatenate(list(close_pairs(signs, 60, chunk=7)))
    assert {(int(i), int(j)) for i, j in result} == expected and len(result) == len(expected) >= 9


def test_hashes_are_the_signs_of_the_cosine_transform() -> None:
    """Oracle: the definition of the DCT-II, as sums."""
    small = smalls(bird(3))[0].astype(np.float64)
    places = (np.arange(SIDE) + 0.5) * np.pi / SIDE
    waves = np.array(
        [[np.sum(np.outer(np.cos(u * places), np.cos(v * places)) * small) for v in range(16)] for u in range(16)]
    )
    assert (hashes(smalls(bird(3)))[0] == np.where(waves.ravel()[1:] > 0, 1, -1)).all()


def test_similarity_is_one_for_the_same_and_the_same_both_ways() -> None:
    one, other = smalls(bird(1), cropped(bird(1), 0.95))
    assert similarity(one, one) == pytest.approx(1, abs=1e-5)
    assert similarity(one, other) == similarity(other, one) > 0.9
