"""Records of settings: frozen dataclasses, filled from the plain values of a file, a command line or a model's card."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from wingbar.errors import ConfigError, suggestion

T = typing.TypeVar("T")


def read_toml(path: Path, option: str) -> dict[str, Any]:
    """The values of a TOML file that ``option`` names. Raises ConfigError, with the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file; check the path, or leave {option} out.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a TOML file to {option}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{path}: not a TOML file: {error}. Write lines of `key = value` in UTF-8; texts stand in quotes, "
            "those with backslashes in single ones."
        ) from None


def within(record: object, section: str, **ranges: tuple[float, float]) -> None:
    """Raise ConfigError for the first field outside its range (both ends allowed); None is in every range."""
    for key, (least, most) in ranges.items():
        value = getattr(record, key)
        if value is not None and not least <= value <= most:
            name = f"{section}.{key}" if section else key
            raise ConfigError(f"{name} is {value}; it must lie between {least} and {most}.")


def fill(record: T, values: dict[str, Any], where: str) -> T:
    """``record`` (a dataclass) with ``values`` put in, sections within sections.

    Raises ConfigError for an unknown key (with the nearest known one) or a value of another type.
    """
    known = {f.name: f for f in fields(record)}  # type: ignore[arg-type] # any dataclass: no name for that at run time
    hints = typing.get_type_hints(type(record))
    changes: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{where}.{key}" if where else key
        if key not in known:
            raise ConfigError(f"{name} is no setting.{suggestion(key, known)} Known: {', '.join(known)}.")
        current = getattr(record, key)
        if is_dataclass(current) and isinstance(value, type(current)):
            changes[key] = value
        elif is_dataclass(current):
            if not isinstance(value, dict):
                raise ConfigError(f"{name} is a section: write [{name}] and its keys below it.")
            changes[key] = fill(current, value, name)
        else:
            changes[key] = convert(value, hints[key], name)
    return dataclasses.replace(record, **changes)  # type: ignore[type-var] # as above


def convert(value: Any, kind: Any, name: str) -> Any:
    """``value`` as ``kind``: whole numbers pass as floats, lists as tuples, a choice is checked. Raises ConfigError."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union) and type(None) in arguments:
        (given,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else convert(value, given, name)
    if origin is Literal:
        if value not in arguments:
            hint = suggestion(str(value), map(str, arguments))
            raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(map(str, arguments))}.{hint}")
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(convert(item, arguments[0], name) for item in value)
    if origin is dict and isinstance(value, dict):
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = isinstance(kind, type) and not isinstance(kind, types.GenericAlias)
    if not plain or not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ConfigError(f"{name} is {value!r}; it must be of type {getattr(kind, '__name__', kind)}.")
    return value
