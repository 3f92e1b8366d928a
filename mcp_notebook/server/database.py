"""The bundled database server: `query_database`, `list_tables`, `describe_table` and
`explain` over one engine.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import mcp_types as types

from mcp_notebook.errors import ConfigError
from mcp_notebook.server.answer import (
    OUTPUT_SCHEMA,
    Answer,
    Column,
    TableAnswer,
    as_answer,
)
from mcp_notebook.server.engines import Engine, Limits, TableInfo, open_engine
from mcp_notebook.server.handover import LARGE, Handover, as_table, is_small
from mcp_notebook.server.overview import full_line, overview
from mcp_notebook.server.serve import Transport, serve, token_from
from mcp_notebook.server.tool_errors import ToolError, did_you_mean
from mcp_notebook.server.tools import Tool, build_server

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

SAMPLE_ROWS = 3
SURVEYED_TABLES = 40
_SQL = {
    "type": "string",
    "description": (
        "One SELECT statement (WITH ... SELECT and VALUES work too). No "
        "semicolon-separated statements, no parameters."
    ),
    "minLength": 1,
    "maxLength": 100_000,
    "examples": [
        "SELECT status, count(*) AS orders FROM orders GROUP BY status ORDER BY orders DESC"
    ],
}
_TABLE = {
    "type": "string",
    "description": "Name of a table or view as list_tables gives it.",
    "examples": ["orders"],
}


async def serve_database(
    url: str = "",
    *,
    transport: Transport = "stdio",
    host: str = "127.0.0.1",
    port: int = 0,
    token_env: str = "",
    max_rows: int = 10_000,
    timeout: float = 15.0,
    tables: Sequence[str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Serve the database at `url` (default: the environment's `DATABASE_URL`) until the
    client leaves.

    `timeout` is in seconds a statement, `tables` the only tables and views that may be
    read (all when None), and `token_env` names the variable that holds the bearer token
    for http and sse. Raises `ConfigError`.
    """
    url = url or environ.get("DATABASE_URL", "")
    if not url:
        raise ConfigError(
            "Which database? Give --url sqlite:///path/to/file.db or set DATABASE_URL."
        )
    engine = open_engine(url, tables=tables)
    token = token_from(token_env, environ)
    try:
        # Only who started this process shares its folders: a client over HTTP gets what
        # fits into JSON.
        handover = Handover.offered(environ) if transport == "stdio" else None
        server = await build_database_server(
            engine, Limits(rows=max_rows, seconds=timeout), handover
        )
        await serve(server, transport=transport, host=host, port=port, token=token)
    finally:
        await engine.close()


async def build_database_server(
    engine: Engine, limits: Limits | None = None, handover: Handover | None = None
) -> "Server[Any]":
    """The MCP server over an engine; its instructions hold the schema as it is now.

    With `handover` answers that JSON would have to cut go to the host as a file.
    """
    tables = await surveyed(engine)
    return build_server(
        "mcp-notebook-database",
        DatabaseTools(engine, limits or Limits(), handover).tools(),
        title=f"{engine.name} (read-only)",
        instructions=instructions(engine, tables),
    )


async def surveyed(engine: Engine) -> list[TableInfo]:
    """Every table, with a look at the rows of each unless there are too many tables."""
    tables = await engine.schema()
    return (
        [await engine.survey(table) for table in tables]
        if len(tables) <= SURVEYED_TABLES
        else list(tables)
    )


def instructions(engine: Engine, tables: list[TableInfo]) -> str:
    """What the host's model is told of the database: how to ask, then the schema, at
    most about 4.5 kB.
    """
    return (
        f"{engine.name} is a read-only {engine.dialect} database. Ask it with "
        "query_database and one SELECT in that "
        f"dialect; aggregate in SQL. {engine.hints}\nTables:\n{overview(tables)}"
    )


