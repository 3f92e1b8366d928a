"""The process that opens a workbook which a server sent: it may use a bounded part of
memory and time, and a failure ends it alone.

A workbook says nothing reliable about its size before it is read: one cell in the last
corner makes a sheet of 17 billion, and of the four formats each packs in its own way. Its
arguments are the folder of python-calamine and the most cells and bytes. The workbook is
its input; its output is `marshal`'s of `{"sheets": [(name, rows)]}` or `{"error": text}`,
which holds plain values only. It imports nothing of the package, so that it starts at
once.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import io
import marshal
import math
import sys
import time
from typing import Any

SECONDS = 30
MEMORY = 1_500_000_000


def main() -> None:
    """Read one workbook from stdin."""
    folder, cells, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    _limit_itself()
    # behind the standard library, whose modules a file in that folder must not replace
    sys.path.append(folder)
    calamine = importlib.import_module("python_calamine")
    data = sys.stdin.buffer.read()
    known = (calamine.CalamineError, ValueError, OSError)
    try:
        answer = {"sheets": _read_sheets(calamine, data, cells, size)}
    except OverflowError as error:
        answer = {"refused": str(error)}
    except known as error:
        answer = {"error": str(error)[:80]}

    sys.stdout.buffer.write(marshal.dumps(answer))


def _limit_itself() -> None:
    # Windows has no such limits; the caller's timeout holds there
    with contextlib.suppress(ImportError, ValueError, OSError):
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        # what its imports took is not the workbook's
        seconds = math.ceil(time.process_time()) + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read_sheets(
    calamine: Any, data: bytes, most_cells: int, most_bytes: int
) -> list[Any]:
    """The sheets; OverflowError with the reason where they are too large."""
    book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    sheets, cells, size = [], 0, 0
    for name in book.sheet_names:
        sheet = book.get_sheet_by_name(name)
        cells += sheet.height * sheet.width
        if cells > most_cells:
            raise OverflowError(
                f"{cells:,} cells are more than the limit of {most_cells:,} of a workbook"
            )

        rows = []
        for row in sheet.to_python(skip_empty_area=True):
            rows.append([_plain_cell(cell) for cell in row])
            size += sum(len(cell) for cell in row if type(cell) is str)
            if size > most_bytes:
                raise OverflowError(
                    f"its text is more than the limit of {most_bytes / 1e6:,.0f} MB"
                )

        sheets.append((name, rows))

    return sheets


def _plain_cell(cell: object) -> object:
    """A cell as `marshal` takes it; moments and spans as a pair of kind and parts."""
    if isinstance(cell, dt.datetime):
        return ("datetime", cell.isoformat())
    if isinstance(cell, dt.date):
        return ("date", cell.isoformat())
    if isinstance(cell, dt.time):
        return ("time", cell.isoformat())
    if isinstance(cell, dt.timedelta):
        return ("timedelta", (cell.days, cell.seconds, cell.microseconds))

    return cell


if __name__ == "__main__":
    main()
