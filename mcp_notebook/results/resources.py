"""Embedded and linked resources: Arrow, Parquet, CSV, JSON, workbooks of Excel and
OpenDocument (a table a sheet, by python-calamine where it is installed); local files are
mapped, never outside given folders.
"""

from __future__ import annotations

import atexit
import base64
import binascii
import datetime as dt
import marshal
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from mcp_notebook.results import bounds, columnar, content, texts
from mcp_notebook.results.columns import build, infer
from mcp_notebook.results.formats import workbook_process
from mcp_notebook.results.reading import Raw, ReadOptions, Rejected, Table, from_rows

_ZIP = b"PK\x03\x04"
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


def read_resources(
    resources: Sequence[content.Resource], options: ReadOptions
) -> Linked:
    """The tables in all embedded resources and in the links that may be followed."""
    tables: list[Table] = []
    rejected: list[tuple[str, str]] = []
    notes: list[str] = []
    pieces: list[str] = []
    for item in resources:
        found = _read_resource(item, options)
        if not isinstance(found, str):
            tables += found
            continue

        rejected.append(("resource", f"{item.uri}: {found}"))
        if item.is_link or isinstance(found, bounds.Refused):
            notes.append(f"{item.uri}: {found}")

        if isinstance(found, bounds.Refused):
            # also in the text, which stands where the person expects the table
            pieces.append(f"[resource {item.uri} {found}]")
        else:
            pieces.append(f"[resource {item.uri}]" if item.text is None else item.text)

    return Linked(
        tuple(tables),
        "\n".join(filter(None, pieces)),
        tables[0].reader if tables else "",
        tuple(rejected),
        tuple(notes),
    )


def _read_resource(item: content.Resource, options: ReadOptions) -> list[Table] | str:
    """The tables of one resource, or why it has none."""
    if item.is_link:
        return _read_link(item, options)
    if item.text is not None:
        return _read_text(item.text, options)

    try:
        data = base64.b64decode(item.blob or "", validate=True)
    except (binascii.Error, ValueError):
        return "its blob is not base64"

    return _read_bytes(data, item.mime, options)


# --- links


def _read_link(item: content.Resource, options: ReadOptions) -> list[Table] | str:
    """A file below an allowed folder is mapped; any other link is read only through `fetch`."""
    if item.uri.startswith("file:"):
        path = allowed_path(item.uri, options.allowed_dirs)
        if path is not None:
            return _read_file(path, options)
        if options.allowed_dirs:
            return "refused: the file is outside the folders given to the server"

    if options.fetch is None:
        return "a link that was not followed"

    try:
        answer = options.fetch(item.uri)
    except Exception as error:
        # boundary: the caller's reader may fail in any way; the result's other parts
        # stay
        return f"could not be read: {error}"

    if isinstance(answer, bytes):
        return _read_bytes(answer, item.mime, options)

    found: list[Table] = []
    for part in content.contents_of(answer):
        if part.is_link:
            tables = "links to a link"
        else:
            tables = _read_resource(part, options)

        if isinstance(tables, str):
            return tables

        found += tables

    return found or "empty"


def allowed_path(uri: str, allowed: Sequence[str]) -> Path | None:
    """The real path of a `file:` URI when it is below one of the allowed folders after
    resolving links and `..`.
    """
    parts = urlsplit(uri)
    path = unquote(parts.path)
    is_local = parts.scheme == "file" and parts.netloc in ("", "localhost")
    if not is_local or "\0" in path:
        return None

    try:
        real = Path(path).resolve(strict=True)
    except (OSError, RuntimeError):
        return None

    if not real.is_file():
        return None

    folders = [Path(folder).resolve() for folder in allowed]
    if any(map(real.is_relative_to, folders)):
        return real

    return None


# --- by the first bytes, since a name or a type is only a claim


def _read_file(path: Path, options: ReadOptions) -> list[Table] | str:
    with path.open("rb") as file:
        reader = columnar.find_reader(file.read(len(columnar.ARROW_FILE)))

    if reader:
        # mapped, so that what is not looked at is never loaded
        data = columnar.load(pa.memory_map(str(path)), path)
        return data if isinstance(data, str) else [_name_columns(data, reader)]

    size = path.stat().st_size
    if size > options.max_bytes:
        return f"its {size:,} bytes are more than the limit"

    return _read_bytes(path.read_bytes(), "text/plain", options)


