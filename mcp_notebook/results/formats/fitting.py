"""Rows of an unquoted text table: lines become rows of one width, repaired only where
one reading is possible.

A separator or a line break inside a value makes a row too long or too short. Where the
kinds of the other columns leave exactly one way to place the cells it is taken and
said; where they leave more, there is no table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from mcp_notebook.results.columns import strings
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.raw_table import Raw, listing

_SAMPLE = 200


class Fitted(NamedTuple):
    """Rows of one width and the numbers of the columns in which something was repaired."""

    rows: list[list[str]]
    repaired: frozenset[int]


def fit(
    lines: Sequence[str], split: Callable[[str], list[str]], width: int, separator: str
) -> Fitted | str:
    """All lines as rows of `width` cells, or the reason why that is ambiguous."""
    cells = [split(line) for line in lines]
    if all(len(row) == width for row in cells):
        return Fitted(cells, frozenset())
    whole = [row for row in cells if len(row) == width]
    if not whole:
        whole = [
            placed[0] for row in cells if (placed := _bracketed(row, width, separator))
        ]
    if not whole:
        return "ambiguous: no line has as many cells as the header"
    checks = [
        _check([row[number] for row in whole[:_SAMPLE]]) for number in range(width)
    ]
    rows: list[list[str]] = []
    repaired: set[int] = set()
    pending: list[str] = []
    for line, row in zip(lines, cells, strict=True):
        if pending:
            row = [*pending[:-1], f"{pending[-1]}\n{row[0]}", *row[1:]]
            pending, joined = [], len(row) - 1 if len(row) == width else 0
            repaired.add(joined)
        elif len(row) == 1 and rows:
            if checks[-1] is not None:
                return f"ambiguous: the line {line[:40]!r} fits no column"
            rows[-1][-1] += f"\n{line}"
            repaired.add(width - 1)
            continue
        if len(row) < width:
            pending = row
            continue
        placed = _place(row, width, checks, separator)
        if isinstance(placed, str):
            return placed
        rows.append(placed[0])
        repaired |= placed[1]
    return (
        "ambiguous: the last row is not complete"
        if pending
        else Fitted(rows, frozenset(repaired))
    )


def _check(column: Sequence[str]) -> Callable[[str], bool] | None:
    """A test that a typed column's cells pass, None for a column of free text."""
    present = [cell for cell in column if cell and cell not in NULL_WORDS]
    if not present:
        return None
    for test in (strings.is_number, strings.is_temporal):
        if all(map(test, present)):
            return lambda cell, test=test: not cell or cell in NULL_WORDS or test(cell)
    return None


def _place(
    row: list[str],
    width: int,
    checks: Sequence[Callable[[str], bool] | None],
    separator: str,
) -> tuple[list[str], set[int]] | str:
    extra = len(row) - width
    if not extra:
        return row, set()
    if (whole := _bracketed(row, width, separator)) is not None:
        return whole
    ways = []
    for number in range(width):
        joined = [
            *row[:number],
            separator.join(row[number : number + extra + 1]),
            *row[number + extra + 1 :],
        ]
        if checks[number] is None and all(
            c is None or c(cell) for c, cell in zip(checks, joined, strict=True)
        ):
            ways.append((joined, {number}))
    balanced = [way for way in ways if _balanced(way[0], way[1])]
    if len(ways) != 1 and len(balanced) == 1:
        return balanced[0]
    if len(ways) != 1:
        return f"ambiguous: {len(row)} cells for {width} columns in {separator.join(row)[:60]!r}"
    return ways[0]


def _bracketed(
    row: list[str], width: int, separator: str
) -> tuple[list[str], set[int]] | None:
    """Cells joined while a bracket is open, as in a list or an object: the row if that
    gives the right width.
    """
    cells: list[str] = []
    joined: set[int] = set()
    depth = 0
    for cell in row:
        if depth > 0:
            cells[-1] += separator + cell
            joined.add(len(cells) - 1)
        else:
            cells.append(cell)
        depth += sum(cell.count(mark) for mark in "[{") - sum(
            cell.count(mark) for mark in "]}"
        )
        if depth < 0:
            return None
    return (cells, joined) if len(cells) == width and depth == 0 else None


def _balanced(row: Sequence[str], joined: set[int]) -> bool:
    """Whether the joined cell is one bracketed value, as JSON in a cell is, and no
    other cell is cut.
    """
    cell = row[next(iter(joined))].strip()
    if cell[:1] not in "{[" or cell[-1:] not in "}]":
        return False
    return all(
        part.count("{") == part.count("}") and part.count("[") == part.count("]")
        for part in row
    )


def without_padding(raw: Raw) -> Raw:
    """Cells that were all padded to their column's width, without the blanks; a note
    names the columns.
    """
    padded = [n for n, column in enumerate(raw.columns) if _is_padded(column)]
    if not padded:
        return raw
    columns = tuple(
        [cell.strip(" ") for cell in column] if n in padded else column
        for n, column in enumerate(raw.columns)
    )
    names = [(raw.names or ())[n] for n in padded if raw.names]
    return replace(raw, columns=columns).noted(
        f"blanks that padded {listing(names)} to one width were taken off"
    )


def _is_padded(column: Sequence[object]) -> bool:
    """Whether all cells are texts of one length, of which some differ without the
    blanks at their ends.
    """
    if len(column) < 2 or not all(isinstance(cell, str) for cell in column):
        return False
    texts = [str(cell) for cell in column]
    bare = {len(text.strip(" ")) for text in texts}
    return len({len(text) for text in texts}) == 1 and len(bare) > 1 and max(bare) > 0
