"""Types of options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import tyro

Flag = tyro.conf.FlagCreatePairsOff[Annotated[bool, tyro.conf.arg(help_behavior_hint="")]]
"""An option without a value, off by default; it has no `--no-` twin."""
NOT_GIVEN = ""
"""The hint of an option whose default its text tells."""
Device = Literal["auto", "cpu", "cuda", "mps"]
"""What nets run on."""


def views_of(fast: bool) -> Literal["all", "picture"]:
    """What `--fast` means: the nets are shown the whole picture alone."""
    return "picture" if fast else "all"
