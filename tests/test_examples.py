"""The notebook runs from its first cell to its last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"
TINY = """
classes, pictures = 3, 8
settings = {"net": "res2net_nano", "weights": "none", "size": 48, "epochs": 1, "follow_epochs": 1, "workers": 0}
"""
"""In place of the cell of parameters, as papermill does it."""


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) <= 10 and cells[0]["metadata"]["tags"] == ["parameters"]
    assert all(cell["outputs"] == [] for cell in cells)
    names: dict[str, object] = {}
    for cell in [{"source": [TINY]}, *cells[1:]]:
        exec("".join(cell["source"]), names)
    assert Path("run/evaluation.json").is_file() and "test pictures; top-1" in capsys.readouterr().out
    assert isinstance(names["prediction"].plot(), Image.Image)  # type: ignore[attr-defined]
