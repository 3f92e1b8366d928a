"""A long, regular CSV or TSV straight into Arrow, every cell as text, or None at the first doubt.

Arrow's reader forgives quotes that RFC 4180 does not know, so all quotes of the text
are looked at before.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

BLOCK = 1 << 20
_QUOTE = ord('"')
_ENDS = b"\r\n"


class Cells(NamedTuple):
    """All cells as text, null where a cell was empty without quotes; `empty_quoted`:
    others were empty within them.
    """

    table: pa.Table
    quoted: bool
    empty_quoted: bool


class _Quotes(NamedTuple):
    """Whether there are quotes, and whether two of them are a cell."""

    any: bool
    empty: bool


def read(text: str, names: Sequence[str], delimiter: str) -> Cells | None:
    """The table below a header of these (unique) names; None when it is not plainly
    records of one width.
    """
    try:
        data = text.lstrip("\ufeff").encode()
    except UnicodeEncodeError:
        return None
    data = data if data.endswith(b"\n") else data + b"\n"
    end = _end(data)
    quotes = _quotes(data, delimiter)
    if not end or quotes is None or b"\0" in data:
        return None
    options = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True,
        quoted_strings_can_be_null=False, check_utf8=False,
    )  # fmt: skip
    parsing = pa_csv.ParseOptions(
        delimiter=delimiter, newlines_in_values=quotes.any, quote_char='"' if quotes.any else False,
        ignore_empty_lines=False,
    )  # fmt: skip
    # Its second thread costs more than it gains.
    reading = pa_csv.ReadOptions(use_threads=False, block_size=_block_size(data))
    try:
        table = pa_csv.read_csv(
            pa.py_buffer(data).slice(0, end), reading, parsing, options
        )
    except pa.ArrowInvalid:
        return None
    if table.column_names != list(names) or _has_blank_row(table):
        return None
    return Cells(table, quotes.any, quotes.empty)


def may_be_padded(table: pa.Table) -> bool:
    """Whether all cells of a column have one length and some have blanks at their ends:
    the exact path looks at it.
    """
    return any(map(_may_be_padded, table.columns))


def _may_be_padded(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(pc.utf8_length(column))
    if ends["min"].as_py() != ends["max"].as_py():
        return False
    return bool(
        pc.any(pc.or_(pc.starts_with(column, " "), pc.ends_with(column, " "))).as_py()
    )


def _block_size(data: bytes) -> int:
    """A size whose edges part no `\r\n`: of one in quotes, Arrow loses the second half."""
    sizes = range(BLOCK, 2 * BLOCK)
    return next(
        (
            size
            for size in sizes
            if all(
                data[edge - 1 : edge + 1] != b"\r\n"
                for edge in range(size, len(data), size)
            )
        ),
        len(data),
    )


def _has_blank_row(table: pa.Table) -> bool:
    """Whether a row is empty throughout, as Arrow reads an empty line, which is a
    record of one cell.
    """
    if not all(column.null_count for column in table.columns):
        return False
    return bool(
        pc.any(
            functools.reduce(pc.and_, (column.is_null() for column in table.columns))
        ).as_py()
    )


def _end(data: bytes) -> int:
    """Where the last record ends, one line end included (Arrow misreads an empty last
    cell without); 0 for nowhere.
    """
    tail = data[-4096:]
    kept = tail.rstrip(_ENDS)
    return len(data) - len(tail) + len(kept) + 1 if kept else 0


def _quotes(data: bytes, delimiter: str) -> _Quotes | None:
    """What quotes do in the text; None when one is out of place.

    Every second quote opens: it stands at a cell's start, or behind the quote with
    which it is one character of a value. Every other closes: it stands at a cell's end,
    or before such a quote. Block by block, for the places of all quotes may take more
    memory than the text.
    """
    codes = np.frombuffer(data, np.uint8)
    around = np.zeros(256, bool)
    around[[ord(delimiter), *_ENDS]] = True
    allowed = around.copy()
    allowed[_QUOTE] = True
    waiting = np.empty(0, np.intp)
    found = empty = False
    for start in range(0, len(codes), BLOCK):
        at = np.concatenate(
            [waiting, np.flatnonzero(codes[start : start + BLOCK] == _QUOTE) + start]
        )
        pairs = len(at) // 2 * 2
        opens, closes, waiting = at[:pairs:2], at[1:pairs:2], at[pairs:]
        if not pairs:
            continue
        # a line end is the last byte, and stands for the first
        before, after = codes[opens - 1], codes[closes + 1]
        if not (allowed[before].all() and allowed[after].all()):
            return None
        found = True
        empty = empty or bool(
            (around[before] & around[after] & (closes == opens + 1)).any()
        )
    return None if len(waiting) else _Quotes(found, empty)
