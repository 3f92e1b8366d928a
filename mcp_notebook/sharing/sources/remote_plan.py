"""Statements over tables of other engines: planned, run there, and their bounded answer
given DuckDB's types.

A statement whose tables are all on one engine runs there; at most one row more than the
limit moves. In a statement that joins tables of several places, those of other engines
are brought over when they are small (`MOST_ROWS`, `MOST_BYTES`, only the columns that
the statement names) and it runs on this machine; else it is refused with the way out.
The answer's notes say where it was computed and what moved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.errors import DataError, ToolError
from mcp_notebook.sharing.answer import TableAnswer
from mcp_notebook.sharing.arrow import unique_names
from mcp_notebook.sharing.sources.engine import (
    Job,
    Masking,
    RemoteTable,
    pack_schema,
    unpack_schema,
)
from mcp_notebook.sharing.sources.engines import (
    is_remote,
    remote_schema,
    remote_table_of,
)
from mcp_notebook.sharing.sources.plan import Plan
from mcp_notebook.values import DECIMAL, TIMESTAMP, value_kind

if TYPE_CHECKING:
    from mcp_notebook.sharing.catalog import Catalog

# Of one table that is brought over for a join: what a person waits for without a word,
# and what fits beside the notebook's own tables.
MOST_ROWS = 100_000
MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class PreparedPlan:
    """A statement ready to run: the job, where it runs, and what DuckDB says its
    columns are (None: ask the engine).
    """

    job: Job
    place: RemoteTable
    judged: pa.Schema | None = None
    types: tuple[str, ...] = ()


def remote_tables(catalog: Catalog, names: Iterable[str]) -> dict[str, RemoteTable]:
    """Those of the named tables that live on another engine; raises `ToolError`."""
    try:
        values = {name: catalog.resolve(name) for name in names}
        return {
            name: remote_table_of(value)
            for name, value in values.items()
            if is_remote(value)
        }
    except DataError as error:
        raise ToolError(error.message) from error


def find_mentioned(catalog: Catalog, sql: str) -> dict[str, RemoteTable]:
    """Tables on other engines whose names stand in the statement's text, so that a plan
    can come with its check.

    Rather too few than an error: what cannot be asked now is told by `remote_tables` when the
    statement turns out to need it.
    """
    text, found = sql.lower(), {}
    for name in catalog.names():
        if name.lower() in text:
            with contextlib.suppress(ToolError):
                found |= remote_tables(catalog, [name])
                _ = name in found and columns_of(found[name])

    return found


def one_engine(found: Mapping[str, RemoteTable], names: Sequence[str]) -> bool:
    """Whether all the named tables are on one engine."""
    return (
        bool(found)
        and len(found) == len(names)
        and len({place.key for place in found.values()}) == 1
    )


def request(
    found: Mapping[str, RemoteTable], hidden: Mapping[str, Sequence[str]], rows: int
) -> dict[str, Any]:
    """What `planning` is to know for a plan over tables of one engine: their columns,
    and the views that it has of them, which show no masked (`hidden`) column. Raises
    `ToolError`.
    """
    tables = {
        name: {
            "schema": pack_schema(columns_of(place)),
            "view": "" if hidden[name] else place.view(),
        }
        for name, place in found.items()
    }
    return {
        "dialect": next(iter(found.values())).dialect,
        "rows": rows,
        "tables": tables,
    }


def prepare(
    answer: Mapping[str, Any],
    found: Mapping[str, RemoteTable],
    hidden: Mapping[str, Sequence[str]],
    seconds: float,
) -> PreparedPlan:
    """The job of a plan; `hidden` names masked columns by table."""
    plan = Plan(
        **{key: answer[key] for key in ("body", "ctes", "recursive", "tables", "judge")}
    )
    tables = {
        p: (found[name], Masking(tuple(hidden[name])))
        for p, name in plan.tables.items()
    }
    place = next(iter(found.values()))
    job = place.job(plan, tables, seconds)
    if not answer["judged"]:
        return PreparedPlan(job, place)

    return PreparedPlan(
        job, place, unpack_schema(answer["judged"]), tuple(answer["types"])
    )


def explain_failure(error: BaseException, place: RemoteTable) -> ToolError:
    """An engine's failure in one sentence."""
    if isinstance(error, ToolError):
        return error
    return ToolError(place.explain(error))


