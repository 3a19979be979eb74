"""Arguments that a shell did not make of what the user wrote."""

from __future__ import annotations

import os
import re

from wingbar._system.text import printable
from wingbar.errors import ConfigError


def refuse_slips(arguments: list[str]) -> None:
    """Raises ConfigError, with the remedy, for an argument that no user means.

    As a path an empty one is the folder that the command was given in; ``~`` and a line end would be parts of names.
    """
    options = arguments.index("--") if "--" in arguments else len(arguments)
    for number, (before, argument) in enumerate(zip(["wingbar", *arguments], arguments, strict=False)):
        option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
        if number < options and argument.startswith("-") and "." in argument and os.path.lexists(argument):
            shown = printable(argument)
            raise ConfigError(f"{shown!r} is a file, but begins as an option does. Write './{shown}', or ./* for *.")
        place = option or f"after {printable(before)}"
        if not value and (equals or not option):
            raise ConfigError(
                f"an argument is empty ({place}), as a shell's variable is that was not set. "
                "Fill it in; for the folder that you are in, give '.'."
            )
        if value.startswith("~/") and not os.path.lexists(value):
            remedy = f"after a blank: {option} {printable(value)}" if option else "without quotes, or in full"
            raise ConfigError(f"the shell left the '~' in {printable(argument)!r} as it is. Write it {remedy}.")
        if os.sep == "/" and (there := _in_wsl(value)) and not os.path.lexists(value):
            raise ConfigError(
                f"{printable(argument)!r} is a path of Windows. In WSL it is {printable(there)!r} (wslpath tells it); "
                "elsewhere give the path as this system has it."
            )
        if value.endswith("\r") and not os.path.lexists(value):
            raise ConfigError(
                f"{printable(argument)!r} ends with a carriage return: the script that gave it has the line ends of "
                r"Windows. Take them away: sed -i 's/\r$//' SCRIPT."
            )


def _in_wsl(path: str) -> str | None:
    """Where WSL has a path of Windows: of a drive, or of WSL's own files as Windows' Explorer shows them."""
    path = path.replace("\\", "/")
    if drive := re.match(r"([A-Za-z]):/", path):
        return f"/mnt/{drive[1].lower()}/{path[3:]}"
    share = re.match(r"//wsl(?:\$|\.localhost)/[^/]+(/.*|$)", path, re.IGNORECASE)
    return (share[1] or "/") if share else None
