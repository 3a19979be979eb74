"""Which pictures were taken together: by names, by EXIF time, by the photograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from wingbar.data.duplicates import small_copy
from wingbar.data.occasions import EXIF, MODEL, PAUSE, TAKEN, named_groups, occasions, taken
from wingbar.data.synthetic import draw_bird
from wingbar.images import exif_of


def photograph(path: Path, moment: str | None, camera: str = "X100") -> Path:
    exif = Image.Exif()
    exif[MODEL] = camera
    if moment is not None:
        exif.get_ifd(EXIF)[TAKEN] = moment
    Image.new("RGB", (40, 30), "green").save(path, exif=exif)
    return path


def test_the_time_is_read_off_exif_and_nonsense_is_no_time(tmp_path: Path) -> None:
    first = taken(photograph(tmp_path / "a.jpg", "2021:05:02 07:10:00"))
    later = taken(photograph(tmp_path / "b.jpg", "2021:05:02 07:10:40"))
    assert first is not None and later is not None and later[1] - first[1] == 40 and first[0] == "X100"
    assert taken(photograph(tmp_path / "c.jpg", None)) is None
    assert taken(photograph(tmp_path / "d.jpg", "0000:00:00 00:00:00")) is None
    (tmp_path / "e.jpg").write_bytes(b"\xff\xd8\xff\xe1\x00\x08Exif\x00")
    assert taken(tmp_path / "e.jpg") is None and taken(tmp_path / "none.jpg") is None


def test_the_time_is_read_without_decoding_pixels(tmp_path: Path) -> None:
    """Oracle: a PNG whose pixels are not there; a reader that decodes them raises."""
    exif = Image.Exif()
    exif[MODEL] = "X100"
    exif.get_ifd(EXIF)[TAKEN] = "2021:05:02 07:10:00"
    for name, block in (("with.png", exif), ("without.png", None)):
        Image.effect_noise((900, 900), 99).save(tmp_path / name, **({"exif": block} if block else {}))
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: content.index(b"IDAT") + 99])
    assert exif_of(tmp_path / "with.png").get_ifd(EXIF)[TAKEN] == "2021:05:02 07:10:00"
    assert dict(exif_of(tmp_path / "without.png")) == {}
    assert taken(tmp_path / "with.png") is not None and taken(tmp_path / "without.png") is None


def test_a_burst_is_one_occasion_and_another_camera_another() -> None:
    times = [("A", 0.0), ("A", 50.0), ("B", 60.0), None, ("A", 50 + PAUSE), ("A", 51 + 2 * PAUSE + 1), None]
    assert occasions(times).tolist() == [0, 0, 1, 2, 0, 3, 4]
    assert occasions([]).tolist() == []


def test_the_same_photograph_is_one_occasion() -> None:
    birds = [Image.fromarray(draw_bird(0, seed).pixels) for seed in (1, 2)]
    smalls = np.stack([small_copy(np.asarray(one)) for one in (*birds, birds[0].resize((90, 70)))])
    assert occasions([None] * 3, smalls).tolist() == [0, 1, 0]


def test_named_groups_stay_and_pictures_without_one_are_alone() -> None:
    assert named_groups(["pond", "", "wood", "pond", ""]).tolist() == [0, 1, 2, 0, 3]
