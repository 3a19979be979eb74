"""The command that hands answers to other programs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from wingbar._system.text import several
from wingbar.cli.options import NOT_GIVEN, Flag


@dataclass
class Convert:
    """Write kept answers as other programs read them: tables, boxes, observations, tasks. Predicts nothing."""

    answers: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="ANSWERS")]
    """Folder that `predict-many` wrote, or a file of answers; for --to csv also Label Studio's export as JSON."""
    to: Literal["csv", "coco", "yolo", "label-studio", "darwin-core", "camtrap-dp"]
    """What is written; csv: a table for spreadsheets, whose path and label `train` reads."""
    out: Path
    """File (csv, coco, darwin-core) or folder (yolo, label-studio, camtrap-dp) to make; nothing is overwritten."""
    pictures: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint=NOT_GIVEN)] = None
    """Folder that the answers' paths start at: for the times of observations, and YOLO's links to the pictures."""
    station: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint=NOT_GIVEN)] = None
    """TOML file about the place, which camtrap-dp needs: id, latitude, longitude, utc_offset, project, contributor."""
    taxa: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint=NOT_GIVEN)] = None
    """Table `label,scientificName`; without it, a class's own name is taken for the scientific one."""
    min_score: float = 0.0
    """Leave out answers with a lower score."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.exchange.convert import convert

        done = convert(
            self.answers, self.to, self.out,
            pictures=self.pictures, station=self.station, taxa=self.taxa, min_score=self.min_score,
        )  # fmt: skip
        for line in done.left_out.lines("left out"):
            print(line, file=sys.stderr)
        print(f"{self.out}: {several(done.count, 'picture')}", file=sys.stderr)
        return 0
