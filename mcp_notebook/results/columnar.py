"""Arrow and Parquet that a server sent: what they declare before anything of them is
decoded, and their tables.

What is not packed (Arrow as it is mapped) and what stays small by every size that it
declares is read here: no process costs as little. All else is decoded in a process of
bounded memory, time and disk, which leaves an Arrow file that is mapped. All sizes are of
what a DataFrame of the table would hold.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.loop import package_folders
from mcp_notebook.results import bounds

ARROW_FILE, ARROW_STREAM, PARQUET = b"ARROW1", b"\xff\xff\xff\xff", b"PAR1"
READERS = {
    ARROW_FILE: "arrow file",
    ARROW_STREAM: "arrow stream",
    PARQUET: "parquet",
}
_BROKEN = (pa.ArrowException, OSError, ValueError, struct.error)
# Cells of nulls have no bytes at all; other cells have at least a bit each.
_FREE_VALUES = 10_000_000
_MOST_BATCHES = 200_000
_OBJECT = 64  # bytes of a Python object, of which lists and structs are made
_FIXED = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_CONTINUES = 0xFFFFFFFF
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3


class Broken(str):
    """Why bytes are no file of their format."""

    __slots__ = ()


def find_reader(data: bytes) -> str:
    """What reads bytes that begin so: `arrow file`, `arrow stream`, `parquet` or ""."""
    return next((name for start, name in READERS.items() if data.startswith(start)), "")


def load(source: pa.NativeFile, path: Path | None = None) -> pa.Table | str:
    """The table, or why there is none (`bounds.Refused`, `Broken`). `path` is the file
    that `source` maps, if it is one.
    """
    reader = find_reader(source.read_at(len(ARROW_FILE), 0))
    try:
        packed = _weigh(reader, source)
        if isinstance(packed, bounds.Refused):
            return packed
        if packed <= bounds.SMALL_BYTES:
            return _decode(reader, source)
    except _BROKEN as error:
        return Broken(f"broken {reader}: {str(error)[:80]}")

    return _decode_aside(reader, source, path)


def _weigh(reader: str, source: pa.NativeFile) -> int | bounds.Refused:
    """The bytes that must be unpacked to read a file, or the refusal by what it declares."""
    if reader == "parquet":
        return _weigh_parquet(source)

    is_file = reader == "arrow file"
    open_reader = pa.ipc.open_file if is_file else pa.ipc.open_stream
    return weigh_arrow(source, len(open_reader(source).schema), is_file)


def _decode(reader: str, source: pa.NativeFile) -> pa.Table | bounds.Refused:
    if reader == "parquet":
        data = _read_parquet(source)
    elif reader == "arrow file":
        data = pa.ipc.open_file(source).read_all()
    else:
        source.seek(0)  # to weigh it, its schema was read already
        data = pa.ipc.open_stream(source).read_all()
    if isinstance(data, bounds.Refused):
        return data

    # also each offset and index: one that points outside would end the kernel later
    data.validate(full=True)
    return refuse_table(data, source.size()) or data


# ---- decoded in a process of its own

_SECONDS = 60  # by the clock; of work it has far less
_LIBRARIES = 1_200_000_000  # bytes of address space that Arrow and numpy take
_PER_SECOND = 40_000_000  # bytes: slower than any codec on a loaded machine
# each thread of its own would reserve address space, which is what is limited
_ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
}
_MAIN = """
import json, sys
sys.path += json.loads(sys.argv[1])
from mcp_notebook.results.columnar import main
main()
"""


def _decode_aside(
    reader: str, source: pa.NativeFile, path: Path | None
) -> pa.Table | str:
    """The table, mapped from what the process wrote; the system removes the file with
    the last of its columns.
    """
    with tempfile.TemporaryDirectory(
        prefix="mcp-notebook-", ignore_cleanup_errors=True
    ) as folder:
        out = Path(folder) / "table.arrow"
        words = [json.dumps(package_folders()), str(path or "")]
        # -I shuts out what stands beside the notebook
        command = [sys.executable, "-I", "-Xutf8", "-c", _MAIN, *words, str(out)]
        data = None if path else source.read_at(source.size(), 0)
        try:
            done = subprocess.run(
                command,
                input=data or b"",
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                env=_ENVIRONMENT,
                cwd=folder,
            )
        except subprocess.TimeoutExpired:
            return bounds.refuse(f"to decode it takes more than {_SECONDS} seconds")

        if done.returncode:
            return bounds.refuse("to decode it takes too much memory, time or disk")

        answer = json.loads(done.stdout)
        if "refused" in answer:
            return bounds.Refused(answer["refused"])
        if "broken" in answer:
            return Broken(f"broken {reader}: {answer['broken']}")
        return pa.ipc.open_file(pa.memory_map(str(out))).read_all()


def main() -> None:
    """Decode one file from stdin, or from the path of the second argument, into the
    Arrow file of the third; `{}`, `{"refused": why}` or `{"broken": why}` on stdout.
    """
    path, out = sys.argv[2:]
    if path:
        source = pa.memory_map(path)
    else:
        source = pa.BufferReader(sys.stdin.buffer.read())

    _limit_itself(source.size())
    pa.set_cpu_count(1)
    reader = find_reader(source.read_at(len(ARROW_FILE), 0))
    answer = {}
    try:
        data = _decode(reader, source)
        if isinstance(data, bounds.Refused):
            answer = {"refused": str(data)}
        else:
            _write_plain(data, out)
    except pa.ArrowMemoryError:
        raise
    except _BROKEN as error:
        answer = {"broken": str(error)[:80]}

    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # a thread of Arrow that still ends would abort an ordinary exit


def _write_plain(data: pa.Table, out: str) -> None:
    with pa.OSFile(out, "wb") as sink, pa.ipc.new_file(sink, data.schema) as writer:
        writer.write_table(data)


def _limit_itself(packed: int) -> None:
    most = bounds.most_bytes(packed)
    # what its imports took is not the file's: a first start compiles them
    seconds = math.ceil(time.process_time()) + 2 + most // _PER_SECOND
    # Windows has no such limits; the caller's timeout holds there
    with contextlib.suppress(ImportError, ValueError, OSError):
        resource = importlib.import_module("resource")
        memory = _LIBRARIES + packed + 3 * most
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * most, 2 * most))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


# ---- Arrow: the metadata of each batch, without its buffers


def weigh_arrow(
    source: pa.NativeFile, columns: int, is_file: bool
) -> int | bounds.Refused:
    """The bytes that its packed batches become, or the refusal by what all of them
    declare; ValueError or struct.error for a broken file.
    """
    batches = _file_batches(source) if is_file else _stream_batches(source)
    rows = values = decoded = packed = 0
    for number, (metadata, body) in enumerate(batches):
        batch = _measure_batch(source, metadata, body)
        rows += batch.rows
        values += batch.values
        decoded += batch.size
        packed += batch.size if batch.is_packed else 0
        refused = bounds.refuse_cells(rows * max(columns, 1)) or bounds.refuse_bytes(
            decoded, source.size()
        )
        if refused is not None:
            return refused
        if values > _FREE_VALUES + 8 * decoded:
            return bounds.refuse(
                f"it declares {values:,} values without bytes for them"
            )
        if number > _MOST_BATCHES:
            return bounds.refuse(f"it has more than {_MOST_BATCHES:,} batches")

    return packed


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a batch holds when decoded: its values are also those inside of lists."""

    rows: int = 0
    values: int = 0
    size: int = 0  # bytes
    is_packed: bool = False


