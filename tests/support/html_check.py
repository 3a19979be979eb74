"""A strict reading of a page: what a browser would quietly mend is an error here."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

VOID = {"meta", "link", "img", "br", "input"}
TEMPLATES = files("wingbar.guide").joinpath("templates").iterdir()
KNOWN = {tag for page in TEMPLATES for tag in re.findall(r"<([a-z][a-z0-9]*)", page.read_text(encoding="utf-8"))}
"""Tags that the templates write; any other came in with a name."""


class Page(HTMLParser):
    """Tags, ids, links and text of one page; raises AssertionError for what is not well formed."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.path, self.open_tags, self.ids, self.labels = path, [], [], []
        self.links: list[str] = []
        self.headings: list[int] = []
        self.texts: dict[str, list[str]] = {}
        self.svg = 0
        text = path.read_text(encoding="utf-8")
        assert text.startswith("<!doctype html>"), path
        self.feed(text)
        self.close()
        assert self.open_tags == [], (path, self.open_tags)
        assert len(set(self.ids)) == len(self.ids), (path, "an id twice")
        assert set(self.labels) <= set(self.ids), (path, "a label of nothing")

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN, (self.path, tag)
        values = dict(attributes)
        assert len(values) == len(attributes), (self.path, tag, "an attribute twice")
        assert not [name for name in values if name.startswith("on")], (self.path, tag, "inline script")
        assert "style" not in values, (self.path, tag, "inline style")
        self.ids += [values["id"]] if values.get("id") else []
        self.labels += [value for name in ("for", "aria-labelledby") if (value := values.get(name))]
        self.links += [value for name in ("href", "src") if (value := values.get(name)) is not None]
        if tag == "img":
            assert values.get("alt") and values.get("loading") == "lazy", (self.path, values)
            assert int(values["width"] or 0) > 0 and int(values["height"] or 0) > 0
        if tag == "script":
            assert set(values) == {"src"}, (self.path, values)
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open_tags, (self.path, tag, "closes itself outside svg")
        self.handle_starttag(tag, attributes)
        self.open_tags.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags and self.open_tags.pop() == tag, (self.path, tag)

    def handle_data(self, data: str) -> None:
        assert self.open_tags[-1:] != ["script"], (self.path, "inline script")
        for tag in self.open_tags:
            self.texts.setdefault(tag, []).append(data)

    def text(self, tag: str) -> str:
        """All text within tags of a kind, white space as single blanks."""
        return " ".join("".join(self.texts.get(tag, [])).split())


def check_site(folder: Path) -> dict[str, Page]:
    """Every page below a folder, by name: parsed, its headings in order, its links leading to files inside."""
    pages = {path.relative_to(folder).as_posix(): Page(path) for path in sorted(folder.rglob("*.html"))}
    for name, page in pages.items():
        assert page.headings[0] == 1 and page.headings.count(1) == 1, (name, page.headings)
        assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False)), name
        for link in page.links:
            path, _, anchor = link.partition("#")
            assert not re.match(r"[a-z][a-z0-9+.-]*:|//|/", path, re.IGNORECASE), (name, link, "leaves the folder")
            target = (page.path.parent / unquote(path)).resolve() if path else page.path.resolve()
            assert target.is_file() and target.is_relative_to(folder.resolve()), (name, link)
            if anchor and path == "":
                assert anchor in page.ids, (name, link)
    return pages
