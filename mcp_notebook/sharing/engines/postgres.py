"""PostgreSQL that cannot be talked into writing: an ordinary role, a read-only session
and transaction for each call.

Not a filter of words but the server decides: the role is refused when it could write
files or run programs, the session and the transaction are READ ONLY, and the statement
goes by the extended protocol, which takes exactly one. The connection is closed after
each call, so that no setting, lock or temporary object lasts.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mcp_notebook.errors import ConfigError, ToolError, did_you_mean
from mcp_notebook.sharing.answer import (
    AnswerColumn,
    RowsAnswer,
    big_integer_notice,
    within,
)
from mcp_notebook.sharing.engines.interface import (
    StatementLimits,
    TableInfo,
    build_tables,
    run_until,
    survey_table,
)

try:
    import psycopg
    from psycopg import sql as composed
except ImportError as error:
    raise ConfigError(
        "PostgreSQL needs a driver: pip install 'mcp-notebook[postgres]'."
    ) from error

T = TypeVar("T")

SURVEY_SECONDS = 2.0
OWN_SECONDS = 10.0
_NO_ROWS = "The statement gives no rows. This database is read-only: write one SELECT."
_CHUNK = 1_000  # rows fetched at a time, so that a cut answer is not read to its end

# What a read-only transaction does not prevent: these act outside of transactions.
_DANGERS = """
    SELECT rolname, rolsuper, rolreplication,
           pg_has_role(oid, 'pg_execute_server_program', 'MEMBER'),
           pg_has_role(oid, 'pg_read_server_files', 'MEMBER'),
           pg_has_role(oid, 'pg_write_server_files', 'MEMBER')
    FROM pg_roles WHERE rolname = current_user
"""
_MEANINGS = (
    "is a superuser",
    "may replicate",
    "may run programs on the server",
    "may read the server's files",
    "may write the server's files",
)
_COLUMNS = """
    SELECT CASE WHEN pg_table_is_visible(c.oid) THEN '' ELSE n.nspname END, c.relname,
           CASE WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END,
           a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND has_schema_privilege(n.oid, 'USAGE')
      AND has_table_privilege(c.oid, 'SELECT')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg_toast%' AND n.nspname NOT LIKE 'pg_temp%'
    ORDER BY 1, 2, a.attnum
