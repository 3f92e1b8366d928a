"""An Arrow table as a DataFrame: one conversion at the end, exact, and pleasant to plot.

| Arrow | pandas |
|---|---|
| integers, floats, booleans without nulls | `int64`, `float64`, `bool` |
| integers, booleans with nulls | `Int64`, `UInt64`, `boolean` |
| floats with nulls | `float64` with NaN; `ArrowDtype` when NaN and null both occur |
| text | `str` |
| timestamps | `datetime64[us]` or `[ns]`, with their zone |
| decimals, dates, times, durations, binary, lists, structs | `ArrowDtype` |
| intervals of months, days and time | `object`: `DateOffset` |
| JSON (values of several shapes) | `object`: the Python values |
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.internals import create_dataframe_from_blocks

from mcp_notebook.values import (
    DECIMAL,
    FLOAT,
    INTERVAL,
    JSON,
    NARROW_FLOAT,
    NULL,
    TEXT,
    TIMESTAMP,
    value_kind,
    without_view,
)


class ArrowTable(Protocol):
    """What of a `reading.Table` a frame is made of."""

    @property
    def data(self) -> pa.Table: ...
    @property
    def types(self) -> Mapping[str, str]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def truncated(self) -> str: ...
    @property
    def total_rows(self) -> int | None: ...
    @property
    def approximate(self) -> bool: ...
    @property
    def reader(self) -> str: ...


# By the number of the type: a look at it takes a fraction of Arrow's own tests, ten of
# which a small frame would feel.
_WHOLE = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
_NULLABLE = {
    pa.bool_().id: "boolean",
    **{pa.type_for_alias(name.lower()).id: name for name in _WHOLE},
}
_FLOATS = FLOAT.types | NARROW_FLOAT.types

_FEW = 256
_TEXT: Any = pd.api.types.pandas_dtype("str")


def to_frame(
    table: ArrowTable, *, attrs: Mapping[str, Any], decimals: str = "exact"
) -> pd.DataFrame:
    """The table's columns under their unique names; `attrs["mcp"]` holds plain,
    comparable values only.
    """
    names = table.data.column_names
    # As pyarrow's own conversion does: no type is guessed and nothing aligned, which is
    # most of a small frame's time.
    blocks = _blocks(
        [_array(column, decimals) for column in table.data.itercolumns()],
        table.data.num_rows,
    )
    # A view, as pandas makes of the columns of a copy: a name given to this frame's
    # columns is not the others'.
    frame = create_dataframe_from_blocks(
        blocks, pd.RangeIndex(table.data.num_rows), _labels(tuple(names)).view()
    )
    frame.attrs["mcp"] = {
        "reader": table.reader,
        "types": dict(table.types),
        "notes": list(table.notes),
        "truncated": table.truncated,
        "total_rows": table.total_rows,
        "approximate": table.approximate,
        **attrs,
    }
    return frame


@functools.lru_cache(maxsize=16)
def _labels(names: tuple[str, ...]) -> pd.Index:
    """Names of columns as pandas keeps them; page after page of a result has the same."""
    return pd.Index(_TEXT.__from_arrow__(pa.array(names, pa.large_string())))


def _blocks(arrays: Sequence[Any], rows: int) -> list[tuple[Any, np.ndarray]]:
    """The columns as pandas keeps them, and where each stands; short ones of numpy as
    rows of one matrix a dtype.

    A matrix is the frame's own, so that it can be set: the memory of an Arrow table is
    never written to.
    """
    blocks, plain = [], {}
    for at, values in enumerate(arrays):
        if isinstance(values, np.ndarray) and rows <= _FEW:
            plain.setdefault(values.dtype, []).append(at)
        else:
            blocks.append((_own(values), np.array([at])))

    return blocks + [
        (np.array([arrays[at] for at in places]), np.array(places))
        for places in plain.values()
    ]


def _own(values: Any) -> Any:
    if not isinstance(values, np.ndarray):
        return values
    if values.flags.writeable:
        return values.reshape(1, -1)

    # Arrow's pool keeps memory that was freed; new memory from the system takes longer
    # than the copy itself.
    own = np.frombuffer(pa.allocate_buffer(values.nbytes), values.dtype).reshape(1, -1)
    own[0] = values
    return own


def _array(column: pa.ChunkedArray, decimals: str) -> Any:
    """One column as a numpy or pandas array of the dtype in the table above."""
    kind = column.type
    if kind.id in TEXT.types:
        return _TEXT.__from_arrow__(_widen_offsets(column))

    if kind.id in _FLOATS:
        if not _null_and_nan(column):
            return column.to_numpy()
        return pd.arrays.ArrowExtensionArray(column)

    if kind.id in _NULLABLE:
        return _whole(column)
    if value_kind(kind) is JSON:
        return pd.Series(_from_json(column), dtype=object).to_numpy()
    if kind.id in NULL.types:
        return np.full(len(column), None, dtype=object)
    if decimals == "float" and kind.id in DECIMAL.types:
        return _array(column.cast(pa.float64()), decimals)
    # pandas cannot print a column of Arrow's intervals; its own add to a moment
    if kind.id in INTERVAL.types:
        return column.to_pandas().to_numpy()

    if kind.id in TIMESTAMP.types:
        if kind.tz is None:
            return column.to_numpy()
        return column.to_pandas().array

    # pandas can hold a view of bytes, but not take rows of it
    return pd.arrays.ArrowExtensionArray(without_view(column))


def _widen_offsets(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """A short text with the offsets that pandas keeps; a cast of Arrow's takes longer
    than all its cells.
    """
    if column.num_chunks != 1 or len(column) > _FEW or column.type.id != pa.string().id:
        return without_view(column)

    chunk = column.chunk(0)
    valid, offsets, data = chunk.buffers()
    if chunk.offset or offsets is None:
        return column

    wide = np.frombuffer(offsets, np.int32, len(chunk) + 1).astype(np.int64)
    return pa.Array.from_buffers(
        pa.large_string(),
        len(chunk),
        [valid, pa.py_buffer(wide), data],
        chunk.null_count,
    )


def _whole(column: pa.ChunkedArray) -> Any:
    if not column.null_count:
        return column.to_numpy()
    dtype = pd.api.types.pandas_dtype(_NULLABLE[column.type.id])
    return dtype.__from_arrow__(column)  # pyright: ignore[reportAttributeAccessIssue]


def _null_and_nan(column: pa.ChunkedArray) -> bool:
    if not column.null_count:
        return False
    if len(column) <= _FEW:  # a kernel's call costs more than a few Python objects
        return any(value != value for value in column.to_pylist() if value is not None)
    return bool(pc.any(pc.is_nan(column)).as_py())  # pyright: ignore[reportAttributeAccessIssue]


def _from_json(column: pa.ChunkedArray) -> list[Any]:
    return [
        None if value is None else _decode_json(value)
        for value in column.cast(pa.string()).to_pylist()
    ]


def _decode_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # an integer of more than 4300 digits, which Python refuses to read
        return text