def _read_bytes(data: bytes, mime: str, options: ReadOptions) -> list[Table] | str:
    reader = columnar.find_reader(data)
    if reader:
        read = columnar.load(pa.BufferReader(data))
        return read if isinstance(read, str) else [_name_columns(read, reader)]
    if len(data) > options.max_bytes:
        return f"its {len(data):,} bytes are more than the limit"

    # any archive is a ZIP: there the type has to say that it is a workbook
    is_workbook = data.startswith(_ZIP) and ("sheet" in mime or "excel" in mime)
    if is_workbook or data.startswith(_OLD_EXCEL):
        return _read_workbook(data)
    if mime and not mime.startswith(_TEXT_TYPES):
        return f"no reader for {mime[:60]}"

    try:
        return _read_text(data.decode("utf-8-sig"), options)
    except UnicodeDecodeError:
        return "neither Arrow nor Parquet nor text"


def _read_text(text: str, options: ReadOptions) -> list[Table] | str:
    if len(text) > options.max_bytes:
        return f"its {len(text):,} characters are more than the limit"

    found = texts.read_text(text)
    tables = [
        build.table(raw, reader=found.reader, infer_types=options.infer)
        for raw in found.raws
    ]
    return tables or "its text is no table"


def _read_workbook(data: bytes) -> list[Table] | str:
    sheets = bounds.refuse_archive(data) or read_workbook(data)
    if isinstance(sheets, str):
        return sheets
    return [build.table(raw, reader="workbook") for raw in sheets]


def _name_columns(data: pa.Table, reader: str) -> Table:
    """Of Arrow or Parquet: the types are the file's own."""
    sent = tuple(data.column_names)
    names = build.unique(data.column_names)
    if len(set(sent)) < len(sent):
        notes = ("repeated column names got numbers",)
    else:
        notes = ()

    types = {
        name: f"declared: {infer.short(kind)}"
        for name, kind in zip(names, data.schema.types, strict=True)
    }
    data = data.rename_columns(list(names))
    return Table(data, types, notes, reader=reader, names=sent)


# --- workbooks


Rows = Sequence[Sequence[Any]]
MISSING = (
    "an Excel workbook, for which python-calamine must be installed: "
    "pip install 'mcp-notebook[excel]'"
)
# Each of them is a Python object, here and in the process that opens the workbook.
MAX_WORKBOOK_CELLS = 5_000_000
_SMALL_WORKBOOK = 1_000_000  # bytes
_SECONDS = 60  # by the clock, of a process that may work for half of them
_KINDS: dict[str, Callable[[Any], object]] = {
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda parts: dt.timedelta(*parts),
}
# Excel keeps fifteen digits of a number, and shows the rest of a longer one as zeros.
_FIRST_ROUNDED = 10**15
_LARGEST = 10**300
_INT64_END = 2**63


def read_workbook(data: bytes) -> list[Raw] | str:
    """The sheets that hold a table, or why there is none."""
    try:
        # an optional package
        import python_calamine
    except ImportError:
        return MISSING

    sheets = _open_aside(data, str(Path(python_calamine.__path__[0]).parent))
    if isinstance(sheets, str):
        return sheets

    raws = [
        raw for name, rows in sheets if (raw := _read_sheet(name, rows)) is not None
    ]

    return raws or "no sheet of it begins with a row of names"


def _open_aside(data: bytes, folder: str) -> list[tuple[str, Rows]] | str:
    """The sheets, read in a process of bounded memory and time; or why there are none."""
    began = time.monotonic()
    answer = _OPENERS.ask(data, folder)
    if answer is None and time.monotonic() - began >= _SECONDS:
        return bounds.refuse(f"to open the workbook takes more than {_SECONDS} seconds")

    if answer is None:
        return bounds.refuse("to open the workbook takes too much memory or time")

    if "refused" in answer:
        return bounds.refuse(answer["refused"])
    if "error" in answer:
        # the library says the same of a broken one and of repeated cells without end
        return bounds.refuse(
            f"a workbook that cannot be read ({answer['error']}): broken, or too large"
        )

    return [(name, _restore_rows(rows)) for name, rows in answer["sheets"]]


