"""Where a shared table lives. Each engine's module loads when a value of its kind is
met, so none is a dependency.

An Ibis table is compiled by its backend and stands in a WITH before the checked
statement. DuckDB, PostgreSQL and Spark backends run as those engines do here: read-only
where the engine can, with a cancel. For any other backend (those of this machine are
`local_tables.near`) the statement goes through Ibis' own `sql`, and the deadline ends
the waiting, not the statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import AWAY, kind_of
from mcp_notebook.sharing.sources.engine import (
    RemoteTable,
    SelectJob,
    SelectTable,
    first_sentence,
)
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

    return _load_duckdb().relation_of(value)


def _load_duckdb() -> Any:
    # DuckDB takes a third of a second to load, and no other backend needs it.
    from mcp_notebook.sharing.sources import duckdb

    return duckdb


def remote_schema(place: RemoteTable) -> pa.Schema:
    """The table's columns; raises `DataError` with the engine's own words when it cannot say."""
    try:
        return place.schema()
    except DataError:
        raise
    except Exception as error:  # boundary: every engine raises its own errors
        raise DataError(place.explain(error)) from error


_NAMES = {"mysql": "MySQL", "bigquery": "BigQuery"}
_DIALECTS = {"pyspark": "spark", "mssql": "tsql", "impala": "hive"}


def table_of(expression: Any) -> RemoteTable:
    """The expression on its backend; raises `DataError` when it has none."""
    try:
        backend = expression.get_backend()
        # Tables in memory and functions of the person's have to be known to the backend
        # first, as for `.execute()`.
        backend._run_pre_execute_hooks(expression)
        select = str(backend.compile(expression))
        schema = expression.schema().to_pyarrow()
    except Exception as error:  # boundary: every backend raises its own driver's errors
        raise DataError(
            f"This Ibis table cannot be asked now: {first_sentence(error)}"
        ) from error

    if backend.name == "pyspark":
        return SparkTable.of(backend._session.sql(select))

    if backend.name == "duckdb":
        return _load_duckdb().DuckTable(backend.con, select, schema, kept=expression)

    if backend.name == "postgres":
        # psycopg, an optional package
        from mcp_notebook.sharing.sources.postgres import PostgresTable

        return PostgresTable(backend.con, select, schema)

    name = str(backend.name)
    table = IbisTable(
        backend,
        select,
        schema,
        name=_NAMES.get(name, name.title()),
        dialect=_DIALECTS.get(name, name),
    )
    if not _known(table.dialect):
        raise DataError(
            f"Statements cannot be checked for {table.name}, whose SQL is not known "
            "here: share a table made of it, "
            "for example by .to_pyarrow()."
        )

    return table


def _known(dialect: str) -> bool:
    from sqlglot import Dialect  # Ibis has loaded it

    return Dialect.get(dialect) is not None


@dataclass(frozen=True, eq=False)
class IbisTable(SelectTable):
    """A compiled expression on a backend (`connection`) that has no module of its own here."""

    def make_job(self, text: str, seconds: float) -> IbisJob:
        return IbisJob(self.connection, text, seconds)

    def explain(self, error: BaseException) -> str:
        return f"{self.name} says: {first_sentence(error)}"


class IbisJob(SelectJob):
    """One statement through Ibis."""

    def run(self) -> pa.Table:
        return self.connection.sql(self.text).to_pyarrow()

    def stop(self, running: Any) -> None:
        """Ibis has no cancel that works for every backend."""
