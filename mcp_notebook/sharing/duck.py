"""One checked SELECT on a locked DuckDB connection, with a bounded answer as Arrow."""

import contextlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.sharing.answer import TableAnswer
from mcp_notebook.sharing.sqlguard import configuration, first_lines, lock
from mcp_notebook.sharing.tool_errors import ToolError

UTC = "UTC"
_OFFSET = re.compile(r"^[+-]\d\d:\d\d$")
_BATCH = 10_000  # rows


def connect(
    *, threads: int, memory: str, database: str = "", zone: str = UTC
) -> "duckdb.DuckDBPyConnection":
    """A locked connection: empty in memory, or to a database file, read-only.

    In memory its session is in the time zone `zone`, whatever the machine's is; raises
    `duckdb.Error` for a zone that it does not know.
    """
    config = configuration(threads=threads, memory=memory)
    connection = duckdb.connect(
        database or ":memory:", read_only=bool(database), config=config
    )
    if not database:
        # for all its cursors, each of which is a session of its own
        connection.execute("SET GLOBAL TimeZone = ?", [zone])

    lock(connection)
    return connection


def session_zone(schemas: Iterable[Iterable[tuple[str, Any]]]) -> tuple[str, str]:
    """The time zone in which a statement over tables of these (column, type) counts
    days and months, and a note where that is not the columns' own.
    """
    found: dict[str, str] = {}
    for schema in schemas:
        for name, type_ in schema:
            zone = getattr(type_, "tz", None)
            if zone is not None:
                found.setdefault(_OFFSET.sub(r"UTC\g<0>", str(zone)), name)

    if not found:
        return UTC, ""

    (zone, column), *others = found.items()
    if not others and (zone == UTC or _knows_zone(zone)):
        return zone, ""

    named = ", ".join(f"{name} is in {zone}" for zone, name in found.items())
    example = f"{column} AT TIME ZONE '{zone}'"
    return UTC, f"days and months are counted in UTC here ({named}): write {example}"


@lru_cache(maxsize=64)
def _knows_zone(zone: str) -> bool:
    with contextlib.closing(duckdb.connect()) as connection:
        try:
            connection.execute("SET TimeZone = ?", [zone])
        except duckdb.Error:
            return False
    return True


def run(
    connection: "duckdb.DuckDBPyConnection",
    sql: str,
    tables: Mapping[str, Any],
    *,
    rows: int,
    max_bytes: int,
) -> TableAnswer:
    """Run a checked SELECT over the tables, which exist for this statement only; raises
    `ToolError`.

    A cursor's registrations are its own, so statements that run side by side see
    nothing of each other.
    """
    cursor = connection.cursor()
    try:
        for name, table in tables.items():
            cursor.register(name, table)

        cursor.execute("BEGIN TRANSACTION READ ONLY")
        # The statement was parsed as one whole SELECT, so it cannot end the
        # parenthesis; a comment ends at the newline.
        relation = cursor.sql(f"SELECT * FROM (\n{sql}\n) LIMIT {rows + 1:d}")  # noqa: S608
        types = tuple(str(kind) for kind in relation.types)
        data, cut = _take_bounded(relation.to_arrow_reader(_BATCH), rows, max_bytes)
        return TableAnswer(_computable(data, types), types, cut)
    except (duckdb.Error, ValueError, RuntimeError, pa.ArrowException) as error:
        raise ToolError(f"DuckDB says: {first_lines(error)}") from error
    finally:
        cursor.close()


def explain(connection: "duckdb.DuckDBPyConnection", sql: str) -> str:
    """The plan of a checked SELECT, which does not run; raises `ToolError`."""
    cursor = connection.cursor()
    try:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        return "\n".join(
            str(row[-1]) for row in cursor.execute(f"EXPLAIN {sql}").fetchall()
        )
    except duckdb.Error as error:
        raise ToolError(f"DuckDB says: {first_lines(error)}") from error
    finally:
        cursor.close()


def _take_bounded(
    reader: pa.RecordBatchReader, rows: int, max_bytes: int
) -> tuple[pa.Table, str]:
    kept, count, size = [], 0, 0
    for batch in reader:
        size += batch.nbytes
        if size > max_bytes:
            cut = (
                f"cut after {count:,} rows because the answer reached "
                f"{max_bytes / 1e6:g} MB, there are more"
            )
            return pa.Table.from_batches(kept, reader.schema), cut

        kept.append(batch)
        count += batch.num_rows

    table = pa.Table.from_batches(kept, reader.schema)
    if count > rows:
        return table.slice(
            0, rows
        ), f"cut after {rows:,} rows, there are more: aggregate, filter or use OFFSET"

    return table, ""


def _computable(table: pa.Table, types: tuple[str, ...]) -> pa.Table:
    """Whole-number sums as int64 where they fit, and intervals without months as
    durations: what pandas can compute with.
    """
    for index, kind in enumerate(types):
        column = table.column(index)
        if kind in ("HUGEINT", "UHUGEINT"):
            table = _with_column(table, index, _narrow(column))
        elif kind == "INTERVAL":
            table = _with_column(table, index, _duration(column))

    return table


def _with_column(
    table: pa.Table, index: int, column: pa.ChunkedArray | pa.Array
) -> pa.Table:
    return table.set_column(index, table.schema.field(index).name, column)


def _narrow(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.cast(column, pa.int64())
    except pa.ArrowInvalid:
        return column


def _duration(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Intervals without months as durations; a month has no length, so that it stays."""
    values = column.to_pylist()
    if any(value is not None and value.months for value in values):
        return column

    micros = [
        None if v is None else v.days * 86_400_000_000 + v.nanoseconds // 1000
        for v in values
    ]
    return pa.array(micros, pa.duration("us"))
