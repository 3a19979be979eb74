"""The web page in a real browser: what people do with it, and what strangers may try."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from serving import make_site, png, seen, served

from wingbar.data import load as load_data
from wingbar.recognizer import load
from wingbar.serve.examples import ExamplePictures
from wingbar.serve.server import build_site, find

PHONE = {"viewport": {"width": 375, "height": 720}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "__proto__",
    "1",
    "\u202egnp.exe",
    "x" * 300,
)
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def site(small_run: Path) -> Iterator[str]:
    """The page around a small trained model, with a field guide."""
    recognizer = load(small_run)
    with served(build_site(small_run, recognizer, find(small_run, recognizer, None), places=4)) as address:
        yield address


@pytest.fixture(scope="module")
def picture(birds: Path) -> Path:
    return load_data(birds).split("test")[0].path


def ask(page: Any, act: Callable[[], object]) -> dict:
    """What the interface answer the page, when it shows."""
    page.evaluate("listen()")
    act()
    answer = page.evaluate("heard")
    page.wait_for_selector("#result:not([hidden])")
    return answer


def expect_boxes(page: Any, answer: dict) -> None:
    """Each box on the screen stands where the interface says, in the picture as it is answer."""
    page.locator("#picture").evaluate("picture => picture.decode()")
    frame = page.locator("#picture").bounding_box()
    across, down = frame["width"] / answer["size"][0], frame["height"] / answer["size"][1]
    assert across == pytest.approx(down, rel=0.02)
    boxes = {"object": answer["object_box"]} | {f"part-{i}": part["box"] for i, part in enumerate(answer["parts"])}
    assert page.locator("#boxes g").count() == len(boxes)
    for name, (x1, y1, x2, y2) in boxes.items():
        # The line's middle: its width is not part of the geometry.
        left, top, width, height = page.locator(f"#{name} .line").evaluate(
            "line => { const at = line.getBBox(), on = line.getScreenCTM(); return [on.a * at.x + on.e, "
            "on.d * at.y + on.f, on.a * at.width, on.d * at.height]; }"
        )
        expected = frame["x"] + x1 * across, frame["y"] + y1 * down, (x2 - x1) * across, (y2 - y1) * down
        assert (left, top, width, height) == pytest.approx(expected, abs=1)


def drop(page: Any, content: bytes, name: str = "bird.png", kind: str = "image/png") -> None:
    """A file let fall on the page, as a file manager does it."""
    transfer = page.evaluate_handle(
        "([bytes, name, type]) => { const one = new DataTransfer();"
        "one.items.add(new File([new Uint8Array(bytes)], name, { type })); return one; }",
        [list(content), name, kind],
    )
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})


def test_a_chosen_picture_is_named_and_its_boxes_stand_where_told(open_page: Open, site: str, picture: Path) -> None:
    page = open_page(site)
    answer = ask(page, lambda: page.set_input_files("#choose", picture))
    assert len(answer["parts"]) == 2
    expect_boxes(page, answer)
    names = page.locator("#names li").all_inner_texts()
    ranked = sorted(answer["scores"].values(), reverse=True)
    assert [text.split("\n")[-1] for text in names] == [f"{round(100 * score)} %" for score in ranked]
    widths = page.locator("#names .bar").evaluate_all(
        "bars => bars.map(b => parseFloat(getComputedStyle(b, '::after').width) / b.clientWidth)"
    )
    assert widths == pytest.approx(ranked, abs=0.01)
    assert "%" in page.locator("#status").inner_text()


def test_a_dropped_and_a_pasted_picture_are_named_too(open_page: Open, site: str, picture: Path) -> None:
    page = open_page(site, viewport={"width": 900, "height": 700})
    expect_boxes(page, ask(page, lambda: drop(page, picture.read_bytes())))
    tall = png((40, 90))
    paste = (
        "bytes => { const one = new DataTransfer(); one.items.add(new File([new Uint8Array(bytes)], 'a.png', "
        "{ type: 'image/png' })); document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: one })); }"
    )
    answer = ask(page, lambda: page.evaluate(paste, list(tall)))
    assert answer["size"] == [40, 90]
    expect_boxes(page, answer)


def test_a_photograph_that_lies_on_its_side_is_shown_upright(open_page: Open, site: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (120, 80), "olive").save(tmp_path / "turned.jpg", exif=exif)
    page = open_page(site)
    answer = ask(page, lambda: page.set_input_files("#choose", tmp_path / "turned.jpg"))
    assert answer["size"] == [80, 120]
    expect_boxes(page, answer)


def test_a_picture_that_browsers_cannot_show_still_gets_its_boxes(open_page: Open, site: str, tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), "olive").save(tmp_path / "scan.tif")
    page = open_page(site)
    ask(page, lambda: page.set_input_files("#choose", tmp_path / "scan.tif"))
    page.wait_for_selector("#unshown:not([hidden])")
    assert page.locator("#boxes").bounding_box()["width"] > 100


def test_what_is_no_picture_is_told_in_words(open_page: Open, site: str, tmp_path: Path, watched: Any) -> None:
    page = open_page(site)
    (tmp_path / "notes.txt").write_text("no picture")
    page.set_input_files("#choose", tmp_path / "notes.txt")
    page.wait_for_selector("#error:not(:empty)")
    assert "image/..." in page.locator("#error").inner_text() and not page.locator("#result").is_visible()
    drop(page, b"no picture either")
    page.wait_for_selector("#error:has-text('not a picture of a known format')")
    ask(page, lambda: drop(page, png()))
    assert page.locator("#error").inner_text() == ""
    complained = [text for text in watched.complaints if "the server responded with a status of 4" in text]
    assert len(complained) == 2  # the browser's own note of each refusal
    watched.complaints[:] = [text for text in watched.complaints if text not in complained]


def test_a_picture_over_the_limit_is_not_even_sent(open_page: Open, site: str, tmp_path: Path, watched: Any) -> None:
    page = open_page(site)
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate((32 << 20) + 1)
    page.set_input_files("#choose", tmp_path / "big.png")
    page.wait_for_selector("#error:has-text('larger than 32 MiB')")
    assert not any("predict" in url for url in watched.asked)


def test_names_of_strangers_are_text_and_nothing_else(open_page: Open) -> None:
    with served(make_site(HOSTILE, lambda pictures: [seen(HOSTILE, one) for one in pictures])) as address:
        page = open_page(address, viewport=PHONE["viewport"])
        answer = ask(page, lambda: drop(page, png()))
        assert answer["label"] == HOSTILE[0]
        page.click("#choose-part-1")
        answer = page.locator("#names .name").all_inner_texts()
        assert answer[:2] == list(HOSTILE[:2]) and {"1", "proto"} & set(answer) and len(answer) == 5
        assert page.locator("main img:not(#picture)").count() == page.locator("main script").count() == 0
        assert HOSTILE[0] in page.locator("#status").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_part_tells_which_classes_it_speaks_for(open_page: Open, site: str, picture: Path) -> None:
    page = open_page(site)
    answer = ask(page, lambda: page.set_input_files("#choose", picture))
    page.locator("#part-1 .hit").dispatch_event("click")  # a tap on the box itself
    best = max(answer["parts"][1]["scores"].values())
    assert page.locator("#part h3").inner_text() == "Part 2 alone speaks for"
    assert page.locator("#part li").first.inner_text().endswith(f"{round(100 * best)} %")
    page.click("#choose-part-0")
    assert "Part 1" in page.locator("#part").inner_text()
    assert page.get_attribute("#choose-part-1", "aria-pressed") == "false"
    page.click("#choose-part-0")
    assert page.locator("#part").inner_text() == ""


def test_the_map_darkens_what_was_not_looked_at(open_page: Open) -> None:
    with served(make_site(work=lambda pictures: [seen(("wren", "robin", "owl"), one) for one in pictures])) as address:
        page = open_page(address)
        answer = ask(page, lambda: drop(page, png((120, 90))))
        assert not page.locator("#heat").is_visible()
        page.click("text=Where it looked")
        assert page.locator("#heat").is_visible()
        first, last = page.locator("#heat").evaluate(
            "c => { const all = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; "
            "return [all[3], all[all.length - 1]]; }"
        )
        assert (answer["map"][0][0], answer["map"][-1][-1]) == (0, 1)
        assert first > 200 and last < 20
        page.get_by_role("button", name="Object").click()
        assert not page.locator("#object").is_visible()


def test_classes_are_compared_by_examples_and_a_link_to_the_guide(open_page: Open, tmp_path: Path, birds: Path) -> None:
    paths = [sample.path for sample in load_data(birds).split("train")]
    (tmp_path / "classes").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><html lang=en><title>guide</title>")
    (tmp_path / "classes" / "0002.html").write_text("<!doctype html><html lang=en><title>robin's page</title>")
    examples = ExamplePictures([[], paths[:2], []])
    with served(make_site(examples=examples, guide=tmp_path)) as address:
        page = open_page(address)
        assert page.wait_for_selector("#guide", state="visible").get_attribute("href") == "guide/"
        ask(page, lambda: drop(page, png()))
        assert page.locator("#pictures img").count() == 0
        page.click("#names button:has-text('robin')")
        assert page.locator("#pictures img").count() == 2
        page.evaluate("Promise.all([...document.querySelectorAll('#pictures img')].map(one => one.decode()))")
        page.click("text=robin in the field guide")
        page.wait_for_url("**/guide/classes/0002.html")
        assert page.title() == "robin's page"


def test_without_a_guide_there_is_no_link_to_it(open_page: Open, site: str) -> None:
    page = open_page(site)
    page.wait_for_selector("#known:not(:empty)")
    assert "3 classes" in page.locator("#known").inner_text() and not page.locator("#guide").is_visible()


def test_the_keyboard_reaches_everything(open_page: Open, site: str, picture: Path) -> None:
    page = open_page(site)
    page.on("filechooser", lambda chooser: None)  # from here on the browser opens no dialog of its own
    reached = "document.activeElement.id || document.activeElement.textContent"
    page.keyboard.press("Tab")
    assert page.evaluate(reached) == "choose"
    outline = "getComputedStyle(document.activeElement.closest('label') ?? document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    ask(page, lambda: chooser.value.set_files(picture))
    walked = []
    for _ in range(6):
        page.keyboard.press("Tab")
        walked.append(page.evaluate(reached))
        if walked[-1].startswith("choose-part-0"):
            assert page.evaluate(outline) == "solid"
            page.keyboard.press("Enter")
            assert page.get_attribute("#choose-part-0", "aria-pressed") == "true"
    assert {"Object", "choose-part-0", "choose-part-1", "Where it looked"} <= set(walked)
    assert page.evaluate("document.activeElement.closest('#names') !== null")
    page.keyboard.press("Space")
    assert page.locator("#names button[aria-pressed=true]").count() == 1


def test_a_later_picture_overtakes_an_earlier_one(open_page: Open) -> None:
    entered, leave = threading.Event(), threading.Event()

    def work(pictures: list[bytes]) -> list:
        entered.set()
        assert leave.wait(20)
        return [seen(("a", "b"), one) for one in pictures]

    with served(make_site(("a", "b"), work)) as address:
        page = open_page(address)
        drop(page, png((60, 40)))
        assert entered.wait(20)
        drop(page, png((40, 60)))
        leave.set()
        page.wait_for_selector("#result:not([hidden])")
        assert page.locator("#boxes").get_attribute("viewBox") == "0 0 40 60"


@pytest.mark.parametrize(
    "settings",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, PHONE],
    ids=["light", "dark", "phone"],
)
def test_nothing_bars_the_way(
    open_page: Open, site: str, picture: Path, findings: Callable[[Any], list[str]], settings: dict
) -> None:
    """axe-core finds nothing serious, before and after; and nothing is wider than the screen."""
    page = open_page(site, **settings)
    page.wait_for_selector("#known:not(:empty)")
    assert findings(page) == []
    ask(page, lambda: page.set_input_files("#choose", picture))
    page.click("#choose-part-0")
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("label.camera").is_visible() is ("has_touch" in settings)
