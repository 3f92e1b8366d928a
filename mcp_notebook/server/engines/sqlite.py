"""SQLite that cannot be talked into writing.

A text check of the SQL is not the guard; the connection is
(https://www.sqlite.org/security.html): opened `mode=ro`, `query_only`, an authorizer
that allows reading and nothing else, no ATTACH, bounded lengths, an interrupt at the
deadline, and one fresh connection for each statement so that nothing lasts.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from mcp_notebook.errors import ConfigError
from mcp_notebook.server.answer import Answer, big_integer_notice, within
from mcp_notebook.server.engines import ColumnInfo, Limits, TableInfo
from mcp_notebook.server.engines.deadline import run_until
from mcp_notebook.server.engines.sqlite_errors import explain_error
from mcp_notebook.server.engines.sqlite_types import (
    column_types,
    declared_types,
    typed_rows,
)
from mcp_notebook.server.engines.survey import survey
from mcp_notebook.server.mend import ToolError

T = TypeVar("T")

SURVEY_SECONDS = 2.0

_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_DENIED_FUNCTIONS = {
    "load_extension",
    "fts3_tokenizer",
    "readfile",
    "writefile",
    "edit",
}
_DENIED_TABLES = {
    "dbstat",
    "sqlite_dbpage",
    "sqlite_stmt",
    "bytecode",
    "tables_used",
    "fsdir",
}
_SCHEMA_PRAGMAS = {"table_info", "table_xinfo", "table_list"}
_SCHEMA_PRAGMAS |= {"index_list", "index_info", "index_xinfo", "foreign_key_list"}
_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LENGTH: 10_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 250_000,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


class SqliteEngine:
    """A SQLite file, read only. `tables`, when given, is an allow-list."""

    def __init__(self, path: Path, *, tables: Sequence[str] | None = None) -> None:
        self.path = path
        self.name = path.name
        self.dialect = "SQLite"
        self.hints = (
            "Dates are text like '2026-05-31': compare them as text, take the month with strftime('%Y-%m', column), "
            "step back with date('2026-11-30', '-6 months'). There is no date_trunc, extract or interval."
        )
        self._allowed = None if tables is None else {name.lower() for name in tables}
        self._check()

    async def schema(self) -> tuple[TableInfo, ...]:
        return await asyncio.to_thread(self._schema)

    async def survey(self, table: TableInfo) -> TableInfo:
        try:
            return await survey(table, self._ask)
        except sqlite3.Error:
            # too slow, or a view that does not run: its columns are enough
            return table

    async def _ask(self, sql: str) -> list[tuple]:
        return await self._run(
            lambda connection: connection.execute(sql).fetchall(), SURVEY_SECONDS
        )

    async def query(self, sql: str, limits: Limits) -> Answer:
        if len(sql) > limits.sql_length:
            raise ToolError(
                f"The statement has {len(sql):,} characters; {limits.sql_length:,} are allowed."
            )
        try:
            return await self._run(
                lambda connection: self._fetch(connection, sql, limits), limits.seconds
            )
        except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError) as error:
            raise ToolError(
                explain_error(error, self._schema(), sql, limits.seconds)
            ) from error

    async def table(self, sql: str, limits: Limits) -> Answer:
        return await self.query(sql, limits)

    async def explain(self, sql: str, limits: Limits) -> Answer:
        return await self.query(f"EXPLAIN QUERY PLAN {sql}", limits)

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _run(self, work: Callable[[sqlite3.Connection], T], seconds: float) -> T:
        """Run `work` with a fresh connection in a thread and interrupt it at the
        deadline or when cancelled.
        """
        connection = await asyncio.to_thread(self._connect)

        def working() -> T:
            with closing(connection):
                return work(connection)

        return await run_until(working, lambda: _interrupt(connection), seconds)

    def _connect(self) -> sqlite3.Connection:
        """One guarded connection; nothing that a statement does outlives it."""
        uri = f"{self.path.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5
        )
        connection.text_factory = _decode
        connection.execute("pragma query_only=on")
        connection.execute("pragma trusted_schema=off")
        connection.execute("pragma cell_size_check=on")
        for limit, value in _LIMITS.items():
            connection.setlimit(limit, value)
        connection.set_authorizer(self._authorizer(connection))
        return connection

    def _authorizer(self, connection: sqlite3.Connection) -> Callable[..., int]:
        hidden = set(_DENIED_TABLES)
        if self._allowed is not None:
            present = connection.execute(
                "select lower(name) from sqlite_master where type in ('table', 'view')"
            )
            hidden |= {name for (name,) in present} - self._allowed
            hidden |= {"sqlite_master", "sqlite_schema", "sqlite_sequence"}

        def allow(
            action: int, first: str | None, second: str | None, *rest: str | None
        ) -> int:
            if action == sqlite3.SQLITE_FUNCTION:
                permitted = (second or "").lower() not in _DENIED_FUNCTIONS
            elif action == sqlite3.SQLITE_PRAGMA:
                permitted = (first or "").lower() in _SCHEMA_PRAGMAS
            else:
                permitted = action in _READING and (first or "").lower() not in hidden
            return sqlite3.SQLITE_OK if permitted else sqlite3.SQLITE_DENY

        return allow

    def _fetch(
        self, connection: sqlite3.Connection, sql: str, limits: Limits
    ) -> Answer:
        cursor = connection.execute(sql)
        if cursor.description is None:
            raise ToolError(
                "The statement gives no rows. This database is read-only: write one SELECT."
            )
        names = [entry[0] for entry in cursor.description]
        rows, cut = within(cursor, limits.rows, limits.bytes)
        cursor.close()
        columns = column_types(
            names, declared_types(self._schema(), sql, len(names)), rows
        )
        notices = [
            notice for notice in (cut, big_integer_notice(columns, rows)) if notice
        ]
        return Answer(
            columns,
            typed_rows(columns, rows),
            truncated=bool(cut),
            notice="; ".join(notices),
        )

    def _schema(self) -> tuple[TableInfo, ...]:
        with closing(self._connect()) as connection:
            # our own statements only, on a connection that is read-only anyway
            connection.set_authorizer(None)
            tables = read_schema(connection)
        if self._allowed is None:
            return tables
        return tuple(table for table in tables if table.name.lower() in self._allowed)

    def _check(self) -> None:
        try:
            self._schema()
        except sqlite3.Error as error:
            raise ConfigError(
                f"{self.path} is not a usable SQLite database: {error}."
            ) from error


def read_schema(connection: sqlite3.Connection) -> tuple[TableInfo, ...]:
    """Tables and views of the file by name, with their columns; SQLite's own tables are
    left out.
    """
    listed = connection.execute(
        "select name, type, sql from sqlite_master where type in ('table', 'view')"
        " and substr(name, 1, 7) <> 'sqlite_' order by name"
    ).fetchall()
    return tuple(
        TableInfo(name, kind, _columns(connection, name), definition=definition or "")
        for name, kind, definition in listed
    )


def _columns(connection: sqlite3.Connection, table: str) -> tuple[ColumnInfo, ...]:
    keys = {
        row[3].lower(): f"{row[2]}.{row[4]}" if row[4] else row[2]
        for row in connection.execute(
            "select * from pragma_foreign_key_list(?)", [table]
        )
    }
    try:
        rows = connection.execute(
            "select * from pragma_table_xinfo(?)", [table]
        ).fetchall()
    except sqlite3.OperationalError:  # a view over a table that is gone
        return ()
    return tuple(
        ColumnInfo(name, type_, not required, bool(key), keys.get(name.lower(), ""))
        for _, name, type_, required, _, key, hidden in rows
        if hidden != 1  # 1: a hidden column of a virtual table
    )


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "replace")  # SQLite does not check that text is UTF-8


def _interrupt(connection: sqlite3.Connection) -> None:
    try:
        connection.interrupt()
    except sqlite3.ProgrammingError:  # closed in the meantime: nothing runs any more
        return
