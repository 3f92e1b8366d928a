"""SQL over the notebook's tables, in one of two places.

What a model or an outside client wrote runs in the worker process (`SqlRunner`): it can
be killed, has no secrets and cannot touch the kernel's memory. What the person typed
runs in this process (`local_sql`): DuckDB reads the DataFrame in place, without a copy, on a
connection that is locked all the same. Either way tables of another engine (`sources`)
are asked there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mcp_notebook.errors import DataError, ToolError
from mcp_notebook.kinds import kind_of
from mcp_notebook.sharing.answer import AS_FILE, TableAnswer
from mcp_notebook.sharing.arrow import Snapshot, snapshot, to_arrow
from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.sharing.describing import look
from mcp_notebook.sharing.local_sql import local_answer, run_local_query
from mcp_notebook.sharing.masks import holds_tokens, note_on
from mcp_notebook.sharing.sources.local_tables import (
    STORED,
    Ready,
    Spool,
    drop,
    ready,
    schema_of,
)
from mcp_notebook.sharing.sources.remote_route import Bounds, Elsewhere, Here, nothing
from mcp_notebook.sharing.worker import Worker

if TYPE_CHECKING:
    import pyarrow as pa

    from mcp_notebook.sharing.masks import Masks

# Tables in memory as files that the worker process maps, written again only when they
# have changed.
#
# Of a frame's columns most can be proven unchanged; those stay in one file for all
# statements. Objects may change inside their cells, so columns of objects are converted
# for each statement, and only those that it names.


Needed = Callable[[Sequence[str]], Awaitable[Sequence[str]]]
"""Which of a table's columns a statement can need."""


@dataclass(frozen=True)
class Placed:
    """Where the worker finds a table, what is said of it, files that go after the
    statement, and the columns in which tokens stand in place of values.
    """

    where: Any
    notes: tuple[str, ...]
    passing: list[Path]
    masked: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Shipped:
    """The lasting file of a table, and the values that it holds."""

    path: Path | None  # None: no column of it can be kept
    held: Snapshot
    notes: tuple[str, ...]
    masks: Masks | None


class Shipping:
    """The files of one runner in its folder. `turn` is held while a statement runs that
    uses them.
    """

    def __init__(self, folder: Path, turn: asyncio.Lock) -> None:
        self._folder = folder
        self._turn = turn
        self._shipped: dict[str, _Shipped] = {}
        self._dropping: asyncio.Task[None] | None = None
        self._counter = itertools.count(1)

    def new_path(self) -> Path:
        """A file that is not there yet."""
        return self._folder / f"{next(self._counter)}.arrow"

    async def place(
        self, value: Any, name: str, masks: Masks | None, needed: Needed
    ) -> Placed:
        """The table as the worker can map it; raises `DataError`."""
        held = await asyncio.to_thread(snapshot, value)
        if masks is not None:
            masked = masks.columns(held.names)
        else:
            masked = ()

        kept = await self._kept(value, held, name, masks)
        if not held.loose:
            return Placed(str(kept.path), kept.notes, [], masked)

        wanted = set(await needed(held.names))
        loose = [column for column in held.loose if column in wanted]
        if kept.path is None and not loose:
            loose = list(held.loose[:1])  # a count needs some column

        if kept.path is not None:
            parts = [kept.path]
        else:
            parts = []

        passing, notes = [], kept.notes
        if loose:
            passing.append(self.new_path())
            notes = await asyncio.to_thread(
                _write, held, loose, name, masks, passing[0]
            )

        order = [
            column
            for column in held.names
            if column not in held.loose or column in loose
        ]
        where = {"parts": [str(path) for path in (*parts, *passing)], "columns": order}
        return Placed(
            where, tuple(dict.fromkeys((*kept.notes, *notes))), passing, masked
        )

    async def close(self) -> None:
        """Nothing is kept any more; the owner of the folder removes it."""
        if self._dropping is not None:
            await self._dropping

        self._shipped.clear()

    async def _kept(
        self, value: Any, held: Snapshot, name: str, masks: Masks | None
    ) -> _Shipped:
        known = self._shipped.get(name)
        if known is not None and known.masks == masks and held.same_as(known.held):
            return known

        certain = [column for column in held.names if column not in held.loose]
        if certain or not held.loose:
            path = self.new_path()
        else:
            path = None

        if path is not None:
            notes = await asyncio.to_thread(_write, held, certain, name, masks, path)
        else:
            notes = ()

        if known is not None and known.path is not None:
            known.path.unlink(missing_ok=True)

        self._shipped[name] = fresh = _Shipped(path, held, notes, masks)
        self._drop_with(value, name, fresh)
        return fresh

    def _drop_with(self, value: object, name: str, shipped: _Shipped) -> None:
        """When the notebook lets go of the table, neither its file nor its memory is kept."""
        loop = asyncio.get_running_loop()
        owner: weakref.ref[Shipping] = weakref.ref(self)
        gone_with = weakref.ref(shipped)

        def gone() -> None:  # on whatever thread dropped the last reference
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_drop, owner, name, gone_with)

        # a type without weak references: the next query replaces it
        with contextlib.suppress(TypeError):
            weakref.finalize(value, gone).atexit = False

    async def _forget(self, name: str, gone: _Shipped) -> None:
        async with self._turn:  # a query that uses the file goes first
            if self._shipped.get(name) is gone:
                del self._shipped[name]
                if gone.path is not None:
                    await asyncio.to_thread(gone.path.unlink, missing_ok=True)


