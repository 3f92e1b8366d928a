"""Any table of the notebook as Arrow, and how to tell for certain that it has not changed since.

A pandas DataFrame can be changed in place. Under copy-on-write (pandas 3) whoever holds
a shallow copy keeps the old values, and a write to the frame moves the written block to
new memory. So a frame whose columns still lie at the addresses of a held copy is
unchanged. Arrow memory is immutable by contract, and the same comparison works for it.
"""

import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.interchange

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import kind_of

if TYPE_CHECKING:
    import pandas as pd


Places = tuple[Hashable, ...]
_ELSEWHERE = ("file", "dataset", "lazy", "relation", "ibis", "spark")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A table's values at one moment, without a copy. `loose` are columns that nothing
    can prove equal to later ones: objects may change inside.
    """

    data: Any  # a DataFrame with unique text names and no index, or a pa.Table
    places: Places
    notes: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All columns."""
        return list(
            self.data.column_names
            if isinstance(self.data, pa.Table)
            else self.data.columns
        )

    def same_as(self, other: "Snapshot | None") -> bool:
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
    notes = _rename_notes(table.column_names, names)
    return Snapshot(table.rename_columns(names), _table_places(table), notes)


def to_arrow(
    held: Snapshot, *, rows: int | None = None, columns: Iterable[str] | None = None
) -> tuple[pa.Table, tuple[str, ...]]:
    """The snapshot (its first `rows` rows, these columns) as a `pa.Table`, and notes on
    columns that became text.
    """
    if columns is None:
        names = held.names
    else:
        names = list(columns)

    if isinstance(held.data, pa.Table):
        if rows is None:
            table = held.data
        else:
            table = held.data.slice(0, rows)

        return _readable(table.select(names)), held.notes

    if rows is None:
        frame = held.data
    else:
        frame = held.data.head(rows)

    arrays, notes = {}, list(held.notes)
    for name in names:
        arrays[name], note = _column(frame[name])
        notes += [f"{name}: {note}"] if note else []

    return _readable(pa.table(arrays)), tuple(notes)


def for_duckdb(
    held: Snapshot, needed: Callable[[Sequence[str]], Sequence[str]]
) -> tuple[Any, tuple[str, ...]]:
    """What DuckDB registers in this process: the frame itself where it can read every
    column, else what is `needed` of it as Arrow.
    """
    if isinstance(held.data, pa.Table) or all(
        _scannable(dtype) for dtype in held.data.dtypes
    ):
        return held.data, held.notes

    return to_arrow(held, columns=needed(held.names) or held.names[:1])


def unique_names(names: Any) -> list[str]:
    """Column names as text, made unique without regard to letter case, as SQL compares
    them: `a`, `A_2`, `a_3`.
    """
    taken: set[str] = set()
    unique = []
    for name in names:
        if isinstance(name, tuple):
            text = "_".join(map(str, name))
        else:
            text = str(name)

        candidate, number = text, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{text}_{number}"

        taken.add(candidate.lower())
        unique.append(candidate)

    return unique


def _frame_snapshot(frame: "pd.DataFrame") -> Snapshot:
    held = frame.copy(deep=False)
    if _plain_index(held):
        held.index = range(len(held))
    else:
        held = held.reset_index(names=_index_names(held), allow_duplicates=True)

    names = unique_names(held.columns)
    notes = _rename_notes(list(held.columns), names)
    held.columns = names
    places = {
        name: _column_place(held.iloc[:, number]) for number, name in enumerate(names)
    }
    loose = tuple(name for name, place in places.items() if place is None)
    return Snapshot(held, (len(held), *places.items()), notes, loose)


def _plain_index(frame: "pd.DataFrame") -> bool:
    """Row numbers, whole or what a filter left of them, are no data; any other index
    becomes columns.
    """
    index = frame.index
    # a name, or more than one level, says that somebody meant it as data
    if index.nlevels != 1 or index.name is not None:
        return False

    return getattr(index.dtype, "kind", "O") in "iu"


def _index_names(frame: "pd.DataFrame") -> list[str]:
    names = list(frame.index.names)
    # the words that pandas itself takes for levels without a name
    if names == [None]:
        return ["index"]

    for level, name in enumerate(names):
        names[level] = f"level_{level}" if name is None else str(name)

    return names


def _rename_notes(before: list[Any], after: list[str]) -> tuple[str, ...]:
    changed = [
        f"{old!r} is {new}"
        for old, new in zip(before, after, strict=True)
        if old != new
    ]
    if changed:
        return (f"columns renamed for SQL: {', '.join(changed[:5])}",)

    return ()


def _column_place(column: "pd.Series") -> Hashable | None:
    """Where the column's values lie in memory, or None for kinds that cannot be compared that way.

    Only memory that the column itself holds counts: the address of a temporary may come
    back with other values.
    """
    dtype, array = column.dtype, column.array
    kind = type(dtype).__name__
    if kind == "ArrowDtype" or (
        kind == "StringDtype" and getattr(dtype, "storage", "") == "pyarrow"
    ):
        return str(dtype), tuple(_addresses(array.__arrow_array__()))  # pyright: ignore[reportAttributeAccessIssue]
    if kind == "CategoricalDtype":
        return _categorical_place(array)
    if kind == "DatetimeTZDtype" or getattr(dtype, "kind", "") in "mM":
        return str(dtype), _address(array.view("i8"))

    # Objects may change inside, and the masked kinds keep their values in two places.
    plain = isinstance(dtype, np.dtype) and dtype.kind in "iufb"
    if plain:
        return (str(dtype), _address(array.to_numpy(copy=False)))

    return None


def _categorical_place(array: Any) -> Hashable | None:
    return ("category", id(array.categories), array.ordered, _address(array.codes))


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


def _column(column: "pd.Series") -> tuple[pa.Array | pa.ChunkedArray, str]:
    """The column as Arrow; what Arrow or DuckDB cannot hold becomes text, and the note says so."""
    if column.dtype.kind == "c" or type(column.dtype).__name__ in (
        "PeriodDtype",
        "IntervalDtype",
    ):
        return _as_text(column), f"{column.dtype} is text here"

    try:
        return pa.Array.from_pandas(column), ""
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _as_text(column), "mixed Python objects are text here"


def _as_text(column: "pd.Series") -> pa.Array:
    missing = column.isna()
    texts = [
        None if gone else str(value)
        for value, gone in zip(column, missing, strict=True)
    ]
    return pa.array(
        [None if t is None else t.encode("utf-8", "replace").decode() for t in texts],
        pa.string(),
    )


def _scannable(dtype: Any) -> bool:
    name = type(dtype).__name__
    if name in ("StringDtype", "CategoricalDtype", "BooleanDtype"):
        return True
    return name != "ArrowDtype" and getattr(dtype, "kind", "O") in "iufbM"


def _readable(table: pa.Table) -> pa.Table:
    """Extension types, which DuckDB does not know, as their storage."""
    columns = [
        column.cast(column.type.storage_type)
        if isinstance(column.type, pa.BaseExtensionType)
        else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


# Objects that hand over Arrow: streams that can be read once are read into memory and
# kept for their lifetime.


MOST_BYTES = 500_000_000
"""How much of a stream is kept in memory."""

_READ: "weakref.WeakKeyDictionary[Any, pa.Table]" = weakref.WeakKeyDictionary()


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
