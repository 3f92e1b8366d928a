"""CSV and TSV, quoted or not, with a header or without, and texts of one column.

Nearly the last reader: it takes a text only when every record has one width and
something besides the commas speaks for data.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.results.columns import declared
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats import csv_records, unquoted
from mcp_notebook.results.formats.csv_records import LINE_END, Record
from mcp_notebook.results.formats.unquoted import EMPTY_OR_NULL
from mcp_notebook.results.reading import Answer, Raw, Taken, from_rows
from mcp_notebook.results.values import json_headings, literal

DELIMITERS = "\t,;|"
LARGE = 64 * 1024  # characters from which Arrow's reader is worth its doubts
_HEAD = 64 * 1024
_START = 64  # characters in which a text's first sign stands
_LINE_END = re.compile(r"[\r\n]")
_JUDGED = 500  # rows of a long text that are judged

_WORD = re.compile(r"[^\W\d]\w*")
_ESCAPE = re.compile(r"\\[^N]")
_PROSE_CELL = 60  # characters
# psql prints a NULL as nothing, and so a row of it as an empty line.
_OPEN_END = "an empty last line may be a row with NULL"


# --- CSV and TSV


# Above the names; a comment with a delimiter may be the names.
_COMMENTS = re.compile(r"(?:# [^\n,;\t|]*\n)+(?!#)")
_LOG_LINE = re.compile(r"\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d,\d{3}[^,;\t\d\n]")


def read_csv(text: str, selected: Sequence[str] = ()) -> Answer:
    """A whole text as CSV, TSV or semicolon-separated values."""
    body = csv_records.strip_command_tags(text.strip("\ufeff").strip("\r\n"))
    if not body:
        return "nothing but command tags"
    # InfluxDB's annotations, in any order
    if body.startswith(("#datatype,", "#group,", "#default,")):
        return _read_annotated_csv(body)
    if body.lstrip()[:1] in "[{<":
        return "starts like JSON or markup"
    # Python's logging writes a comma before the milliseconds
    if _LOG_LINE.match(body):
        return "lines of a log"

    comments = _COMMENTS.match(body)
    if comments:
        answer = read_csv(body[comments.end() :], selected)
        rest = comments[0].strip()
        return answer if isinstance(answer, str) else replace(answer, rest=rest)

    first = LINE_END.split(body, maxsplit=1)[0]
    present = [mark for mark in DELIMITERS if mark in first]

    # what is most often in the first line is most likely the delimiter
    for delimiter in sorted(present, key=first.count, reverse=True):
        answer = _read_separated(body, delimiter, selected)
        if not isinstance(answer, str) or answer.startswith("ambiguous"):
            return answer

    if not present:
        return _read_numbers_below_name(
            body, open_end=text.endswith(("\n\n", "\n\r\n"))
        )

    return "no delimiter gives records of one width"


def _read_separated(text: str, delimiter: str, selected: Sequence[str]) -> Answer:
    records = csv_records.read_records(text, delimiter)
    if records is None and delimiter == "," and ', "' in text:
        records = _read_spaced_quotes(text)
    if records is not None and len({len(row) for row in records}) == 1:
        apart = any(None in row for row in records)
        quoted = '"' in text
        return _judge(records, delimiter, quoted=quoted, apart=apart, selected=selected)

    return _read_unquoted(text, delimiter, selected)


def _read_spaced_quotes(text: str) -> list[Record] | None:
    """Records with a blank between a comma and a quote, which RFC 4180 does not know."""
    lines = io.StringIO(text, newline="")
    records: list[Record] = []
    try:
        for row in csv.reader(lines, skipinitialspace=True, strict=True):
            records.append([*row])
    except csv.Error:
        return None

    return records


def _read_unquoted(text: str, delimiter: str, selected: Sequence[str]) -> Answer:
    """Lines whose values are not quoted as in CSV, so that one may hold the delimiter."""
    lines = LINE_END.split(text)
    header = lines[0].split(delimiter)
    if len(lines) < 2 or not csv_records.is_header(header):
        return f"records of different widths between {delimiter!r}"
    if csv_records.is_spaced_prose(text, delimiter):
        return "reads like prose"

    fitted = unquoted.fit_rows(
        lines[1:], lambda line: line.split(delimiter), len(header), delimiter
    )
    if isinstance(fitted, str):
        return fitted

    records: list[Record] = []
    for row in (header, *fitted.rows):
        records.append([*row])

    answer = _judge(
        records, delimiter, quoted=False, repaired=fitted.repaired, selected=selected
    )
    unclosed = any(line.startswith('"') or f'{delimiter}"' in line for line in lines)
    if isinstance(answer, str) or not unclosed:
        return answer

    note = "quotes are not paired as in CSV; they were taken as part of the values"
    raws = [raw.with_note(note, approximate=True) for raw in answer.raws]

    return replace(answer, raws=tuple(raws))


def read_large_csv(text: str) -> Taken | None:
    """A long, regular CSV or TSV by Arrow's reader, every cell as text; None when it is
    short or unusual.
    """
    if len(text) < LARGE or text[:_START].lstrip("\ufeff \r\n")[:1] in "[{<":
        return None

    # Some programs of Windows and old Macs end lines with \r alone.
    head = _LINE_END.split(text[:_HEAD], maxsplit=1)[0]
    delimiter = max(DELIMITERS, key=head.count)
    names = _names_of_large(head, delimiter)
    if delimiter == "|" or not names:
        return None

    cells = csv_records.read_with_arrow(text, names, delimiter)
    if cells is None:
        return None
    if not cells.quoted and csv_records.is_spaced_prose(text[:_HEAD], delimiter):
        return None
    if delimiter == "\t" and _needs_exact_way(text, cells):
        return None

    return _judge_large(cells, names, delimiter)


def _needs_exact_way(text: str, cells: csv_records.ArrowCells) -> bool:
    """Whether a TSV has escapes to undo or padding to take off."""
    return bool(_ESCAPE.search(text)) or csv_records.may_be_padded(cells.table)


def _names_of_large(head: str, delimiter: str) -> list[str]:
    """The names in the first line, none when they are not plainly a header."""
    header = csv_records.read_records(head.lstrip("\ufeff"), delimiter)
    if header:
        names = [name or "" for name in header[0]]
    else:
        names = []

    named = [name or "index" if at == 0 else name for at, name in enumerate(names)]
    if not csv_records.is_header(named) or len(set(names)) < len(names):
        return []

    if "".join(names).isprintable():
        return names

    return []


def _judge_large(
    cells: csv_records.ArrowCells, names: Sequence[str], delimiter: str
) -> Taken | None:
    """Judged by its first rows as any other CSV is."""
    table = cells.table
    has_nulls = any(column.null_count for column in table.columns)
    sample = [column.slice(0, _JUDGED).to_pylist() for column in table.columns]
    records: list[Record] = [list(names)]
    records += map(list, zip(*sample, strict=True))
    judged = _judge(
        records,
        delimiter,
        quoted=cells.quoted,
        apart=cells.empty_quoted and has_nulls,
    )
    if isinstance(judged, str) or judged.raws[0].declared:
        return None

    if len(judged.raws[0].columns) != len(names):
        return None

    whole = replace(judged.raws[0], columns=tuple(table.columns), rows=table.num_rows)

    return replace(judged, raws=(whole,))


def _judge(
    records: list[Record],
    delimiter: str,
    *,
    quoted: bool,
    apart: bool = False,
    repaired: frozenset[int] = frozenset(),
    selected: Sequence[str] = (),
) -> Answer:
    """Whether records of one width are data, and whether the first is their header;
    `apart`: None is no empty text.
    """
    records = _join_headings(_strip_after_commas(records, delimiter))
    header, *rows = records
    names = _name_index([cell or "" for cell in header])
    stripped = [name.strip() for name in names]
    is_selected = len(names) > 1 and stripped == list(selected)
    if not is_selected and not csv_records.is_header(names):
        return _judge_headless(records, delimiter, apart)

    kinds = _types_in_first_row(names, rows)
    if kinds:
        rows = rows[1:]

    vouched = is_selected or bool(kinds)
    doubt = _doubt_in(names, rows, delimiter, vouched=vouched, quoted=quoted)
    if doubt:
        return doubt

    raw = from_rows(stripped, rows, declared=kinds, **_options_of_cells(apart))
    if delimiter == "\t" and not quoted:
        raw = unquoted.undo_tsv_escapes(unquoted.strip_padding(raw))

    note = "values are not quoted; cells of {} were put together again"
    raw = unquoted.note_repairs(raw, names, repaired, note)

    return Taken((raw,), confidence="high" if quoted else "medium")


def _join_headings(records: list[Record]) -> list[Record]:
    """Records with one row of names: pandas writes two levels of columns as two rows
    that begin with an empty cell, and the name of the index below them.
    """
    if len(records) < 3:
        return records

    upper, lower = records[0], records[1]
    are_levels = not upper[0] and not lower[0] and len(set(upper)) < len(upper)
    names = [*upper[1:], *lower[1:]]
    if not are_levels or not all(
        name and csv_records.is_header([name] * 2) for name in names
    ):
        return records

    pairs = zip(upper[1:], lower[1:], strict=True)
    joined = [f"{above} / {below}" for above, below in pairs]
    third = records[2]
    if third[0] and not any(third[1:]):
        return [[third[0], *joined], *records[3:]]

    return [["", *joined], *records[2:]]


def _name_index(names: list[str]) -> list[str]:
    """Names of which the first may be empty: an index without a name is written so."""
    filled = next((at for at, name in enumerate(names) if name.strip()), 0)
    if not filled or not csv_records.is_header([*names[filled:], "index"]):
        return names
    return [
        *json_headings.name_levels([None] * filled, names[filled:]),
        *names[filled:],
    ]


def _strip_after_commas(records: list[Record], delimiter: str) -> list[Record]:
    """Without the blank that stands after each comma, when it does so in every row."""
    if delimiter != "," or len(records) < 2:
        return records
    if not all(_is_spaced_row(row) for row in records[:_JUDGED]):
        return records

    stripped: list[Record] = []
    for first, *rest in records:
        stripped.append([first, *(cell and cell.removeprefix(" ") for cell in rest)])

    # prose has its blanks there, too, but no column of numbers
    if csv_records.has_typed_column(stripped[1:]):
        return stripped
    return records


def _is_spaced_row(row: Record) -> bool:
    return len(row) > 1 and all(str(cell).startswith(" ") for cell in row[1:])


def _doubt_in(
    names: Sequence[str],
    rows: Sequence[Record],
    delimiter: str,
    *,
    vouched: bool,
    quoted: bool,
) -> str:
    """Why records with a header are no data, "" when they are; `vouched`: the statement
    or a row of types says so.
    """
    if not rows and not vouched and not _are_identifiers(names):
        return "one line and no more"
    if csv_records.has_typed_column(rows):
        return ""

    is_spaced = delimiter == "," and all(name.startswith(" ") for name in names[1:])
    # Prose has no tabs, seldom quotes around a word, and seldom two lines of three words
    # between commas.
    is_large = len(names) > 2 and len(rows) > 1
    signs = (vouched, quoted, is_large, delimiter == "\t", not rows)
    if any(signs) and not is_spaced:
        return ""

    return "nothing but commas speaks for data"


def _are_identifiers(names: Sequence[str]) -> bool:
    """Whether names are words of which one has an underscore, as in no prose."""
    if not all(_WORD.fullmatch(name) for name in names):
        return False
    return any("_" in name for name in names)


def _options_of_cells(apart: bool) -> dict[str, Any]:
    """How far texts are believed and what is NULL: an empty cell, unless the text has
    both kinds of them.
    """
    return {
        "text": "all",
        "nulls": NULL_WORDS if apart else EMPTY_OR_NULL,
        "empty_is_text": apart,
    }


def _types_in_first_row(
    names: Sequence[str], rows: Sequence[Record]
) -> tuple[str, ...]:
    """The types in the first row, as ClickHouse's `…WithNamesAndTypes` writes them;
    none when they are values.
    """
    if rows:
        first = [cell or "" for cell in rows[0]]
    else:
        first = []

    if len(first) < 2 or not all(map(declared.kind, first)):
        return ()

    # names like "date" and "text" are types as well, and the row then one of values
    if all(map(declared.kind, names)):
        return ()

    return tuple(first)


def _judge_headless(records: list[Record], delimiter: str, apart: bool) -> Answer:
    if len(records) < 2 or delimiter == "|":
        return "no header, and nothing that speaks for data"
    if not csv_records.has_typed_column(records):
        return "no header, and nothing that speaks for data"

    cells = [cell for cell in itertools.chain.from_iterable(records) if cell]
    # a quarter of sentences among the cells is a text with commas
    sentences = sum(map(_is_sentence, cells))
    if sentences * 4 > len(cells):
        return "reads like prose"

    raw = from_rows(None, records, **_options_of_cells(apart))

    return Taken((raw,), confidence="low")


def _is_sentence(cell: str) -> bool:
    return len(cell) > _PROSE_CELL or cell.endswith((".", "!", "?"))


# --- InfluxDB's annotated CSV

_FLUX_TYPES = {
    "string": "text",
    "long": "bigint",
    "unsignedLong": "bigint",
    "double": "double",
    "boolean": "boolean",
}


def _read_annotated_csv(body: str) -> Answer:
    """InfluxDB's CSV: lines of annotations, then rows whose first cell is empty; one
    table of it.
    """
    lines = [line for line in LINE_END.split(body) if line.strip()]
    annotations = [line for line in lines if line.startswith("#datatype,")]
    if annotations:
        kinds = annotations[0].split(",")[1:]
    else:
        kinds = []

    unannotated = "\n".join(line for line in lines if not line.startswith("#"))
    records = csv_records.read_records(unannotated, ",")
    several = "ambiguous: several tables of annotated CSV, or rows of different widths"
    if records is None or len({len(row) for row in records}) != 1:
        return several
    if any(row[0] for row in records):
        return several

    header, *rows = [row[1:] for row in records]
    known: tuple[str | None, ...] = ()
    # the annotation and the rows begin with a cell that is no column
    if len(kinds) == len(header):
        known = tuple(map(_FLUX_TYPES.get, kinds))

    names = [name or "" for name in header]
    raw = from_rows(names, rows, text="all", nulls=EMPTY_OR_NULL, declared=known)

    return Taken((raw,))


# --- one column

_IDENTIFIER = re.compile(r"[^\W\d][\w$]*(?:[ .\-/][\w%()#$]+){0,5}")


def _read_numbers_below_name(text: str, *, open_end: bool) -> Answer:
    """One name and below it nothing but numbers or dates; other single columns are
    prose. `open_end`: a blank line ends it, which may be a row.
    """
    name, *lines = LINE_END.split(text)
    if not lines or not _IDENTIFIER.fullmatch(name) or " " in name:
        return "one column of text is prose"

    present = unquoted.without_nulls(lines)
    if not present or not unquoted.are_numbers_or_dates(present):
        return "one column of text is prose"

    cells = [line or None for line in lines]
    raw = Raw((name,), (cells,), len(cells), text="all", nulls=EMPTY_OR_NULL)
    if open_end:
        raw = raw.with_note(_OPEN_END, approximate=True)

    return Taken((raw,), confidence="medium")


def read_selected_column(text: str, selected: Sequence[str]) -> Answer:
    """A text whose first line is exactly the one column of the statement: each further
    line is a row.
    """
    reason = "its first line is not the column of the statement"
    if len(selected) != 1:
        return reason

    body = csv_records.strip_command_tags(text.strip("\ufeff").strip("\r\n"))
    name, *lines = LINE_END.split(body)
    if name != selected[0] or (lines and _is_dashes(lines[0])):
        return reason

    cells = [line or None for line in _unquote_lines(name, lines)]
    raw = Raw((name,), (cells,), len(cells), text="all", nulls=EMPTY_OR_NULL)
    if not cells and text.endswith("\n"):
        raw = raw.with_note(_OPEN_END, approximate=True)
    elif len(cells) > 1:
        raw = unquoted.note_line_per_row(raw, name)

    return Taken((raw,), confidence="low")


def _is_dashes(line: str) -> bool:
    """Whether a line rules off the one above: then the table is one of `ruled`."""
    return bool(line) and not line.strip("-")


def _unquote_lines(name: str, lines: Sequence[str]) -> Sequence[str | None]:
    """The values of one column, which may be quoted as in CSV."""
    if not any(line[:1] == '"' for line in lines):
        return lines

    # "\0" is in no text: a delimiter that parts nothing
    records = csv_records.read_records("\n".join([name, *lines]), "\0")
    if records is None:
        return lines

    return [row[0] for row in records[1:]]


# --- rows below a line that names their columns

_COLUMNS_LINE = re.compile(
    r"(?:^|\n)[ \t]*(?:columns?|fields|headers?|column names)\s*[:=]\s*"
    r"(\[.*?\]|\(.*?\))[ \t]*(?:\r?\n|$)",
    re.IGNORECASE,
)
_ROWS_LINE = re.compile(r"\W*(?:rows|data|results?)\W*", re.IGNORECASE)


def read_columns_line(text: str) -> Answer:
    """`Columns: ['id', 'name']` and then rows whose values are joined with commas, unquoted."""
    found = _COLUMNS_LINE.search(text)
    if found is None:
        return "no line of column names"

    try:
        names = literal.loads(found[1])
    except ValueError as error:
        return f"its column names cannot be read: {error}"

    if not isinstance(names, (list, tuple)) or not names:
        return "its column names are not texts"
    if not all(isinstance(name, str) for name in names):
        return "its column names are not texts"

    lines = [line for line in text[found.end() :].splitlines() if line.strip()]
    if lines and _ROWS_LINE.fullmatch(lines[0]):
        lines = lines[1:]

    # Python's join with ", " or with ","
    if any(", " in line for line in lines):
        separator = ", "
    else:
        separator = ","

    rows = [line.split(separator) for line in lines]
    if any(len(row) != len(names) for row in rows):
        return (
            "ambiguous: rows do not have as many values as there are columns; "
            "a value may hold a comma or a line break"
        )

    raw = from_rows(names, rows, text="all", nulls=EMPTY_OR_NULL)
    if rows and len(names) > 1:
        note = "values are not quoted; a comma inside one would have been taken for a separator"
        raw = raw.with_note(note)

    rest = text[: found.start()].strip()

    return Taken((raw,), rest=rest, confidence="medium")
