"""SQL over the notebook's tables, in one of two places.

What a model or an outside client wrote runs in the worker process (`SqlRunner`): it can
be killed, has no secrets and cannot touch the kernel's memory. What the person typed
runs in this process (`local_sql`): DuckDB reads the DataFrame in place, without a copy, on a
connection that is locked all the same. Either way tables of another engine (`sources`)
are asked there.
"""

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import kind_of
from mcp_notebook.sharing.answer import TableAnswer
from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.sharing.local_sql import local_answer, run_local_query
from mcp_notebook.sharing.sources.local_tables import STORED, Ready, ready, schema_of
from mcp_notebook.sharing.sources.parquet_spool import Spool, drop
from mcp_notebook.sharing.sources.remote_route import Bounds, Elsewhere, Here, nothing
from mcp_notebook.sharing.tool_errors import ToolError
from mcp_notebook.sharing.worker import Worker
from mcp_notebook.sharing.worker_files import Needed, Placed, Shipping, write_table

if TYPE_CHECKING:
    import pyarrow as pa

    from mcp_notebook.sharing.masks import Masks

__all__ = [
    "MAX_ROWS",
    "SqlRunner",
    "local_answer",
    "run_local_query",
    "run_worker_query",
]

MAX_ROWS = 100_000
MAX_BYTES = 64_000_000


