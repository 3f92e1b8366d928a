"""The process that opens workbooks which servers sent: it may use a bounded part of
memory and time, and a failure ends it alone.

A workbook says nothing reliable about its size before it is read: one cell in the last
corner makes a sheet of 17 billion, and of the four formats each packs in its own way. Its
argument is the folder of python-calamine. On its input come workbooks, each after a
`HEAD` of the most cells, the most bytes of text and its own length; on its output goes
for each, after its length, `marshal`'s of `{"sheets": [(name, rows)]}`, `{"refused": text}`
or `{"error": text}`, which hold plain values only.

It imports nothing of the package and little of the library, so that it starts at once.
"""

from __future__ import annotations

import importlib
import io
import marshal
import select
import struct
import sys
import time

# `typing` alone takes as long as the rest of the start
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECONDS = 30  # of the processor, for one workbook
MEMORY = 1_500_000_000
HEAD = struct.Struct("<QQQ")
LENGTH = struct.Struct("<Q")
IDLE_SECONDS = 60  # it ends by itself when no further workbook comes


def main() -> None:
    """Open workbooks until none comes any more."""
    limits = _limit_memory()
    # behind the standard library, whose modules a file in that folder must not replace
    sys.path.append(sys.argv[1])
    calamine = importlib.import_module("python_calamine")
    while _waits_for_more():
        head = sys.stdin.buffer.read(HEAD.size)
        if len(head) < HEAD.size:
            return

        cells, size, length = HEAD.unpack(head)
        data = sys.stdin.buffer.read(length)
        _limit_time(limits)
        answer = marshal.dumps(_open_book(calamine, data, cells, size))
        sys.stdout.buffer.write(LENGTH.pack(len(answer)) + answer)
        sys.stdout.buffer.flush()


def _open_book(calamine: Any, data: bytes, cells: int, size: int) -> dict[str, Any]:
    try:
        return {"sheets": _read_sheets(calamine, data, cells, size)}
    except OverflowError as error:
        return {"refused": str(error)}
    except (calamine.CalamineError, ValueError, OSError) as error:
        return {"error": str(error)[:80]}


def _waits_for_more() -> bool:
    if sys.platform == "win32":
        return (
            True  # there only sockets can be waited for; the end of the input ends it
        )

    ready, _, _ = select.select([sys.stdin], [], [], IDLE_SECONDS)
    return bool(ready)


def _limit_memory() -> Any:
    """The module that limits; None on Windows, where the caller's timeout holds."""
    try:
        limits = importlib.import_module("resource")
        limits.setrlimit(limits.RLIMIT_AS, (MEMORY, MEMORY))
        limits.setrlimit(limits.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        return None

    return limits


def _limit_time(limits: Any) -> None:
    if limits is None:
        return

    # what its imports and earlier workbooks took is not this one's
    seconds = int(time.process_time()) + 1 + SECONDS
    _, most = limits.getrlimit(limits.RLIMIT_CPU)
    limits.setrlimit(limits.RLIMIT_CPU, (seconds, most))


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


PLAIN = (str, float, int, bool)


def _plain_cell(cell: Any) -> object:
    """A cell as `marshal` takes it; moments and spans as a pair of kind and parts."""
    if type(cell) in PLAIN:
        return cell

    # loaded by the library once a cell is one of these
    dt: Any = importlib.import_module("datetime")
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
