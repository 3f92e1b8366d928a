"""Any table of the notebook as Arrow, and how to tell for certain that it has not changed since.

A pandas DataFrame can be changed in place. Under copy-on-write (pandas 3) whoever holds
a shallow copy keeps the old values, and a write to the frame moves the written block to
new memory. So a frame whose columns still lie at the addresses of a held copy is
unchanged. Arrow memory is immutable by contract, and the same comparison works for it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.interchange

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import kind_of
from mcp_notebook.results.frame_view import (
    FrameView,
    plain_values,
    unique_names,
    view_frame,
)
from mcp_notebook.values import column_values

if TYPE_CHECKING:
    import pandas as pd


Places = tuple[Hashable, ...]
_ELSEWHERE = ("file", "dataset", "lazy", "relation", "ibis", "spark")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A table's values at one moment, without a copy. `loose` are columns that nothing
    can prove equal to later ones: objects may change inside.
    """

    data: FrameView | pa.Table
    places: Places
    notes: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All columns."""
        if isinstance(self.data, FrameView):
            return self.data.names
        return list(self.data.column_names)

    @property
    def rows(self) -> int:
        """How many there are."""
        if isinstance(self.data, FrameView):
            return len(self.data.frame)
        return self.data.num_rows

    def same_as(self, other: Snapshot | None) -> bool:
        """Whether both certainly hold the same values in the columns that are not loose
        (while both are alive).
        """
        return other is not None and self.places == other.places


def snapshot(value: Any) -> Snapshot:
    """The current values of a DataFrame or of anything that hands over Arrow; raises
    `DataError` for what is elsewhere.

    A stream that can be read once is read into memory. Files, datasets, lazy frames and
    tables of other engines are never taken whole: `sources` says how they are queried.
    """
    kind = kind_of(value)
    if kind == "frame":
        return _frame_snapshot(value)
    if kind in _ELSEWHERE:
        raise DataError(
            f"This {type(value).__name__} is not in memory: query it and use the result."
        )

    if kind == "reader":
        value = once(value)
    elif kind == "interchange":
        value = read_interchanged(value)

    if isinstance(value, pa.Table):
        table = value
    else:
        table = pa.table(value)

    names = unique_names(table.column_names)
    changed = zip(table.column_names, names, strict=True)
    renamed = [f"{old!r} is {new}" for old, new in changed if old != new]
    notes = ()
    if renamed:
        notes = (f"columns renamed for SQL: {', '.join(renamed[:5])}",)
    return Snapshot(table.rename_columns(names), _table_places(table), notes)


def to_arrow(
    held: Snapshot, *, rows: int | None = None, columns: Iterable[str] | None = None
) -> tuple[pa.Table, tuple[str, ...]]:
    """The snapshot (its first `rows` rows, these columns) as a `pa.Table`, and notes on
    columns that became text.
    """
    if isinstance(held.data, FrameView):
        return held.data.table(columns, rows)

    table = held.data if rows is None else held.data.slice(0, rows)
    names = held.names if columns is None else list(columns)
    return _readable(table.select(names)), held.notes


def python_columns(value: Any) -> dict[str, list[Any]]:
    """The columns of a table in memory as Python's values, under the names of SQL."""
    table, _ = to_arrow(snapshot(value))
    columns = [column_values(column, map_as_dict=True) for column in table.columns]
    return dict(zip(table.column_names, columns, strict=True))


def for_duckdb(
    held: Snapshot, needed: Callable[[Sequence[str]], Sequence[str]]
) -> tuple[Any, tuple[str, ...]]:
    """What DuckDB registers in this process: the frame itself where it reads every
    column as it is, else what is `needed` of it as Arrow.
    """
    if isinstance(held.data, pa.Table):
        return held.data, held.notes

    view = held.data
    dtypes = enumerate(view.frame.dtypes)
    if all(_scannable(dtype) and not view.is_retyped(at) for at, dtype in dtypes):
        return view.frame, held.notes

    return to_arrow(held, columns=needed(held.names) or held.names[:1])


def _frame_snapshot(frame: pd.DataFrame) -> Snapshot:
    view = view_frame(frame)
    places = {
        name: _column_place(view.frame.iloc[:, number])
        for number, name in enumerate(view.names)
    }
    loose = tuple(name for name, place in places.items() if place is None)
    return Snapshot(view, (len(frame), *places.items()), view.notes, loose)


