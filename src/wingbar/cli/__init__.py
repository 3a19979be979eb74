"""The command line: parses, calls, prints. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, NoReturn

import tyro

import wingbar
from wingbar._system.distributed import first_rank_here, number_of_ranks, this_rank
from wingbar._system.memory import keep_freed_memory
from wingbar.cli.backbones import Backbones
from wingbar.cli.datasets import Data
from wingbar.cli.exchange import Convert
from wingbar.cli.learning import Demo, Evaluate, Train
from wingbar.cli.many import PredictMany
from wingbar.cli.models import Explain, Export, Guide, Predict, Serve
from wingbar.cli.review import Review
from wingbar.cli.slips import refuse_slips
from wingbar.cli.stops import starved, stopped
from wingbar.cli.terminal import in_utf8_mode, show_all_letters
from wingbar.errors import ConfigError, WingbarError, suggestion

DESCRIPTION = """Learns to tell look-alikes apart from pictures with one label each.

`wingbar COMMAND --help` explains a command, `wingbar --version` tells the version."""
COMMANDS = {
    "evaluate": Evaluate, "predict": Predict, "predict-many": PredictMany, "convert": Convert, "explain": Explain,
    "guide": Guide, "export": Export, "backbones": Backbones, "data": Data, "demo": Demo, "serve": Serve,
    "review": Review,
}  # fmt: skip
"""All but ``train``, whose options start from a file's settings."""
SHARED_OUT = (Train, Evaluate, Predict)
"""Commands whose work is divided among the processes of torchrun."""
OUTLIVED = 30
"""Seconds that a failed rank waits before it exits, so that the rank that prints the error can do so first."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exit codes: 0 done, 1 some pictures unreadable, 2 a user's mistake or no room, 130 Ctrl-C."""
    if arguments is None:
        in_utf8_mode()
        arguments = sys.argv[1:]
    show_all_letters(sys.stdout, sys.stderr)
    debug, command = "--debug" in arguments, None
    try:
        with one_voice():
            command = asked_for(arguments)
            keep_freed_memory()
            code = command.run()
        leave(code)
    except WingbarError as error:
        if debug:
            raise
        teller = this_rank() if error.teller is None else error.teller
        if teller == this_rank():
            print(f"wingbar: {starved(error, command, arguments) or error}", file=sys.stderr)
        leave(2, teller)
    except KeyboardInterrupt:
        if this_rank() == 0:
            print(f"wingbar: {stopped(arguments)}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if debug or (message := no_room(error) or no_folder(error) or starved(error, command, arguments)) is None:
            raise
        print(f"wingbar: {message}", file=sys.stderr)
        sys.exit(2)


def leave(code: int, teller: int = 0) -> NoReturn:
    """Exit. After a failure all ranks but the ``teller``, which prints the error, wait first.

    torchrun ends all ranks as soon as one has failed.
    """
    if code and this_rank() != teller:
        time.sleep(OUTLIVED)
    sys.exit(code)


def no_room(error: Exception) -> str | None:
    """What to do about a disk that takes no more; None for other errors."""
    if not isinstance(error, OSError) or error.errno not in NO_ROOM:
        return None
    return f"{error}; make room or give write access, then give the same command again."


def no_folder(error: Exception) -> str | None:
    """What to do where the folder that the command was given in has been removed; None for other errors."""
    if not isinstance(error, FileNotFoundError):
        return None
    try:
        Path.cwd()
    except OSError:
        return "the folder that the command was given in is no longer there: change to another one and give it again."
    return None


@contextmanager
def one_voice() -> Iterator[None]:
    """Silence all ranks but the first, except for errors that end them."""
    with ExitStack() as silence:
        if this_rank() > 0:
            nowhere = silence.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            silence.enter_context(redirect_stdout(nowhere))
            silence.enter_context(redirect_stderr(nowhere))
        yield


def asked_for(arguments: list[str]) -> Any:
    """Parse the arguments, and check that torchrun may run the command. Errors are printed once on each machine."""
    if arguments == ["--version"]:
        print(f"wingbar {wingbar.__version__}")
        leave(0)
    try:
        command = parse(arguments)
        if number_of_ranks() > 1 and not isinstance(command, SHARED_OUT):
            raise ConfigError(f"{arguments[0]} runs in one process: give the command without torchrun.")
    except WingbarError as error:
        error.teller = first_rank_here()
        raise
    except SystemExit as ending:  # by tyro
        leave(2 if ending.code else 0, first_rank_here())
    return command


def parse(arguments: list[str]) -> Any:
    """The command of these arguments. tyro prints help, and mistakes with the nearest option.

    Raises ConfigError.
    """
    refuse_slips(arguments)
    train = Train
    if arguments[:1] == ["train"]:
        from wingbar.cli.settings import train_command  # imports torch

        file, preset = value_of("--config", arguments), value_of("--preset", arguments)
        typed = [name[2:].partition("=")[0].removeprefix("no-") for name in arguments if name.startswith("--")]
        based_on = value_of("--based-on", arguments)
        train = train_command(
            Path(file) if file else None, preset or "auto", typed, Path(based_on) if based_on else None
        )
    commands: dict[str, Any] = {"train": train, **COMMANDS}
    for name in arguments[:1]:
        if not name.startswith("-") and name not in commands:
            raise ConfigError(f"no command {name!r}.{suggestion(name, commands)} Commands: {', '.join(commands)}.")
    kinds = [Annotated[kind, tyro.conf.subcommand(name, prefix_name=False)] for name, kind in commands.items()]
    one_of_them: Any = reduce(or_, kinds)
    command = tyro.cli(one_of_them, prog="wingbar", description=DESCRIPTION, args=arguments)
    if isinstance(command, Train):
        _ = command.settings  # raises now what it would raise once the command runs
    return command


def value_of(name: str, arguments: list[str]) -> str | None:
    """The value of an option, or None. A file and a preset have the defaults of others, so they are read first."""
    for option, value in zip(arguments, [*arguments[1:], None], strict=True):
        if option == name and value is not None:
            return value
        if option.startswith(f"{name}="):
            return option.removeprefix(f"{name}=")
    return None
