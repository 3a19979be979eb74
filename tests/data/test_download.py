"""Downloads from a real server on this machine that breaks off, lies, loops and dawdles; and archives of enemies."""

from __future__ import annotations

import hashlib
import io
import shutil
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import published
import pytest

from wingbar.cli import main
from wingbar.data import download as downloads
from wingbar.data import load
from wingbar.data.download import SOURCES, download
from wingbar.data.download.fetch import Patience, fetch
from wingbar.data.download.sources import Remote, Source
from wingbar.data.download.unpack import ArchiveLimits, unpack
from wingbar.errors import DataError

HASTY = Patience(timeout=2, tries=3, pause=0)
CONTENT = bytes(range(256)) * 2000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Faulty(BaseHTTPRequestHandler):
    """Serves ``site[path]``: bytes, or a function of this handler."""

    site: dict
    seen: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.seen.append((self.path, dict(self.headers)))
        result = self.site.get(self.path)
        if callable(result):
            result(self)
        elif result is None:
            self.send_error(404)
        else:
            self.whole(result)

    def whole(self, content: bytes, upto: int | None = None, etag: str = '"1"', length: bool = True) -> None:
        """Answer with the content, or the range asked for; break off at byte ``upto``."""
        wanted, start = self.headers.get("Range", ""), 0
        if wanted and self.headers.get("If-Range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if length:
            self.send_header("Content-Length", str(len(content) - start))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(content[start:upto])

    def log_message(self, *_: object) -> None:
        pass


class Site:
    """A running server."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Callable[[Faulty], None]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        handler = type("Handler", (Faulty,), {"site": self.pages, "seen": self.seen})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Site()
    yield running
    running.close()


def get(site: Site, target: Path, md5: str = MD5, patience: Patience = HASTY) -> list[str]:
    said: list[str] = []
    fetch(f"{site.url}/file", target, md5, said.append, patience)
    return said


def nothing_left(folder: Path) -> bool:
    return list(folder.iterdir()) == []


def test_a_file_is_fetched_whole(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = CONTENT
    get(site, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT and [one.name for one in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("etag", ['"1"', ""], ids=["with ETag", "without, but with a checksum"])
def test_what_breaks_off_goes_on_from_there(site: Site, tmp_path: Path, etag: str) -> None:
    stops = iter([100_000, 300_001])
    site.pages["/file"] = lambda handler: handler.whole(CONTENT, next(stops, None), etag)
    said = get(site, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [headers.get("Range") for _, headers in site.seen] == [None, "bytes=100000-", "bytes=300001-"]
    assert any("broken off at 100,000 bytes" in line for line in said)


def test_a_later_start_goes_on_from_where_the_first_gave_up(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = lambda handler: handler.whole(CONTENT, 200_000)
    with pytest.raises(DataError, match="given up after 3 tries"):
        get(site, tmp_path / "a")
    site.pages["/file"] = CONTENT
    get(site, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT and site.seen[-1][1]["Range"] == "bytes=200000-"


@pytest.mark.parametrize("etag", ['"2"', ""], ids=["another edition", "nothing to tell by"])
def test_halves_of_two_editions_are_never_joined(site: Site, tmp_path: Path, etag: str) -> None:
    first = '"1"' if etag else ""
    answers = iter([lambda h: h.whole(b"x" * len(CONTENT), 1000, first), lambda h: h.whole(CONTENT, None, etag)])
    site.pages["/file"] = lambda handler: next(answers)(handler)
    get(site, tmp_path / "a", md5="")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_longer_file_than_the_servers_begins_anew(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.partial").write_bytes(b"x" * (len(CONTENT) + 5))
    site.pages["/file"] = CONTENT
    get(site, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = CONTENT[:-1] + b"!"
    with pytest.raises(DataError, match=f"MD5 checksum is .*, but {MD5} is"):
        get(site, tmp_path / "a")
    assert nothing_left(tmp_path)


def test_a_slow_server_is_waited_for_and_a_silent_one_is_not(site: Site, tmp_path: Path) -> None:
    def slow(handler: Faulty) -> None:
        handler.whole(CONTENT, 1000)
        for at in range(1000, len(CONTENT), 100_000):
            site.over.wait(0.05)
            handler.wfile.write(CONTENT[at : at + 100_000])

    def silent(handler: Faulty) -> None:
        handler.whole(CONTENT, 1000)
        site.over.wait(10)

    site.pages["/file"] = slow
    get(site, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT and len(site.seen) == 1
    site.pages["/file"] = silent
    with pytest.raises(DataError, match=r"given up after 3 tries .*timed out"):
        get(site, tmp_path / "b", patience=replace(HASTY, timeout=0.5))


@pytest.mark.parametrize(
    ("to", "message"),
    [("/file", "infinite loop"), ("file:///etc/passwd", "not allowed"), ("ftp://127.0.0.1/x", "unknown url type: ftp")],
)
def test_redirections_to_nowhere(site: Site, tmp_path: Path, to: str, message: str) -> None:
    def redirect(handler: Faulty) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.end_headers()

    site.pages["/file"] = redirect
    with pytest.raises(DataError, match=message):
        get(site, tmp_path / "a")
    assert nothing_left(tmp_path)


def test_a_redirection_is_followed(site: Site, tmp_path: Path) -> None:
    def redirect(handler: Faulty) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()

    site.pages.update({"/file": redirect, "/elsewhere": CONTENT})
    get(site, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize(("code", "asked"), [(404, 1), (403, 1), (503, 3)])
def test_refusals_are_told(site: Site, tmp_path: Path, code: int, asked: int) -> None:
    site.pages["/file"] = lambda handler: handler.send_error(code)
    with pytest.raises(DataError, match=f"answers {code}"):
        get(site, tmp_path / "a")
    assert len(site.seen) == asked  # what may pass is tried again


def test_no_room_is_found_out_before_the_download(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=(256 << 20) + len(CONTENT) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    site.pages["/file"] = CONTENT
    with pytest.raises(DataError, match="Make room"):
        get(site, tmp_path / "a")
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "/etc/passwd", ""])
def test_other_addresses_than_the_webs(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match="no address of the web"):
        fetch(url, tmp_path / "a", "", print, HASTY)


def test_a_file_of_unknown_length_without_checksum(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = lambda handler: handler.whole(CONTENT, None, "", length=False)
    said = get(site, tmp_path / "a", md5="")
    assert (tmp_path / "a").read_bytes() == CONTENT and "of unknown bytes" in said[0]


# Archives.


def tar(path: Path, *members: tuple[tarfile.TarInfo | str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, b""


def zipped(path: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


EVIL = {
    "upwards": lambda p: tar(p, ("good", b"1"), ("../evil", b"2")),
    "upwards inside": lambda p: tar(p, ("a/../../evil", b"2")),
    "absolute": lambda p: tar(p, ("/tmp/evil", b"2")),
    "drive": lambda p: tar(p, ("C:\\evil", b"2")),
    "link": lambda p: tar(p, special("a", tarfile.SYMTYPE, "/etc"), ("a/passwd", b"2")),
    "hard link": lambda p: tar(p, special("a", tarfile.LNKTYPE, "../../etc/passwd")),
    "pipe": lambda p: tar(p, special("a", tarfile.FIFOTYPE)),
    "device": lambda p: tar(p, special("a", tarfile.CHRTYPE)),
    "twice": lambda p: tar(p, ("a", b"1"), ("a", b"2")),
    "many": lambda p: tar(p, *[(f"{n}", b"") for n in range(21)]),
    "bomb": lambda p: tar(p, ("a", bytes(1_000_001))),
    "cut off": lambda p: p.write_bytes(tar(p, ("a", CONTENT)).read_bytes()[:-400]),
    "bent": lambda p: p.write_bytes(tar(p, ("a", CONTENT)).read_bytes()[:-8] + bytes(8)),
    "zip upwards": lambda p: zipped(p, {"../evil": b"2"}),
    "zip link": lambda p: zipped(p, {"a": b"/etc"}, stat.S_IFLNK | 0o777),
    "zip bomb": lambda p: zipped(p, {"a": bytes(1_000_001)}),
    "zip many": lambda p: zipped(p, {f"{n}": b"" for n in range(21)}),
    "junk": lambda p: p.write_bytes(b"junk"),
}


@pytest.mark.parametrize("case", EVIL)
def test_an_evil_archive_leaves_nothing(tmp_path: Path, case: str) -> None:
    folder = tmp_path / "in" / "data"
    folder.mkdir(parents=True)
    EVIL[case](tmp_path / "evil")
    with pytest.raises(DataError, match="evil' cannot be unpacked") as caught:
        unpack(tmp_path / "evil", folder, ArchiveLimits(20, 1_000_000))
    assert nothing_left(folder) and list((tmp_path / "in").iterdir()) == [folder] and str(caught.value).isprintable()


def test_a_good_archive_is_unpacked_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    archive = tar(tmp_path / "a.tgz", special(".", tarfile.DIRTYPE), ("./set/a.txt", b"1"), ("set/b/c.txt", b"2"))
    unpack(archive, folder)
    assert {str(p.relative_to(folder)) for p in folder.rglob("*.txt")} == {"set/a.txt", "set/b/c.txt"}
    with pytest.raises(DataError, match="is there already"):
        unpack(archive, folder)
    unpack(zipped(tmp_path / "b.zip", {"other/": b"", "other/a.txt": b"3"}), folder)
    assert (folder / "other/a.txt").read_bytes() == b"3"


def test_no_room_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=256 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(DataError, match="to unpack, but"):
        unpack(tar(tmp_path / "a", ("a", b"1")), folder)
    assert nothing_left(folder)


# Whole data sets.


@pytest.fixture
def served(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """The pets, small, at their owner's; the checksum of the pictures is known, that of the notes is not."""
    home = published.pets(tmp_path / "owner")
    files = []
    for name in ("images", "annotations"):
        archive = tmp_path / f"{name}.tar.gz"
        with tarfile.open(archive, "w:gz") as stream:
            stream.add(home / name, name)
        content = archive.read_bytes()
        site.pages[f"/{archive.name}"] = site.pages[f"/mirror/{archive.name}"] = content
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() if name == "images" else ""
        files.append(Remote(archive.name, f"{site.url}/{archive.name}", md5))
    source = Source("Oxford-IIIT Pet", "http://the-owner.example/", "be kind", tuple(files))
    monkeypatch.setitem(SOURCES, "pets", source)
    return source


def wingbar(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_the_command_fetches_unpacks_and_tells(site: Site, served: Source, tmp_path: Path, capsys) -> None:
    assert wingbar("data", "download", "pets", tmp_path / "pets") == 0
    out, err = capsys.readouterr()
    assert "3 classes, 6 training and 3 test pictures; a subset: published are 3,680" in out
    assert "terms: be kind" in err and "annotations.tar.gz: done (no checksum is known)" in err
    assert f"wingbar train {tmp_path / 'pets'} --out run" in err
    asked = len(site.seen)
    assert wingbar("data", "download", "pets", tmp_path / "pets") == 0
    assert len(site.seen) == asked and "images.tar.gz: there already" in capsys.readouterr().err
    assert not list((tmp_path / "pets" / downloads.KEPT).glob("*.gz"))


def test_a_set_unpacked_by_hand_is_left_alone(site: Site, served: Source, tmp_path: Path) -> None:
    home = download("pets", tmp_path / "owner/oxford-iiit-pet", say=lambda _: None)
    assert len(load(home).samples) == 9 and site.seen == [] and not (home / downloads.KEPT).exists()


def test_mirrors_are_asked_first_and_lying_ones_passed_over(site: Site, served: Source, tmp_path: Path) -> None:
    site.pages["/liar/images.tar.gz"] = CONTENT
    mirrors = (f"{site.url}/liar/", f"{site.url}/mirror")
    said: list[str] = []
    download("pets", tmp_path / "pets", mirrors, said.append, HASTY)
    assert [path for path, _ in site.seen] == [
        *("/liar/images.tar.gz", "/mirror/images.tar.gz", "/liar/annotations.tar.gz", "/mirror/annotations.tar.gz")
    ]
    assert any("MD5 checksum" in line for line in said) and len(load(tmp_path / "pets").samples) == 9


def test_a_dead_address_tells_what_to_do_and_the_hand_fetched_file_is_used(
    site: Site, served: Source, tmp_path: Path, capsys
) -> None:
    gone = site.pages.pop("/annotations.tar.gz")
    folder = tmp_path / "pets"
    assert wingbar("data", "download", "pets", folder) == 2
    message = capsys.readouterr().err
    assert "annotations.tar.gz of Oxford-IIIT Pet cannot be fetched" in message and "answers 404" in message
    assert "Fetch it by hand from http://the-owner.example/" in message and f"put it into {str(folder)!r}" in message
    assert isinstance(gone, bytes)
    (folder / "annotations.tar.gz").write_bytes(gone)
    assert wingbar("data", "download", "pets", folder) == 0
    assert (folder / "annotations.tar.gz").is_file() and len(load(folder).samples) == 9


def test_a_hand_fetched_file_is_checked_too(site: Site, served: Source, tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    folder.mkdir()
    (folder / "images.tar.gz").write_bytes(CONTENT)
    with pytest.raises(DataError, match="MD5 checksum"):
        download("pets", folder, say=lambda _: None, patience=HASTY)
    assert (folder / "images.tar.gz").read_bytes() == CONTENT  # it is not ours to remove


def test_cars_have_to_be_fetched_by_hand(tmp_path: Path, capsys) -> None:
    assert wingbar("data", "download", "cars", tmp_path) == 2
    message = capsys.readouterr().err
    assert (
        "cars_train.tgz" in message and "address is dead" in message and "065e5b463ae28d29e77c1b4b166cfe61" in message
    )


def test_an_unknown_name(tmp_path: Path, capsys) -> None:
    assert wingbar("data", "download", "flower", tmp_path / "x") == 2
    assert "Did you mean 'flowers'?" in capsys.readouterr().err and not (tmp_path / "x").exists()


def test_the_table_of_sources_agrees_with_torchvision() -> None:
    from torchvision import datasets

    ours = {file.url: file.md5 for source in SOURCES.values() for file in source.files}
    theirs = dict(datasets.OxfordIIITPet._RESOURCES)
    prefix = datasets.Flowers102._download_url_prefix
    theirs |= {prefix + name: md5 for name, md5 in datasets.Flowers102._file_dict.values()}
    assert theirs.items() <= ours.items() and datasets.FGVCAircraft._URL in ours
    assert all(len(file.md5) == 32 for source in SOURCES.values() for file in source.files)
    assert [name for name, source in SOURCES.items() if not all(file.url for file in source.files)] == ["cars"]
