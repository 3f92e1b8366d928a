"""What is shown of a table: its columns, its first rows as text, how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_notebook.charts.drawing import Drawing


@dataclass(frozen=True, slots=True)
class ShownColumn:
    """A column of what is shown: its Arrow type in short, and how that type was found."""

    name: str
    kind: str
    numeric: bool
    origin: str = ""


def count_of(number: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    if number == 1:
        return f"{number:,} {noun}"
    return f"{number:,} {noun}s"


@dataclass(frozen=True, slots=True)
class TableView:
    """The first rows of one table as text. None is NULL. `total` is the number of rows
    received, `width` of columns.
    """

    name: str
    columns: tuple[ShownColumn, ...]
    rows: tuple[tuple[str | None, ...], ...]
    total: int
    width: int
    notes: tuple[str, ...] = ()
    truncated: str = ""  # why the server cut it, "" when it is whole
    approximate: bool = False
    at_server: int | None = None  # rows the server says there are
    chart: Drawing | None = None

    @property
    def shape(self) -> str:
        """`36 rows × 3 columns`, with what the server still has."""
        rows = count_of(self.total, "row")
        if self.at_server is not None and self.at_server > self.total:
            rows = f"{self.total:,} of {self.at_server:,} rows"
        return f"{rows} × {count_of(self.width, 'column')}"
