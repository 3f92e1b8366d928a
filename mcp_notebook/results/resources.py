"""Embedded and linked resources: Arrow, Parquet, CSV, JSON; local files are mapped,
never outside given folders.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from mcp_notebook.results import content, texts
from mcp_notebook.results.columns import build, infer
from mcp_notebook.results.formats import workbooks
from mcp_notebook.results.reading import Rejected, Table

if TYPE_CHECKING:
    from mcp_notebook.results.pipeline import Options

_ARROW_FILE, _PARQUET, _STREAM, _ZIP = (
    b"ARROW1",
    b"PAR1",
    b"\xff\xff\xff\xff",
    b"PK\x03\x04",
)
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_TEXT_TYPES = (
    "text/",
    "application/json",
    "application/x-ndjson",
    "application/csv",
    "application/jsonl",
)


@dataclass(frozen=True)
class Linked:
    """What the resources of a result held."""

    tables: tuple[Table, ...] = ()
    text: str = ""
    reader: str = ""
    rejected: Rejected = ()
    notes: tuple[str, ...] = ()


def read(resources: Sequence[content.Resource], options: Options) -> Linked:
    """The tables in all embedded resources and in the links that may be followed."""
    tables: list[Table] = []
    rejected: list[tuple[str, str]] = []
    notes: list[str] = []
    pieces: list[str] = []
    for item in resources:
        found = _one(item, options)
        if isinstance(found, str):
            rejected.append(("resource", f"{item.uri}: {found}"))
            notes += [f"{item.uri}: {found}"] if item.is_link else []
            pieces.append(
                item.text if item.text is not None else f"[resource {item.uri}]"
            )
            continue
        tables += found
    reader = tables[0].reader if tables else ""
    return Linked(
        tuple(tables),
        "\n".join(filter(None, pieces)),
        reader,
        tuple(rejected),
        tuple(notes),
    )


def _one(item: content.Resource, options: Options) -> list[Table] | str:
    if item.is_link:
        return _linked(item, options)
    if item.text is not None:
        return _from_text(item.text, options)
    try:
        data = base64.b64decode(item.blob or "", validate=True)
    except (binascii.Error, ValueError):
        return "its blob is not base64"
    return _from_bytes(data, item.mime, options)


def _linked(item: content.Resource, options: Options) -> list[Table] | str:
    """A file below an allowed folder is mapped; any other link is read only through `fetch`."""
    if item.uri.startswith("file:"):
        path = allowed_path(item.uri, options.allowed_dirs)
        if path is not None:
            return _from_file(path, options)
        if options.allowed_dirs:
            return "refused: the file is outside the folders given to the server"
    if options.fetch is None:
        return "a link that was not followed"
    return _fetched(item, options)


def _fetched(item: content.Resource, options: Options) -> list[Table] | str:
    if options.fetch is None:
        return "a link that was not followed"
    try:
        answer = options.fetch(item.uri)
    except Exception as error:
        # boundary: the caller's reader may fail in any way; the result's other parts
        # stay
        return f"could not be read: {error}"
    if isinstance(answer, bytes):
        return _from_bytes(answer, item.mime, options)
    found: list[Table] = []
    for part in content.contents_of(answer):
        tables = "links to a link" if part.is_link else _one(part, options)
        if isinstance(tables, str):
            return tables
        found += tables
    return found or "empty"


def allowed_path(uri: str, allowed: Sequence[str]) -> Path | None:
    """The real path of a `file:` URI when it is below one of the allowed folders after
    resolving links and `..`.
    """
    parts = urlsplit(uri)
    if (
        parts.scheme != "file"
        or parts.netloc not in ("", "localhost")
        or "\0" in unquote(parts.path)
    ):
        return None
    try:
        real = Path(unquote(parts.path)).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    folders = [Path(folder).resolve() for folder in allowed]
    return (
        real
        if real.is_file() and any(real.is_relative_to(folder) for folder in folders)
        else None
    )


def _from_file(path: Path, options: Options) -> list[Table] | str:
    with path.open("rb") as file:
        magic = file.read(6)
    if magic == _ARROW_FILE:
        return _arrow(
            "arrow file", lambda: pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        )
    if magic[:4] == _STREAM:
        return _arrow(
            "arrow stream",
            lambda: pa.ipc.open_stream(pa.memory_map(str(path))).read_all(),
        )
    if magic[:4] == _PARQUET:
        return _parquet(pa.memory_map(str(path)))
    size = path.stat().st_size
    if size > options.max_bytes:
        return f"its {size:,} bytes are more than the limit"
    return _from_bytes(path.read_bytes(), "text/plain", options)


def _from_bytes(data: bytes, mime: str, options: Options) -> list[Table] | str:
    if data.startswith(_ARROW_FILE):
        return _arrow(
            "arrow file", lambda: pa.ipc.open_file(pa.py_buffer(data)).read_all()
        )
    if data.startswith(_STREAM):
        return _arrow(
            "arrow stream", lambda: pa.ipc.open_stream(pa.py_buffer(data)).read_all()
        )
    if data.startswith(_PARQUET):
        return _parquet(pa.BufferReader(data))
    if len(data) > options.max_bytes:
        return f"its {len(data):,} bytes are more than the limit"
    if (
        data.startswith(_ZIP) and ("sheet" in mime or "excel" in mime)
    ) or data.startswith(_OLD_EXCEL):
        sheets = workbooks.read_workbook(data)
        return (
            sheets
            if isinstance(sheets, str)
            else [build.table(raw, reader="workbook") for raw in sheets]
        )
    if mime and not mime.startswith(_TEXT_TYPES):
        return f"no reader for {mime[:60]}"
    try:
        return _from_text(data.decode("utf-8-sig"), options)
    except UnicodeDecodeError:
        return "neither Arrow nor Parquet nor text"


def _from_text(text: str, options: Options) -> list[Table] | str:
    if len(text) > options.max_bytes:
        return f"its {len(text):,} characters are more than the limit"
    found = texts.read(text)
    tables = [
        build.table(raw, reader=found.reader, infer_types=options.infer)
        for raw in found.raws
    ]
    return tables or "its text is no table"


def _parquet(source: pa.NativeFile) -> list[Table] | str:
    import pyarrow.parquet as pq  # loads a large library that most results never need

    return _arrow("parquet", lambda: pq.read_table(source))


def _arrow(reader: str, load: Callable[[], pa.Table]) -> list[Table] | str:
    try:
        data = load()
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"broken {reader}: {str(error)[:80]}"
    names = build.unique(data.column_names)
    notes = (
        ()
        if len(set(data.column_names)) == len(names)
        else ("repeated column names got numbers",)
    )
    types = {
        name: f"declared: {infer.short(kind)}"
        for name, kind in zip(names, data.schema.types, strict=True)
    }
    table = Table(
        data.rename_columns(list(names)),
        types,
        notes,
        reader=reader,
        names=tuple(data.column_names),
    )
    return [table]
