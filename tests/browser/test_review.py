"""The review in a real browser, by keys alone and by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up import made_up
from PIL import Image
from serving import make_site

from wingbar.serve.review.app import create_app
from wingbar.serve.review.decisions import Decisions
from wingbar.serve.review.desk import Desk, Reference
from wingbar.serve.review.server import set_up
from wingbar.serve.server import Server, address, listen

CLASSES = ("wren", "<img src=x onerror=alert(1)>", "owl")


@pytest.fixture
def at(tmp_path: Path) -> Iterator[tuple[str, Desk]]:
    """The page over five pictures, and its desk."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "out").mkdir()
    for number in range(5):
        Image.new("RGB", (90, 60), (50 * number, 90, 120)).save(tmp_path / "photos" / f"{number}.png")
    labelled = [Reference(tmp_path / "photos" / "0.png", CLASSES[1])]
    recognizer = made_up(tmp_path / "model", CLASSES)
    desk = set_up(recognizer, tmp_path / "photos", labelled, Decisions(tmp_path / "out"), 4)
    with listen("127.0.0.1", 0) as listener:
        site = make_site(CLASSES)
        server = Server(create_app(desk, site, ("127.0.0.1",)), site.batcher.stop)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield address(listener), desk
        finally:
            server.should_exit = True
            thread.join()


def expect_left(page: Any, left: int) -> None:
    """Wait until so many pictures are left."""
    page.wait_for_selector(f"#progress:has-text('{left} of 5 left')")


def press(page: Any, key: str, left: int) -> None:
    """Press a key, and wait until so many pictures are left."""
    page.keyboard.press(key)
    expect_left(page, left)


def test_a_whole_review_by_keys_alone(open_page: Callable[..., Any], at: tuple[str, Desk]) -> None:
    where, desk = at
    page = open_page(where)
    page.wait_for_selector("#result:not([hidden])")
    paths = [item.name for item in desk.items]
    answers = [item.prediction.label for item in desk.items]
    press(page, "Enter", 4)
    press(page, "2", 3)
    press(page, "n", 2)
    press(page, "u", 3)
    press(page, "s", 2)
    page.keyboard.press("/")
    page.keyboard.type("Bearded Tit n")  # letters in the field are no keys
    press(page, "Enter", 1)
    press(page, "1", 0)
    page.wait_for_selector("#done:not([hidden])")
    made = [(one["path"], one["kind"], one["label"]) for one in desk.decisions.made]
    second = list(desk.items[1].prediction.scores)[1]
    assert made == [
        (paths[0], "confirmed", answers[0]),
        (paths[1], "corrected", second),
        (paths[2], "skipped", ""),
        (paths[3], "new", "Bearded Tit n"),
        (paths[4], "confirmed", answers[4]),
    ]


def test_a_review_by_hand_shows_names_as_text(open_page: Callable[..., Any], at: tuple[str, Desk], findings) -> None:
    where, desk = at
    page = open_page(where, viewport={"width": 375, "height": 720})
    page.wait_for_selector("#result:not([hidden])")
    assert page.locator("#alike bdi").text_content() == CLASSES[1] and page.locator("#names img").count() == 0
    assert page.locator("#boxes rect").count() == 2 * (1 + len(desk.items[0].prediction.parts))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert findings(page) == []
    page.fill("#label", "New kind")
    page.click("#other button")
    expect_left(page, 4)
    page.click("#none")
    expect_left(page, 3)
    page.click("#undo")
    expect_left(page, 4)
    assert [one["label"] for one in desk.decisions.made] == ["New kind"]


def test_a_picture_of_ones_own_is_named_beside_the_review(
    open_page: Callable[..., Any], at: tuple[str, Desk], tmp_path: Path
) -> None:
    where, _ = at
    page = open_page(where)
    page.evaluate("for (const link of document.links) link.target = ''")
    page.click("text=Name a picture")
    page.wait_for_selector("#known:has-text('3 classes')")
    page.set_input_files("#choose", tmp_path / "photos" / "3.png")
    page.wait_for_selector("#result:not([hidden])")
    page.click("text=Review")
    expect_left(page, 5)


def test_enter_on_a_link_follows_it_and_decides_nothing(open_page: Callable[..., Any], at: tuple[str, Desk]) -> None:
    where, desk = at
    page = open_page(where)
    page.wait_for_selector("#result:not([hidden])")
    page.evaluate("Object.assign(document.getElementById('guide'), { hidden: false, href: '#there', target: '' })")
    page.focus("#guide")
    page.keyboard.press("Enter")
    page.wait_for_url("**/#there")
    press(page, "n", 4)
    assert [one["kind"] for one in desk.decisions.made] == ["none"]
