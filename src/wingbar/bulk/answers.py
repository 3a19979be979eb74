"""Rows of answers (`Prediction.to_dict`) as the bytes of a file: JSON Lines, or Parquet by pyarrow.

The rows are the same either way. JSON Lines leaves out what a row lacks; Parquet has nulls there.
"""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Sequence
from typing import Any, Literal

from wingbar.errors import ConfigError

Format = Literal["jsonl", "parquet"]
Row = dict[str, Any]


def require(form: Format) -> None:
    """Raises ConfigError where the library that ``form`` needs is not installed."""
    if form == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError("pyarrow is not installed; get it: pip install 'wingbar[parquet]', or use --format jsonl.")


def encode(rows: Sequence[Row], form: Format) -> bytes:
    """A file of ``rows``."""
    if form == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    import pyarrow
    from pyarrow import parquet

    sink = io.BytesIO()
    table = pyarrow.Table.from_pylist([{key: _items(value) for key, value in row.items()} for row in rows], _schema())
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def decode(content: bytes, form: Format) -> list[Row]:
    """The rows of a file, as `encode` was given them. Raises ValueError for a damaged file."""
    rows = _rows(content, form)
    if not all(isinstance(row, dict) and isinstance(row.get("path"), str) for row in rows):
        raise ValueError("a row without a path")
    return rows


def errors(content: bytes, form: Format) -> list[str | None]:
    """Of each row of a file, why there is no answer in it. Raises ValueError for a damaged file."""
    return [row.get("error") for row in _rows(content, form, ["error"])]


def strangers(content: bytes, form: Format) -> list[Row]:
    """``path``, ``label`` and ``known`` of a file's strangers. Raises ValueError for a damaged file."""
    kept = ("path", "label", "known")
    return [{key: row[key] for key in kept} for row in _rows(content, form, [*kept, "stranger"]) if row.get("stranger")]


def _rows(content: bytes, form: Format, columns: list[str] | None = None) -> list[Any]:
    """The rows of a file; of Parquet only some ``columns``, if named."""
    if form == "jsonl":
        return [json.loads(line) for line in content.splitlines()]
    from pyarrow import parquet

    return [_plain(row) for row in parquet.read_table(io.BytesIO(content), columns=columns).to_pylist()]


def _items(value: Any) -> Any:
    """``value`` with its maps as pairs, which is what Arrow takes for a map."""
    if isinstance(value, dict):
        return [(key, _items(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [
            {key: _items(field) for key, field in item.items()} if isinstance(item, dict) else item for item in value
        ]
    return value


def _plain(value: Any) -> Any:
    """What Arrow gives, as JSON has it: pairs are maps, and what is null is not there."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        pairs = value and all(isinstance(item, tuple) for item in value)
        return {key: _plain(item) for key, item in value} if pairs else [_plain(item) for item in value]
    return value


def _schema() -> Any:
    import pyarrow as pa

    scores, box = pa.map_(pa.string(), pa.float64()), pa.list_(pa.int32())
    answer = pa.struct(
        [
            ("accuracy", pa.float64()), ("name", pa.string()), ("level", pa.string()), ("score", pa.float64()),
            ("classes", pa.list_(pa.string())), ("text", pa.string()),
        ]
    )  # fmt: skip
    part = pa.struct([("name", pa.string()), ("box", box), ("cluster", pa.int32()), ("scores", scores)])
    return pa.schema(
        [
            ("path", pa.string()),
            ("label", pa.string()),
            ("score", pa.float64()),
            ("scores", scores),
            ("candidates", pa.list_(pa.string())),
            ("known", pa.float64()),
            ("stranger", pa.bool_()),
            ("answer", answer),
            ("size", pa.list_(pa.int32())),
            ("object_box", box),
            ("parts", pa.list_(part)),
            ("streams", pa.map_(pa.string(), scores)),
            ("error", pa.string()),
            ("bytes", pa.int64()),
            ("listed", pa.int32()),
            ("outside", pa.float64()),
        ]
    )
