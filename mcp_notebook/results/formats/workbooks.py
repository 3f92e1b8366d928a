"""Excel and OpenDocument workbooks, a table a sheet; read by python-calamine where it
is installed.
"""

from __future__ import annotations

import datetime as dt
import marshal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mcp_notebook.results import bounds
from mcp_notebook.results.formats import workbook_process
from mcp_notebook.results.raw_table import Raw, from_rows

Rows = Sequence[Sequence[Any]]
MISSING = (
    "an Excel workbook, for which python-calamine must be installed: "
    "pip install 'mcp-notebook[excel]'"
)
# Each of them is a Python object, here and in the process that opens the workbook.
MAX_CELLS = 5_000_000
_SECONDS = 60  # by the clock, of a process that may work for half of them
_KINDS: dict[str, Callable[[Any], object]] = {
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda parts: dt.timedelta(*parts),
}
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

    sheets = _open_aside(data, str(Path(python_calamine.__path__[0]).parent))
    if isinstance(sheets, str):
        return sheets

    raws = [
        raw for name, rows in sheets if (raw := _read_sheet(name, rows)) is not None
    ]

    return raws or "no sheet of it begins with a row of names"


def _open_aside(data: bytes, folder: str) -> list[tuple[str, Rows]] | str:
    """The sheets, read in a process of bounded memory and time; or why there are none."""
    limits = [str(MAX_CELLS), str(bounds.FREE_BYTES)]
    program = str(Path(workbook_process.__file__))
    # -S spares it the start-up of packages; -I what else stands in the folder
    command = [sys.executable, "-I", "-S", program, folder, *limits]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return bounds.refuse(f"to open the workbook takes more than {_SECONDS} seconds")

    if done.returncode:
        return bounds.refuse("to open the workbook takes too much memory or time")

    answer = marshal.loads(done.stdout)  # noqa: S302
    if "refused" in answer:
        return bounds.refuse(answer["refused"])
    if "error" in answer:
        return f"a workbook that cannot be read: {answer['error']}"

    return [(name, _restore_rows(rows)) for name, rows in answer["sheets"]]


def _restore_rows(rows: Rows) -> Rows:
    return [
        [_restore_cell(cell) if type(cell) is tuple else cell for cell in row]
        for row in rows
    ]


def _restore_cell(cell: tuple[str, Any]) -> object:
    kind, parts = cell
    return _KINDS[kind](parts)


def _read_sheet(name: str, rows: Rows) -> Raw | None:
    """One sheet: its first row is the header by custom, an empty cell is NULL, a whole
    number has no fraction.
    """
    if not rows or not rows[0]:
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


def _read_column(rows: Rows, number: int) -> list[Any]:
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
