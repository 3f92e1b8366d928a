"""Large Python-literal lists of flat rows straight into Arrow, or None at the first doubt.

A regular expression parts the text into strings and constructor calls (tokens) and what
stands between them. From both two CSV texts are made: one with the strings, one in
which each string is only marked and every other cell is there. Arrow reads both; a
column is converted when all its cells are of one kind, so no text can pass for a
number. Nothing is evaluated, and no Python object a cell outlives its block.
`literal.loads`, and then `infer`, give the same values, slower.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from mcp_notebook.results.values import literal
from mcp_notebook.results.values.fast_json import SMALL

_BLOCK = 1 << 20
_MAX_READ = 1 << 26
# One class for the first character, then a choice by it: five times as fast as a choice alone.
_TOKEN = re.compile(
    r"(['\"DdU](?:"
    r"(?<=')[^'\\\n]*(?:\\.[^'\\\n]*)*'|"
    r'(?<=")[^"\\\n]*(?:\\.[^"\\\n]*)*"|'
    r"(?<=D)ecimal\('[^'\\\n]*'\)|"
    r"(?<=d)atetime\.date(?:time)?\([0-9, ]*"
    r"""(?:tzinfo=[^()'"\n]*(?:'[^'\n]*'>|\((?:key=)?'[^'\n]*'\))?)?\)|"""
    r"(?<=U)UID\('[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'\)))"
)
_ROWS = re.compile(r"\s*([\[(])([\[({])")
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_PLAIN_DECIMAL = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_QUOTE = "'"
# What stands for a constant and for a string: one character each, and the first three
# stand in no text.
_NULL, _TRUE, _FALSE, _TEXT = "\1", "\2", "\3", "S"
_INTEGER = r"^-?(?:0|[1-9][0-9]*)$"
_BARE = str.maketrans("", "", f"0123456789+-.einfa,\n\0{_NULL}{_TRUE}{_FALSE}")
_EXACT_FLOAT = 2**53


class _Doubt(ValueError):
    """The text is not plainly rows of one width; the exact path decides."""


class _Block(NamedTuple):
    """Some rows twice: with their strings, and with a mark in place of each string."""

    whole: bytes
    marked: bytes
    rows: int


def read_table(text: str) -> pa.Table | None:
    """The table of a Python list of equal tuples, lists or dicts of plain values;
    tuples and lists give empty names.

    Columns are int64, float64, bool, string, decimal128, date32, timestamp, or null
    when no row has a value; strings are not converted. None when the text is small, is
    anything else, or anything in it is in doubt.
    """
    if len(text) >= SMALL:
        rows = _ROWS.match(text)
    else:
        rows = None

    if rows is None or "\0" in text:
        return None

    try:
        return _read_rows(text.rstrip(), rows)
    except (ValueError, OverflowError, RecursionError):
        # no literal for our parser, or nothing that Arrow converts
        return None


def _read_rows(text: str, rows: re.Match[str]) -> pa.Table:
    opening = rows[2]
    closing = _CLOSING[opening]
    if not text.endswith(closing + _CLOSING[rows[1]]):
        raise _Doubt

    first, end = literal.load_at(text, rows.start(2))
    if not isinstance(first, list | tuple | dict) or not first:
        raise _Doubt

    body, count = text[rows.start(2) : -1], None
    if isinstance(first, dict):
        body, count = _drop_keys(body, list(first))

    if text.startswith(", ", end):
        comma = ", "
    else:
        comma = ","

    single = isinstance(first, tuple) and len(first) == 1
    # Names are gone: from here on, rows of every form are values with commas between.
    blocks = list(_write_blocks(body[1:-1], closing + comma + opening, single))
    total = sum(block.rows for block in blocks)
    if count not in (None, total):
        raise _Doubt

    if isinstance(first, dict):
        names = list(first)
    else:
        names = [""] * len(first)

    return pa.Table.from_arrays(_read_columns(blocks, len(first), total), names=names)


def _drop_keys(body: str, names: Sequence[object]) -> tuple[str, int]:
    """The values of the records alone, and how many records there are.

    A key between its quotes may also stand in a string in double quotes; then it is
    found once too often.
    """
    rows = None
    for at, name in enumerate(names):
        if not isinstance(name, str) or not name or not name.isprintable():
            raise _Doubt

        before, after = (f", {name!r}: ", ", ") if at else (f"{{{name!r}: ", "{")
        shorter = body.replace(before, after)
        found = (len(body) - len(shorter)) // (len(before) - len(after))
        if rows is None:
            rows = found
        else:
            rows = rows

        if found != rows:
            raise _Doubt

        body = shorter

    return body, rows or 0


def _write_blocks(body: str, between: str, single: bool) -> Iterator[_Block]:
    """The rows as CSV, about a megabyte of text at a time; `single`: they are tuples of
    one value.
    """
    start = 0
    while start < len(body):
        parts, end = _split_block(body, start, between)
        yield _write_block(parts, between, single)
        start = end + len(between)


def _split_block(body: str, start: int, between: str) -> tuple[list[str], int]:
    """The tokens from `start` on and what is between them, and where the block ends."""
    end = start
    while True:
        end = body.find(between, end + _BLOCK)
        if end < 0:
            end = len(body)
        else:
            end = end

        parts = _TOKEN.split(body[start:end])
        if "'" not in parts[-1] and '"' not in parts[-1]:
            return parts, end
        # the end was inside a string: what looked like the next row is its text
        if end == len(body):
            raise _Doubt


def _write_block(parts: list[str], between: str, single: bool) -> _Block:
    tokens = parts[1::2]
    outside = _write_outside("\0".join(parts[::2]), between, single)
    cells = [""] * (2 * len(tokens) + 1)
    cells[::2] = outside.split("\0")
    cells[1::2] = map(_write_cell, tokens)
    whole = "".join(cells).encode()
    # Every cell that is a string begins with a quote, and nothing else does. In one
    # expression, as it is done for each string of the text.
    cells[1::2] = [_TEXT if cell[0] == _QUOTE else cell for cell in cells[1::2]]
    return _Block(whole, "".join(cells).encode(), outside.count("\n") + 1)


def _write_outside(outside: str, between: str, single: bool) -> str:
    """What is between the tokens (each a NUL here) as CSV: a row a line, constants in
    one character.
    """
    if any(mark in outside for mark in ("\n", _NULL, _TRUE, _FALSE)):
        raise _Doubt

    if single:
        with_comma = outside.count(f",{between}") + outside.endswith(",")
        if with_comma != outside.count(between) + 1:
            raise _Doubt  # (0) is no tuple

    if between == "), (":
        # a tuple of one value has a comma behind it
        outside = outside.replace(",), (", "), (").removesuffix(",")

    outside = outside.replace(between, "\n").replace(", ", ",")
    outside = outside.replace("None", _NULL)
    outside = outside.replace("True", _TRUE).replace("False", _FALSE)
    if outside.translate(_BARE) or not _stand_apart(outside):
        raise _Doubt

    return outside


def _stand_apart(outside: str) -> bool:
    """Whether each token is a cell of its own: only commas and line ends beside it."""
    framed = f"\n{outside}\n"
    tokens = framed.count("\0")
    before = framed.count(",\0") + framed.count("\n\0")
    behind = framed.count("\0,") + framed.count("\0\n")
    return before == behind == tokens


def _write_cell(token: str) -> str:
    """A token as a CSV cell: a string in single quotes, or a letter for the kind and the value."""
    if token[0] == _QUOTE and "\\" not in token:
        return token  # most strings are written as CSV has them

    if token[0] in "'\"":
        if "\\" in token:
            value = literal.loads(token)
        else:
            value = token[1:-1]

        return "'" + str(value).replace("'", "''") + "'"

    if token[0] == "D":
        digits = token[len("Decimal('") : -2]
        if not _PLAIN_DECIMAL.fullmatch(digits):
            raise _Doubt

        return f"D{digits}"

    if token[0] == "U":
        return "u" + token[len("UUID('") : -2]

    if token.startswith("datetime.date("):
        year, month, day = token[len("datetime.date(") : -1].split(", ")
        return f"d{_write_year(year)}-{month:0>2}-{day:0>2}"

    return _write_moment(token[len("datetime.datetime(") : -1])


def _write_moment(arguments: str) -> str:
    clock, _, zone = arguments.partition(", tzinfo=")
    if zone and not _is_utc(zone):
        raise _Doubt

    # seconds of zero are left out, with the microseconds behind them
    year, month, day, hour, minute, second, micro = (*clock.split(", "), "0", "0")[:7]
    date = f"{_write_year(year)}-{month:0>2}-{day:0>2}"
    time = f"{hour:0>2}:{minute:0>2}:{second:0>2}.{micro:0>6}"
    if zone:
        return f"z{date}T{time}Z"

    return f"t{date}T{time}"


def _write_year(year: str) -> str:
    if year == "0":
        raise _Doubt
    return f"{year:0>4}"


@lru_cache(maxsize=64)
def _is_utc(zone: str) -> bool:
    value = literal.loads(zone)
    return isinstance(value, tzinfo) and value.utcoffset(None) == timedelta(0)


def _read_columns(blocks: list[_Block], width: int, rows: int) -> list[pa.ChunkedArray]:
    bare = _read_csv(b"\n".join(block.marked for block in blocks), width)
    texts = [name for name in bare.column_names if _all_start(bare[name], _TEXT)]
    whole = bare
    if texts:
        whole = _read_csv(b"\n".join(block.whole for block in blocks), width, texts)

    if not bare.num_rows == whole.num_rows == rows:
        raise _Doubt

    columns = {name: whole[name] for name in texts}
    for name in bare.column_names:
        if name not in columns:
            columns[name] = _read_column(bare[name])

    return [columns[name] for name in bare.column_names]


def _all_start(cells: pa.ChunkedArray, mark: str) -> bool:
    return cells.null_count < len(cells) and bool(
        pc.all(pc.starts_with(cells, mark)).as_py()
    )


def _read_csv(data: bytes, width: int, only: Sequence[str] = ()) -> pa.Table:
    names = [str(number) for number in range(width)]
    for edge in range(_MAX_READ, len(data), _MAX_READ):
        # Of a line end in quotes that the edge of its block parts, Arrow loses the
        # second half.
        if data[edge - 1 : edge + 1] == b"\r\n":
            raise _Doubt

    return pa_csv.read_csv(
        pa.BufferReader(data),
        read_options=pa_csv.ReadOptions(
            column_names=names, block_size=max(_BLOCK, min(len(data), _MAX_READ))
        ),
        parse_options=pa_csv.ParseOptions(
            quote_char=_QUOTE, newlines_in_values=True, ignore_empty_lines=False
        ),
        convert_options=pa_csv.ConvertOptions(
            include_columns=list(only),
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[_NULL],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _read_column(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values of a column without strings, when all its cells are of one kind."""
    if cells.null_count == len(cells):
        return pa.chunked_array([pa.nulls(len(cells))])

    for mark, kind in _KINDS.items():
        if _all_start(cells, mark):
            values = pc.utf8_slice_codeunits(cells, 1)
            if kind is None:
                return _read_decimals(values)

            return pc.cast(values, kind)

    if set(cells.slice(0, 64).to_pylist()) <= {_TRUE, _FALSE, None}:
        return _read_flags(cells)
    if pc.all(pc.match_substring_regex(cells, _INTEGER)).as_py():
        return pc.cast(cells, pa.int64())

    floats = _read_floats(cells)
    if floats is None:
        raise _Doubt

    return floats


_KINDS: dict[str, pa.DataType | None] = {
    "D": None,
    "d": pa.date32(),
    "t": pa.timestamp("us"),
    "z": pa.timestamp("us", "UTC"),
    "u": pa.string(),
}


def _read_flags(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    if not set(cells.unique().drop_null().to_pylist()) <= {_TRUE, _FALSE}:
        raise _Doubt
    return pc.equal(cells, _TRUE)


def _read_floats(cells: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Floats, if none overflows and the integers among them are plain and small enough
    for a float.
    """
    values = pc.cast(cells, pa.float64())
    is_written = pc.match_substring(cells, "inf")
    if pc.any(pc.and_(pc.is_inf(values), pc.invert(is_written))).as_py():
        return None  # digits too large for a float

    whole = pc.invert(pc.match_substring_regex(cells, "[.ein]"))
    largest = pc.max(pc.abs(values.filter(whole))).as_py()
    are_plain = pc.match_substring_regex(cells.filter(whole), _INTEGER)
    if not pc.all(are_plain, min_count=0).as_py():
        return None
    if largest is None or largest < _EXACT_FLOAT:
        return values

    return None


def _read_decimals(digits: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimals of the finest scale, as `strings.decimals` has them."""
    lengths = pc.binary_length(digits)
    points = pc.find_substring(digits, ".")
    has_none = pc.less(points, 0)
    points = pc.if_else(has_none, lengths, points)
    fractions = pc.subtract(pc.subtract(lengths, points), 1)
    fractions = pc.if_else(has_none, 0, fractions)
    signs = pc.cast(pc.starts_with(digits, "-"), pa.int32())
    whole = pc.subtract(points, signs)
    scale = pc.max(fractions).as_py()
    precision = pc.max(whole).as_py() + scale
    if precision > 38:
        raise _Doubt

    return pc.cast(digits, pa.decimal128(precision, scale))
