"""Writes docs/settings.md from the settings' own documentation: python docs/settings.py"""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from pathlib import Path

from wingbar.cli.settings import WHEN_NONE, documented
from wingbar.config import Config
from wingbar.learning.recipe import Recipe

HEAD = """# Settings

Everything that `wingbar train` can be told: on the command line (`--size 224 --parts.count 3 --filtering.no-enabled`),
or in a TOML file for `--config`, sections as `[name]`. Options win over the file. An unknown key is an error. The
resolved settings of a run are in its `config.toml`.
"""


def rows(record: object) -> list[str]:
    """A table of a record's fields, sections left out."""
    texts = documented(type(record))
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if is_dataclass(value):
            continue
        text, default = texts.get(field.name, ""), f"`{value!r}`"
        if value is None and (when_none := WHEN_NONE.search(text)):
            text, default = WHEN_NONE.sub(".", text), when_none[1]
        lines.append(f"| `{field.name}` | {default} | {text} |")
    return lines


def page() -> str:
    """The whole page."""
    base = Config()
    parts = [HEAD, *rows(base)]
    for field in fields(base):
        value = getattr(base, field.name)
        if is_dataclass(value):
            parts += ["", f"## `[{field.name}]`", "", str(inspect.getdoc(type(value))), "", *rows(value)]
    parts += ["", "## `[training]`", "", "Any of these, over the preset that `recipe` names.", "", *rows(Recipe())]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "settings.md").write_text(page(), encoding="utf-8")
