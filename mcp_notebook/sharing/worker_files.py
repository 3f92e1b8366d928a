"""Tables in memory as files that the worker process maps, written again only when they
have changed.

Of a frame's columns most can be proven unchanged; those stay in one file for all
statements. Objects may change inside their cells, so columns of objects are converted
for each statement, and only those that it names.
"""

import asyncio
import contextlib
import itertools
import weakref
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_notebook.sharing.arrow import Snapshot, snapshot, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa

    from mcp_notebook.sharing.masks import Masks

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
    masks: "Masks | None"


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
        self, value: Any, name: str, masks: "Masks | None", needed: Needed
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
        self, value: Any, held: Snapshot, name: str, masks: "Masks | None"
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


def write_table(table: "pa.Table", path: Path) -> Path:
    """An Arrow file of the table."""
    import pyarrow as pa

    with (
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)

    return path


def _write(
    held: Snapshot, columns: Sequence[str], name: str, masks: "Masks | None", path: Path
) -> tuple[str, ...]:
    """Write these columns, with tokens in masked ones; the notes on them."""
    table, notes = to_arrow(held, columns=columns)
    write_table(
        masks.apply(table, name, held.names) if masks is not None else table, path
    )
    return notes


def _drop(
    owner: "weakref.ref[Shipping]", name: str, gone: "weakref.ref[_Shipped]"
) -> None:
    alive, shipped = owner(), gone()
    if alive is not None and shipped is not None:
        alive._dropping = asyncio.ensure_future(alive._forget(name, shipped))
