"""What the tests of the exchange share: answers, their pictures and the station they come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from answered import BROKEN, STRANGER, TIT, WREN, keep
from PIL import Image

STATION = """
id = "pond"
latitude = 52.5
longitude = -13.25
utc_offset = "+01:00"
project = "Birds of the pond"
contributor = "A. Person"
"""


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    return keep(tmp_path / "answers", WREN, TIT, STRANGER, BROKEN)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Those of the answers, with their times, but for the fox."""
    for number, path in enumerate(("site/wren.jpg", "tit.webp", "fox.jpg")):
        exif = Image.Exif()
        if path != "fox.jpg":
            exif.get_ifd(0x8769)[0x9003] = f"2024:05:0{number + 1} 06:07:08"
        (tmp_path / "pictures" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 60)).save(tmp_path / "pictures" / path, exif=exif)
    return tmp_path / "pictures"


@pytest.fixture
def station(tmp_path: Path) -> Path:
    (tmp_path / "station.toml").write_text(STATION)
    return tmp_path / "station.toml"
