"""Writes docs/settings.md from the settings' own documentation: python docs/settings.py"""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields, is_dataclass
from pathlib import Path

from wingbar import config
from wingbar.config import Config
from wingbar.learning.recipe import Recipe

HEAD = """# Settings

Everything that `wingbar train` can be told. Keys of the first table are options of the command line too; all of them go
into a TOML file for `--config`, sections as `[name]`. An unknown key is an error. The resolved settings of a run are in
its `config.toml`.
"""


def documented(kind: type) -> dict[str, str]:
    """Field -> the string below it."""
    tree = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(field.target, ast.Name):
            found[field.target.id] = " ".join(ast.literal_eval(text.value).split())
    return found


def rows(record: object) -> list[str]:
    """A table of a record's fields, sections left out."""
    told = documented(type(record))
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if not is_dataclass(value):
            lines.append(f"| `{field.name}` | `{value!r}` | {told.get(field.name, '')} |")
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
    assert config.__file__
    (Path(__file__).parent / "settings.md").write_text(page(), encoding="utf-8")
