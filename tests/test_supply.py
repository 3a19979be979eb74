"""What the project depends on: bounds on both sides, versions that go together, licences that are told."""

from __future__ import annotations

import platform
import runpy
import subprocess
import sys
import tomllib

import pytest
from lowest import PROJECT, bound, requirements
from packaging.requirements import Requirement
from packaging.version import Version

NOTICE = runpy.run_path(str(PROJECT.parent / "docs" / "notice.py"))


@pytest.mark.parametrize(
    "one",
    [*requirements(), *map(Requirement, tomllib.loads(PROJECT.read_text())["build-system"]["requires"])],
    ids=lambda one: one.name,
)
def test_every_dependency_has_a_lower_and_an_upper_bound(one: Requirement) -> None:
    lower, upper = bound(one, ">="), bound(one, "<")
    assert lower is not None and upper is not None, f"{one}: give it both"
    assert Version(lower) < Version(upper)


def test_what_is_installed_goes_together() -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(
    (sys.platform, platform.machine(), sys.version_info[:2]) != ("linux", "x86_64", (3, 11)),
    reason="other systems bring other packages along",
)
def test_the_licences_in_the_notice_are_those_that_the_packages_state() -> None:
    told = NOTICE["NOTICE"].read_text(encoding="utf-8")
    assert told.endswith(NOTICE["section"]()), "look at what changed, then: python docs/notice.py"


def test_no_dependency_asks_that_programs_using_it_be_free_too() -> None:
    direct, brought = NOTICE["dependencies"]()
    assert len(direct) == len(requirements())
    assert [name for name, text in (direct | brought).items() if "GPL" in text or "General Public" in text] == []
