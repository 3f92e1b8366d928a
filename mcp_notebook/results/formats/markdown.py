"""Markdown tables: one or several, with prose around them."""

from __future__ import annotations

import re
from collections.abc import Callable

from mcp_notebook.results.columns import declared
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats import fitting
from mcp_notebook.results.raw_table import Answer, Raw, Taken, from_rows, listing

_RULE = re.compile(
    r"[ \t]*\|?[ \t]*:?-{1,}:?[ \t]*(?:\|[ \t]*:?-{1,}:?[ \t]*)*\|?[ \t]*|[ \t]*\|(?:-+\+)+-+\|[ \t]*"
)
_BORDER = re.compile(r"[ \t]*\+[-=+]{2,}\+[ \t]*")
_CELL = re.compile(r"(?<!\\)\|")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def read(text: str) -> Answer:
    """All markdown tables of a text; the rest is what is between them."""
    if "|" not in text or "-" not in text:
        return "no | or no dashes"
    lines = text.splitlines()
    if any(line.startswith("{|") for line in lines):
        return "MediaWiki's markup"
    raws, rest, at = [], [], 0
    while at < len(lines):
        end = _table_end(lines, at)
        if end is None:
            rest.append(lines[at])
            at += 1
            continue
        raw = _table(lines[at:end])
        if isinstance(raw, str):
            return raw
        raws.append(raw)
        at = end
    return (
        Taken(tuple(raws), rest="\n".join(rest).strip())
        if raws
        else "no line of |---|---|"
    )


def _table_end(lines: list[str], at: int) -> int | None:
    """The line after the table that starts at `at`, None when none starts there."""
    if (
        at + 1 >= len(lines)
        or "|" not in lines[at]
        or "|" not in lines[at + 1]
        or not _RULE.fullmatch(lines[at + 1])
    ):
        return None
    # A drawn box (Polars writes dashes between names and types), or a row in the middle of one.
    if at and (
        _BORDER.fullmatch(lines[at - 1]) or lines[at - 1].lstrip().startswith("|")
    ):
        return None
    lines[at + 1] = lines[at + 1].replace("+", "|")  # Emacs' tables cross their rule
    width = len(_cells(lines[at + 1]))
    if len(_cells(lines[at])) != width and len(_loose_cells(lines[at])) != width:
        return None
    end = at + 2
    outer = lines[at].lstrip().startswith("|")
    closed = outer and lines[at].rstrip().endswith("|")
    # a cell with a line break goes on below, until a line ends with a bar
    is_open = False
    while end < len(lines) and (
        is_open or (lines[end].lstrip().startswith("|") if outer else "|" in lines[end])
    ):
        is_open = closed and not lines[end].rstrip().endswith("|")
        end += 1
    return end


def _table(lines: list[str]) -> Raw | str:
    width = len(_cells(lines[1]))
    header = [
        _plain(cell)
        for cell in (
            _cells(lines[0])
            if len(_cells(lines[0])) == width
            else _loose_cells(lines[0])
        )
    ]
    body, joined = _joined(
        lines[2:],
        closed=lines[0].lstrip().startswith("|") and lines[0].rstrip().endswith("|"),
    )
    if body is None:
        return "ambiguous: a row of the markdown table does not end"
    rows = [[_inner(line)] if width == 1 else _cells(line) for line in body]
    repaired: frozenset[int] = frozenset()
    if any(len(row) != width for row in rows):
        fitted = fitting.fit(body, _cells_of(width), width, " | ")
        if isinstance(fitted, str):
            return fitted
        rows, repaired = fitted.rows, fitted.repaired
    plain, kinds = _typed([[_plain(cell) for cell in row] for row in rows])
    raw = from_rows(header, plain, text="all", nulls=(*NULL_WORDS, ""), declared=kinds)
    raw = (
        raw.noted("spaces at the ends of values are lost in a drawn table")
        if rows
        else raw
    )
    if width == 1 and any(_CELL.search(row[0]) for row in rows):
        raw = raw.noted(
            f"bars inside values of {listing(header)} are not escaped", approximate=True
        )
    if joined:
        raw = raw.noted(
            "line breaks inside values were put together again", approximate=True
        )
    if repaired:
        touched = listing([header[number] for number in sorted(repaired)])
        raw = raw.noted(
            f"bars inside values are not escaped; cells of {touched} were put together",
            approximate=True,
        )
    return raw


def _typed(rows: list[list[str]]) -> tuple[list[list[str]], tuple[str, ...]]:
    """Polars' markdown has dashes, the types and the real rule below the names."""
    at = 1 if rows and set("".join(rows[0])) == {"-"} else 0
    rule = rows[at + 1] if len(rows) > at + 1 else [""]
    if all(set(cell) == {"-"} for cell in rule) and all(map(declared.kind, rows[at])):
        return rows[at + 2 :], tuple(rows[at])
    return rows, ()


def _joined(lines: list[str], *, closed: bool) -> tuple[list[str] | None, bool]:
    """The rows, those with a line break in a value as one; None when the last does not end."""
    if not closed:
        return lines, False
    rows: list[str] = []
    is_open = False
    for line in lines:
        if is_open:
            rows[-1] += f"\n{line}"
        else:
            rows.append(line)
        is_open = not line.rstrip().endswith("|")
    return (None if is_open else rows), len(rows) < len(lines)


def _cells_of(width: int) -> Callable[[str], list[str]]:
    """How rows with bars inside are cut: at bars between spaces, where those are enough."""

    def cut(row: str) -> list[str]:
        loose = _loose_cells(row)
        return [
            cell.strip() for cell in (loose if len(loose) >= width else _cells(row))
        ]

    return cut


def _loose_cells(line: str) -> list[str]:
    return f"{_inner(line)} ".split(" | ")


def _cells(line: str) -> list[str]:
    return _CELL.split(_inner(line))


def _inner(line: str) -> str:
    body = line.strip()
    body = body[1:] if body.startswith("|") else body
    return body[:-1] if body.endswith("|") and not body.endswith("\\|") else body


def _plain(cell: str) -> str:
    return _BREAK.sub("\n", cell.strip().replace("\\|", "|"))
