"""SQL over the notebook's tables, in one of two places.

What a model or an outside client wrote runs in the worker process (`SqlRunner`): it can be killed, has no secrets and
cannot touch the kernel's memory. What the person typed runs in this process (`run_local_query`): DuckDB reads the
DataFrame in place, without a copy, on a connection that is locked all the same.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError
from mcp_notebook.server.catalog import Catalog
from mcp_notebook.server.mend import ToolError
from mcp_notebook.server.tabular import TableAnswer
from mcp_notebook.server.worker import Worker

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from mcp_notebook.server.arrow import Snapshot
    from mcp_notebook.server.masks import Masks

MAX_ROWS = 100_000
MAX_BYTES = 64_000_000
CHECK_SECONDS = 5.0


@dataclass(frozen=True, eq=False)
class _Shipped:
    """A table as the worker can map it, and the values that it holds."""

    path: Path
    held: "Snapshot"
    notes: tuple[str, ...]
    masks: "Masks | None" = None
    masked: tuple[str, ...] = ()  # the columns in which tokens stand in place of values


class SqlRunner:
    """Runs SELECTs over a catalog in a worker process; a table is written for it again only when it has changed."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mcp-notebook-"))  # readable by this user only
        self._cleanup = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._worker = Worker(self._folder)
        self._shipped: dict[str, _Shipped] = {}
        self._dropping: asyncio.Task[None] | None = None
        self._count = 0
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Start the worker ahead of the first query."""
        await self._worker.start()

    async def query(
        self,
        catalog: Catalog,
        sql: str,
        *,
        limit: int = MAX_ROWS,
        timeout: float = 30.0,
        max_bytes: int = MAX_BYTES,
        masks: "Masks | None" = None,
    ) -> TableAnswer:
        """At most `limit` rows and `max_bytes` bytes of the SELECT's answer; raises `ToolError`.

        `timeout` is in seconds for the statement itself; writing changed tables for the worker comes on top. Of the
        columns that `masks` covers the statement sees tokens, and the answer's notes say so.
        """
        offered = catalog.names()
        checked = await self._worker.ask({"check": sql, "offered": offered}, min(CHECK_SECONDS, timeout))
        async with self._turn:
            shipped = {name: await self._ship(catalog, name, masks) for name in checked["tables"]}
            paths = {name: table.path for name, table in shipped.items()}
            out = self._new_path()
            passing = [out]
            try:
                if checked["lists_tables"]:
                    for name in set(offered) - set(shipped):
                        passing.append(await self._ship_schema(catalog, name, masks))
                        paths[name] = passing[-1]
                request = {"run": checked["sql"], "rows": limit, "bytes": max_bytes, "out": str(out)}
                request["tables"] = {name: str(path) for name, path in paths.items()}
                answer = await self._asked(request, timeout, shipped)
                notes = tuple(note for table in shipped.values() for note in table.notes)
                hidden = any(table.masked for table in shipped.values())
                return await asyncio.to_thread(_take, out, answer, notes, hidden)
            finally:
                for path in passing:
                    path.unlink(missing_ok=True)

    async def _asked(self, request: dict[str, Any], timeout: float, shipped: dict[str, _Shipped]) -> dict[str, Any]:
        try:
            return await self._worker.ask(request, timeout)
        except ToolError as error:
            hidden = [c for table in shipped.values() for c in table.masked if c.lower() in request["run"].lower()]
            if not hidden:
                raise
            said = f"{', '.join(hidden)}: masked, its values are text tokens here; count and GROUP BY work."
            raise ToolError(f"{error} {said}") from error

    async def close(self) -> None:
        """End the worker and remove its files."""
        await self._worker.close()
        if self._dropping is not None:
            await self._dropping
        self._shipped.clear()
        self._cleanup()

    async def _ship(self, catalog: Catalog, name: str, masks: "Masks | None") -> _Shipped:
        value = _resolve(catalog, name)
        known = self._shipped.get(name)
        fresh = await asyncio.to_thread(_write_changed, value, name, known, self._new_path(), masks)
        if fresh is not known:
            if known is not None:
                known.path.unlink(missing_ok=True)
            self._shipped[name] = fresh
            self._drop_with(value, name, fresh.path)
        return fresh

    async def _ship_schema(self, catalog: Catalog, name: str, masks: "Masks | None") -> Path:
        """An empty table of the same columns, for statements that list all tables."""
        path = self._new_path()
        await asyncio.to_thread(_write, _snapshot(_resolve(catalog, name)), name, path, masks, 0)
        return path

    def _drop_with(self, value: object, name: str, path: Path) -> None:
        """When the notebook lets go of the table, neither its file nor its memory is kept."""
        loop = asyncio.get_running_loop()
        runner: weakref.ref[SqlRunner] = weakref.ref(self)

        def gone() -> None:  # on whatever thread dropped the last reference
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_drop, runner, name, path)

        with contextlib.suppress(TypeError):  # a type without weak references: the next query replaces it
            weakref.finalize(value, gone).atexit = False

    async def _forget(self, name: str, path: Path) -> None:
        async with self._turn:  # a query that uses the file goes first
            known = self._shipped.get(name)
            if known is not None and known.path == path:
                del self._shipped[name]
                await asyncio.to_thread(path.unlink, missing_ok=True)

    def _new_path(self) -> Path:
        self._count += 1
        return self._folder / f"{self._count}.arrow"


async def run_worker_query(catalog: Catalog, sql: str, *, limit: int = MAX_ROWS, timeout: float = 30.0) -> TableAnswer:
    """One query with a worker of its own, for callers that make few; `SqlRunner` keeps it warm. Raises `ToolError`."""
    runner = SqlRunner()
    try:
        return await runner.query(catalog, sql, limit=limit, timeout=timeout)
    finally:
        await runner.close()


def run_local_query(catalog: Catalog, sql: str, *, limit: int | None = None) -> "pa.Table":
    """The answer to SQL that the person typed, computed in this process; raises `DataError`.

    The statement is checked like any other, the frames are read in place. `limit` None: all rows.
    """
    # duckdb takes a third of a second to import: only the first query pays.
    from mcp_notebook.server import duck, sqlguard
    from mcp_notebook.server.arrow import for_duckdb, snapshot

    connection = _local_connection()
    try:
        with contextlib.closing(connection.cursor()) as cursor:
            statement = sqlguard.check(cursor, sql, catalog.names())
        named = {name: for_duckdb(snapshot(catalog.resolve(name)))[0] for name in statement.tables}
        if statement.lists_tables:
            named |= {name: _empty(catalog.resolve(name)) for name in catalog.names() if name not in named}
        rows = limit if limit is not None else (1 << 62)
        return duck.run(connection, statement.sql, named, rows=rows, max_bytes=1 << 62).data
    except ToolError as error:
        raise DataError(str(error)) from error


@cache
def _local_connection() -> "duckdb.DuckDBPyConnection":
    from mcp_notebook.server import duck

    return duck.connect(threads=os.cpu_count() or 2, memory="80%")


def _empty(value: Any) -> "pa.Table":
    from mcp_notebook.server.arrow import snapshot, to_arrow

    return to_arrow(snapshot(value), rows=0)[0]


def _resolve(catalog: Catalog, name: str) -> object:
    try:
        return catalog.resolve(name)
    except DataError as error:
        raise ToolError(error.message) from error


def _snapshot(value: Any) -> "Snapshot":
    from mcp_notebook.server.arrow import snapshot

    return snapshot(value)


def _write_changed(value: Any, name: str, known: _Shipped | None, path: Path, masks: "Masks | None") -> _Shipped:
    held = _snapshot(value)
    if known is not None and known.masks == masks and held.same_as(known.held):
        return known
    return _write(held, name, path, masks)


def _write(held: "Snapshot", name: str, path: Path, masks: "Masks | None", rows: int | None = None) -> _Shipped:
    import pyarrow as pa

    from mcp_notebook.server.arrow import to_arrow

    table, notes = to_arrow(held, rows=rows)
    masked = masks.columns(table.column_names) if masks is not None else ()
    table = masks.apply(table, name) if masks is not None else table
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return _Shipped(path, held, notes, masks, masked)


def _take(path: Path, answer: dict[str, Any], notes: tuple[str, ...], hidden: bool) -> TableAnswer:
    import pyarrow as pa

    from mcp_notebook.server.masks import holds_tokens, note_on

    with pa.OSFile(str(path)) as source:
        data = pa.ipc.open_file(source).read_all()
    told = note_on(holds_tokens(data)) if hidden else ""
    return TableAnswer(data, tuple(answer["types"]), answer["truncated"], (*notes, told) if told else notes)


def _drop(runner: "weakref.ref[SqlRunner]", name: str, path: Path) -> None:
    alive = runner()
    if alive is not None:
        alive._dropping = asyncio.ensure_future(alive._forget(name, path))
