"""Excel and OpenDocument workbooks, a table a sheet; read by python-calamine where it
is installed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from mcp_notebook.results.raw_table import Raw, from_rows

MISSING = (
    "an Excel workbook, for which python-calamine must be installed: "
    "pip install 'mcp-notebook[excel]'"
)
MAX_CELLS = 20_000_000
# Excel keeps fifteen digits of a number, and shows the rest of a longer one as zeros.
_FIRST_ROUNDED = 10**15
_LARGEST = 10**300
_INT64_END = 2**63


def read_workbook(data: bytes) -> list[Raw] | str:
    """The sheets that hold a table, or why there is none."""
    try:
        # an optional package
        import python_calamine
    except ImportError:
        return MISSING

    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = [
            (name, book.get_sheet_by_name(name).to_python(skip_empty_area=True))
            for name in book.sheet_names
        ]
    except (python_calamine.CalamineError, ValueError, OSError) as error:
        return f"a workbook that cannot be read: {str(error)[:80]}"

    raws = [
        raw for name, rows in sheets if (raw := _read_sheet(name, rows)) is not None
    ]

    return raws or "no sheet of it begins with a row of names"


def _read_sheet(name: str, rows: Sequence[Sequence[Any]]) -> Raw | None:
    """One sheet: its first row is the header by custom, an empty cell is NULL, a whole
    number has no fraction.
    """
    if not rows or not rows[0] or len(rows) * len(rows[0]) > MAX_CELLS:
        return None
    if not all(type(cell) is str and cell for cell in rows[0]):
        return None

    names = [str(cell) for cell in rows[0]]
    columns = [_read_column(rows[1:], number) for number in range(len(names))]
    raw = from_rows(names, list(zip(*columns, strict=True)), path=name, text="keep")
    note = (
        f"the first row of the sheet {name!r} was taken as the header; "
        "an empty cell is null"
    )
    raw = raw.with_note(note, approximate=True)
    named = zip(names, columns, strict=True)
    rounded = [label for label, column in named if _may_be_rounded(column)]
    if not rounded:
        return raw

    shown = ", ".join(f"`{label}`" for label in rounded)

    return raw.with_note(
        f"Excel keeps fifteen digits of a number; {shown} may be rounded"
    )


def _read_column(rows: Sequence[Sequence[Any]], number: int) -> list[Any]:
    """A workbook has one kind of number: a column without fractions is one of integers."""
    cells = [row[number] for row in rows]
    present = [cell for cell in cells if cell != ""]
    is_whole = bool(present) and all(map(_is_whole_number, present))

    column: list[Any] = []

    for cell in cells:
        if cell == "":
            column.append(None)
        else:
            column.append(int(cell) if is_whole else cell)

    return column


def _is_whole_number(cell: Any) -> bool:
    if type(cell) is not float:
        return False
    return cell.is_integer() and abs(cell) < _INT64_END


def _may_be_rounded(column: Sequence[Any]) -> bool:
    numbers = [abs(cell) for cell in column if type(cell) in (int, float)]
    return any(_FIRST_ROUNDED <= number < _LARGEST for number in numbers)
