"""What is shown of a table, as plain text values: no Arrow, no pandas."""

from dataclasses import dataclass

from mcp_notebook.display.chart.shapes import Drawing


@dataclass(frozen=True, slots=True)
class Column:
    """A column of what is shown: its Arrow type in short, and how that type was found."""

    name: str
    kind: str
    numeric: bool
    origin: str = ""


@dataclass(frozen=True, slots=True)
class TableView:
    """The first rows of one table as text. None is NULL. `total` is the number of rows
    received, `width` of columns.
    """

    name: str
    columns: tuple[Column, ...]
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
        rows = f"{self.total:,} row" + "s" * (self.total != 1)
        if self.at_server is not None and self.at_server > self.total:
            rows = f"{self.total:,} of {self.at_server:,} rows"
        return f"{rows} × {self.width:,} column" + "s" * (self.width != 1)
