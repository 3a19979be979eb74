"""Commands that look after data sets."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import tyro

from wingbar.cli.options import NOT_GIVEN, Device, Flag

LEAKING = 1
"""Exit code of a check that found a photograph in training and test."""


@dataclass
class Check:
    """Find what is wrong with a data set: damaged pictures, copies, leaks, doubtful labels. Exit code 1: leaks."""

    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA")]
    """The pictures, in any layout that `train` reads."""
    images_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint=NOT_GIVEN)] = None
    """Folder that the paths of a table start at; by default the table's own."""
    run_folder: Annotated[Path | None, tyro.conf.arg(name="run", metavar="RUN", help_behavior_hint=NOT_GIVEN)] = None
    """A run. On these pictures: to doubt the labels of those that it has not seen. On others: to list which of these it
    was trained on, and which look like none of its classes."""
    device: Device = "auto"
    """What the run's nets run on; auto: as the run was trained, on a GPU where there is one."""
    out: Path = Path("data-check")
    """Folder for data-check.json, and for index.html with thumbnails."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar._system.files import make_folder
        from wingbar.check.audit import Finding, audit, examine_all, leaks
        from wingbar.check.sheet import rows, write
        from wingbar.data import load
        from wingbar.evaluation.tables import render

        if self.run_folder is None:
            dataset = load(self.data, self.images_root)
        else:
            from wingbar.check.new import by_run, load_new

            dataset = load_new(self.data, self.images_root)
        make_folder(self.out)
        examined = cache(lambda: examine_all(dataset))
        by_model: tuple[Finding, ...] = ()
        if self.run_folder is not None:  # first: a run that cannot judge is told before all pictures are compared
            by_model = by_run(self.run_folder, dataset, examined, out=self.out, device=self.device)
        findings = (*audit(dataset, examined()), *by_model)
        sheet = write(self.out, dataset, findings)
        print(dataset.describe(), render(["finding", "found", "first"], rows(findings)), sep="\n\n")
        print(f"see {sheet}", file=sys.stderr)
        return LEAKING if leaks(findings) else 0


@dataclass
class Download:
    """Fetch a published data set: goes on where it broke off, checks, unpacks, or says what to fetch by hand."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """cub, cars, pets, flowers, aircraft or dogs."""
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """Folder to put it into."""
    mirror: Annotated[tuple[str, ...], tyro.conf.arg(metavar="URL ...", help_behavior_hint=NOT_GIVEN)] = ()
    """Web folders that hold the files under their owners' names; asked first."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.data import load
        from wingbar.data.download import download

        home = download(self.name, self.folder, self.mirror, lambda line: print(line, file=sys.stderr))
        print(load(home).describe())
        print(f"learn from it: wingbar train {home} --out run", file=sys.stderr)
        return 0


@dataclass
class Data:
    """Look after data sets."""

    command: tyro.conf.OmitArgPrefixes[
        Annotated[Check, tyro.conf.subcommand("check", prefix_name=False)]
        | Annotated[Download, tyro.conf.subcommand("download", prefix_name=False)]
    ]

    def run(self) -> int:
        return self.command.run()
