"""Pictures listed one after the other: tables, trees and archives, hostile ones among them. Oracle: tarfile itself."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from wingbar.data import listing
from wingbar.data.listing import listed
from wingbar.errors import DataError, PictureError
from wingbar.images import MAX_MEMBER_BYTES, Member, read_picture


def names(source: Path) -> list[str]:
    return [item.name for item in listed(source)]


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def member(name: str, **attributes: object) -> bytes:
    """A header alone."""
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def test_a_tree_in_order_without_hidden_files_and_round_no_loop(tmp_path: Path) -> None:
    for name in ("b/z.jpg", "b/a.PNG", "a.jpg", "c.txt", ".hidden.jpg", ".git/d.jpg", "__MACOSX/e.jpg", "b/x\ny.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    tar(tmp_path / "b" / "more.tar", {"1.jpg": b"", "sub/2.jpg": b""})
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff.jpg", os.O_CREAT | os.O_WRONLY))
    assert names(tmp_path) == [
        "a.jpg", "b/a.PNG", "b/more.tar/1.jpg",
        "b/more.tar/sub/2.jpg", "b/x\ny.jpg", "b/z.jpg", "gone.jpg", "\\xff.jpg",
    ]  # fmt: skip
    assert all(item.name.isprintable() or "\n" in item.name for item in listed(tmp_path))


def test_a_table_names_pictures_in_its_folder_only(tmp_path: Path) -> None:
    table = tmp_path / "pictures.csv"
    table.write_text('label,Path\nwren,a.jpg\n\nwren,"sub/b, c.jpg"\nwren,a.jpg\n')
    assert [(item.name, item.source) for item in listed(table)] == [
        ("a.jpg", tmp_path / "a.jpg"),
        ("sub/b, c.jpg", tmp_path / "sub" / "b, c.jpg"),
        ("a.jpg", tmp_path / "a.jpg"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: no header. Begin the table with the line 'path'"),
        (b"file\na.jpg\n", "line 1: no column 'path' among 'file'"),
        (b"a.jpg;wren\nb.jpg;jay\n", "if there is no header: Begin the table with the line 'path'"),
        (b"path\n../a.jpg\n", "line 2: '../a.jpg' is not inside"),
        (b"path\n/etc/a.jpg\n", "line 2: '/etc/a.jpg' is not inside"),
        (b"path,label\na.jpg\n", "line 2: 1 field, but 2 columns"),
        (b'path\n"a.jpg\n', "line 2: unexpected end of data"),
        (b"path\n\xff.jpg\n", "no UTF-8"),
        (b"path\n" + b"a" * 200_000, "field larger than field limit"),
    ],
)
def test_a_damaged_table_is_told_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        names(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("name", "message"), [("none", "no such file"), ("x.tar.gz", "Unpack it"), ("x.jpg", "lists no pictures. Give a")]
)
def test_what_lists_no_pictures_is_told(tmp_path: Path, name: str, message: str) -> None:
    if name != "none":
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=message):
        names(tmp_path / name)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_where_tarfile_finds_them(tmp_path: Path, form: int) -> None:
    contents = {f"{'deep/' * (30 if form else 3)}{i}.jpg": bytes([i]) * (700 * i) for i in range(5)}
    with tarfile.open(tmp_path / "x.tar", "w", format=form) as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    sources = [item.source for item in listed(tmp_path / "x.tar")]
    assert {one.name: one.read() for one in sources if isinstance(one, Member)} == contents


def test_an_archives_links_devices_and_names_lead_nowhere(tmp_path: Path, birds: Path) -> None:
    picture = next(birds.rglob("*.jpg")).read_bytes()
    path = tar(tmp_path / "x.tar", {"/etc/good.jpg": picture, "d/C:\\a.jpg": picture, "notes.txt": b"", "._a.jpg": b""})
    with tarfile.open(path, "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo("bad.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    items = list(listed(path))
    assert [item.name for item in items] == ["x.tar//etc/good.jpg", "x.tar/d/C:\\a.jpg"]
    assert all(read_picture(item.source).size == (96, 72) for item in items)


def test_a_huge_member_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(member("a.jpg", size=MAX_MEMBER_BYTES + 1))
    os.truncate(path, MAX_MEMBER_BYTES + (1 << 20))  # sparse on the disk
    [item] = listed(path)
    with pytest.raises(PictureError, match=r"x\.tar/a\.jpg': larger than 64 MiB; unpack"):
        read_picture(item.source)


HEADERS = {
    "no archive": b"<html>" * 1000,
    "cut off": member("a.jpg", size=5000) + b"x" * 600,
    "damaged": member("a.jpg") + b"y" * 512 + member("b.jpg"),
    "a name of a gigabyte": member("L", type=tarfile.GNUTYPE_LONGNAME, size=1 << 30),
    "attributes of negative size": member("x", type=tarfile.XHDTYPE, size=-1024),
    "backwards": member("a.jpg") + member("b.jpg", size=-1024),
    "backwards at once": member("b.jpg", size=-512),
    "headers of headers": member("x", type=tarfile.XHDTYPE) * 5000,
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_a_hostile_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.tar' is no sound tar archive"):
        names(tmp_path / "x.tar")


def test_no_more_than_a_header_is_read_at_once(tmp_path: Path) -> None:
    with pytest.raises(tarfile.ReadError, match="a header of"):
        listing._Bounded(io.BytesIO()).read(listing.MAX_HEADER_BYTES + 1)


def test_memory_does_not_grow_with_an_archives_members(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", {f"{i}.jpg": b"" for i in range(50)})
    with tarfile.open(path) as archive:
        while listing._next(archive):
            assert len(archive.members) == 0
