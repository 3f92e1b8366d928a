"""Columns of fixed width, each below its own run of dashes: sqlite3 -column, sqlcmd, tabulate.

A value with a line break goes on below, where every other column is blank; tabulate
rounds fractions to six digits.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence

from mcp_notebook.results.columns import strings
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.raw_table import Raw, from_rows, listing

_SOFT_NULLS = (*NULL_WORDS, "")
_FILL = "\0"
_ROUNDED = 6  # significant digits that tabulate leaves of a fraction


def read(header: str, rule: str, body: list[str]) -> Raw | str:
    """The rows below one run of dashes a column; "" when the rule is another, the
    reason when a row does not fit.
    """
    runs = [match.span() for match in re.finditer(r"-+", rule)]
    if len(runs) < 2 or "+" in rule or "|" in rule:
        return ""
    rows = _rows(header, runs, body)
    if rows is None:
        # Wide characters count for two where the program measures what a terminal shows.
        rows = _rows(_widened(header), runs, list(map(_widened, body)))
    if rows is None:
        return "ambiguous: a value is wider than its column"
    names, *cells = [[cell.replace(_FILL, "") for cell in row] for row in rows]
    if not all(names):
        return "ambiguous: header and rule do not line up"
    joined, touched, doubt = _joined(cells)
    raw = from_rows(names, joined, text="all", nulls=_SOFT_NULLS)
    raw = (
        raw.noted("spaces at the ends of values are lost in a drawn table")
        if joined
        else raw
    )
    if touched:
        touched_names = listing([names[number] for number in sorted(touched)])
        raw = raw.noted(
            f"line breaks inside {touched_names} were put together again",
            approximate=True,
        )
    if doubt:
        raw = raw.noted(
            "a row with an empty first cell may continue the row above it",
            approximate=True,
        )
    if not all(body):
        raw = raw.noted(
            "an empty line may be part of the value above it", approximate=True
        )
    if rounded := [
        name
        for name, column in zip(names, raw.columns, strict=True)
        if _maybe_rounded(column)
    ]:
        raw = raw.noted(
            f"numbers in {listing(rounded)} have six digits at most, as if rounded for display"
        )
    return raw


def _rows(
    header: str, runs: Sequence[tuple[int, int]], body: Sequence[str]
) -> list[list[str]] | None:
    """Header and rows cut where the runs begin; None when a value crosses such a place."""
    starts = [start for start, _ in runs[1:]]
    rows = []
    for line in (header, *body):
        if any(line[start - 1 : start].strip() for start in starts):
            return None
        rows.append(
            [
                line[a:b].strip()
                for a, b in itertools.pairwise([0, *starts, len(line) + 1])
            ]
        )
    return rows


def _widened(line: str) -> str:
    return "".join(
        mark + _FILL if unicodedata.east_asian_width(mark) in "WF" else mark
        for mark in line
    )


def _joined(rows: Sequence[list[str]]) -> tuple[list[list[str]], set[int], bool]:
    """Lines that continue a row put together with it, in which columns, and whether
    that is in doubt.

    A line continues the row above when a column of numbers or dates, filled elsewhere,
    is blank in it.
    """
    fixed = [
        number
        for number, column in enumerate(zip(*rows, strict=True))
        if _is_fixed(column)
    ]
    result: list[list[str]] = []
    touched: set[int] = set()
    for row in rows:
        if result and fixed and any(row) and not any(row[number] for number in fixed):
            touched |= {number for number, cell in enumerate(row) if cell}
            result[-1] = [
                f"{above}\n{cell}" if cell else above
                for above, cell in zip(result[-1], row, strict=True)
            ]
        else:
            result.append(row)
    doubt = (
        not fixed
        and bool(rows)
        and bool(rows[0][0])
        and any(not row[0] for row in rows)
    )
    return result, touched, doubt


def _is_fixed(column: Sequence[str]) -> bool:
    """Numbers or dates from the first row on."""
    present = [cell for cell in column if cell and cell not in NULL_WORDS]
    if not present or not column[0]:
        return False
    return all(map(strings.is_number, present)) or all(
        map(strings.is_temporal, present)
    )


def _maybe_rounded(column: Sequence[str]) -> bool:
    """Numbers of which the longest has just six significant digits."""
    digits = [
        cell.lstrip("-0.").replace(".", "")
        for cell in column
        if strings.is_number(cell) and "e" not in cell
    ]
    return bool(digits) and max(map(len, digits)) == _ROUNDED
