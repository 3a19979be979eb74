"""Whatever bytes the readers are given, they give a result or a WingbarError: a short search here, ten minutes of it in
`make fuzz`, which goes on with new seeds until the time is over."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hostile_lists import CUB, TABLE, write_set
from hypothesis import strategies as st
from made_up import card
from safetensors.numpy import save

from wingbar.config import Config, read_config, to_toml
from wingbar.data import load
from wingbar.errors import WingbarError
from wingbar.model.folder import Model, read_model

SECONDS = float(os.environ.get("WINGBAR_FUZZ_SECONDS", "0"))
"""For all readers together; 0: one short search each."""

ARRAYS = save({"weight": np.ones((2, 3), np.float32), "neurons": np.arange(4)})
HEADER = json.loads(ARRAYS[8 : 8 + struct.unpack("<Q", ARRAYS[:8])[0]])

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    plain, lambda own: st.lists(own, max_size=4) | st.dictionaries(st.text(max_size=8), own, max_size=4)
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """``content`` with a few stretches replaced."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = start + draw(st.integers(0, 12))
        content = content[:start] + draw(st.binary(max_size=12) | st.text(max_size=6).map(encoded)) + content[stop:]
    return content


@st.composite
def twisted(draw: st.DrawFn, value: object) -> object:
    """A JSON value with one of its pieces, however deep, replaced or left out."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        rest = {name: kept for name, kept in value.items() if name != key}
        return rest if draw(st.integers(0, 4)) == 0 else rest | {key: draw(twisted(value[key]))}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(twisted(value[place])), *value[place + 1 :]]
    return draw(values)


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def lists(folder: Path, name: str, content: bytes) -> None:
    root = folder / "set"
    if not root.exists():
        write_set(root)
    (root / name).write_bytes(content)
    try:
        dataset = load(root / name if name == "birds.csv" else root)
        assert all(sample.path.resolve().is_relative_to(root.resolve()) for sample in dataset.samples)
    finally:
        (root / name).write_text(CUB.get(name, TABLE))


def settings(folder: Path, name: str, content: bytes) -> None:
    (folder / "settings.toml").write_bytes(content)
    config = read_config(folder / "settings.toml")
    (folder / "again.toml").write_text(to_toml(config), encoding="utf-8")
    assert read_config(folder / "again.toml") == config


def cards(folder: Path, name: str, content: bytes) -> None:
    (folder / "recognizer.json").write_bytes(content)
    read_model(folder)


def arrays(folder: Path, name: str, content: bytes) -> None:
    from hashlib import sha256

    (folder / "parts.safetensors").write_bytes(content)
    checksums = dict.fromkeys(("picture", "object", "alignment"), "0" * 64)
    model = Model(folder, card(("wren", "robin"), {**checksums, "parts": sha256(content).hexdigest()}))
    assert sum(one.nbytes for one in model.arrays("parts").values()) <= len(content)


def framed(header: object) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + ARRAYS[-56:]


CARD = card(("wren", "robin"), dict.fromkeys(("picture", "object", "parts", "alignment"), "0" * 64)).to_dict()
READERS: dict[str, tuple[Callable[[Path, str, bytes], None], st.SearchStrategy[bytes]]] = {
    **{name: (lists, damaged(text.encode())) for name, text in {**CUB, "birds.csv": TABLE}.items()},
    "settings": (settings, damaged(to_toml(Config()).encode())),
    "card": (cards, damaged(json.dumps(CARD).encode()) | twisted(CARD).map(lambda value: json.dumps(value).encode())),
    "arrays": (arrays, damaged(ARRAYS) | twisted(HEADER).map(framed) | st.binary(max_size=80)),
}


@pytest.mark.parametrize("name", READERS)
def test_any_bytes_give_a_result_or_a_sentence(tmp_path: Path, name: str) -> None:
    read, strategy = READERS[name]

    @hypothesis.settings(max_examples=1000 if SECONDS else 80, deadline=None, database=None)
    @hypothesis.given(strategy)
    def search(content: bytes) -> None:
        try:
            read(tmp_path, name, content)
        except WingbarError as error:
            assert str(error).strip() and "\x1b" not in str(error)

    end, seed = time.monotonic() + SECONDS / len(READERS), 0
    while seed == 0 or time.monotonic() < end:
        hypothesis.seed(seed)(search)()
        seed += 1
    if SECONDS:
        print(f"{name}: {seed} searches of up to 1000 inputs")