def _file_batches(source: pa.NativeFile) -> Iterator[tuple[bytes, int]]:
    """Metadata of each batch and where its body starts, as the footer lists them: it may
    list one batch many times.
    """
    end = source.size() - 10
    (size,) = struct.unpack("<i", source.read_at(4, end))
    if not 0 < size <= end:
        raise ValueError("its footer has no place")

    footer = source.read_at(size, end - size)
    root = _number("<I", footer, 0)
    for field in (2, 3):  # dictionaries, record batches
        at = _field(footer, root, field)
        for start in _entries(footer, at, 24):
            offset, length = struct.unpack_from("<qi", footer, start)
            if offset < 0 or length < 8:
                raise ValueError("a batch has no place")

            head = source.read_at(length, offset)
            # written so since 2019; before, the length alone stood in front
            skip = 8 if _number("<I", head, 0) == _CONTINUES else 4
            yield head[skip:], offset + length


def _stream_batches(source: pa.NativeFile) -> Iterator[tuple[bytes, int]]:
    at, end = 0, source.size()
    while at + 8 <= end:
        mark, length = struct.unpack("<Ii", source.read_at(8, at))
        if mark != _CONTINUES or length <= 0:
            return

        metadata = source.read_at(length, at + 8)
        body = at + 8 + length
        yield metadata, body
        place = _field(metadata, _number("<I", metadata, 0), 3)
        size = _number("<q", metadata, place) if place else 0
        if size < 0:
            raise ValueError("a batch has a negative length")
        at = body + size


