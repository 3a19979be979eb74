"""Commands that learn and judge."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro


@dataclass
class Train:
    """Learn from a folder of labelled pictures: CLASS/*.jpg, train/ and test/ folders, a CSV, or CUB's layout."""

    data: tyro.conf.Positional[Path]
    """The pictures."""
    out: Path
    """Run folder; steps already in it are not done again."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """TOML file of settings; options given here win over it."""
    from_step: Annotated[str | None, tyro.conf.arg(name="from", metavar="STEP")] = None
    """Step to redo, with all after it; the steps are listed when training begins."""
    quiet: bool = False
    """Say nothing but errors."""
    debug: bool = False
    """Show the traceback of an error."""
    settings: ClassVar[Any]
    """A `Config`; its options are added by `with_settings`, once this command is asked for."""

    def run(self) -> int:
        from wingbar.pipeline import train

        train(self.data, self.out, self.settings, redo_from=self.from_step, quiet=self.quiet)
        print(f"model: {self.out / 'model'}; judge it: wingbar evaluate {shlex.quote(str(self.out))}", file=sys.stderr)
        return 0


def with_settings(config: Path | None) -> type[Train]:
    """The command with an option for each setting, whose defaults are those of the file ``config``.

    Apart, because the settings stand beside the steps, whose libraries take seconds to import.
    """
    from wingbar.config import Config, read_config

    settings = read_config(config) if config else Config()
    options = ("settings", tyro.conf.OmitArgPrefixes[Config], field(default=settings))
    train = make_dataclass("Train", [options], bases=(Train,))
    train.__doc__ = Train.__doc__
    return train


@dataclass
class Evaluate:
    """Judge a run on labelled pictures: accuracy, streams, object boxes, parts. Writes evaluation.json."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder."""
    data: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="DATA")] = None
    """Labelled pictures in any layout, or their test split; by default those of the data set that it was trained on."""
    out: Path | None = None
    """Folder for evaluation.json, by default RUN; needed where RUN is a model's folder without its run."""
    batch_size: int = 16
    """Pictures at a time."""
    runtime: Literal["torch", "onnx"] = "torch"
    """What runs the nets; onnx: RUN is a folder made by `wingbar export`."""
    debug: bool = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.evaluation.evaluate import evaluate, table

        evaluation = evaluate(
            self.run_folder, self.data, out=self.out, batch_size=self.batch_size, runtime=self.runtime
        )
        print(table(evaluation))
        return 0


@dataclass
class Demo:
    """Draw birds, learn them, compare plain and OPAM, show where each looked: about five minutes on two free cores."""

    out: Path = Path("demo")
    """Folder for the drawn birds, the two runs and the pictures."""
    debug: bool = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.demo import demo

        print(demo(self.out))
        return 0
