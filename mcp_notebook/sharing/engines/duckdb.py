"""A DuckDB file, read only, in a worker process that can be killed.

The file is opened `read_only` on a locked connection without access to other files, the
network or extensions; each statement is checked (`sqlguard`) and ends with its process
at the deadline: DuckDB cannot always be interrupted.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mcp_notebook.errors import ConfigError, DataError, ToolError
from mcp_notebook.sharing.answer import AnswerColumn, RowsAnswer, TableAnswer, as_answer
from mcp_notebook.sharing.engines.interface import (
    StatementLimits,
    TableInfo,
    build_tables,
    survey_table,
)
from mcp_notebook.sharing.worker import Worker
from mcp_notebook.values import column_values

CHECK_SECONDS = 5.0
SURVEY_SECONDS = 2.0
_OWN = StatementLimits(rows=100_000, bytes=64_000_000, seconds=10.0)

_COLUMNS = """
    SELECT CASE WHEN c.table_schema = 'main' THEN '' ELSE c.table_schema END, c.table_name,
           t.table_type, c.column_name, c.data_type, c.is_nullable = 'YES'
    FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_catalog, table_schema, table_name)
    WHERE c.table_catalog = current_database()
      AND c.table_schema NOT IN ('information_schema', 'pg_catalog')
    ORDER BY 1, 2, c.ordinal_position
"""
_KEYS = """
    SELECT CASE WHEN schema_name = 'main' THEN '' ELSE schema_name END, table_name, constraint_type,
           constraint_column_names, referenced_table, referenced_column_names
    FROM duckdb_constraints() WHERE constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY')
"""
_VIEWS = "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal"
_MACROS = (
    "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type LIKE "
    "'%macro' AND NOT internal"
)


class DuckDbEngine:
    """A DuckDB database file; `tables`, when given, is an allow-list."""

    def __init__(self, path: Path, *, tables: Sequence[str] | None = None) -> None:
        self.name = path.name
        self.dialect = "DuckDB"
        self.hints = (
            "Take the month of a date with date_trunc('month', column); PIVOT is not "
            "available."
        )
        self._allowed = None if tables is None else {name.lower() for name in tables}
        self._folder = Path(tempfile.mkdtemp(prefix="mcp-notebook-"))
        self._cleanup = weakref.finalize(
            self, shutil.rmtree, self._folder, ignore_errors=True
        )
        self._worker = Worker(self._folder, database=str(path.resolve()))
        self._count = 0

    async def schema(self) -> tuple[TableInfo, ...]:
        try:
            columns = await self._ask(_COLUMNS)
            keys = await self._ask(_KEYS)
        except DataError as error:
            raise ConfigError(
                f"{self.name} cannot be served. {error.message}"
            ) from error

        tables = build_tables(columns, keys)
        if self._allowed is None:
            return tables

        return tuple(table for table in tables if table.name.lower() in self._allowed)

    async def survey(self, table: TableInfo) -> TableInfo:
        async def ask(sql: str) -> list[tuple[Any, ...]]:
            return await self._ask(sql, SURVEY_SECONDS)

        try:
            return await survey_table(table, ask)
        except ToolError:
            # too slow, or a view that does not run: its columns are enough
            return table

    async def table(self, sql: str, limits: StatementLimits) -> TableAnswer:
        checked = await self._check(sql)
        return await self._run(checked["sql"], limits, limits.seconds)

    async def query(self, sql: str, limits: StatementLimits) -> RowsAnswer:
        answer = await self.table(sql, limits)
        return await asyncio.to_thread(
            as_answer, answer, rows=limits.rows, max_bytes=limits.bytes
        )

    async def explain(self, sql: str, limits: StatementLimits) -> RowsAnswer:
        checked = await self._check(sql)
        request = {"explain": checked["sql"]}
        answer = await self._worker.ask(request, limits.seconds)
        lines = answer["plan"].splitlines()
        return RowsAnswer((AnswerColumn("plan", "TEXT"),), [[line] for line in lines])

    async def views(self) -> dict[str, str]:
        return {str(name): str(sql) for name, sql in await self._ask(_VIEWS)}

    async def close(self) -> None:
        await self._worker.close()
        self._cleanup()

    async def _check(self, sql: str) -> dict[str, Any]:
        offered = [table.name for table in await self.schema()]
        macros: list[str] = []
        if self._allowed is not None:
            # A macro of the file may read tables beside the allowed ones.
            macros = [name.lower() for (name,) in await self._ask(_MACROS)]

        checked = await self._worker.ask(
            {"check": sql, "offered": offered, "macros": macros}, CHECK_SECONDS
        )
        # information_schema and SHOW TABLES would name the tables that are not allowed.
        if checked["lists_tables"] and self._allowed is not None:
            raise ToolError(
                "Refused: use list_tables and describe_table to see the tables."
            )

        return checked

    async def _ask(
        self, sql: str, seconds: float = _OWN.seconds
    ) -> list[tuple[Any, ...]]:
        """Rows of a statement of ours."""
        data = (await self._run(sql, _OWN, seconds)).data
        return list(zip(*map(column_values, data.columns), strict=True))

    async def _run(
        self, sql: str, limits: StatementLimits, seconds: float
    ) -> TableAnswer:
        self._count += 1
        out = self._folder / f"{self._count}.arrow"
        request = {
            "run": sql,
            "tables": {},
            "rows": limits.rows,
            "bytes": limits.bytes,
            "out": str(out),
        }
        try:
            answer = await self._worker.ask(request, seconds)
            return await asyncio.to_thread(_read_answer, out, answer)
        finally:
            await asyncio.to_thread(out.unlink, missing_ok=True)


def _read_answer(path: Path, answer: dict[str, Any]) -> TableAnswer:
    # Read, not mapped: the file is removed at once, and Windows keeps a mapped one.
    with pa.OSFile(str(path)) as source:
        data = pa.ipc.open_file(source).read_all()
    return TableAnswer(data, tuple(answer["types"]), answer["truncated"])