class SqlRunner:
    """Runs SELECTs over a catalog in a worker process; a table is written for it again
    only when it has changed.
    """

    def __init__(self) -> None:
        # readable by this user only
        self._folder = Path(tempfile.mkdtemp(prefix="mcp-notebook-"))
        self._cleanup = weakref.finalize(
            self, shutil.rmtree, self._folder, ignore_errors=True
        )
        self._worker = Worker(self._folder)
        self._turn = asyncio.Lock()
        self._shipping = Shipping(self._folder, self._turn)
        self._spool = Spool(self._folder)
        self._elsewhere = Elsewhere(self._worker.ask)

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

        `timeout` is in seconds for the statement itself; writing changed tables for the
        worker comes on top. Of the columns that `masks` covers the statement sees
        tokens, and the answer's notes say so.
        """
        bounds = Bounds(
            limit, max_bytes, timeout, masks.columns if masks is not None else nothing
        )
        routed = await self._elsewhere.route(catalog, sql, bounds)
        if isinstance(routed, TableAnswer):
            return routed

        async with self._turn:
            return await self._run(catalog, routed, bounds, masks)

    async def _run(
        self, catalog: Catalog, routed: Here, bounds: Bounds, masks: "Masks | None"
    ) -> TableAnswer:
        """A statement that runs in the worker, its tables written for it or handed over
        as files to scan.
        """
        checked, out = routed.checked, self._shipping.new_path()
        # Files that go when the statement has run, whatever becomes of it.
        passing, places, notes = [out], {}, []
        masked: list[str] = []  # columns of which the statement sees tokens
        try:
            for name in checked["tables"]:
                if name in routed.brought or name in routed.empty:
                    found = await self._write_routed(routed, name)
                else:
                    found = await self._place(catalog, name, checked["sql"], masks)

                places[name] = found.where
                passing += found.passing
                masked += found.masked
                notes += found.notes

            if checked["lists_tables"]:
                for name in set(catalog.names()) - set(places):
                    passing.append(await self._ship_schema(catalog, name, masks))
                    places[name] = str(passing[-1])

            request = {
                "run": checked["sql"],
                "rows": bounds.rows,
                "bytes": bounds.bytes,
                "out": str(out),
            }
            answer = await self._ask_worker(
                {**request, "tables": places}, bounds.seconds, masked
            )
            return await asyncio.to_thread(
                _take, out, answer, tuple(notes), bool(masks and masks.patterns)
            )
        finally:
            for path in passing:
                path.unlink(missing_ok=True)

    async def _write_routed(self, routed: Here, name: str) -> Placed:
        """What another engine gave of a table, or its columns alone when the statement
        can need no row of it.
        """
        table = routed.brought.get(name)
        if table:
            data, notes = table.data, table.notes
        else:
            data, notes = routed.empty[name].schema().empty_table(), ()

        path = await asyncio.to_thread(write_table, data, self._shipping.new_path())
        return Placed(str(path), notes, [path], ())

    async def _place(
        self, catalog: Catalog, name: str, sql: str, masks: "Masks | None"
    ) -> Placed:
        """Where the worker finds a table, with tokens in its masked columns."""

        async def needed(names: Sequence[str]) -> Sequence[str]:
            return (await self._elsewhere.needed(sql, {name: names}))[name]

        value = _resolve(catalog, name)
        try:
            if kind_of(value) in STORED:
                return await self._place_stored(value, name, masks, needed)
            return await self._shipping.place(value, name, masks, needed)
        except DataError as error:
            raise ToolError(error.message) from error

    async def _place_stored(
        self, value: Any, name: str, masks: "Masks | None", needed: Needed
    ) -> Placed:
        """A table that is scanned where it lies, or spooled when its masked columns need it."""
        names = (await asyncio.to_thread(schema_of, value)).names
        if kind_of(value) != "file":
            wanted = await needed(names)
        else:
            wanted = []

        found = await asyncio.to_thread(ready, value, self._spool, lambda names: wanted)
        if masks is not None:
            masked = masks.columns(names)
        else:
            masked = ()

        if masks is not None and await asyncio.to_thread(
            _has_masked, found, masks, names
        ):
            found = await asyncio.to_thread(
                _with_tokens, found, self._spool, masks, name, names
            )

        if found.passing:
            passing = [Path(file) for file in found.scan.files]
        else:
            passing = []

        return Placed(found.scan.as_json(), (), passing, masked)

    async def _ask_worker(
        self, request: dict[str, Any], timeout: float, masked: list[str]
    ) -> dict[str, Any]:
        try:
            return await self._worker.ask(request, timeout)
        except ToolError as error:
            hidden = [
                column for column in masked if column.lower() in request["run"].lower()
            ]
            if not hidden:
                raise

            said = (
                f"{', '.join(hidden)}: masked, its values are text tokens here; count "
                "and GROUP BY work."
            )
            raise ToolError(f"{error} {said}") from error

    async def rest(self) -> None:
        """End the worker; the next query starts another."""
        await self._worker.close()

    async def close(self) -> None:
        """End the worker and remove its files."""
        await self._worker.close()
        await self._shipping.close()
        self._cleanup()

    async def _ship_schema(
        self, catalog: Catalog, name: str, masks: "Masks | None"
    ) -> Path:
        """An empty table of the same columns, for statements that list all tables."""
        value = _resolve(catalog, name)
        empty = await asyncio.to_thread(_empty, value)
        if masks is not None:
            table = masks.apply(empty, name)
        else:
            table = empty

        return await asyncio.to_thread(write_table, table, self._shipping.new_path())


async def run_worker_query(
    catalog: Catalog, sql: str, *, limit: int = MAX_ROWS, timeout: float = 30.0
) -> TableAnswer:
    """One query with a worker of its own, for callers that make few; `SqlRunner` keeps
    it warm. Raises `ToolError`.
    """
    runner = SqlRunner()
    try:
        return await runner.query(catalog, sql, limit=limit, timeout=timeout)
    finally:
        await runner.close()


def _empty(value: Any) -> "pa.Table":
    from mcp_notebook.sharing.sources.describe import look

    return look(value).schema.empty_table()


def _resolve(catalog: Catalog, name: str) -> object:
    try:
        return catalog.resolve(name)
    except DataError as error:
        raise ToolError(error.message) from error


def _has_masked(found: Ready, masks: "Masks", names: Sequence[str]) -> bool:
    return masks.touches(found.scan.open().schema, names)


def _with_tokens(
    found: Ready, spool: Spool, masks: "Masks", name: str, names: Sequence[str]
) -> Ready:
    """The scan with tokens in its masked columns, as a file of ours; `names` are all
    columns of the table.
    """
    changed = spool.changed(found.scan, lambda table: masks.apply(table, name, names))
    if found.passing:
        drop(found.scan)

    return Ready(changed, passing=True)


def _take(
    path: Path, answer: dict[str, Any], notes: tuple[str, ...], hidden: bool
) -> TableAnswer:
    import pyarrow as pa

    from mcp_notebook.sharing.masks import holds_tokens, note_on

    with pa.OSFile(str(path)) as source:
        data = pa.ipc.open_file(source).read_all()

    if hidden:
        told = note_on(holds_tokens(data))
    else:
        told = ""

    notes = (*notes, *answer["notes"])
    return TableAnswer(
        data,
        tuple(answer["types"]),
        answer["truncated"],
        (*notes, told) if told else notes,
    )