def finish(
    table: pa.Table, prepared: PreparedPlan, *, limit: int, max_bytes: int
) -> TableAnswer:
    """The rows within both bounds, under the names and types that DuckDB gives them."""
    truncated = ""
    if table.num_rows > limit:
        table = table.slice(0, limit)
        truncated = (
            f"cut after {limit:,} rows, there are more: aggregate, filter or use OFFSET"
        )

    kept = _count_fitting(table, max_bytes)
    if kept < table.num_rows:
        table = table.slice(0, kept)
        truncated = (
            f"cut after {kept:,} rows because the answer reached "
            f"{max_bytes / 1e6:g} MB, there are more"
        )

    judged = prepared.judged
    notes = (f"computed on {prepared.place.name}",)
    if judged is None or len(judged) != table.num_columns:
        table = table.rename_columns(unique_names(table.column_names))
        return TableAnswer(
            table,
            tuple(type_word(field.type) for field in table.schema),
            truncated,
            notes,
        )

    columns = [
        cast_column(column, field.type)
        for column, field in zip(table.columns, judged, strict=True)
    ]
    types = [
        word if column.type == field.type else type_word(column.type)
        for word, column, field in zip(prepared.types, columns, judged, strict=True)
    ]
    other = [
        f"{field.name} is {column.type} here, {word} in DuckDB"
        for word, column, field in zip(prepared.types, columns, judged, strict=True)
        if column.type != field.type
        and word != '"NULL"'
        and value_kind(column.type) is not DECIMAL
    ]
    table = pa.table(columns, names=unique_names(judged.names))
    return TableAnswer(table, tuple(types), truncated, (*notes, *other))


def brought_note(name: str, rows: int, place: RemoteTable) -> str:
    """What a statement over several places says of a table that moved."""
    return f"{name}: {rows:,} rows brought over from {place.name}"


def refuse_large(name: str, rows: int, place: RemoteTable) -> ToolError:
    """A table that is too large to be brought over."""
    return ToolError(
        f"{name} has more than {rows:,} rows on {place.name}, too many to bring over "
        "for a join with other tables: "
        f"aggregate or filter {name} in a query of its own and join its result."
    )


def cast_column(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """The column as DuckDB would give it, where no value is lost by that; else as it came."""
    try:
        # The engine answers with a zone (Spark always), DuckDB's binder said there is none.
        zoned = value_kind(column.type) is TIMESTAMP and column.type.tz
        if zoned and not getattr(wanted, "tz", None):
            column = pc.local_timestamp(column)  # pyright: ignore[reportAttributeAccessIssue]

        return column.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
        return column


def type_word(kind: pa.DataType) -> str:
    """DuckDB's word for an Arrow type."""
    with duckdb.connect() as connection:
        return str(
            connection.from_arrow(pa.schema([("c", kind)]).empty_table()).types[0]
        )


def _count_fitting(table: pa.Table, max_bytes: int) -> int:
    """How many first rows fit."""
    rows = table.num_rows
    # Rows differ in width, so the share of bytes is a guess that is made again.
    while rows and table.slice(0, rows).nbytes > max_bytes:
        rows = min(rows - 1, int(rows * max_bytes / table.slice(0, rows).nbytes))
    return rows


def columns_of(place: RemoteTable) -> pa.Schema:
    """Of a table on its engine; raises `ToolError`."""
    try:
        return remote_schema(place)
    except DataError as error:
        raise ToolError(error.message) from error
