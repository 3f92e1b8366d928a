"""A DuckDB file, read only, in a worker process that can be killed.

The file is opened `read_only` on a locked connection without access to other files, the
network or extensions; each statement is checked (`sqlguard`) and ends with its process
at the deadline: DuckDB cannot always be interrupted.
"""

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mcp_notebook.errors import ConfigError, DataError
from mcp_notebook.server.answer import Answer, Column
from mcp_notebook.server.engines import Limits, TableInfo
from mcp_notebook.server.engines.listing import build_tables
from mcp_notebook.server.engines.survey import survey
from mcp_notebook.server.mend import ToolError
from mcp_notebook.server.tabular import TableAnswer, as_answer
from mcp_notebook.server.worker import Worker
from mcp_notebook.values import column_values

CHECK_SECONDS = 5.0
SURVEY_SECONDS = 2.0
_OWN = Limits(rows=100_000, bytes=64_000_000, seconds=10.0)

_COLUMNS = """
    SELECT CASE WHEN c.table_schema = 'main' THEN '' ELSE c.table_schema END, c.table_name,
           t.table_type, c.column_name, c.data_type, c.is_nullable = 'YES'
    FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_catalog, table_schema, table_name)
    WHERE c.table_catalog = current_database() AND c.table_schema NOT IN ('information_schema', 'pg_catalog')
    ORDER BY 1, 2, c.ordinal_position
"""
_KEYS = """
    SELECT CASE WHEN schema_name = 'main' THEN '' ELSE schema_name END, table_name, constraint_type,
           constraint_column_names, referenced_table, referenced_column_names
    FROM duckdb_constraints() WHERE constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY')
"""
_MACROS = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type LIKE '%macro' AND NOT internal"


class DuckDbEngine:
    """A DuckDB database file; `tables`, when given, is an allow-list."""

    def __init__(self, path: Path, *, tables: Sequence[str] | None = None) -> None:
        self.name = path.name
        self.dialect = "DuckDB"
        self.hints = "Take the month of a date with date_trunc('month', column); PIVOT is not available."
        self._allowed = None if tables is None else {name.lower() for name in tables}
        self._folder = Path(tempfile.mkdtemp(prefix="mcp-notebook-"))
        self._cleanup = weakref.finalize(
            self, shutil.rmtree, self._folder, ignore_errors=True
        )
        self._worker = Worker(self._folder, database=str(path.resolve()))
        self._count = 0

    async def schema(self) -> tuple[TableInfo, ...]:
        try:
            columns, keys = await self._own(_COLUMNS), await self._own(_KEYS)
        except DataError as error:
            raise ConfigError(
                f"{self.name} cannot be served. {error.message}"
            ) from error
        tables = build_tables(columns, keys)
        return tuple(
            t
            for t in tables
            if self._allowed is None or t.name.lower() in self._allowed
        )

    async def survey(self, table: TableInfo) -> TableInfo:
        async def ask(sql: str) -> list[tuple]:
            return await self._own(sql, SURVEY_SECONDS)

        try:
            return await survey(table, ask)
        except ToolError:
            # too slow, or a view that does not run: its columns are enough
            return table

    async def table(self, sql: str, limits: Limits) -> TableAnswer:
        checked = await self._checked(sql)
        return await self._run(checked["sql"], limits, limits.seconds)

    async def query(self, sql: str, limits: Limits) -> Answer:
        answer = await self.table(sql, limits)
        return await asyncio.to_thread(
            as_answer, answer, rows=limits.rows, max_bytes=limits.bytes
        )

    async def explain(self, sql: str, limits: Limits) -> Answer:
        checked = await self._checked(sql)
        plan = (await self._worker.ask({"explain": checked["sql"]}, limits.seconds))[
            "plan"
        ]
        return Answer((Column("plan", "TEXT"),), [[line] for line in plan.splitlines()])

    async def close(self) -> None:
        await self._worker.close()
        self._cleanup()

    async def _checked(self, sql: str) -> dict[str, Any]:
        offered = [table.name for table in await self.schema()]
        macros = (
            []
            if self._allowed is None
            else [name.lower() for (name,) in await self._own(_MACROS)]
        )
        checked = await self._worker.ask(
            {"check": sql, "offered": offered, "macros": macros}, CHECK_SECONDS
        )
        if checked["lists_tables"] and self._allowed is not None:
            raise ToolError(
                "Refused: use list_tables and describe_table to see the tables."
            )
        return checked

    async def _own(self, sql: str, seconds: float = _OWN.seconds) -> list[tuple]:
        """Rows of a statement of ours."""
        data = (await self._run(sql, _OWN, seconds)).data
        return list(zip(*map(column_values, data.columns), strict=True))

    async def _run(self, sql: str, limits: Limits, seconds: float) -> TableAnswer:
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
            return await asyncio.to_thread(_take, out, answer)
        finally:
            await asyncio.to_thread(out.unlink, missing_ok=True)


def _take(path: Path, answer: dict[str, Any]) -> TableAnswer:
    with pa.OSFile(str(path)) as source:
        data = pa.ipc.open_file(source).read_all()
    return TableAnswer(data, tuple(answer["types"]), answer["truncated"])
