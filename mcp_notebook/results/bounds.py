"""What foreign bytes may cost: one set of limits for every binary format, and what a
table in Arrow or Parquet declares before anything of it is decoded.

A file may be small and its content large: packed zeros, one long text that a thousand
rows point to, a count of rows that no byte stands for. All sizes are of what a DataFrame
of the table would hold.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAX_CELLS = 100_000_000
# A kernel has this to spare for any file; above it the file itself must be large too.
FREE_BYTES = 192_000_000
# Packed columns of real tables are seldom smaller than a fiftieth.
PACKED = 50
# Cells of nulls have no bytes at all; other cells have at least a bit each.
_FREE_VALUES = 10_000_000
_MOST_BATCHES = 200_000
_OBJECT = 64  # bytes of a Python object, of which lists and structs are made
_FIXED = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_CONTINUES = 0xFFFFFFFF
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3


class Refused(str):
    """Why bytes are not read, and what to do: a sentence that the person is shown."""

    __slots__ = ()


def most_bytes(packed: int) -> int:
    """How much a file of so many bytes may become."""
    return max(FREE_BYTES, PACKED * packed)


def refuse_cells(cells: int) -> Refused | None:
    """The refusal of more cells than the limit; None for fewer."""
    if cells <= MAX_CELLS:
        return None
    return refuse(f"{cells:,} cells are more than the limit of {MAX_CELLS:,}")


def refuse_bytes(decoded: int, packed: int) -> Refused | None:
    """The refusal of a file that becomes much larger than itself; None for others."""
    most = most_bytes(packed)
    if decoded <= most:
        return None
    return refuse(
        f"its {packed / 1e6:,.3f} MB become {decoded / 1e6:,.0f} MB, more than the "
        f"limit of {most / 1e6:,.0f} MB"
    )


def refuse(why: str) -> Refused:
    """A refusal for that reason, with what to do."""
    return Refused(
        f"not read: {why}; ask for fewer rows or columns, or open the file with a "
        "library of its format"
    )


# ---- Arrow: the metadata of each batch, without its buffers


def refuse_arrow(source: pa.NativeFile, columns: int, is_file: bool) -> Refused | None:
    """The refusal by what the batches of an Arrow file or stream declare; ValueError or
    struct.error for a broken one.
    """
    packed = source.size()
    batches = _file_batches(source) if is_file else _stream_batches(source)
    rows = values = decoded = 0
    for number, (metadata, body) in enumerate(batches):
        more_rows, more_values, more = _measure_batch(source, metadata, body)
        rows += more_rows
        values += more_values
        decoded += more
        refused = refuse_cells(rows * max(columns, 1)) or refuse_bytes(decoded, packed)
        if refused is not None:
            return refused
        if values > _FREE_VALUES + 8 * decoded:
            return refuse(f"it declares {values:,} values without bytes for them")
        if number > _MOST_BATCHES:
            return refuse(f"it has more than {_MOST_BATCHES:,} batches")

    return None


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


def _measure_batch(
    source: pa.NativeFile, metadata: bytes, body: int
) -> tuple[int, int, int]:
    """Rows, values (also those inside of lists) and bytes of one batch when decoded."""
    root = _number("<I", metadata, 0)
    kind_at, batch = _field(metadata, root, 1), _table(metadata, root, 2)
    kind = metadata[kind_at] if kind_at else 0
    if kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return 0, 0, 0
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
    if _field(metadata, batch, 3):
        sizes = [_unpacked_size(source, body + at, size) for at, size in buffers]
    else:
        sizes = [size for _, size in buffers]

    rows_at = _field(metadata, batch, 0)
    rows = _number("<q", metadata, rows_at) if rows_at else 0
    if rows < 0 or min(nodes, default=0) < 0 or min(sizes, default=0) < 0:
        raise ValueError("a batch has a negative length")

    is_dictionary = kind == _DICTIONARY_BATCH
    return 0 if is_dictionary else rows, sum(nodes), sum(sizes)


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


# ---- Parquet: the footer


def refuse_parquet(meta: Any, packed: int) -> Refused | None:
    """The refusal by what the footer declares."""
    refused = refuse_cells(meta.num_rows * max(meta.num_columns, 1))
    if refused is not None:
        return refused

    decoded = 0
    for chunk, width in _chunks(meta):
        # what is packed by runs and dictionaries has its full width afterwards
        decoded += max(chunk.num_values * width, chunk.total_uncompressed_size)
        refused = refuse_bytes(decoded, packed)
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
        if width or chunk.num_values * size <= FREE_BYTES:
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


def refuse_table(data: pa.Table, packed: int) -> Refused | None:
    """The refusal of a table that repeats its values without repeating their bytes."""
    written = sum(
        written_bytes(chunk) for column in data.columns for chunk in column.chunks
    )
    return refuse_bytes(written, packed)


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
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        views = np.frombuffer(array.buffers()[1], np.int32).reshape(-1, 4)
        return int(views[array.offset : array.offset + count, 0].sum(dtype=np.int64))
    if pa.types.is_struct(kind):
        fields = (array.field(number) for number in range(kind.num_fields))
        return _OBJECT * count + sum(map(written_bytes, fields))
    if _is_listed(kind):
        return _OBJECT * count + _listed_bytes(array)

    return array.nbytes


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