"""
_KEYS = """
    SELECT CASE WHEN pg_table_is_visible(k.conrelid) THEN '' ELSE n.nspname END, c.relname,
           CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'FOREIGN KEY' END,
           (SELECT array_agg(attname::text ORDER BY ord)
            FROM unnest(k.conkey) WITH ORDINALITY AS u(num, ord)
            JOIN pg_attribute ON attrelid = k.conrelid AND attnum = num),
           k.confrelid::regclass::text,
           (SELECT array_agg(attname::text ORDER BY ord)
            FROM unnest(k.confkey) WITH ORDINALITY AS u(num, ord)
            JOIN pg_attribute ON attrelid = k.confrelid AND attnum = num)
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.contype IN ('p', 'f')
"""
_VIEWS = """
    SELECT c.relname, pg_get_viewdef(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('v', 'm') AND has_table_privilege(c.oid, 'SELECT')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""


class PostgresEngine:
    """A PostgreSQL database through a role that may only read; `tables` narrows what is listed.

    What statements may read is the role's business: grant it the tables that it should see.
    """

    def __init__(self, url: str, *, tables: Sequence[str] | None = None) -> None:
        if tables is not None:
            raise ConfigError(
                "--table does not bind PostgreSQL: use a role that may SELECT from "
                "these tables only."
            )

        self._url = url
        self.name = urlsplit(url).path.strip("/") or "postgres"
        self.dialect = "PostgreSQL"
        self.hints = "Take the month of a date with date_trunc('month', column)."
        self._refuse_dangerous_role()

    async def schema(self) -> tuple[TableInfo, ...]:
        columns = await self._ask(_COLUMNS, OWN_SECONDS)
        keys = await self._ask(_KEYS, OWN_SECONDS)
        return build_tables(columns, keys)

    async def survey(self, table: TableInfo) -> TableInfo:
        async def ask(sql: str) -> list[tuple[Any, ...]]:
            return await self._ask(sql, SURVEY_SECONDS)

        try:
            return await survey_table(table, ask, exact_count=False)
        except psycopg.Error:
            # too slow, or a view that does not run: its columns are enough
            return table

    async def query(self, sql: str, limits: StatementLimits) -> RowsAnswer:
        if len(sql) > limits.sql_length:
            raise ToolError(
                f"The statement has {len(sql):,} characters; {limits.sql_length:,} are allowed."
            )

        try:
            return await self._run(
                lambda connection: _fetch(connection, sql, limits), limits.seconds
            )
        except (psycopg.Error, UnicodeEncodeError, ValueError) as error:
            raise ToolError(await self._explain_error(error, limits)) from error

    async def table(self, sql: str, limits: StatementLimits) -> RowsAnswer:
        return await self.query(sql, limits)

    async def explain(self, sql: str, limits: StatementLimits) -> RowsAnswer:
        # ANALYZE would run the statement, so it is not taken from the model's text.
        if sql.lstrip().lower().startswith(("analyze", "analyse", "(")):
            raise ToolError("Give the SELECT alone, without EXPLAIN options.")
        return await self.query(f"EXPLAIN {sql}", limits)

    async def views(self) -> dict[str, str]:
        return dict(await self._ask(_VIEWS, OWN_SECONDS))

    async def close(self) -> None:
        """Nothing is kept open."""

    def _connect(self, seconds: float) -> psycopg.Connection[tuple[Any, ...]]:
        milliseconds = int(seconds * 1000)
        options = (
            f"-c default_transaction_read_only=on -c statement_timeout={milliseconds} "
            "-c lock_timeout=2000 "
            f"-c idle_in_transaction_session_timeout={milliseconds + 5000}"
        )
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            options=options,
            connect_timeout=10,
            application_name="mcp-notebook",
        )
        connection.execute("BEGIN TRANSACTION READ ONLY")
        return connection

    async def _run(
        self, work: Callable[[psycopg.Connection[tuple[Any, ...]]], T], seconds: float
    ) -> T:
        """Run `work` on a fresh connection; at the deadline the server is asked to cancel."""
        connection = await asyncio.to_thread(self._connect, seconds)

        def work_and_close() -> T:
            with closing(connection):
                return work(connection)

        # A little later than the server's own timeout: its message is the better one,
        # but a statement can unset it.
        return await run_until(
            work_and_close, lambda: _cancel(connection), seconds + 0.2, again=0.5
        )

    async def _ask(self, sql: str, seconds: float) -> list[tuple[Any, ...]]:
        # statements of ours, names quoted
        statement = composed.SQL(sql)  # pyright: ignore[reportArgumentType]
        return await self._run(
            lambda connection: connection.execute(statement).fetchall(), seconds
        )

    async def _explain_error(self, error: Exception, limits: StatementLimits) -> str:
        if isinstance(error, psycopg.errors.QueryCanceled):
            return (
                f"The statement was stopped after {limits.seconds:g} s. Filter or "
                "aggregate earlier, or add LIMIT."
            )

        # The picture of the statement with a caret below it tells a model nothing.
        said = " ".join(str(error).split("\nLINE ")[0].split())[:600]
        if isinstance(error, psycopg.errors.UndefinedTable):
            names = [table.name for table in await self.schema()]
            wanted = said.partition('"')[2].partition('"')[0]
            return (
                f"PostgreSQL says: {said}.{did_you_mean(wanted, names)} Tables: "
                f"{', '.join(names)}."
            )

        hint = getattr(getattr(error, "diag", None), "message_hint", None)
        if not hint:
            return f"PostgreSQL says: {said}."

        return f"PostgreSQL says: {said}. {hint}"

    def _refuse_dangerous_role(self) -> None:
        try:
            with closing(self._connect(OWN_SECONDS)) as connection:
                row = connection.execute(_DANGERS).fetchone() or ("?",)
        except psycopg.Error as error:
            raise ConfigError(
                f"PostgreSQL cannot be reached: {' '.join(str(error).split())[:300]}"
            ) from error

        dangers = [
            meaning for meaning, holds in zip(_MEANINGS, row[1:], strict=False) if holds
        ]
        if dangers:
            raise ConfigError(
                f"The role {row[0]} {' and '.join(dangers)}, which a read-only "
                "transaction does not prevent: connect "
                "as an ordinary role, e.g. CREATE ROLE reader LOGIN PASSWORD '...'; "
                "GRANT pg_read_all_data TO reader."
            )


def _fetch(
    connection: psycopg.Connection[tuple[Any, ...]], sql: str, limits: StatementLimits
) -> RowsAnswer:
    with connection.cursor() as cursor:
        # `stream` sends by the extended protocol, which refuses a second statement, and
        # reads in chunks.
        rows = cursor.stream(sql.encode(), size=_CHUNK)
        kept, cut = within(_refuse_no_result(rows), limits.rows, limits.bytes)
        described = cursor.description or []
        columns = tuple(
            AnswerColumn(column.name, _sql_type(column.type_display), declared=True)
            for column in described
        )
        if cut:
            # else closing the cursor would read the rest of the rows
            connection.cancel()

    if not columns:
        raise ToolError(_NO_ROWS)

    notices = "; ".join(filter(None, [cut, big_integer_notice(columns, kept)]))
    return RowsAnswer(columns, kept, truncated=bool(cut), notice=notices)


def _refuse_no_result(rows: Iterator[tuple[Any, ...]]) -> Iterator[Sequence[Any]]:
    try:
        yield from rows
    except psycopg.ProgrammingError as error:
        # psycopg has no class of its own for this
        said = str(error)
        if "didn't produce a result" in said or "can't be used with" in said:
            raise ToolError(_NO_ROWS) from error

        raise


def _sql_type(display: str) -> str:
    """PostgreSQL's short names as the SQL words that readers know."""
    words = {
        "bool": "BOOLEAN",
        "timestamptz": "TIMESTAMP WITH TIME ZONE",
        "numeric": "DECIMAL",
        "bytea": "BLOB",
        "int2": "SMALLINT",
        "int4": "INTEGER",
        "int8": "BIGINT",
        "float4": "REAL",
        "float8": "DOUBLE",
    }
    name, opened, rest = display.partition("(")
    return words.get(name, name.upper()) + opened + rest


def _cancel(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    with suppress(psycopg.Error):  # closed in the meantime
        connection.cancel()
