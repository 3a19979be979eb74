"""The command that lets a person decide about answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from wingbar.cli.options import NOT_GIVEN, Device, Flag


@dataclass
class Review:
    """Decide about pictures in a browser, the most worth a look first; labels go into a table that train reads."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or its model folder alone."""
    photos: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PHOTOS")]
    """Folder of pictures, at any depth."""
    out: Path
    """Folder for the decisions; the same one goes on where it was left."""
    port: int = 8000
    """Port to listen at, on this machine alone; 0 for any that is free."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="DATA", help_behavior_hint=NOT_GIVEN)] = None
    """Labelled pictures to seek look-alikes among; by default those of the training, where they are there."""
    images_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint=NOT_GIVEN)] = None
    """Folder that the paths of the table DATA start at; by default the table's own."""
    batch_size: int = 16
    """Pictures at a time."""
    device: Device = "auto"
    """What the nets run on; auto: as the run was trained, on a GPU where there is one."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.serve import require

        require()
        from wingbar.serve.review.server import review

        review(
            self.run_folder, self.photos, self.out, port=self.port, data=self.data, images_root=self.images_root,
            batch_size=self.batch_size, device=self.device,
        )  # fmt: skip
        return 0
