"""Prints every dependency of pyproject.toml, those of its extras too, at its lower bound: constraints for pip."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def requirements() -> list[Requirement]:
    """All that the project asks for, itself left out."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return [one for one in map(Requirement, lines) if one.name != project["name"]]


def bound(one: Requirement, operator: str) -> str | None:
    """The version after ``operator``."""
    return next((part.version for part in one.specifier if part.operator == operator), None)


if __name__ == "__main__":
    for one in requirements():
        print(f"{one.name}=={bound(one, '>=')}")
