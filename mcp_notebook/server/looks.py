"""A look at an offered table without a query: its columns, its first rows, how many there are."""

from typing import Any

import pyarrow as pa

from mcp_notebook.errors import DataError
from mcp_notebook.server.arrow import snapshot, to_arrow

FEW = 50  # rows that tell the columns' types

UNREADABLE = (DataError, pa.ArrowException, TypeError, ValueError)
"""What reading a value raises that is no table, or none that Arrow can hold."""


def head(value: Any, rows: int | None = FEW) -> pa.Table:
    """The first rows of a table (all for None) as Arrow, as the SQL would see them without masks."""
    return to_arrow(snapshot(value), rows=rows)[0]


def rows_of(value: Any) -> int | None:
    """How many rows a table has, None when that would have to be computed."""
    return len(snapshot(value).data)


def whole(value: Any) -> tuple[pa.Table, tuple[str, ...]]:
    """All rows, and notes on columns that had to become text."""
    return to_arrow(snapshot(value))
