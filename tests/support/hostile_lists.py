"""A small data set as CUB's lists and as a CSV table, and every way in which such lists go wrong: seeded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

KEYS = ("a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png", "b/3.png")
CUB = {
    "images.txt": "".join(f"{number} {key}\n" for number, key in enumerate(KEYS, 1)),
    "classes.txt": "1 001.A\n2 002.B\n",
    "image_class_labels.txt": "1 1\n2 1\n3 1\n4 2\n5 2\n6 2\n",
    "train_test_split.txt": "1 1\n2 1\n3 0\n4 1\n5 1\n6 0\n",
    "bounding_boxes.txt": "".join(f"{number} 1.0 1.0 5.0 {number}.5\n" for number in range(1, 7)),
    "parts/parts.txt": "1 bill\n2 tail\n",
    "parts/part_locs.txt": "".join(f"{n} {part} {n}.0 2.5 {n % 2}\n" for n in range(1, 7) for part in (1, 2)),
}
TABLE = "path,label,split\n" + "".join(f"images/{key},{key[0]},{'test' if '3' in key else 'train'}\n" for key in KEYS)
WORDS = ("", "x", "-1", "1.5", "nan", "inf", "1e999", "0x10", "²", "9" * 400, "1_0", "../../etc/passwd", "/etc/passwd",
         "C:\\x", "\0", "\u202e", "\udcff", '"', "'", ",", ";", "a" * 70_000, "=1+1", "<b>", "\ufeff", "\x1b[2J",
         "%s")  # fmt: skip
"""What may stand where a number, a name or a path should."""


def write_set(root: Path) -> Path:
    """The pictures and the lists, sound."""
    for number, key in enumerate(KEYS):
        (root / "images" / key).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (30 * number, 9, 9)).save(root / "images" / key)
    for name, text in CUB.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return root


def hostile_texts(text: str, times: int = 1) -> Iterator[tuple[str, bytes]]:
    """A name and the bytes of each way in which a list goes wrong."""
    generator, lines = np.random.default_rng(0), text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        others = lines[:number], lines[number + 1 :]
        yield f"missing-{number}", encoded("".join(others[0] + others[1]))
        yield f"doubled-{number}", encoded("".join([*others[0], line, line, *others[1]]))
        for word in WORDS[number % 3 :: 3]:
            yield f"word-{number}-{word[:6]!r}", encoded("".join([*others[0], put(line, word, generator), *others[1]]))
    for number in range(20 * times):
        raw = bytearray(encoded(text))
        yield f"cut-{number}", bytes(raw[: generator.integers(len(raw))])
        for place in generator.integers(0, 8 * len(raw), 3):
            raw[place // 8] ^= 1 << (place % 8)
        yield f"flipped-{number}", bytes(raw)
    for name, change in WHOLE.items():
        yield name, change(text)


def put(line: str, word: str, generator: np.random.Generator) -> str:
    """The line with a word in the place of one of its fields."""
    mark = "," if "," in line else " "
    fields = line.rstrip("\n").split(mark)
    fields[generator.integers(len(fields))] = word
    return mark.join(fields) + "\n"


def encoded(text: str) -> bytes:
    """UTF-8, or what a broken program writes instead."""
    return text.encode("utf-8", "surrogateescape")


WHOLE: dict[str, Callable[[str], bytes]] = {
    "empty": lambda text: b"",
    "nul": lambda text: bytes(1000),
    "binary": lambda text: bytes(range(256)),
    "utf-16": lambda text: text.encode("utf-16"),
    "one-line": lambda text: encoded(text.replace("\n", " ")),
    "tabs": lambda text: encoded(text.replace(" ", "\t").replace(",", "\t")),
    "semicolons": lambda text: encoded(text.replace(" ", ";").replace(",", ";")),
    "old-mac": lambda text: encoded(text.replace("\n", "\r")),
    "quotes": lambda text: encoded('"' + text),
    "long-line": lambda text: encoded(text + "9" * 1_000_000),
    "twice": lambda text: encoded(text + text),
}
