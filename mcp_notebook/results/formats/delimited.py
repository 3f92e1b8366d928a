"""CSV and TSV, quoted or not, with a header or without; and rows below a `Columns: [...]` line.

The last reader: it takes a text only when every record has one width and something besides the commas speaks for data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.results.columns import declared, strings
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats import escapes, fast_csv, fitting
from mcp_notebook.results.raw import Answer, Raw, Taken, from_rows, listing
from mcp_notebook.results.values import literal

_COLUMNS = re.compile(
    r"(?:^|\n)[ \t]*(?:columns?|fields|headers?|column names)\s*[:=]\s*(\[.*?\]|\(.*?\))[ \t]*(?:\r?\n|$)",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"(?:BEGIN|COMMIT|ROLLBACK|SET|START TRANSACTION|SELECT \d+|\(\d+ rows?\)|"
    r"\d+ rows? (?:selected|affected|in set|retrieved)\b.*|Fetched \d+ rows?.*)\s*",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"[^\W\d][\w$]*(?:[ .\-/][\w%()#$]+){0,5}")
_WORD = re.compile(r"[^\W\d]\w*")
_RECORD_END = re.compile(r"\r\n|\n|\r")
_ESCAPE = re.compile(r"\\[^N]")
LARGE = 64 * 1024
_HEAD = 64 * 1024
_NULLS = (*NULL_WORDS, "")


def columns_line(text: str) -> Answer:
    """`Columns: ['id', 'name']` and then rows whose values are joined with commas, unquoted."""
    found = _COLUMNS.search(text)
    if found is None:
        return "no line of column names"
    try:
        names = literal.loads(found[1])
    except ValueError as error:
        return f"its column names cannot be read: {error}"
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        return "its column names are not texts"
    lines = [line for line in text[found.end() :].splitlines() if line.strip()]
    lines = lines[1:] if lines and re.fullmatch(r"\W*(?:rows|data|results?)\W*", lines[0], re.IGNORECASE) else lines
    separator = ", " if any(", " in line for line in lines) else ","
    rows = [line.split(separator) for line in lines]
    if any(len(row) != len(names) for row in rows):
        return (
            "ambiguous: rows do not have as many values as there are columns; a value may hold a comma or a line break"
        )
    raw = from_rows(names, rows, text="all", nulls=_NULLS)
    if rows and len(names) > 1:
        raw = raw.noted("values are not quoted; a comma inside one would have been taken for a separator")
    return Taken((raw,), rest=text[: found.start()].strip(), confidence="medium")


def csv(text: str, selected: Sequence[str] = ()) -> Answer:
    """A whole text as CSV, TSV or semicolon-separated values."""
    body = _without_tags(text.strip("\ufeff").strip("\r\n"))
    if not body:
        return "nothing but command tags"
    if body.startswith(("#datatype,", "#group,", "#default,")):
        return _annotated(body)
    if body.lstrip()[:1] in "[{<":
        return "starts like JSON or markup"
    first = _RECORD_END.split(body, maxsplit=1)[0]
    for delimiter in sorted("\t,;|", key=first.count, reverse=True):
        if delimiter not in first:
            break
        answer = _separated(body, delimiter, selected)
        if not isinstance(answer, str) or answer.startswith("ambiguous"):
            return answer
    return (
        _one_column(body) if not any(mark in first for mark in "\t,;|") else "no delimiter gives records of one width"
    )


def _annotated(body: str) -> Answer:
    """InfluxDB's CSV: lines of annotations, then rows whose first cell is empty; one table of it."""
    lines = [line for line in _RECORD_END.split(body) if line.strip()]
    kinds = next((line.split(",")[1:] for line in lines if line.startswith("#datatype,")), [])
    records = _records("\n".join(line for line in lines if not line.startswith("#")), ",")
    if records is None or len({len(row) for row in records}) != 1 or any(row[0] for row in records):
        return "ambiguous: several tables of annotated CSV, or rows of different widths"
    names, *rows = [row[1:] for row in records]
    known = tuple(_FLUX.get(kind) for kind in kinds) if len(kinds) == len(names) else ()
    return Taken((from_rows([name or "" for name in names], rows, text="all", nulls=_NULLS, declared=known),))


_FLUX = {"string": "text", "long": "bigint", "unsignedLong": "bigint", "double": "double", "boolean": "boolean"}


def _without_tags(text: str) -> str:
    """Without the command tags that psql prints around a result."""
    lines = text.splitlines(keepends=True)
    while lines and (_TAG.fullmatch(lines[0]) or not lines[0].strip(" \r\n")):
        lines.pop(0)
    while lines and (_TAG.fullmatch(lines[-1]) or not lines[-1].strip(" \r\n")):
        lines.pop()
    if lines and text.rstrip("\r\n").endswith(lines[-1].rstrip("\r\n")):
        return "".join(lines)
    return "".join(lines).rstrip("\r\n")


