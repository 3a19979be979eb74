"""The field guide in a real browser: from the disk, as people open it, and behind the web page's stricter headers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from serving import make_site, served

pytestmark = pytest.mark.skipif(find_spec("wingbar.guide") is None, reason="wingbar.guide is not there")
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def guide(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of the guide of a small trained run that was evaluated."""
    from wingbar.evaluation.evaluate import evaluate
    from wingbar.guide import write_guide

    run = tmp_path_factory.mktemp("guided") / "run"
    shutil.copytree(small_run, run)
    evaluate(run)
    return write_guide(run, per_class=4, quiet=True)


@pytest.fixture(params=["disk", "server"])
def address(request: pytest.FixtureRequest, guide: Path) -> Iterator[str]:
    """Where the guide's index is."""
    if request.param == "disk":
        yield guide.as_uri()
    else:
        with served(make_site(guide=guide.parent)) as site:
            yield f"{site}guide/"


def shown(page: Any) -> list[str]:
    """The classes that the index shows."""
    return page.locator("#cards li:visible .words").all_inner_texts()


def test_the_guide_leads_back_to_the_page_where_there_is_one(guide: Path, open_page: Open) -> None:
    with served(make_site(guide=guide.parent)) as site:
        page = open_page(f"{site}guide/card.html")
        page.wait_for_selector("#served", state="visible")
        assert page.locator("#served").evaluate("link => link.href") == site
        page = open_page(f"{site}guide/classes/0001.html")
        page.click("#served")
        page.wait_for_selector("#guide[href='guide/']", state="visible")
    page = open_page(guide.as_uri())
    page.wait_for_load_state("networkidle")
    assert page.locator("#served").is_hidden()


def test_the_search_box_narrows_the_list(address: str, open_page: Open) -> None:
    page = open_page(address)
    names = shown(page)
    assert len(names) == 3
    wanted = names[1]
    listed = expect(page.locator("#cards li:visible .words"))  # asks again until the page is drawn anew
    page.get_by_role("searchbox").fill(wanted.upper())
    listed.to_have_text([wanted], use_inner_text=True, timeout=20_000)
    page.get_by_role("searchbox").fill("no such class")
    listed.to_have_count(0, timeout=20_000)
    page.get_by_role("searchbox").fill("")
    listed.to_have_text(names, use_inner_text=True, timeout=20_000)


def test_a_class_page_and_a_pair_page_are_one_click_away(address: str, open_page: Open) -> None:
    page = open_page(address)
    name = shown(page)[0]
    page.locator("#cards a").first.click()
    page.wait_for_url(re.compile(r"/classes/\d+\.html$"))
    assert page.locator("h1").inner_text() == name
    pictures = page.locator("main img")
    assert pictures.count() > 0
    for i in range(pictures.count()):
        pictures.nth(i).evaluate("one => { one.loading = 'eager'; return one.decode(); }")
    page.locator("a[href*='pairs/']").first.click()
    page.wait_for_url(re.compile(r"/pairs/\d+-\d+\.html$"))
    assert name in page.locator("h1").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_bars_the_way(open_page: Open, guide: Path, findings: Callable[[Any], list[str]], scheme: str) -> None:
    """axe-core finds nothing serious on any kind of page."""
    page = open_page(guide.as_uri(), color_scheme=scheme)
    kinds = ["index.html", "map.html", "card.html"]
    kinds += [str(next(guide.parent.glob(f"{kind}/*.html")).relative_to(guide.parent)) for kind in ("classes", "pairs")]
    result = {}
    for kind in kinds:
        page.goto((guide.parent / kind).as_uri())
        result[kind] = findings(page)
    assert result == {kind: [] for kind in kinds}
