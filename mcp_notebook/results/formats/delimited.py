"""CSV and TSV, quoted or not, with a header or without.

The last reader: it takes a text only when every record has one width and something
besides the commas speaks for data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.results.columns import declared
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats import (
    columns_line,
    escapes,
    fast_csv,
    fitting,
    one_column,
    records,
)
from mcp_notebook.results.raw_table import Answer, Taken, from_rows, listing

_WORD = re.compile(r"[^\W\d]\w*")
_ESCAPE = re.compile(r"\\[^N]")
LARGE = 64 * 1024
_HEAD = 64 * 1024
_NULLS = (*NULL_WORDS, "")


def csv(text: str, selected: Sequence[str] = ()) -> Answer:
    """A whole text as CSV, TSV or semicolon-separated values."""
    body = records.without_tags(text.strip("\ufeff").strip("\r\n"))
    if not body:
        return "nothing but command tags"
    if body.startswith(("#datatype,", "#group,", "#default,")):
        return columns_line.annotated(body)
    if body.lstrip()[:1] in "[{<":
        return "starts like JSON or markup"
    first = records.END.split(body, maxsplit=1)[0]
    for delimiter in sorted("\t,;|", key=first.count, reverse=True):
        if delimiter not in first:
            break
        answer = _separated(body, delimiter, selected)
        if not isinstance(answer, str) or answer.startswith("ambiguous"):
            return answer
    if not any(mark in first for mark in "\t,;|"):
        return one_column.read(body, open_end=text.endswith(("\n\n", "\n\r\n")))
    return "no delimiter gives records of one width"


def _separated(text: str, delimiter: str, selected: Sequence[str]) -> Answer:
    found = records.read(text, delimiter)
    if found is not None and len({len(row) for row in found}) == 1:
        apart = any(None in row for row in found)
        return _judged(
            found, delimiter, quoted='"' in text, apart=apart, selected=selected
        )
    lines = records.END.split(text)
    header = lines[0].split(delimiter)
    if len(lines) < 2 or not records.is_header(header):
        return f"records of different widths between {delimiter!r}"
    if records.is_spaced(text, delimiter):
        return "reads like prose"
    unclosed = any(line.startswith('"') or f'{delimiter}"' in line for line in lines)
    fitted = fitting.fit(
        lines[1:], lambda line: line.split(delimiter), len(header), delimiter
    )
    if isinstance(fitted, str):
        return fitted
    rows: list[list[str | None]] = [list(row) for row in fitted.rows]
    answer = _judged(
        [list(header), *rows],
        delimiter,
        quoted=False,
        repaired=fitted.repaired,
        selected=selected,
    )
    if isinstance(answer, str) or not unclosed:
        return answer
    note = "quotes are not paired as in CSV; they were taken as part of the values"
    return replace(
        answer, raws=tuple(raw.noted(note, approximate=True) for raw in answer.raws)
    )


def large(text: str) -> Taken | None:
    """A long, regular CSV or TSV by Arrow's reader, every cell as text; None when it is
    short or unusual.
    """
    if len(text) < LARGE:
        return None
    head = text[:_HEAD].split("\n", 20)[:20]
    delimiter = max("\t,;|", key=head[0].count)
    header = records.read(head[0].lstrip("\ufeff"), delimiter)
    names = [name or "" for name in header[0]] if header else []
    plain = (
        records.is_header(names)
        and len(set(names)) == len(names)
        and "".join(names).isprintable()
    )
    if delimiter == "|" or not plain:
        return None
    cells = fast_csv.read(text, names, delimiter)
    if cells is None or (
        not cells.quoted and records.is_spaced(text[:_HEAD], delimiter)
    ):
        return None
    if delimiter == "\t" and (
        _ESCAPE.search(text) or fast_csv.may_be_padded(cells.table)
    ):
        return None
    return _accepted(cells, names, delimiter)


def _accepted(
    cells: fast_csv.Cells, names: Sequence[str], delimiter: str
) -> Taken | None:
    """Judged by its first rows as any other CSV is."""
    table, apart = (
        cells.table,
        cells.empty_quoted and any(column.null_count for column in cells.table.columns),
    )
    rows = [
        list(row)
        for row in zip(
            *(column.slice(0, 500).to_pylist() for column in table.columns), strict=True
        )
    ]
    judged = _judged([list(names), *rows], delimiter, quoted=cells.quoted, apart=apart)
    if isinstance(judged, str) or judged.raws[0].declared:
        return None
    whole = replace(judged.raws[0], columns=tuple(table.columns), rows=table.num_rows)
    return replace(judged, raws=(whole,))


def _judged(
    found: list[list[str | None]], delimiter: str, *, quoted: bool, apart: bool = False,
    repaired: frozenset[int] = frozenset(), selected: Sequence[str] = (),
) -> Answer:  # fmt: skip
    """Whether records of one width are data, and whether the first is their header;
    `apart`: None is no empty text.
    """
    header, rows = found[0], found[1:]
    names = [cell or "" for cell in header]
    known = len(selected) == len(names) > 1 and [
        name.strip() for name in names
    ] == list(selected)
    if not known and not records.is_header(names):
        return _headless(found, delimiter, apart)
    kinds = _kinds(names, rows)
    rows = rows[1:] if kinds else rows
    known = known or bool(kinds)
    plain = all(_WORD.fullmatch(name) for name in names) and any(
        "_" in name for name in names
    )
    if not rows and not known and not plain:
        return "one line and no more"
    typed = records.has_typed(rows)
    evidence = (
        known
        or delimiter == "\t"
        or quoted
        or not rows
        or typed
        or (len(names) > 2 and len(rows) > 1)
    )
    if not evidence or (
        delimiter == ","
        and all(name.startswith(" ") for name in names[1:])
        and not typed
    ):
        return "nothing but commas speaks for data"
    raw = from_rows(
        [name.strip() for name in names], rows, declared=kinds, **_meaning(apart)
    )
    if delimiter == "\t" and not quoted:
        raw = escapes.undone(fitting.without_padding(raw))
    if repaired:
        touched = listing([names[number] for number in sorted(repaired)])
        raw = raw.noted(
            f"values are not quoted; cells of {touched} were put together again",
            approximate=True,
        )
    return Taken((raw,), confidence="high" if quoted else "medium")


def _meaning(apart: bool) -> dict[str, Any]:
    """How far texts are believed and what is NULL: an empty cell, unless the text has
    both kinds of them.
    """
    return {
        "text": "all",
        "nulls": NULL_WORDS if apart else _NULLS,
        "empty_is_text": apart,
    }


def _kinds(
    names: Sequence[str], rows: Sequence[Sequence[str | None]]
) -> tuple[str, ...]:
    """The types in the first row, as ClickHouse's `…WithNamesAndTypes` writes them;
    none when they are values.
    """
    first = [cell or "" for cell in rows[0]] if rows else []
    typed = (
        len(first) > 1
        and all(map(declared.kind, first))
        and not all(map(declared.kind, names))
    )
    return tuple(first) if typed else ()


def _headless(rows: list[list[str | None]], delimiter: str, apart: bool) -> Answer:
    if len(rows) < 2 or not records.has_typed(rows) or delimiter == "|":
        return "no header, and nothing that speaks for data"
    cells = [cell for row in rows for cell in row if cell]
    if sum(
        len(cell) > 60 or cell.endswith((".", "!", "?")) for cell in cells
    ) * 4 > len(cells):
        return "reads like prose"
    return Taken((from_rows(None, rows, **_meaning(apart)),), confidence="low")
