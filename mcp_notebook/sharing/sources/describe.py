"""A shared value at a glance: columns, rows where they are known for free, and where
its queries run.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import kind_of
from mcp_notebook.sharing.arrow import snapshot, to_arrow
from mcp_notebook.sharing.sources.engines import (
    is_remote,
    remote_schema,
    remote_table_of,
)
from mcp_notebook.sharing.sources.local_tables import STORED, count, schema_of

UNREADABLE = (DataError, pa.ArrowException, TypeError, ValueError, OSError)
"""What looking at a value raises that is no table any more, or none that can be read."""

_WORDS = {
    "file": "a file",
    "dataset": "an Arrow dataset",
    "lazy": "a lazy Polars frame",
    "reader": "an Arrow stream",
    "relation": "a DuckDB relation",
    "ibis": "an Ibis table",
    "spark": "a Spark DataFrame",
}
_DUCKDB = "write DuckDB SQL"


@dataclass(frozen=True)
class Look:
    """What listing a table says. `rows` is None when counting would cost a query;
    `where` is "" in memory.
    """

    schema: pa.Schema
    rows: int | None
    what: str = ""
    where: str = ""

    @property
    def said(self) -> str:
        """What the table is, when it is no frame in memory: "a Spark DataFrame, queried
        on Spark".
        """
        if self.where:
            return f"{self.what}, queried {self.where}"
        return self.what


def look(value: Any) -> Look:
    """Columns, rows and place of a shared value, without a job on another engine;
    raises `DataError`.
    """
    kind = kind_of(value)
    what = _WORDS.get(kind or "", "")
    if is_remote(value):
        place = remote_table_of(value)
        if place.dialect == "duckdb":
            how = _DUCKDB
        else:
            how = f"{_DUCKDB}, which is translated to {place.name}'s"

        return Look(remote_schema(place), None, what, f"on {place.name}: {how}")

    if kind == "near":
        what = f"an Ibis table on {value.name}"

    if kind in STORED:
        return Look(schema_of(value), count(value), what)

    held = snapshot(value)
    return Look(to_arrow(held, rows=50)[0].schema, len(held.data), what)


def schema_text(value: Any) -> str:
    """`column type, column type`, for the words on a table that the person named in a
    question; raises `DataError`.
    """
    if kind_of(value) == "frame":
        return ", ".join(f"{name} {dtype}" for name, dtype in value.dtypes.items())

    seen = look(value)
    columns = ", ".join(f"{field.name} {field.type}" for field in seen.schema)
    if seen.said:
        return f"{columns}; {seen.said}"

    return columns
