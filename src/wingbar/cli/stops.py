"""Messages for a command that stopped before its end: what is kept, and the command to go on with."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from wingbar._system.distributed import number_of_ranks
from wingbar._system.memory import OUT_OF_MEMORY, lost_loader, out_of_memory, shared_memory_full

TAKEN_UP = ("train", "demo", "guide", "predict-many", "review")
"""Commands that go on where they stopped."""


def stopped(arguments: Sequence[str]) -> str:
    """The message of an interrupted command: whether its results are kept, and how to go on."""
    if not set(arguments[:1]) & set(TAKEN_UP):
        return "stopped"
    if number_of_ranks() > 1:
        return "stopped; what is finished is kept. Go on with the same torchrun command."
    return f"stopped; what is finished is kept. Go on with: {line(again(arguments))}"


def starved(error: BaseException, command: Any, arguments: Sequence[str]) -> str | None:
    """The message of a command that ran out of memory, with the settings to lower; None for other errors."""
    if not out_of_memory(error) and not lost_loader(error):
        return None
    known = memory_settings(command)
    lower = " or ".join(f"{option(name)} (it is {value})" for name, value in known.items())
    lines = [f"not enough memory{of_what(error)}."]
    if arguments[0] in TAKEN_UP:
        lines.append(f"What is finished is kept. Where there is more memory, go on with: {line(again(arguments))}")
    if not known:
        lines.append("Give the command more memory: no setting of it makes it need less.")
    elif arguments[0] != "train":
        lines.append(f"To need less, lower {lower}.")
    elif shared_memory_full(error):
        lines.append(f"To get the same model without it, in more time: {line(again(arguments, workers=0))}")
    elif lost_loader(error):
        lines.append(f"To need less and get the same model: {line(again(arguments, workers=known['workers'] // 2))}")
    else:
        less = line(again(arguments, batch_size=max(known["batch_size"] // 2, 1)))
        lines.append(
            f"To need less, lower {lower}. All but --workers make another model, so trainings begin again: {less}"
        )
    return "\n".join(lines)


def memory_settings(command: Any) -> dict[str, int]:
    """The settings of a command that its memory grows with."""
    settings = getattr(command, "settings", command)
    known = {name: getattr(settings, name, 0) for name in ("batch_size", "size", "workers")}
    if hasattr(settings, "base_recipe"):  # a `Config`, whose module takes seconds to import
        known |= {"batch_size": settings.base_recipe().batch_size, "workers": settings.loaders()}
    return {name: value for name, value in known.items() if value}


def of_what(error: BaseException) -> str:
    """The reason in half a sentence: the library's message, or that a loader process was ended."""
    if shared_memory_full(error):
        return " in /dev/shm, through which processes that load pictures hand them on (docker: --shm-size gives more)"
    if lost_loader(error):
        return ", it seems: a process that loads pictures was ended from outside, as the kernel does when it runs out"
    lines = str(error).strip().splitlines()  # of an error within a loader, its whole traceback
    message = next((line for line in lines if OUT_OF_MEMORY.search(line)), lines[0] if lines else "")
    return f" ({message.strip().rstrip('.')[:300]})" if message else ""


def again(arguments: Sequence[str], **settings: int) -> list[str]:
    """The command that goes on: what was redone by ``--from`` is not redone, and ``settings`` have new values."""
    dropped, rest, value = ["--from", *map(option, settings)], [], False
    for argument in arguments:
        if not value and not any(argument == name or argument.startswith(f"{name}=") for name in dropped):
            rest.append(argument)
        value = not value and argument in dropped
    return [*rest, *(word for name, new in settings.items() for word in (option(name), str(new)))]


def option(name: str) -> str:
    """A setting as it is typed."""
    return f"--{name.replace('_', '-')}"


def line(arguments: Sequence[str]) -> str:
    """A command as it is typed."""
    return shlex.join(["wingbar", *arguments])