def _separated(text: str, delimiter: str, selected: Sequence[str]) -> Answer:
    records = _records(text, delimiter)
    if records is not None and len({len(row) for row in records}) == 1:
        apart = any(None in row for row in records)
        return _judged(records, delimiter, quoted='"' in text, apart=apart, selected=selected)
    lines = _RECORD_END.split(text)
    header = lines[0].split(delimiter)
    if len(lines) < 2 or not _is_header(header):
        return f"records of different widths between {delimiter!r}"
    if _spaced(text, delimiter):
        return "reads like prose"
    unclosed = any(line.startswith('"') or f'{delimiter}"' in line for line in lines)
    fitted = fitting.fit(lines[1:], lambda line: line.split(delimiter), len(header), delimiter)
    if isinstance(fitted, str):
        return fitted
    rows: list[list[str | None]] = [list(row) for row in fitted.rows]
    answer = _judged([list(header), *rows], delimiter, quoted=False, repaired=fitted.repaired, selected=selected)
    if isinstance(answer, str) or not unclosed:
        return answer
    note = "quotes are not paired as in CSV; they were taken as part of the values"
    return replace(answer, raws=tuple(raw.noted(note, approximate=True) for raw in answer.raws))


def large(text: str) -> Taken | None:
    """A long, regular CSV or TSV by Arrow's reader, every cell as text; None when it is short or unusual."""
    if len(text) < LARGE:
        return None
    head = text[:_HEAD].split("\n", 20)[:20]
    delimiter = max("\t,;|", key=head[0].count)
    header = _records(head[0].lstrip("\ufeff"), delimiter)
    names = [name or "" for name in header[0]] if header else []
    plain = _is_header(names) and len(set(names)) == len(names) and "".join(names).isprintable()
    if delimiter == "|" or not plain:
        return None
    cells = fast_csv.read(text, names, delimiter)
    if cells is None or (not cells.quoted and _spaced(text[:_HEAD], delimiter)):
        return None
    if delimiter == "\t" and (_ESCAPE.search(text) or fast_csv.may_be_padded(cells.table)):
        return None
    return _accepted(cells, names, delimiter)


def _accepted(cells: fast_csv.Cells, names: Sequence[str], delimiter: str) -> Taken | None:
    """Judged by its first rows as any other CSV is."""
    table, apart = cells.table, cells.empty_quoted and any(column.null_count for column in cells.table.columns)
    rows = [list(row) for row in zip(*(column.slice(0, 500).to_pylist() for column in table.columns), strict=True)]
    judged = _judged([list(names), *rows], delimiter, quoted=cells.quoted, apart=apart)
    if isinstance(judged, str) or judged.raws[0].declared:
        return None
    whole = replace(judged.raws[0], columns=tuple(table.columns), rows=table.num_rows)
    return replace(judged, raws=(whole,))


def _records(text: str, delimiter: str) -> list[list[str | None]] | None:
    """RFC 4180 records; an empty cell is None where the text quotes empty ones. None when a quote is out of place."""
    if '"' not in text:
        return [list(line.split(delimiter)) for line in _RECORD_END.split(text)]
    cell = re.compile(rf'(?:"((?:[^"]|"")*)"|([^{re.escape(delimiter)}\r\n"]*))({re.escape(delimiter)}|\r\n|\n|\r|\Z)')
    records: list[list[str | None]] = [[]]
    empty_quoted, at = False, 0
    while (match := cell.match(text, at)) is not None:
        records[-1].append(match[1].replace('""', '"') if match[1] is not None else match[2] or None)
        empty_quoted = empty_quoted or match[1] == ""
        at = match.end()
        if match[3] != delimiter:
            if at == len(text):
                # Who quotes an empty text leaves NULL unquoted (psql); elsewhere the two cannot be told apart.
                return records if empty_quoted else [[cell or "" for cell in row] for row in records]
            records.append([])
    return None


