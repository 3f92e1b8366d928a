"""What kinds of value can be a table, told by their types' names and attributes: no
library is imported to ask.

| kind | what it is | where a query runs |
|---|---|---|
| frame | pandas DataFrame | DuckDB, over the frame |
| arrow | Arrow table or batch, eager Polars frame, any `__arrow_c_stream__` | DuckDB |
| interchange | any other object with `__dataframe__` and columns | DuckDB |
| reader | a stream read once: RecordBatchReader, nanoarrow's ArrayStream | DuckDB, then |
| dataset | PyArrow Dataset | DuckDB, over its files |
| lazy | Polars LazyFrame | DuckDB, over the columns that the query names |
| file | pathlib.Path, or a text that names a data file, a folder, a pattern | DuckDB |
| relation | DuckDB relation | its own DuckDB connection |
| near | Ibis table on SQLite, Polars or DataFusion | DuckDB, over the named columns |
| ibis | Ibis table of any other backend | that backend |
| spark | Spark DataFrame, classic or Connect, and pandas API on Spark | its own Spark session |
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Literal

Kind = Literal[
    "frame",
    "arrow",
    "interchange",
    "reader",
    "dataset",
    "lazy",
    "near",
    "file",
    "relation",
    "ibis",
    "spark",
]

AWAY: frozenset[Kind] = frozenset(("relation", "ibis", "spark"))
"""The kinds whose queries run on an engine of their own."""

IN_MEMORY: frozenset[Kind] = frozenset(("frame", "arrow", "interchange"))
"""The kinds that hold their rows, and give them as often as they are asked."""

DATA_SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".parq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".csv.gz": "csv",
    ".tsv.gz": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json.gz": "json",
    ".jsonl.gz": "json",
    ".ndjson.gz": "json",
}
"""The format of a data file by the end of its name."""

_BY_BASE: dict[tuple[str, str], Kind] = {
    ("pandas", "DataFrame"): "frame",
    ("polars", "LazyFrame"): "lazy",
    ("polars", "DataFrame"): "arrow",
    ("pyarrow", "RecordBatchReader"): "reader",
    ("pyarrow", "Dataset"): "dataset",
    ("pyarrow", "Table"): "arrow",
    ("pyarrow", "RecordBatch"): "arrow",
    ("duckdb", "DuckDBPyRelation"): "relation",
    ("_duckdb", "DuckDBPyRelation"): "relation",
    ("ibis", "Table"): "ibis",
    ("mcp_notebook", "NearTable"): "near",
    ("pyspark", "DataFrame"): "spark",
}


def kind_of(value: Any) -> Kind | None:
    """The kind of table that a value is, None when it is none; costs microseconds and
    reads no data.
    """
    if value is None or isinstance(value, type):
        return None

    if isinstance(value, str | PurePath):
        if _names_data(value):
            return "file"
        return None

    for base in type(value).__mro__:
        kind = _BY_BASE.get((base.__module__.partition(".")[0], base.__name__))
        if kind is not None:
            return kind

    return _by_attributes(value)


def is_table(value: Any) -> bool:
    """Whether a value can be queried by SQL. A Series exports Arrow too, but has no columns."""
    return kind_of(value) is not None


def format_of(name: str) -> str:
    """The format of a data file by the end of its name: "parquet", "arrow", "csv" or
    "json"; "" for any other.
    """
    lowered = name.lower()
    ends = [suffix for suffix in DATA_SUFFIXES if lowered.endswith(suffix)]
    if ends:
        return DATA_SUFFIXES[max(ends, key=len)]

    return ""


def _by_attributes(value: Any) -> Kind | None:
    columns = hasattr(value, "columns") or hasattr(value, "schema")
    if hasattr(value, "__arrow_c_stream__"):
        once = (
            hasattr(value, "__next__")
            or hasattr(value, "read_next_batch")
            or hasattr(value, "get_next")
        )
        if once or type(value).__name__ == "ArrayStream":
            return "reader"
        if columns:
            return "arrow"

        return None

    if hasattr(value, "__dataframe__") and columns:
        return "interchange"

    return None


def _names_data(value: str | PurePath) -> bool:
    """A path object may be a folder, too; a text must end like a data file, so that any
    other text is no table.
    """
    text = str(value)
    if not text or len(text) > 4096 or "\n" in text or "://" in text:
        return False

    return bool(format_of(text)) or isinstance(value, PurePath)
