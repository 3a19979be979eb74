"""A real browser, Debian's Chromium without a window, and what every page must keep to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

HEAR = """
let tell = () => {};
window.listen = () => {
  window.heard = new Promise((resolve, reject) => { tell = resolve; setTimeout(() => reject("no answer"), 20000); });
};
const reallyFetch = window.fetch;
window.fetch = async (...asked) => {
  const answer = await reallyFetch(...asked);
  if (asked[1]?.method === "POST") answer.clone().json().then((told) => tell(told));
  return answer;
};
"""
"""Keeps what the interface last answered the page: the browser's own record drops answers to files."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium. Where it is missing its tests are skipped, but never in CI.

    Not for the whole run: Playwright's event loop would still run when the server's tests start theirs.
    """
    path = shutil.which("chromium")
    if path is None:
        reason = "no Chromium on this machine: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@dataclass
class Watched:
    """What a page said and asked for."""

    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def watched() -> Watched:
    """The record of the test's pages; a test that provokes a complaint takes it out."""
    return Watched()


@pytest.fixture
def open_page(browser: Any, watched: Watched) -> Iterator[Callable[..., Any]]:
    """Opens an address; afterwards nothing may have gone wrong in it, nor asked another host for anything."""
    contexts, hosts = [], set()

    def open_at(address: str, **settings: Any) -> Any:
        hosts.add(urlsplit(address).netloc)
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: said.type in ("error", "warning") and watched.complaints.append(said.text))
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        page.on("request", lambda request: watched.asked.append(request.url))
        page.add_init_script(HEAR)
        page.goto(address)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert watched.complaints == []
    foreign = [url for url in watched.asked if urlsplit(url).scheme != "blob" and urlsplit(url).netloc not in hosts]
    assert watched.asked and foreign == []


def axe(page: Any) -> list[str]:
    """Serious findings of axe-core on the page as it stands."""
    from axe_playwright_python.sync_playwright import Axe

    # preload: axe would fetch the style sheets once more, which browsers forbid to pages from the disk
    result = Axe().run(page, options={"preload": False}).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]} {node.get('failureSummary', '')}"
        for one in result
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.fixture
def findings() -> Callable[[Any], list[str]]:
    """`axe`."""
    return axe
