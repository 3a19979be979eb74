"""What the project depends on: bounds on both sides, versions that go together, licences that are told."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib

from lowest import PROJECT, bound, requirements
from packaging.requirements import Requirement
from packaging.version import Version

NOTICE = runpy.run_path(str(PROJECT.parent / "docs" / "notice.py"))


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    of_the_build = map(Requirement, tomllib.loads(PROJECT.read_text())["build-system"]["requires"])
    for requirement in (*requirements(), *of_the_build):
        lower, upper = bound(requirement, ">="), bound(requirement, "<")
        assert lower is not None and upper is not None, f"{requirement}: give it both"
        assert Version(lower) < Version(upper), requirement


def test_what_is_installed_goes_together() -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_notice_tells_the_licence_of_each_dependency_as_the_package_states_it() -> None:
    """Of what pyproject names. What that brings along changes with every release of it and is only listed."""
    result = NOTICE["section"]().partition("What that brings along:")[0]
    assert result in NOTICE["NOTICE"].read_text(encoding="utf-8"), "look at what changed, then: python docs/notice.py"


def test_no_dependency_asks_that_programs_using_it_be_free_too() -> None:
    direct, brought = NOTICE["dependencies"]()
    assert len(direct) == len(requirements())
    assert [name for name, text in (direct | brought).items() if "GPL" in text or "General Public" in text] == []