def write_table(table: pa.Table, path: Path) -> Path:
    """An Arrow file of the table."""
    with (
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)

    return path


def _write(
    held: Snapshot, columns: Sequence[str], name: str, masks: Masks | None, path: Path
) -> tuple[str, ...]:
    """Write these columns, with tokens in masked ones; the notes on them."""
    table, notes = to_arrow(held, columns=columns)
    write_table(
        masks.apply(table, name, held.names) if masks is not None else table, path
    )
    return notes


def _drop(owner: weakref.ref[Shipping], name: str, gone: weakref.ref[_Shipped]) -> None:
    alive, shipped = owner(), gone()
    if alive is not None and shipped is not None:
        alive._dropping = asyncio.ensure_future(alive._forget(name, shipped))


__all__ = [
    "SqlRunner",
    "local_answer",
    "run_local_query",
    "run_worker_query",
]


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
        limit: int = AS_FILE.rows,
        timeout: float = 30.0,
        max_bytes: int = AS_FILE.bytes,
        masks: Masks | None = None,
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
        self, catalog: Catalog, routed: Here, bounds: Bounds, masks: Masks | None
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
        self, catalog: Catalog, name: str, sql: str, masks: Masks | None
    ) -> Placed:
        """Where the worker finds a table, with tokens in its masked columns."""

        async def find_needed(names: Sequence[str]) -> Sequence[str]:
            return (await self._elsewhere.find_needed(sql, {name: names}))[name]

        value = _resolve(catalog, name)
        if masks is not None:
            masks = masks.for_entry(catalog.find(name))

        try:
            if kind_of(value) in STORED:
                return await self._place_stored(value, name, masks, find_needed)
            return await self._shipping.place(value, name, masks, find_needed)
        except DataError as error:
            raise ToolError(error.message) from error

    async def _place_stored(
        self, value: Any, name: str, masks: Masks | None, needed: Needed
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
        self, catalog: Catalog, name: str, masks: Masks | None
    ) -> Path:
        """An empty table of the same columns, for statements that list all tables."""
        value = _resolve(catalog, name)
        empty = await asyncio.to_thread(_empty, value)
        if masks is not None:
            table = masks.for_entry(catalog.find(name)).apply(empty, name)
        else:
            table = empty

        return await asyncio.to_thread(write_table, table, self._shipping.new_path())


async def run_worker_query(
    catalog: Catalog, sql: str, *, limit: int = AS_FILE.rows, timeout: float = 30.0
) -> TableAnswer:
    """One query with a worker of its own, for callers that make few; `SqlRunner` keeps
    it warm. Raises `ToolError`.
    """
    runner = SqlRunner()
    try:
        return await runner.query(catalog, sql, limit=limit, timeout=timeout)
    finally:
        await runner.close()


def _empty(value: Any) -> pa.Table:
    return look(value).schema.empty_table()


def _resolve(catalog: Catalog, name: str) -> object:
    try:
        return catalog.resolve(name)
    except DataError as error:
        raise ToolError(error.message) from error


def _has_masked(found: Ready, masks: Masks, names: Sequence[str]) -> bool:
    return masks.touches(found.scan.open().schema, names)


def _with_tokens(
    found: Ready, spool: Spool, masks: Masks, name: str, names: Sequence[str]
) -> Ready:
    """The scan with tokens in its masked columns, as a file of ours; `names` are all
    columns of the table.
    """
    changed = spool.change_rows(
        found.scan, lambda table: masks.apply(table, name, names)
    )
    if found.passing:
        drop(found.scan)

    return Ready(changed, passing=True)


def _take(
    path: Path, answer: dict[str, Any], notes: tuple[str, ...], hidden: bool
) -> TableAnswer:
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
