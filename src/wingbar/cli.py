"""The command line: parses, calls, prints. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from wingbar.config import Config, read_config
from wingbar.errors import WingbarError
from wingbar.names import printable

if TYPE_CHECKING:
    from wingbar.prediction import Prediction

UNREADABLE = 1
"""Exit code of a prediction in which some pictures could not be read."""


@dataclass
class Train:
    """Learn from a folder of labelled pictures: CLASS/*.jpg, train/ and test/ folders, a CSV, or CUB's layout."""

    data: tyro.conf.Positional[Path]
    """The pictures."""
    out: Path
    """Run folder; steps already in it are not done again."""
    settings: tyro.conf.OmitArgPrefixes[Config] = field(default_factory=Config)
    config: Path | None = None
    """TOML file of settings; options given here win over it."""
    from_step: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """Step to redo, with all after it."""
    quiet: bool = False
    """Say nothing but errors."""
    debug: bool = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.pipeline import train

        train(self.data, self.out, self.settings, redo_from=self.from_step, quiet=self.quiet)
        print(f"model: {self.out / 'model'}; judge it: wingbar evaluate {self.out}", file=sys.stderr)
        return 0


@dataclass
class Evaluate:
    """Judge a run on a test split: accuracy, streams, object boxes, parts. Writes RUN/evaluation.json."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder."""
    data: tyro.conf.Positional[Path | None] = None
    """Data set with a test split; by default the one that the run was trained on."""
    batch_size: int = 16
    """Pictures at a time."""
    debug: bool = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.evaluation.judge import evaluate, table

        print(table(evaluate(self.run_folder, self.data, batch_size=self.batch_size)))
        return 0


@dataclass
class Predict:
    """Name pictures, and say where the object and its telling parts are."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or its model folder alone."""
    pictures: tyro.conf.Positional[tuple[Path, ...]]
    """Picture files; the pictures of a folder."""
    json: bool = False
    """One JSON object a picture, and nothing else, on standard output."""
    top: int = 5
    """Classes listed."""
    batch_size: int = 16
    """Pictures at a time."""
    debug: bool = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.recognizer import load

        failed = total = 0
        for prediction in load(self.run_folder).predict_many(expand(self.pictures), self.batch_size):
            failed, total = failed + (prediction.error is not None), total + 1
            if self.json:
                print(json.dumps(prediction.to_json(self.top)), flush=True)
            elif prediction.error is not None:
                print(f"skipped: {prediction.error}", file=sys.stderr)
            else:
                print(described(prediction, self.top), flush=True)
        return told_unreadable(failed, total)


@dataclass
class Explain:
    """Draw why: boxes, heat map, streams, and the best class against the next, one PNG a picture."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or its model folder alone."""
    pictures: tyro.conf.Positional[tuple[Path, ...]]
    """Picture files; the pictures of a folder."""
    out: Path
    """Folder for the drawings; each is named by its number and the picture's name."""
    batch_size: int = 16
    """Pictures at a time."""
    debug: bool = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.explain import draw_panels
        from wingbar.recognizer import load

        failed = total = 0
        for prediction, drawn in draw_panels(load(self.run_folder), expand(self.pictures), self.out, self.batch_size):
            failed, total = failed + (drawn is None), total + 1
            if drawn is None:
                print(f"skipped: {prediction.error}", file=sys.stderr)
            else:
                print(f"{drawn}: {prediction.path!r} {described_contrast(prediction)}", flush=True)
        return told_unreadable(failed, total)


@dataclass
class Guide:
    """Write the run's field guide, RUN/guide/index.html: classes, field marks, look-alikes. Opens without network."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder."""
    data: tyro.conf.Positional[Path | None] = None
    """Data set that the run was trained on, where it has moved."""
    per_class: int = 24
    """Training pictures of each class that are looked at."""
    batch_size: int = 16
    """Pictures at a time."""
    debug: bool = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.guide import write_guide

        print(write_guide(self.run_folder, self.data, per_class=self.per_class, batch_size=self.batch_size))
        return 0


@dataclass
class Demo:
    """Draw birds, learn them, compare plain and OPAM, show where each looked. Under five minutes on two cores."""

    out: Path = Path("demo")
    """Folder for the drawn birds, the two runs and the pictures."""
    debug: bool = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.demo import demo

        print(demo(self.out))
        return 0


@dataclass
class Serve:
    """Name pictures in a browser, or over HTTP as JSON, until stopped. No picture is kept."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or its model folder alone."""
    host: str = "127.0.0.1"
    """Address to listen at: this machine's alone by default, 0.0.0.0 for all networks."""
    port: int = 8000
    """Port to listen at; 0 for any that is free."""
    host_name: tuple[str, ...] = ()
    """Names that visitors may call the server by, beside localhost; needed behind a proxy that keeps them."""
    data: Path | None = None
    """Data set to show examples from; by default the one that the run was trained on, where it is there."""
    max_megabytes: int = 20
    """Size of a picture's file at most."""
    queue: int = 32
    """Pictures received, waiting and looked at, at most; the next is told to come again."""
    debug: bool = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.serve import require

        require()
        from wingbar.serve.server import serve

        serve(
            self.run_folder,
            host=self.host,
            port=self.port,
            data=self.data,
            names=self.host_name,
            megabytes=self.max_megabytes,
            places=self.queue,
        )
        return 0


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exit codes: 0 done, 1 some pictures unreadable, 2 a mistake of the user's, 130 stopped."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        sys.exit(parse(arguments).run())
    except WingbarError as error:
        if debug:
            raise
        print(f"wingbar: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("wingbar: stopped; a training goes on from here with the same command", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def parse(arguments: list[str]) -> Any:
    """The command that the arguments ask for; tyro prints help and mistakes, with the nearest option."""
    settings = Config()
    if arguments[:1] == ["train"] and (path := config_path(arguments)):
        settings = read_config(path)
    # A command whose options start from the file's settings.
    train = make_dataclass(
        "Train", [("settings", tyro.conf.OmitArgPrefixes[Config], field(default=settings))], bases=(Train,)
    )
    train.__doc__ = Train.__doc__
    commands = (
        Annotated[train, tyro.conf.subcommand("train", prefix_name=False)]  # type: ignore[valid-type] # made above
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate", prefix_name=False)]
        | Annotated[Predict, tyro.conf.subcommand("predict", prefix_name=False)]
        | Annotated[Explain, tyro.conf.subcommand("explain", prefix_name=False)]
        | Annotated[Guide, tyro.conf.subcommand("guide", prefix_name=False)]
        | Annotated[Demo, tyro.conf.subcommand("demo", prefix_name=False)]
        | Annotated[Serve, tyro.conf.subcommand("serve", prefix_name=False)]
    )
    return tyro.cli(
        commands,
        prog="wingbar",
        description="Learns to tell look-alikes apart from pictures with one label each.",
        args=arguments,
    )


def config_path(arguments: list[str]) -> Path | None:
    """The file after ``--config``: read before the rest, because options win over it."""
    for option, value in zip(arguments, [*arguments[1:], None], strict=True):
        if option == "--config" and value is not None:
            return Path(value)
        if option.startswith("--config="):
            return Path(option.removeprefix("--config="))
    return None


def expand(paths: tuple[Path, ...]) -> Iterator[Path]:
    """The files given, and the pictures in the folders given; a path that is not there fails as a picture."""
    from wingbar.data.checks import EXTENSIONS

    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.suffix.lower() in EXTENSIONS)
        else:
            yield path


def described(prediction: Prediction, top: int) -> str:
    """A prediction as lines for people."""
    x1, y1, x2, y2 = prediction.object_box
    names = ", ".join(f"{label} {score:.1%}" for label, score in list(prediction.scores.items())[:top])
    parts = "; ".join(f"part {part.cluster} at {part.box}" for part in prediction.parts)
    return f"{prediction.path}: {names}\n  object at {(x1, y1, x2, y2)}" + (f"; {parts}" if parts else "")


def described_contrast(prediction: Prediction) -> str:
    """The two likeliest classes in half a line."""
    (first, score), (second, other) = list(prediction.scores.items())[:2]
    return f"{printable(first)} {score:.1%}, rather than {printable(second)} {other:.1%}"


def told_unreadable(failed: int, total: int) -> int:
    """Say how many pictures could not be read; the exit code."""
    if failed:
        print(f"{failed} of {total} pictures could not be read", file=sys.stderr)
    return 0 if not failed else 2 if failed == total else UNREADABLE