def _measure_batch(source: pa.NativeFile, metadata: bytes, body: int) -> _Batch:
    root = _number("<I", metadata, 0)
    kind_at, batch = _field(metadata, root, 1), _table(metadata, root, 2)
    kind = metadata[kind_at] if kind_at else 0
    if kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return _Batch()
    if kind == _DICTIONARY_BATCH:
        batch = _table(metadata, batch, 1)

    nodes = [
        _number("<q", metadata, at)
        for at in _entries(metadata, _field(metadata, batch, 1), 16)
    ]
    buffers = [
        struct.unpack_from("<qq", metadata, at)
        for at in _entries(metadata, _field(metadata, batch, 2), 16)
    ]
    is_packed = bool(_field(metadata, batch, 3))
    if is_packed:
        sizes = [_unpacked_size(source, body + at, size) for at, size in buffers]
    else:
        sizes = [size for _, size in buffers]

    rows_at = _field(metadata, batch, 0)
    rows = _number("<q", metadata, rows_at) if rows_at else 0
    if rows < 0 or min(nodes, default=0) < 0 or min(sizes, default=0) < 0:
        raise ValueError("a batch has a negative length")

    # rows of a dictionary are no rows of the table
    counted = 0 if kind == _DICTIONARY_BATCH else rows
    return _Batch(counted, sum(nodes), sum(sizes), is_packed)


def _unpacked_size(source: pa.NativeFile, at: int, size: int) -> int:
    """A packed buffer begins with its length unpacked; -1 says that it is not packed."""
    if size < 8:
        return size
    (length,) = struct.unpack("<q", source.read_at(8, at))
    return size - 8 if length == -1 else length


# A flatbuffer: a table points back to the places of its fields, 0 for a default.


def _number(form: str, data: bytes, at: int) -> int:
    if at < 0:
        raise ValueError("its metadata points outside")
    return struct.unpack_from(form, data, at)[0]


def _field(data: bytes, table: int, number: int) -> int:
    places = table - _number("<i", data, table)
    slot = 4 + 2 * number
    if slot >= _number("<H", data, places):
        return 0
    offset = _number("<H", data, places + slot)
    return table + offset if offset else 0


def _table(data: bytes, table: int, number: int) -> int:
    at = _field(data, table, number)
    if not at:
        raise ValueError("its metadata lacks a part")
    return at + _number("<I", data, at)


def _entries(data: bytes, field: int, width: int) -> range:
    """Where the structs of a list start."""
    if not field:
        return range(0)
    start = field + _number("<I", data, field)
    count = _number("<I", data, start)
    if start + 4 + count * width > len(data):
        raise ValueError("its metadata points outside")
    return range(start + 4, start + 4 + count * width, width)


# ---- Parquet: the footer, and what each page says of itself


def _weigh_parquet(source: pa.NativeFile) -> int | bounds.Refused:
    """The bytes that its pages become, or the refusal by what they declare."""
    file = _open_parquet(source)
    refused = refuse_parquet(file.metadata, source.size())
    if refused is not None:
        return refused

    meta = file.metadata
    # each value has room made for it, also in a column whose pages hold none
    room = 8 * meta.num_rows * meta.num_columns
    footer = sum(
        max(chunk.num_values * (width or 4), chunk.total_uncompressed_size)
        for chunk, width in _chunks(meta)
    )
    if max(room, footer) > bounds.SMALL_BYTES:
        return max(room, footer, bounds.SMALL_BYTES + 1)

    try:
        pages = _weigh_pages(source, meta)
    except (ValueError, IndexError):  # encrypted, or written in a way not known here
        return bounds.SMALL_BYTES + 1
    refused = bounds.refuse_bytes(pages, source.size())
    return refused or max(room, footer, pages, pages * _count_shared(meta))


def _open_parquet(source: pa.NativeFile, **options: Any) -> Any:
    import pyarrow.parquet as pq  # loads a large library that most results never need

    return pq.ParquetFile(source, **options)


def _count_shared(meta: Any) -> int:
    """Values of columns whose texts may be made of another's beginning: each can be as
    long as all pages.
    """
    return sum(
        chunk.num_values
        for chunk, _ in _chunks(meta)
        if "DELTA_BYTE_ARRAY" in chunk.encodings
    )


