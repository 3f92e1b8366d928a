"""A shared value at a glance: columns, rows where they are known for free, and where
its queries run.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import kind_of
from mcp_notebook.results.frame_view import FrameView, view_frame
from mcp_notebook.sharing.arrow import snapshot, to_arrow
from mcp_notebook.sharing.sources.engines import (
    is_remote,
    remote_schema,
    remote_table_of,
)
from mcp_notebook.sharing.sources.local_tables import STORED, count, schema_of
from mcp_notebook.sql_words import written_name
from mcp_notebook.values import type_name

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
    return Look(to_arrow(held, rows=50)[0].schema, held.rows, what)


def schema_text(value: Any) -> str:
    """`column type, column type`, for the words on a table that the person named in a
    question; an index that is data follows. Raises `DataError`.
    """
    if kind_of(value) == "frame":
        return _frame_text(value)

    seen = look(value)
    columns = ", ".join(f"{field.name} {field.type}" for field in seen.schema)
    if seen.said:
        return f"{columns}; {seen.said}"

    return columns


def _frame_text(frame: Any) -> str:
    """pandas' own words for its types; of a column that a result gave the type that it
    has in SQL.
    """
    view = view_frame(frame)
    schema = view.table(rows=50)[0].schema
    words = [_type_word(view, at, field.type) for at, field in enumerate(schema)]
    named = [
        f"{written_name(name)} {word}"
        for name, word in zip(schema.names, words, strict=True)
    ]
    columns = ", ".join(named[view.levels :])
    if not view.levels:
        return columns
    level_names = map(written_name, view.names[: view.levels])
    levels = [
        f"{name} ({word})" for name, word in zip(level_names, words, strict=False)
    ]
    return f"{columns}, its index: {', '.join(levels)}"


def _type_word(view: FrameView, at: int, type_: pa.DataType) -> str:
    dtype = view.frame.dtypes.iloc[at]
    if view.is_retyped(at) or dtype == object:
        return type_name(type_)
    return str(dtype)
