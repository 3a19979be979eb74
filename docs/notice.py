"""Writes the licences of all dependencies into NOTICE, as what is installed states them: python docs/notice.py"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NOTICE = Path(__file__).parents[1] / "NOTICE"
HEAD = "Licences of what Wingbar depends on, as each package states its own (written by docs/notice.py)."
TEXT = """None of it is copied into Wingbar: pip fetches it. NVIDIA's packages come with torch's ordinary wheel for
Linux; most of them are not free software, and a build of torch for CPUs does without them."""
NOT_STATED = "not stated in its metadata"
SAME = {
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD License": "BSD",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""Other words for one licence."""


def dependencies(root: str = "wingbar") -> tuple[dict[str, str], dict[str, str]]:
    """Package -> licence of all that ``root`` and its extras ask for, and of what those bring along, as installed."""
    extras = distribution(root).metadata.get_all("Provides-Extra") or []
    direct = {canonicalize_name(one.name): one for one in _required(distribution(root), extras)}
    found: dict[str, Distribution] = {}
    waiting = list(direct.values())
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if (name, frozenset(one.extras)) in seen or name == root:
            continue
        seen.add((name, frozenset(one.extras)))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # one that this machine does not need
            continue
        waiting += _required(found[name], one.extras)
    licences = {name: licence(one) for name, one in found.items()}
    return (
        {name: text for name, text in licences.items() if name in direct},
        {name: text for name, text in licences.items() if name not in direct},
    )


def _required(package: Distribution, extras: Iterable[str]) -> list[Requirement]:
    asked = [Requirement(text) for text in package.requires or []]
    return [one for one in asked if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in ("", *extras))]


def licence(package: Distribution) -> str:
    """A package's licence: its SPDX expression, or the older field, its classifier, its file's title."""
    told = package.metadata.get("License-Expression") or package.metadata.get("License") or ""
    if not told or "\n" in told:
        kinds = [one for one in package.metadata.get_all("Classifier") or [] if one.startswith("License ::")]
        told = " OR ".join(one.rpartition(" :: ")[2] for one in kinds) or _title(package) or NOT_STATED
    return SAME.get(told, told)


def _title(package: Distribution) -> str:
    text = package.read_text("licenses/LICENSE") or package.read_text("LICENSE") or ""
    return next(iter(text.splitlines()), "").strip()


def section() -> str:
    """The part of NOTICE that is about dependencies."""
    direct, brought = dependencies()
    parts = ["What pyproject.toml names:", *_by_licence(direct), "", "What that brings along:", *_by_licence(brought)]
    return "\n".join([HEAD, TEXT, "", *parts]) + "\n"


def _by_licence(licences: dict[str, str]) -> list[str]:
    groups = defaultdict(list)
    for name, text in sorted(licences.items()):
        groups[text].append(name)
    return [
        textwrap.fill(f"- {text}: {', '.join(names)}.", 118, subsequent_indent="  ", break_on_hyphens=False)
        for text, names in sorted(groups.items())
    ]


if __name__ == "__main__":
    before = NOTICE.read_text(encoding="utf-8").partition(HEAD)[0].rstrip()
    NOTICE.write_text(f"{before}\n\n{section()}", encoding="utf-8")
