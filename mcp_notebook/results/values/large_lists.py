"""Large results the fast way: the records go straight into Arrow, the envelope around
them is read with two records.

The answer is that of the exact path or none: the fast readers refuse what they cannot
prove, and then `texts.read_text` reads the whole. The reader of rows stands here: rows of
JSON are nearly CSV. Three marks, which no JSON text can hold, make them so: one for an
escaped backslash, one for an escaped quote, and one behind each quote that opens a
string, so that a string is known from a number after Arrow's CSV reader has taken the
quotes away. All quotes are looked at: a mark follows every second, and every other ends
its cell.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from mcp_notebook.results.columns import fast_columns
from mcp_notebook.results.reading import Raw
from mcp_notebook.results.values import fast_json, fast_literal, literal
from mcp_notebook.results.values.fast_json import SMALL, read_floats

_RECORDS = re.compile(r"(?:^|(?<=[\s:=>(,]))\[\s*(?=[{(\[])")
_BLANKS = re.compile(r"\s{0,255}")
_BLANKS_BEFORE_END = 4096
_TRIES, _BRACKETS_TRIED = 6, 64
_SHARE = 0.8  # of the text: what is smaller is not worth a second way
_DECODER = json.JSONDecoder()


class Cut(NamedTuple):
    """A text whose one long list is cut to its first two records, and the whole list."""

    text: str
    table: pa.Table


class _Sample(NamedTuple):
    """The source of the first two records, and of the first its value and length."""

    source: str
    first: Any
    length: int
    is_json: bool


class _Limits(NamedTuple):
    """From how many records on, and up to how many fields of records with names, the
    fast reader is the faster one.

    It prepares each column, and each name costs it a way through the text: tables of
    few rows and many columns would take the square of their width.
    """

    records: int
    fields: int


# Measured: the exact way is ten times as fast for JSON as for Python's literals.
_JSON, _PYTHON = _Limits(500, 128), _Limits(100, 400)


def cut_to_sample(text: str) -> Cut | None:
    """The text with its one long list cut to two records, and the whole list as a
    table; None to read it exactly.
    """
    if len(text) < SMALL:
        return None

    before = int(len(text) * (1 - _SHARE))
    if text.find("[", 0, before) < 0:  # as the expression would find, only slower
        return None

    for start in itertools.islice(_RECORDS.finditer(text, 0, before), _TRIES):
        cut = _cut_list(text, start.start(), start.end())
        if cut is not None:
            return cut

    return None


def _cut_list(text: str, opening: int, first: int) -> Cut | None:
    """The cut of the list whose bracket is at `opening` and whose first record is at
    `first`.
    """
    sample = _read_sample(text, first)
    if sample is None or not _is_worth_it(sample, len(text) - opening):
        return None

    is_object = text[first] == "{"
    read_json = fast_json.read_table if is_object else read_rows
    # names in JSON's quotes are no Python's
    may_be_python = not (is_object and sample.is_json and sample.first)

    # From the last on: behind the list there may be other lists, or a sentence.
    for end in _possible_ends(text):
        if end - opening < len(text) * _SHARE:
            return None

        body = text[opening:end]
        table = read_json(body)
        if table is None and may_be_python:
            table = fast_literal.read_table(body)

        if table is not None:
            return Cut(f"{text[:opening]}[{sample.source}]{text[end:]}", table)

    return None


def _is_worth_it(sample: _Sample, length: int) -> bool:
    if sample.is_json:
        limits = _JSON
    else:
        limits = _PYTHON

    if length < sample.length * limits.records:
        return False

    return not isinstance(sample.first, dict) or len(sample.first) <= limits.fields


def _possible_ends(text: str) -> list[int]:
    """Places after a closing bracket that may end the list, the last first."""
    ends: list[int] = []
    at = len(text)
    least = int(at * _SHARE)  # a list that ends before is too short
    for _ in range(_BRACKETS_TRIED):
        at = text.rfind("]", least, at)
        if at < 0 or len(ends) == _TRIES:
            break

        before = text[max(0, at - _BLANKS_BEFORE_END) : at].rstrip()
        if before.endswith(("}", ")", "]")):
            ends.append(at + 1)

    return ends


def _read_sample(text: str, at: int) -> _Sample | None:
    """The first two records of the list; None when there are no two."""
    try:
        value, end, is_json = _read_value(text, at)
        start = text.index(",", end) + 1
        blanks = _BLANKS.match(text, start)
        if blanks:
            second = blanks.end()
        else:
            second = start

        second_end = _read_value(text, second)[1]
    except (ValueError, RecursionError):
        return None

    source = f"{text[at:end]}, {text[second:second_end]}"
    return _Sample(source, value, end - at, is_json)


def _read_value(text: str, at: int) -> tuple[Any, int, bool]:
    """A value of JSON or of Python, the place behind it, and whether it is JSON."""
    try:
        return *_DECODER.raw_decode(text, at), True
    except ValueError:
        return *literal.load_at(text, at), False


def fill_sample(raws: tuple[Raw, ...], table: pa.Table) -> Raw | None:
    """The one table of the sample with all its rows; None when the sample was read as
    something else.
    """
    # Not two rows: the first was taken as a header, or the list is no rows at all.
    if len(raws) != 1 or raws[0].rows != 2:
        return None

    raw = raws[0]
    if len(raw.columns) != table.num_columns:
        return None

    # Rows are named by the envelope or not at all; records name themselves, and the
    # envelope may put their columns into another order.
    if raw.names is None or not any(table.column_names):
        columns = table.columns
    elif set(raw.names) == set(table.column_names):
        columns = [table.column(name) for name in raw.names]
    else:
        return None

    return replace(raw, columns=tuple(columns), rows=table.num_rows)


# --- lists of rows


_BLOCK = 1 << 20
_BACKSLASH, _QUOTE, _TEXT = b"\1", b"\2", b"\3"
_START = re.compile(r"[ \t\r\n]*\[\[")
_INTEGER = r"^-?(?:0|[1-9][0-9]*)$"
_FLAGS = {"true", "false", None}


class _Doubt(ValueError):
    """The text is not plainly rows of one width; the exact path decides."""


def read_rows(text: str) -> pa.Table | None:
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