_MOST_PAGES = 4_000
_HEADER = 16_384  # bytes, more than any with its statistics


def _weigh_pages(source: pa.NativeFile, meta: Any) -> int:
    """The bytes that all pages become by their own headers, which decide how much is
    unpacked whatever the footer says; ValueError for what cannot be followed.
    """
    size = pages = 0
    for chunk, _ in _chunks(meta):
        at = chunk.data_page_offset
        dictionary = chunk.dictionary_page_offset
        if dictionary and 0 < dictionary < at:
            at = dictionary

        end = at + chunk.total_compressed_size
        if at < 0 or end > source.size():
            raise ValueError("a column has no place")
        while at < end:
            head = source.read_at(_HEADER, at)
            unpacked, packed, length = _read_page_header(head)
            pages += 1
            if unpacked < 0 or packed < 0 or pages > _MOST_PAGES:
                raise ValueError("pages that cannot be followed")
            size += unpacked
            at += length + packed

    return size


def _read_page_header(data: bytes) -> tuple[int, int, int]:
    """Bytes unpacked and packed of the page, and of this header: a struct of Thrift's
    compact protocol, whose second and third field they are.
    """
    sizes = {}
    at = name = 0
    while data[at]:
        kind, step = data[at] & 15, data[at] >> 4
        at += 1
        if not step:
            step, at = _varint(data, at)
            name, step = 0, step >> 1
        name += step
        if kind == _INT32:
            value, at = _varint(data, at)
            sizes[name] = (value >> 1) ^ -(value & 1)
        else:
            at = _skip_thrift(data, at, kind)

    return sizes.get(2, -1), sizes.get(3, -1), at + 1


_INT32, _BINARY, _STRUCT = 5, 8, 12


def _skip_thrift(data: bytes, at: int, kind: int, depth: int = 0) -> int:
    if kind in (1, 2):  # truth, which stands in the kind
        return at
    if kind == 3:
        return at + 1
    if kind in (4, _INT32, 6):
        return _varint(data, at)[1]
    if kind == _BINARY:
        length, at = _varint(data, at)
        return at + length
    if kind != _STRUCT or depth > 4:
        raise ValueError("a header of no known form")

    while data[at]:
        inner, step = data[at] & 15, data[at] >> 4
        at += 1
        if not step:
            at = _varint(data, at)[1]
        at = _skip_thrift(data, at, inner, depth + 1)
    return at + 1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if shift > 63:
            raise ValueError("a number without end")
    return value | data[at] << shift, at + 1


def _read_parquet(source: pa.NativeFile) -> pa.Table | bounds.Refused:
    file = _open_parquet(source)
    packed = source.size()
    refused = refuse_parquet(file.metadata, packed)
    if refused is not None:
        return refused

    repeating, are_dictionaries = find_repeating(file.metadata)
    if not repeating:
        return file.read()
    if not are_dictionaries:
        return _load_in_steps(file, max(repeating.values()), packed)

    schema = file.schema_arrow
    file = _open_parquet(source, read_dictionary=list(repeating))
    data = file.read()
    refused = refuse_table(data, packed)
    return data.cast(schema) if refused is None else refused