def _judged(
    records: list[list[str | None]], delimiter: str, *, quoted: bool, apart: bool = False,
    repaired: frozenset[int] = frozenset(), selected: Sequence[str] = (),
) -> Answer:  # fmt: skip
    """Whether records of one width are data, and whether the first is their header; `apart`: None is no empty text."""
    header, rows = records[0], records[1:]
    names = [cell or "" for cell in header]
    known = len(selected) == len(names) > 1 and [name.strip() for name in names] == list(selected)
    if not known and not _is_header(names):
        return _headless(records, delimiter, apart)
    kinds = _kinds(names, rows)
    rows = rows[1:] if kinds else rows
    known = known or bool(kinds)
    plain = all(_WORD.fullmatch(name) for name in names) and any("_" in name for name in names)
    if not rows and not known and not plain:
        return "one line and no more"
    evidence = (
        known or delimiter == "\t" or quoted or not rows or _has_typed(rows) or (len(names) > 2 and len(rows) > 1)
    )
    if not evidence or (delimiter == "," and all(name.startswith(" ") for name in names[1:]) and not _has_typed(rows)):
        return "nothing but commas speaks for data"
    raw = from_rows([name.strip() for name in names], rows, declared=kinds, **_meaning(apart))
    if delimiter == "\t" and not quoted:
        raw = escapes.undone(fitting.without_padding(raw))
    if repaired:
        touched = listing([names[number] for number in sorted(repaired)])
        raw = raw.noted(f"values are not quoted; cells of {touched} were put together again", approximate=True)
    return Taken((raw,), confidence="high" if quoted else "medium")


def _meaning(apart: bool) -> dict[str, Any]:
    """How far texts are believed and what is NULL: an empty cell, unless the text has both kinds of them."""
    return {"text": "all", "nulls": NULL_WORDS if apart else _NULLS, "empty_is_text": apart}


def _kinds(names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> tuple[str, ...]:
    """The types in the first row, as ClickHouse's `…WithNamesAndTypes` writes them; none when they are values."""
    first = [cell or "" for cell in rows[0]] if rows else []
    typed = len(first) > 1 and all(map(declared.kind, first)) and not all(map(declared.kind, names))
    return tuple(first) if typed else ()


def _headless(records: list[list[str | None]], delimiter: str, apart: bool) -> Answer:
    if len(records) < 2 or not _has_typed(records) or delimiter == "|":
        return "no header, and nothing that speaks for data"
    cells = [cell for row in records for cell in row if cell]
    if sum(len(cell) > 60 or cell.endswith((".", "!", "?")) for cell in cells) * 4 > len(cells):
        return "reads like prose"
    return Taken((from_rows(None, records, **_meaning(apart)),), confidence="low")


def _is_header(names: Sequence[str]) -> bool:
    """Names of columns: not empty, not numbers, no sentences."""
    return len(names) > 1 and all(_is_name(name.strip()) for name in names)


def _is_name(name: str) -> bool:
    if not name or len(name) > 100 or strings.is_number(name) or strings.is_temporal(name):
        return False
    return name.count(" ") <= 5 and not name.endswith((".", "!", "?", ":", ";")) and ": " not in name


def _has_typed(rows: Sequence[Sequence[str | None]]) -> bool:
    """Whether one column at least is numbers, dates or flags throughout."""
    for column in zip(*rows[:500], strict=True):
        present = [cell for cell in column if cell and cell not in NULL_WORDS]
        if present and any(all(map(test, present)) for test in (strings.is_number, strings.is_temporal, _is_flag)):
            return True
    return False


def _is_flag(cell: str) -> bool:
    return cell.lower() in ("true", "false")


def _spaced(text: str, delimiter: str) -> bool:
    return delimiter == "," and text.count(", ") == text.count(",")


def _one_column(text: str) -> Answer:
    """One name and below it nothing but numbers or dates; other single columns are prose."""
    lines = _RECORD_END.split(text)
    if len(lines) < 2 or not _IDENTIFIER.fullmatch(lines[0]) or " " in lines[0]:
        return "one column of text is prose"
    cells: list[str | None] = [line or None for line in lines[1:]]
    present = [cell for cell in cells if cell and cell not in NULL_WORDS]
    if not present or not (all(map(strings.is_number, present)) or all(map(strings.is_temporal, present))):
        return "one column of text is prose"
    return Taken((Raw((lines[0],), (cells,), len(cells), text="all", nulls=_NULLS),), confidence="medium")


def named_lines(text: str, names: Sequence[str]) -> Answer:
    """A text whose first line is exactly the one column of the statement: each further line is a row."""
    lines = _RECORD_END.split(_without_tags(text.strip("\ufeff").strip("\r\n")))
    if len(names) != 1 or lines[0] != names[0] or (len(lines) > 1 and not lines[1].strip("-") and lines[1]):
        return "its first line is not the column of the statement"
    cells: list[str | None] = [line or None for line in lines[1:]]
    if any(line[:1] == '"' for line in lines[1:]) and (records := _records("\n".join(lines), "\0")) is not None:
        cells = [row[0] or None for row in records[1:]]
    raw = Raw((lines[0],), (cells,), len(cells), text="all", nulls=_NULLS)
    if not cells and text.endswith("\n"):
        return Taken((raw.noted("an empty last line may be a row with NULL", approximate=True),), confidence="low")
    if len(cells) > 1:
        raw = raw.noted(
            f"each line is a row of `{lines[0]}`; a value with a line break would be several", approximate=True
        )
    return Taken((raw,), confidence="low")
