"""Excel and OpenDocument workbooks, a table a sheet; read by python-calamine where it
is installed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from mcp_notebook.results.raw_table import Raw, from_rows

MISSING = "an Excel workbook, for which python-calamine must be installed: pip install 'mcp-notebook[excel]'"
MAX_CELLS = 20_000_000


def read(data: bytes) -> list[Raw] | str:
    """The sheets that hold a table, or why there is none."""
    try:
        # an optional package
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        return MISSING
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = [
            (name, book.get_sheet_by_name(name).to_python(skip_empty_area=True))
            for name in book.sheet_names
        ]
    except (CalamineError, ValueError, OSError) as error:
        return f"a workbook that cannot be read: {str(error)[:80]}"
    raws = [raw for name, rows in sheets if (raw := _sheet(name, rows)) is not None]
    return raws or "no sheet of it begins with a row of names"


def _sheet(name: str, rows: Sequence[Sequence[Any]]) -> Raw | None:
    """One sheet: its first row is the header by custom, an empty cell is NULL, a whole
    number has no fraction.
    """
    if len(rows) * len(rows[0] if rows else ()) > MAX_CELLS or not rows:
        return None
    names = [str(cell) for cell in rows[0]]
    if not names or not all(type(cell) is str and cell for cell in rows[0]):
        return None
    columns = [
        _column([row[number] for row in rows[1:]]) for number in range(len(names))
    ]
    raw = from_rows(names, list(zip(*columns, strict=True)), path=name, text="keep")
    raw = raw.noted(
        f"the first row of the sheet {name!r} was taken as the header; an empty cell is null",
        approximate=True,
    )
    long = [
        f"`{label}`"
        for label, column in zip(names, columns, strict=True)
        if _is_rounded(column)
    ]
    return (
        raw.noted(
            f"Excel keeps fifteen digits of a number; {', '.join(long)} may be rounded"
        )
        if long
        else raw
    )


def _column(cells: Sequence[Any]) -> list[Any]:
    """A workbook has one kind of number: a column without fractions is one of integers."""
    present = [cell for cell in cells if cell != ""]
    whole = bool(present) and all(
        type(cell) is float and cell.is_integer() and abs(cell) < 2**63
        for cell in present
    )
    return [None if cell == "" else int(cell) if whole else cell for cell in cells]


def _is_rounded(column: Sequence[Any]) -> bool:
    return any(
        type(cell) in (int, float) and 10**15 <= abs(cell) < 10**300 for cell in column
    )
