"""Where a shared table lives. Each engine's module loads when a value of its kind is
met, so none is a dependency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import AWAY, kind_of
from mcp_notebook.sharing.sources.engine import RemoteTable
from mcp_notebook.sharing.sources.ibis import table_of
from mcp_notebook.sharing.sources.spark import SparkTable

if TYPE_CHECKING:
    import pyarrow as pa


def is_remote(value: object) -> bool:
    """Whether queries over the value run on an engine of its own."""
    return kind_of(value) in AWAY


def remote_table_of(value: Any) -> RemoteTable:
    """Where the table is; raises `DataError` when its engine cannot be asked."""
    kind = kind_of(value)
    if kind == "spark":
        return SparkTable.of(value)

    if kind == "ibis":
        return table_of(value)

    # whoever has a relation has loaded DuckDB
    from mcp_notebook.sharing.sources.duckdb import relation_of

    return relation_of(value)


def remote_schema(place: RemoteTable) -> pa.Schema:
    """The table's columns; raises `DataError` with the engine's own words when it cannot say."""
    try:
        return place.schema()
    except DataError:
        raise
    except Exception as error:  # boundary: every engine raises its own errors
        raise DataError(place.explain(error)) from error
