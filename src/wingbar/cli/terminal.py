"""Terminals and locales that are not UTF-8."""

from __future__ import annotations

import io
import locale
import os
import sys


def in_utf8_mode() -> None:
    """Start this program again in Python's UTF-8 mode, unless names of files are UTF-8 already.

    Class names are names of folders: read in another encoding they would be other names, of another model.
    """
    if sys.getfilesystemencoding().lower() != "utf-8":
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def show_all_letters(*streams: object) -> None:
    """Make streams write ``\\xf6`` for a letter that they have not, where they would break off.

    In UTF-8 mode a terminal is told in its locale's encoding all the same, files and pipes are UTF-8.
    """
    for stream in streams:
        if not isinstance(stream, io.TextIOWrapper):  # of a test or a notebook
            continue
        on_screen = stream.isatty() and sys.flags.utf8_mode and "PYTHONIOENCODING" not in os.environ
        stream.reconfigure(encoding=locale.getencoding() if on_screen else None, errors="backslashreplace")