class DatabaseTools:
    """The four tools over one engine; the schema is read anew for each call."""

    def __init__(
        self, engine: Engine, limits: Limits, handover: Handover | None = None
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._handover = handover

    def tools(self) -> list[Tool]:
        """The tools with descriptions for this engine."""
        most = self._limits if self._handover is None else LARGE
        dialect, rows, megabytes = self._engine.dialect, most.rows, most.bytes / 1e6
        return [
            Tool(
                "query_database",
                "Query the database",
                f"Run one read-only SELECT in the {dialect} dialect and get the rows "
                "with their column types. "
                f"Aggregate and filter in SQL: at most {rows:,} rows or {megabytes:g} "
                "MB come back, and a statement "
                f"may take {self._limits.seconds:g} seconds. {self._engine.hints}",
                self.query_database,
                {"sql": _SQL},
                # a file is no structured content
                OUTPUT_SCHEMA if self._handover is None else None,
            ),
            Tool(
                "list_tables",
                "List tables",
                "List every table and view with its kind, row count and columns. "
                "Takes no arguments.",
                self.list_tables,
            ),
            Tool(
                "describe_table",
                "Describe a table",
                "Describe the columns of one table or view: type, nullability, key, "
                "reference to another table, the "
                "values of few-valued text columns, the first and last date of date "
                "columns; with sample rows.",
                self.describe_table,
                {"table": _TABLE},
            ),
            Tool(
                "explain",
                "Explain a query plan",
                "Show how the database would run one SELECT, without running it. Use "
                "it when a query is slow.",
                self.explain,
                {"sql": _SQL},
            ),
        ]

    async def query_database(self, sql: str) -> Answer | types.CallToolResult:
        if self._handover is None:
            return await self._engine.query(sql, self._limits)
        large = replace(LARGE, seconds=self._limits.seconds)
        found = await self._engine.table(sql, large)
        if is_small(found):
            in_rows = isinstance(found, Answer)
            return (
                found
                if in_rows
                else as_answer(found, rows=large.rows, max_bytes=large.bytes)
            )
        return await asyncio.to_thread(_handed, self._handover, found)

    async def explain(self, sql: str) -> Answer:
        return await self._engine.explain(sql, self._limits)

    async def list_tables(self) -> Answer:
        tables = await surveyed(self._engine)
        columns = (
            Column("table", "TEXT"),
            Column("kind", "TEXT"),
            Column("rows", "INTEGER"),
            Column("columns", "TEXT"),
        )
        return Answer(
            columns,
            [
                [t.name, t.kind, t.rows, ", ".join(column.name for column in t.columns)]
                for t in tables
            ],
        )

    async def describe_table(self, table: str) -> Answer:
        found = await self._engine.survey(await self._find(table))
        sample = await self._sample(found)
        names = (
            "column",
            "type",
            "nullable",
            "key",
            "references",
            "values",
            "from",
            "to",
            "samples",
        )
        return Answer(
            tuple(
                Column(name, "BOOLEAN" if name in ("nullable", "key") else "TEXT")
                for name in names
            ),
            [_describe(found, index, sample) for index in range(len(found.columns))],
            preface=full_line(found),
        )

    async def _find(self, name: str) -> TableInfo:
        tables = {table.name: table for table in await self._engine.schema()}
        by_lower = {known.lower(): table for known, table in tables.items()}
        if name.lower() not in by_lower:
            raise ToolError(
                f"There is no table {name!r}.{did_you_mean(name, tables)} Tables: "
                f"{', '.join(tables)}."
            )
        return by_lower[name.lower()]

    async def _sample(self, table: TableInfo) -> Answer:
        sql = f"SELECT * FROM {table.source} LIMIT {SAMPLE_ROWS}"  # noqa: S608 - quoted identifiers
        return await self._engine.query(sql, self._limits)


def _handed(handover: Handover, found: Answer | TableAnswer) -> types.CallToolResult:
    return handover.hand(found if isinstance(found, TableAnswer) else as_table(found))


def _describe(table: TableInfo, index: int, sample: Answer) -> list[Any]:
    column = table.columns[index]
    start, end = column.span or (None, None)
    shown = [
        str(row[index])[:60]
        for row in sample.rows
        if index < len(row) and row[index] is not None
    ]
    return [
        column.name,
        column.type or "ANY",
        column.nullable and not column.primary_key,
        column.primary_key,
        column.references or None,
        " | ".join(column.values) or None,
        start,
        end,
        " | ".join(shown) or None,
    ]
