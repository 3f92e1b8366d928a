"""An Arrow table as a DataFrame: one conversion at the end, exact, and pleasant to plot.

| Arrow | pandas |
|---|---|
| integers, floats, booleans without nulls | `int64`, `float64`, `bool` |
| integers, booleans with nulls | `Int64`, `UInt64`, `boolean` |
| floats with nulls | `float64` with NaN; `ArrowDtype` when NaN and null both occur |
| text | `str` |
| timestamps | `datetime64[us]` or `[ns]`, with their zone |
| decimals, dates, times, durations, binary, lists, structs | `ArrowDtype` |
| JSON (values of several shapes) | `object`: the Python values |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.internals import create_dataframe_from_blocks

if TYPE_CHECKING:
    from mcp_notebook.results.reading import Table

_NULLABLE = {
    "int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64", "uint8": "UInt8", "uint16": "UInt16",
    "uint32": "UInt32", "uint64": "UInt64", "bool": "boolean",
}  # fmt: skip

_FEW = 256
_TEXT: Any = pd.api.types.pandas_dtype("str")


def to_frame(table: Table, *, attrs: Mapping[str, Any], decimals: str = "exact") -> pd.DataFrame:
    """The table's columns under their unique names; `attrs["mcp"]` holds plain, comparable values only."""
    names = table.data.column_names
    # As pyarrow's own conversion does: no type is guessed and nothing aligned, which is most of a small frame's time.
    blocks = [_block(_array(column, decimals), at) for at, column in enumerate(table.data.columns)]
    columns = pd.Index(_TEXT.__from_arrow__(pa.array(names, pa.large_string())))
    frame = create_dataframe_from_blocks(blocks, pd.RangeIndex(table.data.num_rows), columns)
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


def _block(values: Any, at: int) -> tuple[Any, np.ndarray]:
    """One column as pandas keeps it: what it knows from numpy as a row of a matrix, and its own, so that it can be set.

    The memory of an Arrow table is never written to: `frame.loc[0, "n"] = 1` would fail.
    """
    if isinstance(values, np.ndarray):
        values = (values if values.flags.writeable else values.copy()).reshape(1, -1)
    return values, np.array([at])


def _array(column: pa.ChunkedArray, decimals: str) -> Any:
    """One column as a numpy or pandas array of the dtype in the table above."""
    kind = column.type
    if isinstance(kind, pa.JsonType):
        return pd.Series(_from_json(column), dtype=object).to_numpy()
    if pa.types.is_null(kind):
        return np.full(len(column), None, dtype=object)
    if decimals == "float" and pa.types.is_decimal(kind):
        return _array(column.cast(pa.float64()), decimals)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _TEXT.__from_arrow__(column)
    if pa.types.is_timestamp(kind):
        return column.to_numpy() if kind.tz is None else column.to_pandas().array
    if str(kind) in _NULLABLE:
        return _whole(column)
    if pa.types.is_floating(kind) and not _null_and_nan(column):
        return column.to_numpy()
    return pd.arrays.ArrowExtensionArray(column)


def _whole(column: pa.ChunkedArray) -> Any:
    if not column.null_count:
        return column.to_numpy()
    dtype = pd.api.types.pandas_dtype(_NULLABLE[str(column.type)])
    return dtype.__from_arrow__(column)  # pyright: ignore[reportAttributeAccessIssue]


def _null_and_nan(column: pa.ChunkedArray) -> bool:
    if not column.null_count:
        return False
    if len(column) <= _FEW:  # a kernel's call costs more than a few Python objects
        return any(value != value for value in column.to_pylist() if value is not None)
    return bool(pc.any(pc.is_nan(column)).as_py())  # pyright: ignore[reportAttributeAccessIssue]


def _from_json(column: pa.ChunkedArray) -> list[Any]:
    return [None if value is None else _decoded(value) for value in column.cast(pa.string()).to_pylist()]


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # an integer of more than 4300 digits, which Python refuses to read
        return text
