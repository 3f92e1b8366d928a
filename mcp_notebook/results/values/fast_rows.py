"""Large JSON arrays of flat rows straight into Arrow, or None at the first doubt.

Rows of JSON are nearly CSV. Three marks, which no JSON text can hold, make them so: one
for an escaped backslash, one for an escaped quote, and one behind each quote that opens
a string, so that a string is known from a number after Arrow's CSV reader has taken the
quotes away. All quotes are looked at: a mark follows every second, and every other ends
its cell.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from mcp_notebook.results.columns import fast_columns
from mcp_notebook.results.values.fast_json import SMALL, read_floats

_BLOCK = 1 << 20
_BACKSLASH, _QUOTE, _TEXT = b"\1", b"\2", b"\3"
_START = re.compile(r"[ \t\r\n]*\[\[")
_INTEGER = r"^-?(?:0|[1-9][0-9]*)$"
_FLAGS = {"true", "false", None}


class _Doubt(ValueError):
    """The text is not plainly rows of one width; the exact path decides."""


def read_table(text: str) -> pa.Table | None:
    """The table of a JSON array of equal rows of plain values; int64, float64, bool,
    string or null, empty names.

    None when the text is anything else, is small, or anything in it is in doubt.
    """
    if len(text) >= SMALL:
        start = _START.match(text)
    else:
        start = None

    body = text.rstrip(" \t\r\n")
    if start is None or not body.endswith("]]"):
        return None

    try:
        first, end = json.JSONDecoder().raw_decode(text, start.end() - 1)
        if text.startswith("], [", end - 1):
            between = "], ["
        else:
            between = "],["

        cuts = _cuts(body, start.end(), len(body) - 2, between)
        return _read_blocks(body, cuts, between, len(first))
    except (ValueError, RecursionError):
        # no plain JSON for one of the readers, or no Unicode
        return None


def _read_blocks(
    text: str, cuts: list[tuple[int, int]], between: str, width: int
) -> pa.Table:
    def read_cells(cut: tuple[int, int]) -> pa.Table:
        return _read_cells(text[slice(*cut)], between, width)

    cells = pa.concat_tables(fast_columns.each(read_cells, cuts))
    space = between[2:-1]

    def read_column(at: int) -> pa.Array | pa.ChunkedArray:
        return _read_column(cells.column(at), space if at else "", between)

    columns = fast_columns.each(read_column, range(width))
    return pa.Table.from_arrays(columns, names=[""] * width)


def _cuts(text: str, start: int, end: int, between: str) -> list[tuple[int, int]]:
    """Start and end of blocks of whole rows; a cut within a string leaves a quote
    without its other.
    """
    cuts = []
    while (cut := text.find(between, start + _BLOCK, end)) >= 0:
        cuts.append((start, cut))
        start = cut + len(between)

    return [*cuts, (start, end)]


def _read_cells(rows: str, between: str, width: int) -> pa.Table:
    """The cells of some rows as text: strings behind their mark, null for null,
    everything else as it is written.
    """
    data = rows.encode()
    if not width or not rows or (np.frombuffer(data, np.uint8) < ord(" ")).any():
        raise _Doubt  # a mark, or a layout over several lines

    space = between[2:-1].encode()
    if b"\\" in data:
        data = data.replace(b"\\\\", _BACKSLASH).replace(b'\\"', _QUOTE)

    data = data.replace(between.encode(), b"\n")
    data = data.replace(b"," + space + b'"', b',"' + _TEXT)
    # framed by line ends, so that the first and last cell have one beside them as well
    data = b"\n" + data + b"\n"
    if rows.startswith(('"', "null")):
        data = data.replace(b'\n"', b'\n"' + _TEXT)

    if not _quotes_are_in_place(data):
        raise _Doubt

    names = [str(number) for number in range(width)]
    nulls = ["null", (space + b"null").decode()]
    return pa_csv.read_csv(
        pa.py_buffer(data).slice(1),
        pa_csv.ReadOptions(column_names=names, block_size=len(data), use_threads=False),
        pa_csv.ParseOptions(double_quote=False, newlines_in_values=True),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=nulls,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            check_utf8=False,  # it comes from a str
        ),
    )


def _quotes_are_in_place(data: bytes) -> bool:
    """Whether a mark follows every second quote, the end of its cell every other, and
    no line is empty.
    """
    codes = np.frombuffer(data, np.uint8)
    behind = codes[np.flatnonzero(codes == ord('"')) + 1]
    opens, closes = behind[::2], behind[1::2]
    marked = len(opens) == len(closes) and (opens == _TEXT[0]).all()
    ended = ((closes == ord(",")) | (closes == ord("\n"))).all()
    ends = codes == ord("\n")
    return bool(marked and ended) and not (ends[1:] & ends[:-1]).any()


def _read_column(
    cells: pa.ChunkedArray, space: str, between: str
) -> pa.Array | pa.ChunkedArray:
    """The values of a column whose cells are all strings, numbers or flags; `space`
    stands before what is no string.
    """
    if cells.null_count == len(cells):
        return pa.nulls(len(cells))

    array = pa.concat_arrays(cells.chunks)
    if pc.all(pc.starts_with(array, _TEXT.decode())).as_py():
        return _read_strings(pc.utf8_slice_codeunits(array, 1), between)

    if space:
        if not pc.all(pc.starts_with(array, space)).as_py():
            raise _Doubt

        array = pc.utf8_slice_codeunits(array, len(space))

    # a look at a few cells spares one at all of them where they are no flags
    if set(array.slice(0, 64).to_pylist()) <= _FLAGS:
        if not set(array.unique().to_pylist()) <= _FLAGS:
            raise _Doubt
        return pc.equal(array, "true")

    if pc.all(pc.match_substring_regex(array, _INTEGER)).as_py():
        return pc.cast(array, pa.int64())

    floats = read_floats(array)
    if floats is None:
        raise _Doubt

    return floats


def _read_strings(array: pa.StringArray, between: str) -> pa.StringArray:
    """The texts without marks and escapes."""
    memory = array.buffers()[2]
    if memory:
        held = memory.to_pybytes()
    else:
        held = b""

    if _TEXT in held:
        raise _Doubt

    written = {_QUOTE: '\\"', _BACKSLASH: "\\\\", b"\n": between}
    marks = [mark for mark in written if mark in held]
    has_escapes = b"\\" in held
    for mark in marks:
        # Texts with other escapes get these two back as well, to be decoded with them.
        plain = written[mark]
        if mark != b"\n" and not has_escapes:
            plain = plain[-1]

        array = pc.replace_substring(array, mark.decode(), plain)

    if not has_escapes:
        return array

    return _decode_escapes(array, pc.match_substring(array, "\\"))


def _decode_escapes(array: pa.StringArray, escaped: pa.BooleanArray) -> pa.StringArray:
    """The texts with those decoded that hold an escape."""
    written = array.filter(escaped).to_pylist()
    values = json.loads('["' + '","'.join(written) + '"]')
    if len(values) != len(written):
        raise _Doubt

    return pc.replace_with_mask(
        array, pc.fill_null(escaped, False), pa.array(values, pa.string())
    )