def _column_place(column: pd.Series) -> Hashable | None:
    """Where the column's values lie in memory, or None for kinds that cannot be compared that way.

    Only memory that the column itself holds counts: the address of a temporary may come
    back with other values.
    """
    dtype = column.dtype
    # which kind of array it is, the dtype says
    array: Any = column.array
    kind = type(dtype).__name__
    if kind == "ArrowDtype" or (
        kind == "StringDtype" and getattr(dtype, "storage", "") == "pyarrow"
    ):
        held = array.__arrow_array__()
        return str(dtype), tuple(_addresses(held))
    if kind == "CategoricalDtype":
        return ("category", id(array.categories), array.ordered, _address(array.codes))
    if kind == "DatetimeTZDtype" or getattr(dtype, "kind", "") in "mM":
        return str(dtype), _address(array.view("i8"))

    # Objects may change inside, and the masked kinds keep their values in two places.
    plain = isinstance(dtype, np.dtype) and dtype.kind in "iufb"
    if plain:
        return (str(dtype), _address(array.to_numpy(copy=False)))

    return None


def _address(values: Any) -> Hashable:
    return values.__array_interface__["data"][0], values.strides, len(values)


def _table_places(table: pa.Table) -> Places:
    return (
        table.num_rows,
        table.schema,
        *(place for column in table.columns for place in _addresses(column)),
    )


def _addresses(column: pa.ChunkedArray | pa.Array) -> Iterator[Hashable]:
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        yield (
            chunk.offset,
            len(chunk),
            *(None if b is None else (b.address, b.size) for b in chunk.buffers()),
        )
        if pa.types.is_dictionary(chunk.type):
            yield from _addresses(chunk.dictionary)


def _scannable(dtype: Any) -> bool:
    """Whether DuckDB reads a column of pandas in place as what it is."""
    name = type(dtype).__name__
    if name in ("StringDtype", "BooleanDtype"):
        return True
    # of categories that are no text DuckDB makes floats, of sparse columns nonsense
    if name in ("ArrowDtype", "CategoricalDtype", "SparseDtype", "IntervalDtype"):
        return False
    return getattr(dtype, "kind", "O") in "iufbM" and str(dtype) != "float16"


def _readable(table: pa.Table) -> pa.Table:
    """Values as DuckDB reads them; see `frame_view.plain_values`."""
    columns = [plain_values(column) for column in table.columns]
    return pa.table(columns, names=table.column_names)


# Objects that hand over Arrow: streams that can be read once are read into memory and
# kept for their lifetime.


MOST_BYTES = 500_000_000
"""How much of a stream is kept in memory."""

_READ: weakref.WeakKeyDictionary[Any, pa.Table] = weakref.WeakKeyDictionary()


def once(reader: Any) -> pa.Table:
    """All rows of a stream that can be read once; later calls give the same table.

    Raises `DataError` when it is longer than `MOST_BYTES`, or when nothing could be kept for it.
    """
    try:
        known = _READ.get(reader)
    except TypeError:
        raise DataError(
            "This stream can be read once only: share a table made of it."
        ) from None

    if known is not None:
        return known

    batches, size = [], 0
    stream = pa.RecordBatchReader.from_stream(reader)
    for batch in stream:
        size += batch.nbytes
        if size > MOST_BYTES:
            raise DataError(
                f"The stream holds more than {MOST_BYTES / 1e6:g} MB and is used up "
                "now: write it to a Parquet file "
                "and share that."
            )

        batches.append(batch)

    table = pa.Table.from_batches(batches, stream.schema)
    _READ[reader] = table
    return table


def read_interchanged(value: Any) -> pa.Table:
    """A table by the dataframe interchange protocol; raises `DataError`."""
    try:
        return pyarrow.interchange.from_dataframe(value)
    except (
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
        pa.ArrowException,
    ) as error:
        raise DataError(
            f"This {type(value).__name__} cannot be handed over as a table: {error}"
        ) from error


def arrow_bytes(table: pa.Table) -> bytes:
    """The table as an Arrow IPC file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
