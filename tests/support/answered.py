"""Answers to three pictures and to one that cannot be read, as `predict-many` keeps them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from wingbar.bulk.answers import encode
from wingbar.prediction import Part, Prediction

SCORES = {"Cyanistes_caeruleus": 0.75, "Parus_major": 0.25}
HELD_OUT = tuple(np.linspace(0.2, 0.9, 50).tolist())
PARTS = (Part((10, 10, 20, 30), 0, SCORES), Part((30, 20, 60, 40), 1, SCORES))
WREN = Prediction(
    "site/wren.jpg", (80, 60), SCORES, (8, 6, 72, 54), PARTS, {"picture": SCORES}, held_out=HELD_OUT, known=0.9
)  # fmt: skip
TIT = replace(WREN, path="tit.webp", scores={"Parus_major": 0.6, "Cyanistes_caeruleus": 0.4}, object_box=(0, 0, 80, 60))
STRANGER = replace(WREN, path="fox.jpg", known=0.1, least_known=0.5)
BROKEN = Prediction("broken.jpg", error="'broken.jpg': damaged")


def keep(folder: Path, *predictions: Prediction) -> Path:
    """Answers as `predict-many` keeps them."""
    folder.mkdir()
    rows = [prediction.to_dict() for prediction in predictions]
    (folder / "000000-0123456789ab.jsonl").write_bytes(encode(rows, "jsonl"))
    return folder
