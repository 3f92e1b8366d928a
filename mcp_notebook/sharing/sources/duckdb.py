"""DuckDB relations and Ibis tables on DuckDB: the statement runs in the person's own
database, in this process.

On a cursor of their connection in a read-only transaction, so that the connection stays
free for the person. What only the connection itself knows (temporary tables, registered
objects) is read on the connection, where DuckDB refuses to run two statements at a time
rather than mixing them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb

from mcp_notebook.errors import DataError
from mcp_notebook.sharing.engines.interface import quote
from mcp_notebook.sharing.sources.engine import (
    SelectJob,
    SelectTable,
    first_sentence,
)
from mcp_notebook.sharing.sqlguard import first_lines

if TYPE_CHECKING:
    import pyarrow as pa


_WAIT = 0.05  # seconds between two looks at a busy connection


@dataclass(frozen=True, eq=False)
class DuckTable(SelectTable):
    """A SELECT in the person's database."""

    name: str = "DuckDB"
    dialect: str = "duckdb"
    hint: str = "NOT MATERIALIZED "
    kept: Any = None  # what must stay alive for the SELECT to work

    def make_job(self, text: str, seconds: float) -> DuckJob:
        return DuckJob(self.connection, text, seconds)

    def explain(self, error: BaseException) -> str:
        if isinstance(error, duckdb.ConnectionException):
            return (
                "The DuckDB connection of this table is closed: connect again "
                "and make the table anew."
            )
        if isinstance(error, Exception):
            return f"DuckDB says: {first_lines(error)}"
        return first_sentence(error)


@dataclass(eq=False)
class DuckJob(SelectJob):
    """One statement on a cursor, or on the connection itself."""

    _cancelled: threading.Event = field(default_factory=threading.Event)

    def run(self) -> pa.Table:
        with contextlib.closing(self.connection.cursor()) as cursor:
            self.running = cursor
            # a locked configuration: then there is nothing to find anyway
            with contextlib.suppress(duckdb.Error):
                cursor.execute("SET python_enable_replacements = false")

            cursor.execute("BEGIN TRANSACTION READ ONLY")
            try:
                return cursor.sql(self.text).to_arrow_table()
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                missing = error

        try:
            return self._on_connection()
        except duckdb.CatalogException:
            raise missing from None

    def cancel(self) -> None:
        self._cancelled.set()
        super().cancel()

    def stop(self, running: Any) -> None:
        with contextlib.suppress(duckdb.Error):
            running.interrupt()

    def _on_connection(self) -> pa.Table:
        until = time.monotonic() + self.seconds
        while True:
            # interrupting the connection could end a statement of the person's
            self.running = None
            try:
                relation = self.connection.sql(self.text)
                self.running = self.connection
                return relation.to_arrow_table()
            except duckdb.Error as error:
                if "busy with another call" not in str(
                    error
                ) and "has an open result" not in str(error):
                    raise
                if time.monotonic() > until or self._cancelled.wait(_WAIT):
                    raise DataError(
                        "The table's DuckDB connection is busy with a statement of "
                        "the notebook's: ask again later."
                    ) from error
            finally:
                self.running = None


def relation_of(relation: Any) -> DuckTable:
    """A relation as a table; raises `DataError` when its connection is closed."""
    try:
        # parameters written in, where it can
        write = getattr(relation, "_registry_text", relation.sql_query)
        return DuckTable(
            _connection_of(relation), write(), _schema_of(relation), kept=relation
        )
    except duckdb.Error as error:
        raise DataError(
            "The DuckDB connection of this relation is closed or the relation is no longer valid: "
            f"make it anew ({first_lines(error)})."
        ) from error


def _connection_of(relation: Any) -> duckdb.DuckDBPyConnection:
    # DuckDB has no public way from a relation to its connection.
    connection = getattr(relation, "_con", None)
    if connection is None:
        raise DataError(
            "This version of DuckDB does not tell a relation's connection: share "
            "its Arrow table instead."
        )
    return connection


def _schema_of(relation: Any) -> pa.Schema:
    """Of its names and types alone: running anything on the connection could get into
    the person's way.
    """
    types = (
        f"CAST(NULL AS {kind}) AS {quote(name)}"
        for name, kind in zip(relation.columns, relation.types, strict=True)
    )
    with duckdb.connect() as own:
        return own.sql(f"SELECT {', '.join(types)} LIMIT 0").to_arrow_table().schema
