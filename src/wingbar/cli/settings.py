"""The options of `wingbar train`, one for each setting. Sections become groups (`--parts.count`).

This file imports the settings of all steps, and with them libraries that take seconds. So it is imported only when the
command is `train`.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import typing
from collections.abc import Collection
from dataclasses import field, fields, is_dataclass, make_dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import tyro

from wingbar._system.settings import fill
from wingbar.cli.learning import Train
from wingbar.config import Config, read_config
from wingbar.learning.presets import chosen_already, with_preset
from wingbar.learning.recipe import Recipe
from wingbar.model.folder import read_model
from wingbar.steps import settings_of

RECIPE = "training"
"""The section whose keys are those of the recipe."""
WHEN_NONE = re.compile(r"[;,]? none: (.+?)\.$")
"""The end of the text of a setting that may be None: the default in that case."""


def train_command(
    file: Path | None = None, preset: str = "auto", typed: Collection[str] = (), based_on: Path | None = None
) -> type[Train]:
    """`Train` with an option for each setting, whose defaults are those of the preset, and over it the TOML file.

    Those of a run that it is ``based_on`` stand in the preset's place. ``typed`` are the options on the command line,
    without their dashes. Raises ConfigError, and RunError for a run that is none.
    """
    base = settings_of(read_model(based_on).card, based_on) if based_on else Config()
    base = base if preset == "auto" else with_preset(base, preset)
    base = read_config(file, base) if file else base
    options = settings_options(base)
    added = ("options", Annotated[options, tyro.conf.arg(name="")], field(default_factory=options))
    settings = cached_property(lambda command: chosen_settings(base, command.options))
    chosen = (
        preset != "auto"
        or file is not None
        or based_on is not None
        or chosen_already(name.partition(".")[0] for name in typed)
    )
    command = make_dataclass("Train", [added], bases=(Train,), namespace={"settings": settings, "chosen": chosen})
    command.__doc__ = Train.__doc__
    return command


def settings_options(base: Config) -> type:
    """A record with a field for each setting of ``base``, and a record of such fields for each section."""
    sections: dict[str, type] = {RECIPE: recipe_options(base.training)}
    for setting in fields(base):
        if is_dataclass(section := getattr(base, setting.name)):
            sections[setting.name] = record_of(setting.name, section)
    plain = [row for row in option_fields(base) if row[0] not in sections]
    grouped = [(name, kind, field(default_factory=kind)) for name, kind in sections.items()]
    options = make_dataclass("Settings", [*plain, *grouped], frozen=True)
    options.__doc__ = "Settings of the run."
    return options


def record_of(name: str, section: Any) -> type:
    """The options of a section."""
    options = make_dataclass(name.capitalize(), option_fields(section), frozen=True)
    options.__doc__ = inspect.getdoc(type(section))
    return options


def recipe_options(given: dict[str, Any]) -> type:
    """The options of the recipe. Those that are not ``given`` have the values of the preset (`--recipe`)."""
    hints, texts = typing.get_type_hints(Recipe), documented(Recipe)
    rows = []
    for setting in fields(Recipe):
        hint = None if setting.name in given else "(default: the recipe's)"
        kind = annotated(hints[setting.name] | None, texts[setting.name], hint)
        rows.append((setting.name, kind, field(default=given.get(setting.name))))
    options = make_dataclass(RECIPE.capitalize(), rows, frozen=True)
    options.__doc__ = "Any field of the recipe, over the preset that --recipe names."
    return options


def option_fields(record: Any) -> list[tuple[str, Any, Any]]:
    """Name, type with help, and default of each field of a record of settings."""
    hints, texts = typing.get_type_hints(type(record)), documented(type(record))
    rows = []
    for setting in fields(record):
        value, text, hint = getattr(record, setting.name), texts.get(setting.name, ""), None
        if value is None and (when_none := WHEN_NONE.search(text)):
            hint = f"(default: {when_none[1]})"
        kind = annotated(hints[setting.name], WHEN_NONE.sub(".", text), hint)
        rows.append((setting.name, kind, value))
    return rows


def annotated(kind: Any, text: str, hint: str | None) -> Any:
    """An option's type, with its help. None cannot be typed; it is the value of an option that is left out."""
    marker: Any = tyro.conf.DisallowNone
    return marker[Annotated[kind, tyro.conf.arg(help=text, help_behavior_hint=hint)]]


def chosen_settings(base: Config, options: Any) -> Config:
    """``base`` with the values of the command line. Raises ConfigError for impossible ones."""
    values: dict[str, Any] = {}
    for setting in fields(options):
        value = getattr(options, setting.name)
        if setting.name == RECIPE:
            values[RECIPE] = {key: given for key, given in vars(value).items() if given is not None}
        else:
            values[setting.name] = dict(vars(value)) if is_dataclass(value) else value
    return fill(base, values, "")


def documented(kind: type) -> dict[str, str]:
    """Field of a dataclass -> the string below it, as one line."""
    texts: dict[str, str] = {}
    for record in reversed([base for base in kind.__mro__ if is_dataclass(base)]):
        tree = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
        assert isinstance(tree, ast.ClassDef)
        for statement, below in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(below, ast.Expr):
                texts[ast.unparse(statement.target)] = " ".join(ast.literal_eval(below.value).split())
    return texts