class _Opener:
    """A process that opens workbooks, one after the other."""

    def __init__(self, folder: str) -> None:
        self.folder, self.owner = folder, os.getpid()
        program = Path(workbook_process.__file__)
        # imported, so that it is not compiled each time
        start = f"import sys; sys.path.append({str(program.parent)!r}); import {program.stem}"
        main = f"{start}; sys.path.pop(); {program.stem}.main()"
        # -S spares it the start-up of packages; -I what else stands in the folder
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", main, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, data: bytes) -> dict[str, Any] | None:
        """What it says of a workbook; None when it ended, or was ended after a while."""
        head = workbook_process.HEAD.pack(
            MAX_WORKBOOK_CELLS, bounds.FREE_BYTES, len(data)
        )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(_SECONDS, process.kill)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(head + data)
            process.stdin.flush()
            length = process.stdout.read(workbook_process.LENGTH.size)
            (size,) = workbook_process.LENGTH.unpack(length)
            return marshal.loads(process.stdout.read(size))  # noqa: S302
        except (OSError, ValueError, EOFError, struct.error):
            return None
        finally:
            timer.cancel()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


class _Openers:
    """Keeps one process for the next small workbook: to start one takes ten times as
    long as to read it. It ends with the kernel, and by itself when none comes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: _Opener | None = None

    def ask(self, data: bytes, folder: str) -> dict[str, Any] | None:
        """What a process says of a workbook; None when it needs too much."""
        kept = self._swap(None)
        if kept is not None and (kept.owner, kept.folder) == (os.getpid(), folder):
            answer = self._ask(kept, data)
            if answer is not None:
                return answer

        # the kept one may have ended for want of work, and not of this workbook
        return self._ask(_Opener(folder), data)

    def _ask(self, opener: _Opener, data: bytes) -> dict[str, Any] | None:
        answer = opener.ask(data)
        # what is left behind by a large or odd one must not burden the next
        if answer is None or "sheets" not in answer or len(data) > _SMALL_WORKBOOK:
            opener.close()
            return answer

        unneeded = self._swap(opener)
        if unneeded is not None:
            unneeded.close()

        return answer

    def _swap(self, opener: _Opener | None) -> _Opener | None:
        with self._lock:
            kept, self._kept = self._kept, opener
            return kept

    def close(self) -> None:
        """End the process that is kept."""
        kept = self._swap(None)
        if kept is not None and kept.owner == os.getpid():
            kept.close()


_OPENERS = _Openers()
atexit.register(_OPENERS.close)


def _restore_rows(rows: Rows) -> Rows:
    return [
        [_restore_cell(cell) if type(cell) is tuple else cell for cell in row]
        for row in rows
    ]


def _restore_cell(cell: tuple[str, Any]) -> object:
    kind, parts = cell
    return _KINDS[kind](parts)


def _read_sheet(name: str, rows: Rows) -> Raw | None:
    """One sheet: its first row is the header by custom, an empty cell is NULL, a whole
    number has no fraction.
    """
    if not rows or not rows[0]:
        return None
    if not all(type(cell) is str and cell for cell in rows[0]):
        return None

    names = [str(cell) for cell in rows[0]]
    columns = [_read_column(rows[1:], number) for number in range(len(names))]
    raw = from_rows(names, list(zip(*columns, strict=True)), path=name, text="keep")
    note = (
        f"the first row of the sheet {name!r} was taken as the header; "
        "an empty cell is null"
    )
    raw = raw.with_note(note, approximate=True)
    named = zip(names, columns, strict=True)
    rounded = [label for label, column in named if _may_be_rounded(column)]
    if not rounded:
        return raw

    shown = ", ".join(f"`{label}`" for label in rounded)

    return raw.with_note(
        f"Excel keeps fifteen digits of a number; {shown} may be rounded"
    )


def _read_column(rows: Rows, number: int) -> list[Any]:
    """A workbook has one kind of number: a column without fractions is one of integers."""
    cells = [row[number] for row in rows]
    present = [cell for cell in cells if cell != ""]
    is_whole = bool(present) and all(map(_is_whole_number, present))

    column: list[Any] = []

    for cell in cells:
        if cell == "":
            column.append(None)
        else:
            column.append(int(cell) if is_whole else cell)

    return column


def _is_whole_number(cell: Any) -> bool:
    if type(cell) is not float:
        return False
    return cell.is_integer() and abs(cell) < _INT64_END


def _may_be_rounded(column: Sequence[Any]) -> bool:
    numbers = [abs(cell) for cell in column if type(cell) in (int, float)]
    return any(_FIRST_ROUNDED <= number < _LARGEST for number in numbers)
