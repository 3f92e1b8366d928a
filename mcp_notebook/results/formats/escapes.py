"""Backslash escapes in tab-separated values, as `mysql --batch`, ClickHouse and
PostgreSQL's COPY write them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.results.raw_table import Raw, listing

_MARKS = {
    "t": "\t",
    "n": "\n",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "0": "\0",
    "'": "'",
    "\\": "\\",
}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def undone(raw: Raw) -> Raw:
    """The table with escapes undone where every backslash begins one; a note names the
    columns that had any.
    """
    touched = [
        number
        for number, column in enumerate(raw.columns)
        if any(map(_escaped, column))
    ]
    if not touched:
        return raw
    names = [name for number, name in enumerate(raw.names or ()) if number in touched]
    cells = [
        cell for number in touched for cell in raw.columns[number] if _escaped(cell)
    ]
    if not all(_whole(cell) for cell in cells):
        return raw.noted(
            f"a backslash in {listing(names)} may be an escape; taken as it is"
        )
    columns = tuple(
        _plain(column) if n in touched else column
        for n, column in enumerate(raw.columns)
    )
    return replace(raw, columns=columns).noted(
        f"backslash escapes in {listing(names)} were undone"
    )


def _escaped(cell: Any) -> bool:
    return isinstance(cell, str) and "\\" in cell and cell != "\\N"


def _whole(cell: str) -> bool:
    return "\\" not in _ESCAPE.sub(
        lambda match: "" if match[1] in _MARKS else match[0], cell
    )


def _plain(column: Sequence[Any]) -> list[Any]:
    return [
        _ESCAPE.sub(lambda match: _MARKS[match[1]], cell) if _escaped(cell) else cell
        for cell in column
    ]
