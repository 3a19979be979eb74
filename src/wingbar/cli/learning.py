"""Commands that train and evaluate."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from wingbar.cli.options import NOT_GIVEN, Device, Flag


@dataclass
class Train:
    """Learn from a folder of labelled pictures: CLASS/*.jpg, train/ and test/ folders, a CSV, or CUB's layout."""

    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA")]
    """The pictures."""
    out: Path
    """Run folder; steps already in it are not done again."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint=NOT_GIVEN)] = None
    """TOML file of settings; options given here win over it."""
    preset: Literal["auto", "quick", "good", "best"] = "auto"
    """Net, size, epochs and refit in one word, by how long you can wait: minutes, or best on a GPU; options given here
    win over it. auto: by the machine and the number of pictures, unless you choose one of them yourself."""
    images_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint=NOT_GIVEN)] = None
    """Folder that the paths of a table start at; by default the table's own."""
    taxonomy: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint=NOT_GIVEN)] = None
    """Table of the classes' groups, with the columns class, genus, family or the like; by default taxonomy.csv beside
    the pictures."""
    based_on: Annotated[Path | None, tyro.conf.arg(metavar="RUN", help_behavior_hint=NOT_GIVEN)] = None
    """Finished run to go on from: DATA are more pictures, of its classes or of new ones. Its net is taken as it is, and
    learns all classes in minutes."""
    full: Flag = False
    """With --based-on, train the net again on all pictures, those of RUN included."""
    from_step: Annotated[str | None, tyro.conf.arg(name="from", metavar="STEP", help_behavior_hint=NOT_GIVEN)] = None
    """Step to redo, with all after it; the steps are listed when training begins."""
    quiet: Flag = False
    """Say nothing but errors."""
    debug: Flag = False
    """Show the traceback of an error."""
    chosen: ClassVar[bool]
    """Whether options or a file leave ``--preset auto`` nothing to choose."""
    settings: ClassVar[Any]
    """The `Config` of the run, the preset's settings included. `cli.settings` adds both, with an option for each
    setting, once this command is asked for; reading it raises ConfigError where the options do not go together."""

    def run(self) -> int:
        from wingbar.training import train

        train(
            self.data, self.out, self.settings, preset=None if self.chosen else "auto",
            images_root=self.images_root, taxonomy=self.taxonomy, based_on=self.based_on, full=self.full,
            redo_from=self.from_step, quiet=self.quiet,
        )  # fmt: skip
        print(f"model: {self.out / 'model'}; judge it: wingbar evaluate {shlex.quote(str(self.out))}", file=sys.stderr)
        return 0


@dataclass
class Evaluate:
    """Judge a run on labelled pictures: accuracy, streams, object boxes, parts. Writes evaluation.json."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder."""
    data: Annotated[
        tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[DATA]", help_behavior_hint=NOT_GIVEN)
    ] = None
    """Labelled pictures in any layout, of which the test split if there is one; by default those of the training."""
    images_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint=NOT_GIVEN)] = None
    """Folder that the paths of the table DATA start at; by default the table's own."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint=NOT_GIVEN)] = None
    """Folder for evaluation.json, by default RUN; needed where RUN is a model's folder without its run."""
    batch_size: int = 16
    """Pictures at a time."""
    erased: int = 50
    """Test pictures in which each part is erased, to see whether the answer depends on it; 0: none."""
    runtime: Literal["torch", "onnx"] = "torch"
    """What runs the nets; onnx: RUN is a folder made by `wingbar export`."""
    device: Device = "auto"
    """What the nets run on; auto: as the run was trained, on a GPU where there is one."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.evaluation.evaluate import evaluate
        from wingbar.evaluation.summary import table

        evaluation = evaluate(
            self.run_folder, self.data, images_root=self.images_root, out=self.out, batch_size=self.batch_size,
            erased=self.erased, runtime=self.runtime, device=self.device,
        )  # fmt: skip
        print(table(evaluation))
        return 0


@dataclass
class Demo:
    """Draw birds, learn them by a plain net and by field marks, compare, show why: minutes on two free cores."""

    out: Path = Path("demo")
    """Folder for the drawn birds, the two runs, the pictures and the guide."""
    device: Device = "auto"
    """What the nets run on; auto: a GPU where there is one."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.demo import demo

        print(demo(self.out, self.device))
        return 0