def _load_in_steps(file: Any, largest: int, packed: int) -> pa.Table | bounds.Refused:
    """A few rows at a time, until there are too many bytes: no value is larger than its
    pages.
    """
    rows = min(max(bounds.FREE_BYTES // largest, 64), 65_536)
    batches, size = [], 0
    for batch in file.iter_batches(rows):
        batches.append(batch)
        size += batch.nbytes
        refused = bounds.refuse_bytes(size, packed)
        if refused is not None:
            return refused

    return pa.Table.from_batches(batches, file.schema_arrow)


def refuse_parquet(meta: Any, packed: int) -> bounds.Refused | None:
    """The refusal by what the footer declares."""
    refused = bounds.refuse_cells(meta.num_rows * max(meta.num_columns, 1))
    if refused is not None:
        return refused

    decoded = 0
    for chunk, width in _chunks(meta):
        # what is packed by runs and dictionaries has its full width afterwards
        decoded += max(chunk.num_values * width, chunk.total_uncompressed_size)
        refused = bounds.refuse_bytes(decoded, packed)
        if refused is not None:
            return refused

    return None


def find_repeating(meta: Any) -> tuple[dict[str, int], bool]:
    """Columns of text that a dictionary or shared beginnings may make far larger than
    their pages, with the bytes of their largest pages; and whether all of them can be
    read as dictionaries, which stay as small as they came.
    """
    found: dict[str, int] = {}
    are_dictionaries = True
    for chunk, width in _chunks(meta):
        size = chunk.total_uncompressed_size
        if width or chunk.num_values * size <= bounds.FREE_BYTES:
            continue

        shares_beginnings = "DELTA_BYTE_ARRAY" in chunk.encodings
        if shares_beginnings or any("DICTIONARY" in name for name in chunk.encodings):
            path = chunk.path_in_schema
            found[path] = max(size, found.get(path, 0))
        are_dictionaries = are_dictionaries and not shares_beginnings

    # only a column of its own can be read so, and none inside of a list or struct
    return found, are_dictionaries and not any("." in path for path in found)


def _chunks(meta: Any) -> Iterator[tuple[Any, int]]:
    """Each column of each group of rows, and the bytes of one value; 0 for text."""
    widths = []
    for number in range(meta.num_columns):
        column = meta.schema.column(number)
        widths.append(_FIXED.get(column.physical_type, max(column.length, 0)))

    for group in range(meta.num_row_groups):
        columns = meta.row_group(group)
        for number, width in enumerate(widths):
            yield columns.column(number), width


# ---- what a table becomes when its encodings are written out


def refuse_table(data: pa.Table, packed: int) -> bounds.Refused | None:
    """The refusal of a table that repeats its values without repeating their bytes."""
    written = sum(
        written_bytes(chunk) for column in data.columns for chunk in column.chunks
    )
    return bounds.refuse_bytes(written, packed)


def written_bytes(array: Any) -> int:
    """The bytes of an Arrow array whose dictionaries, runs and views are written out;
    where that is not cheap to know, not less than them.
    """
    kind, count = array.type, len(array)
    if isinstance(array, pa.ExtensionArray):
        return written_bytes(array.storage)
    if pa.types.is_dictionary(kind):
        return _weigh_dictionary(array.dictionary, pc.value_counts(array.indices))
    if pa.types.is_run_end_encoded(kind):
        # a slice begins amid its runs, which the difference of the ends covers
        ends = np.asarray(array.run_ends, dtype=np.int64)
        return _weigh_values(array.values, np.diff(ends, prepend=0))
    if _is_view(kind):
        views = np.frombuffer(array.buffers()[1], np.int32).reshape(-1, 4)
        return int(views[array.offset : array.offset + count, 0].sum(dtype=np.int64))
    if pa.types.is_struct(kind):
        fields = (array.field(number) for number in range(kind.num_fields))
        return _OBJECT * count + sum(map(written_bytes, fields))
    if _is_listed(kind):
        return _OBJECT * count + _listed_bytes(array)

    return array.nbytes


def _is_view(kind: pa.DataType) -> bool:
    return pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)


def _is_listed(kind: pa.DataType) -> bool:
    return (
        pa.types.is_nested(kind) and hasattr(kind, "value_type")
    ) or pa.types.is_map(kind)


def _listed_bytes(array: Any) -> int:
    """Lists own their values; views of lists may share them."""
    inner = array.keys if pa.types.is_map(array.type) else array.values
    size = written_bytes(inner)
    if pa.types.is_map(array.type):
        return size + written_bytes(array.items)
    if "view" not in str(array.type):
        return size

    used = pc.sum(pc.list_value_length(array)).as_py() or 0  # pyright: ignore
    return size if used <= len(inner) else size * used


def _weigh_dictionary(values: Any, counts: Any) -> int:
    known = counts.field("values")
    times = np.zeros(len(values), np.int64)
    present = np.asarray(known.is_valid())
    places = np.asarray(known.fill_null(0)).astype(np.int64)[present]
    times[places] = np.asarray(counts.field("counts"))[present]
    return _weigh_values(values, times)


def _weigh_values(values: Any, times: np.ndarray) -> int:
    """The bytes of values that stand so many times each."""
    kind = values.type
    total = int(times.sum())
    if pa.types.is_fixed_size_binary(kind) or not pa.types.is_nested(kind):
        try:
            lengths = np.asarray(pc.binary_length(values).fill_null(0))  # pyright: ignore
        except pa.ArrowNotImplementedError:
            return total * (written_bytes(values) // max(len(values), 1) + 1)
        return int(lengths.astype(np.int64) @ times[: len(lengths)])

    return total * written_bytes(values)
