"""Records between delimiters (RFC 4180): exactly in Python, or a long text straight into
Arrow, every cell as text.

`read_records` is the exact way. `read_with_arrow` gives the same for long, regular texts,
or None at the first doubt: Arrow's reader forgives quotes that RFC 4180 does not know, so
all quotes of the text are looked at before.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from mcp_notebook.results.columns import strings
from mcp_notebook.results.formats.unquoted import without_nulls

LINE_END = re.compile(r"\r\n|\n|\r")
# What psql and its like print around a result when they run a script.
_COMMAND_TAG = re.compile(
    r"(?:BEGIN|COMMIT|ROLLBACK|SET|START TRANSACTION|SELECT \d+|\(\d+ rows?\)|"
    r"\d+ rows? (?:selected|affected|in set|retrieved)\b.*|Fetched \d+ rows?.*)\s*",
    re.IGNORECASE,
)
_LONGEST_NAME = 100
_MOST_SPACES = 5  # of a name: more of them are a sentence
_SAMPLE = 500  # rows by which a column's kind is judged

ARROW_BLOCK = 1 << 20
_QUOTE = ord('"')
_LINE_END_BYTES = b"\r\n"
_TAIL = 4096

Record = list[str | None]


# --- the exact way


def read_records(text: str, delimiter: str) -> list[Record] | None:
    """RFC 4180 records; an empty cell is None where the text quotes empty ones. None
    when a quote is out of place.
    """
    if '"' not in text:
        return [list(line.split(delimiter)) for line in LINE_END.split(text)]

    mark = re.escape(delimiter)
    cell_pattern = re.compile(
        rf'(?:"((?:[^"]|"")*)"|([^{mark}\r\n"]*))({mark}|\r\n|\n|\r|\Z)'
    )
    records: list[Record] = [[]]
    empty_quoted = False
    at = 0

    while (match := cell_pattern.match(text, at)) is not None:
        quoted = match[1]
        if quoted is None:
            records[-1].append(match[2] or None)
        else:
            records[-1].append(quoted.replace('""', '"'))
            empty_quoted = empty_quoted or not quoted

        at = match.end()
        if match[3] == delimiter:
            continue

        if at == len(text):
            # Who quotes an empty text leaves NULL unquoted (psql); elsewhere the two
            # cannot be told apart.
            if empty_quoted:
                return records
            return _with_empty_texts(records)

        records.append([])

    return None


def _with_empty_texts(records: Sequence[Record]) -> list[Record]:
    filled: list[Record] = []
    for row in records:
        filled.append([cell or "" for cell in row])

    return filled


def strip_command_tags(text: str) -> str:
    """Without the command tags that psql prints around a result."""
    lines = text.splitlines(keepends=True)
    while lines and _is_tag_or_blank(lines[0]):
        lines.pop(0)

    while lines and _is_tag_or_blank(lines[-1]):
        lines.pop()

    body = "".join(lines)
    # A line of blanks at the text's own end may be the last row and stays; before a tag
    # the line end belongs to the tag.
    if lines and text.rstrip("\r\n").endswith(lines[-1].rstrip("\r\n")):
        return body

    return body.rstrip("\r\n")


def _is_tag_or_blank(line: str) -> bool:
    return bool(_COMMAND_TAG.fullmatch(line)) or not line.strip(" \r\n")


# as `du` prints it
_SIZE = re.compile(r"\d{1,9}(?:\.\d{1,3})?[KMGTP](?:i?B)?")


def is_header(names: Sequence[str]) -> bool:
    """Whether these are names of columns: not empty, not numbers, no sentences."""
    return len(names) > 1 and all(_is_name(name.strip()) for name in names)


def _is_name(name: str) -> bool:
    if not name or len(name) > _LONGEST_NAME:
        return False
    if strings.is_number(name) or strings.is_temporal(name) or _SIZE.fullmatch(name):
        return False
    if name.endswith((".", "!", "?", ":", ";")) or ": " in name:
        return False

    return name.count(" ") <= _MOST_SPACES


def has_typed_column(rows: Sequence[Sequence[str | None]]) -> bool:
    """Whether one column at least is numbers, dates or flags throughout."""
    for column in zip(*rows[:_SAMPLE], strict=True):
        present = without_nulls(column)
        if not present:
            continue

        for test in (strings.is_number, strings.is_temporal, _is_flag):
            if all(map(test, present)):
                return True

    return False


def _is_flag(cell: str) -> bool:
    return cell.lower() in ("true", "false")


def is_spaced_prose(text: str, delimiter: str) -> bool:
    """Whether a blank follows every comma, as in prose."""
    return delimiter == "," and text.count(", ") == text.count(",")


# --- the fast way


class ArrowCells(NamedTuple):
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


def read_with_arrow(
    text: str, names: Sequence[str], delimiter: str
) -> ArrowCells | None:
    """The table below a header of these (unique) names; None when it is not plainly
    records of one width.
    """
    try:
        data = text.lstrip("\ufeff").encode()
    except UnicodeEncodeError:
        return None

    if data.endswith(b"\n"):
        data = data
    else:
        data = data + b"\n"

    end = _end_of_records(data)
    quotes = _look_at_quotes(data, delimiter)
    if not end or quotes is None or b"\0" in data:
        return None

    converting = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        check_utf8=False,
    )
    parsing = pa_csv.ParseOptions(
        delimiter=delimiter,
        newlines_in_values=quotes.any,
        quote_char='"' if quotes.any else False,
        ignore_empty_lines=False,
    )
    # Its second thread costs more than it gains.
    reading = pa_csv.ReadOptions(use_threads=False, block_size=_block_size(data))
    records = pa.py_buffer(data).slice(0, end)

    try:
        table = pa_csv.read_csv(records, reading, parsing, converting)
    except pa.ArrowInvalid:
        return None

    if table.column_names != list(names) or _has_blank_row(table):
        return None

    return ArrowCells(table, quotes.any, quotes.empty)


def may_be_padded(table: pa.Table) -> bool:
    """Whether all cells of a column have one length and some have blanks at their ends:
    the exact path looks at it.
    """
    return any(map(_may_be_padded_column, table.columns))


def _may_be_padded_column(column: pa.ChunkedArray) -> bool:
    lengths = pc.min_max(pc.utf8_length(column))
    if lengths["min"].as_py() != lengths["max"].as_py():
        return False

    starts_blank = pc.starts_with(column, " ")
    ends_blank = pc.ends_with(column, " ")

    return bool(pc.any(pc.or_(starts_blank, ends_blank)).as_py())


def _block_size(data: bytes) -> int:
    """A size whose edges part no `\r\n`: of one in quotes, Arrow loses the second half."""
    for size in range(ARROW_BLOCK, 2 * ARROW_BLOCK):
        edges = range(size, len(data), size)
        if all(data[edge - 1 : edge + 1] != b"\r\n" for edge in edges):
            return size
    return len(data)


def _has_blank_row(table: pa.Table) -> bool:
    """Whether a row is empty throughout, as Arrow reads an empty line, which is a
    record of one cell.
    """
    if not all(column.null_count for column in table.columns):
        return False

    nulls = (column.is_null() for column in table.columns)
    blank_rows = functools.reduce(pc.and_, nulls)

    return bool(pc.any(blank_rows).as_py())


def _end_of_records(data: bytes) -> int:
    """Where the last record ends, one line end included (Arrow misreads an empty last
    cell without); 0 for nowhere.
    """
    tail = data[-_TAIL:]
    kept = tail.rstrip(_LINE_END_BYTES)
    if kept:
        return len(data) - len(tail) + len(kept) + 1

    return 0


def _look_at_quotes(data: bytes, delimiter: str) -> _Quotes | None:
    """What quotes do in the text; None when one is out of place.

    Every second quote opens: it stands at a cell's start, or behind the quote with
    which it is one character of a value. Every other closes: it stands at a cell's end,
    or before such a quote. Block by block, for the places of all quotes may take more
    memory than the text.
    """
    codes = np.frombuffer(data, np.uint8)
    ends_a_cell = np.zeros(256, bool)
    ends_a_cell[[ord(delimiter), *_LINE_END_BYTES]] = True
    allowed = ends_a_cell.copy()
    allowed[_QUOTE] = True
    waiting = np.empty(0, np.intp)  # a quote whose partner is in the next block
    found = empty = False

    for start in range(0, len(codes), ARROW_BLOCK):
        block = codes[start : start + ARROW_BLOCK]
        at = np.concatenate([waiting, np.flatnonzero(block == _QUOTE) + start])
        pairs = len(at) // 2 * 2
        opens, closes, waiting = at[:pairs:2], at[1:pairs:2], at[pairs:]
        if not pairs:
            continue

        # a line end is the last byte, and stands for the first
        before, after = codes[opens - 1], codes[closes + 1]
        if not (allowed[before].all() and allowed[after].all()):
            return None

        found = True
        alone = ends_a_cell[before] & ends_a_cell[after] & (closes == opens + 1)
        empty = empty or bool(alone.any())

    if len(waiting):
        return None

    return _Quotes(found, empty)
