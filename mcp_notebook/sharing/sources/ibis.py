"""Ibis tables: the shared expression is compiled by its backend and stands in a WITH
before the checked statement.

DuckDB, PostgreSQL and Spark backends run as those engines do here: read-only where the
engine can, with a cancel. For any other backend (those of this machine are `near`) the
statement goes through Ibis' own `sql`, and the deadline ends the waiting, not the
statement.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError
from mcp_notebook.sharing.sources.engine import (
    Masking,
    RemoteTable,
    first_sentence,
    projection,
)
from mcp_notebook.sharing.sources.spark import SparkTable

if TYPE_CHECKING:
    import pyarrow as pa

    from mcp_notebook.sharing.sources.plan import Plan

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
        # DuckDB, which no other backend needs
        from mcp_notebook.sharing.sources.duckdb import DuckTable

        return DuckTable(backend.con, select, schema, expression)

    if backend.name == "postgres":
        # psycopg, an optional package
        from mcp_notebook.sharing.sources.postgres import PostgresTable

        return PostgresTable(backend.con, select, schema)

    table = IbisTable(backend, select, schema)
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
class IbisTable:
    """A compiled expression on a backend that has no module of its own here."""

    backend: Any
    select: str
    columns: pa.Schema

    @property
    def name(self) -> str:
        names = {"mysql": "MySQL", "bigquery": "BigQuery"}
        return str(names.get(self.backend.name, self.backend.name.title()))

    @property
    def dialect(self) -> str:
        return str(_DIALECTS.get(self.backend.name, self.backend.name))

    @property
    def key(self) -> Hashable:
        return ("ibis", id(self.backend))

    def schema(self) -> pa.Schema:
        return self.columns

    def view(self) -> str:
        return ""

    def job(
        self,
        plan: Plan,
        tables: Mapping[str, tuple[IbisTable, Masking]],
        seconds: float,
    ) -> IbisJob:
        sources = {}
        for private, (table, masking) in tables.items():
            masked = set(masking.columns)
            inner = projection(
                f"({table.select}) t",
                {n: n in masked for n in table.columns.names},
                self.dialect,
            )
            sources[private] = inner if masked else table.select

        return IbisJob(self.backend, plan.text(sources), self.dialect)

    def explain(self, error: BaseException) -> str:
        return f"{self.name} says: {first_sentence(error)}"


@dataclass(frozen=True, eq=False)
class IbisJob:
    """One statement through Ibis."""

    backend: Any
    text: str
    dialect: str

    def run(self) -> pa.Table:
        return self.backend.sql(self.text).to_pyarrow()

    def cancel(self) -> None:
        """Ibis has no cancel that works for every backend."""
