"""An Arrow table as a DataFrame that everyday pandas works on, and the way back.

| Arrow | `types="everyday"` | `types="exact"` |
|---|---|---|
| integers, floats, booleans without nulls | `int64`, `float64`, `bool` | the same |
| integers, booleans with nulls | `Int64`, `UInt64`, `boolean` | the same |
| floats with nulls | `float64` with NaN | the same |
| floats with NaN and nulls | `Float64` | `ArrowDtype` |
| text | `str` | the same |
| timestamps | `datetime64[us]` or `[ns]`, with their zone | the same |
| dates | `datetime64[us]` at midnight | `ArrowDtype` |
| decimals | `float64` where no value has more than 15 digits, else `ArrowDtype` | `ArrowDtype` |
| durations | `timedelta64` | `ArrowDtype` |
| times, binary, lists, structs, maps | `object`: the Python values | `ArrowDtype` |
| UUIDs, encoded columns | their text, their values | `ArrowDtype` |
| intervals of months, days and time | `object`: `DateOffset` | the same |
| JSON (values of several shapes) | `object`: the Python values | the same |

`attrs["mcp"]["column_types"]` has Arrow's type of each column, and `exact_column` makes
the Arrow column of it again while the frame still holds what was read.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.internals import create_dataframe_from_blocks

from mcp_notebook.values import (
    BINARY,
    DATE,
    DECIMAL,
    DURATION,
    FLOAT,
    INTERVAL,
    JSON,
    LIST,
    MAP,
    NARROW_FLOAT,
    NULL,
    STRUCT,
    TEXT,
    TIME,
    TIMESTAMP,
    UUID,
    column_texts,
    column_values,
    plain_column,
    value_kind,
    without_view,
)

Types = Literal["everyday", "exact"]
Decimals = Literal["exact", "float"]


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
_DIGITS = 15  # that a float keeps of every decimal
_EXACT_SCALE = 22  # the largest power of ten that is a float of its own

_FEW = 256
_FEW_DECIMALS = 16
_TEXT: Any = pd.api.types.pandas_dtype("str")


def to_frame(
    table: ArrowTable,
    *,
    attrs: Mapping[str, Any],
    decimals: Decimals | None = None,
    types: Types = "everyday",
) -> pd.DataFrame:
    """The table's columns under their unique names, in the dtypes of the table above.

    `decimals` overrides what `types` makes of decimals: "exact" keeps them, "float"
    rounds them. `attrs["mcp"]` holds plain, comparable values only.
    """
    columns = table.data.columns
    if types == "exact":
        make = _exact_array
    else:
        make = _everyday_array

    arrays = [
        _decimal_array(column, decimals)
        if decimals and column.type.id in DECIMAL.types
        else make(column)
        for column in columns
    ]
    # As pyarrow's own conversion does: no type is guessed and nothing aligned, which is
    # most of a small frame's time.
    names = table.data.column_names
    # A view, as pandas makes of the columns of a copy: a name given to this frame's
    # columns is not the others'.
    frame = create_dataframe_from_blocks(
        _blocks(arrays, table.data.num_rows),
        pd.RangeIndex(table.data.num_rows),
        _labels(tuple(names)).view(),
    )
    notes = list(table.notes)
    if types == "everyday" and decimals is None:
        notes += _exact_notes(names, arrays)
    frame.attrs["mcp"] = {
        "reader": table.reader,
        "types": dict(table.types),
        "column_types": dict(zip(names, map(_remember_type, columns), strict=True)),
        "notes": notes,
        "truncated": table.truncated,
        "total_rows": table.total_rows,
        "approximate": table.approximate,
        **attrs,
    }
    return frame


def _exact_notes(names: Sequence[str], arrays: Sequence[Any]) -> list[str]:
    return [
        f"{name} keeps exact decimals, which a float would round: "
        f"df[{name!r}].astype(float) computes with floats"
        for name, values in zip(names, arrays, strict=True)
        if isinstance(values, pd.arrays.ArrowExtensionArray)
        and isinstance(values.dtype, pd.ArrowDtype)
        and values.dtype.pyarrow_dtype.id in DECIMAL.types
    ]


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


def _everyday_array(column: pa.ChunkedArray) -> Any:
    """One column as a numpy or pandas array of the everyday dtype."""
    convert = _EVERYDAY.get(column.type.id)
    if convert is not None:
        return convert(column)

    if value_kind(column.type) is UUID:
        return _TEXT.__from_arrow__(pa.array(column_texts(column), pa.large_string()))
    # what else is not of one of the plain types is encoded, or an extension
    if value_kind(column.type) is not JSON:
        plain = plain_column(column)
        if plain.type.id != column.type.id:
            return _everyday_array(plain)

    return _exact_array(column)


def _exact_array(column: pa.ChunkedArray) -> Any:
    """One column as a numpy or pandas array of the exact dtype."""
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
        return _objects(_from_json(column))
    if kind.id in NULL.types:
        return np.full(len(column), None, dtype=object)
    # pandas cannot print a column of Arrow's intervals; its own add to a moment
    if kind.id in INTERVAL.types:
        return column.to_pandas().to_numpy()

    if kind.id in TIMESTAMP.types:
        if kind.tz is None:
            return column.to_numpy()
        return column.to_pandas().array

    # pandas can hold a view of bytes, but not take rows of it
    return pd.arrays.ArrowExtensionArray(without_view(column))


def _decimal_array(column: pa.ChunkedArray, decimals: Decimals) -> Any:
    if decimals == "float":
        return _exact_array(column.cast(pa.float64()))
    return _exact_array(column)


# ---- everyday


def _as_floats(column: pa.ChunkedArray) -> Any:
    if not _null_and_nan(column):
        return column.to_numpy()

    values = column.fill_null(0).to_numpy().astype(np.float64)
    missing = np.asarray(column.is_null().to_numpy())
    return pd.arrays.FloatingArray(values, missing.copy())


def _as_moments(column: pa.ChunkedArray) -> np.ndarray:
    try:
        return column.cast(pa.timestamp("us")).to_numpy()
    except pa.ArrowInvalid:  # some hundred thousand years away
        return column.cast(pa.timestamp("s")).to_numpy()


def _as_durations(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy()


def _as_objects(column: pa.ChunkedArray) -> Any:
    return _objects(column_values(column, map_as_dict=True))


def _as_times(column: pa.ChunkedArray) -> Any:
    # Python's times end at microseconds
    if column.type == pa.time64("ns"):
        fine = column.cast(pa.int64()).drop_null().to_numpy() % 1000
        if fine.any():
            return pd.arrays.ArrowExtensionArray(column)

    return _as_objects(column)


def _objects(values: Sequence[Any]) -> np.ndarray:
    # numpy would make a matrix of lists that are equally long
    return np.fromiter(values, dtype=object, count=len(values))


def _decimal_floats(column: pa.ChunkedArray) -> Any:
    """Floats where every decimal has at most 15 digits, which a float keeps; else the
    decimals.
    """
    # for a few values each of Arrow's steps takes longer than all of them
    units = None if len(column) <= _FEW_DECIMALS else _units(column)
    if units is None:
        floats = _floats_one_by_one(column)
    else:
        # one division of two exact floats is rounded once, to the nearest; Arrow's own
        # conversion of 0.3 is not the nearest float
        floats = units.astype(np.float64) / 10.0**column.type.scale

    if floats is None:
        return pd.arrays.ArrowExtensionArray(column)
    if column.null_count:
        floats[np.asarray(column.is_null().to_numpy())] = np.nan
    return floats


def _units(column: pa.ChunkedArray) -> np.ndarray | None:
    """Decimals as whole numbers of their last digit, where these have at most 15
    digits; 0 for null.
    """
    type_ = column.type
    if type_.precision > 38 or not 0 <= type_.scale <= _EXACT_SCALE:
        return None

    whole = column.cast(pa.decimal128(38, type_.scale)).fill_null(Decimal(0))
    array = whole.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else array
    if not len(array):
        return np.empty(0, np.int64)

    words = np.frombuffer(array.buffers()[1], np.int64)
    low, high = words.reshape(-1, 2)[array.offset : array.offset + len(array)].T
    if (high != low >> 63).any() or (np.abs(low) >= 10**_DIGITS).any():
        return None
    return low


def _floats_one_by_one(column: pa.ChunkedArray) -> np.ndarray | None:
    """Decimals of many places that have few digits each (1.5000000000000000000)."""
    found = []
    for value in column.to_pylist():
        if value is not None and _count_digits(value) > _DIGITS:
            return None
        found.append(np.nan if value is None else float(value))

    return np.array(found, np.float64)


def _count_digits(value: Decimal) -> int:
    return len("".join(map(str, value.as_tuple().digits)).strip("0"))


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


# ---- the way back


def exact_column(frame: pd.DataFrame, at: int) -> pa.ChunkedArray | pa.Array | None:
    """The column of a frame that was handed out as the Arrow type that it had; None
    where pandas' own dtype says it all, and where the values are no longer such.

    The values are those that the frame has now: `attrs` go along with what is made of a
    frame, so that the type is never taken on trust.
    """
    type_ = recorded_type(frame, at)
    if type_ is None:
        return None

    restore = _RESTORE.get(value_kind(type_))
    if restore is None:
        return None

    try:
        return restore(frame.iloc[:, at], type_)
    except (pa.ArrowException, ArithmeticError, TypeError, ValueError):
        return None  # the person put other values there


def is_restored(frame: pd.DataFrame, at: int) -> bool:
    """Whether `exact_column` may make another type of the column than pandas has."""
    type_ = recorded_type(frame, at)
    return type_ is not None and value_kind(type_) in _RESTORE


def recorded_type(frame: pd.DataFrame, at: int) -> pa.DataType | None:
    """The Arrow type that a column had when its frame was handed out."""
    told = frame.attrs.get("mcp")
    if not isinstance(told, Mapping):
        return None

    known = told.get("column_types")
    if not isinstance(known, Mapping):
        return None

    text = known.get(frame.columns[at])
    if isinstance(text, str):
        return _find_type(text)
    return None


def _find_type(text: str) -> pa.DataType | None:
    """Of Arrow's text for a type: a nested one only of this process's tables."""
    if text in _KNOWN:
        return _KNOWN[text]

    decimal = re.fullmatch(r"decimal128\((\d+), (\d+)\)", text)
    try:
        if decimal:
            return pa.decimal128(*map(int, decimal.groups()))
        return pa.type_for_alias(text)
    except ValueError:
        return None


def _remember_type(column: pa.ChunkedArray) -> str:
    text = str(column.type)
    if column.type.id in _REMEMBERED or value_kind(column.type) is JSON:
        _KNOWN[text] = column.type
    return text


def _restore_days(series: pd.Series, type_: pa.DataType) -> pa.Array | None:
    if series.dtype.kind != "M" or getattr(series.dtype, "tz", None) is not None:
        return None

    moments = pa.array(series)
    days = moments.cast(pa.date32(), safe=False)
    midnight = pc.equal(days.cast(moments.type), moments)  # pyright: ignore
    if pc.all(midnight).as_py() is False:  # pyright: ignore[reportAttributeAccessIssue]
        return None
    return days.cast(type_)


def _restore_decimals(series: pd.Series, type_: pa.DataType) -> pa.Array | None:
    if series.dtype != np.float64:
        return None

    floats = series.to_numpy()
    missing = np.isnan(floats)
    known = np.where(missing, 0.0, floats)
    scale = 10.0 ** min(type_.scale, _EXACT_SCALE)
    units = np.rint(known * scale)
    small = (np.abs(units) < 10**_DIGITS).all()
    if not small or type_.scale > _EXACT_SCALE or (units / scale != known).any():
        return _restore_one_by_one(floats, type_)

    low = units.astype(np.int64)
    words = np.stack([low, low >> 63], axis=1).tobytes()
    if missing.any():
        valid = pa.array(~missing).buffers()[1]
    else:
        valid = None

    wide = pa.decimal128(38, type_.scale)
    buffers = [valid, pa.py_buffer(words)]
    return pa.Array.from_buffers(wide, len(low), buffers).cast(type_)


def _restore_one_by_one(floats: np.ndarray, type_: pa.DataType) -> pa.Array | None:
    found = []
    for value in floats.tolist():
        exact = None if value != value else Decimal(repr(value))
        if exact is not None and _count_digits(exact) > _DIGITS:
            return None
        found.append(exact)

    return pa.array(found, type_)


def _restore_values(series: pd.Series, type_: pa.DataType) -> pa.Array | None:
    if series.dtype.kind not in "Om":
        return None
    return pa.array(series, from_pandas=True).cast(type_)


def _restore_nested(series: pd.Series, type_: pa.DataType) -> pa.Array | None:
    if series.dtype != object:
        return None

    values = series.tolist()
    found = pa.array(map(_pairs, values) if (type_.id in MAP.types) else values, type_)
    # Arrow drops fields that a struct does not have
    if column_values(found, map_as_dict=True) != values:
        return None
    return found


def _pairs(value: Mapping[Any, Any] | None) -> list[tuple[Any, Any]] | None:
    return None if value is None else list(value.items())


def _restore_json(series: pd.Series, type_: pa.DataType) -> pa.Array | None:
    if series.dtype != object:
        return None
    texts = [
        None if value is None else json.dumps(value, ensure_ascii=False)
        for value in series.tolist()
    ]
    return pa.array(texts, pa.string())


_EVERYDAY: dict[int, Callable[[pa.ChunkedArray], Any]] = {
    **dict.fromkeys(TEXT.types, _exact_array),
    **dict.fromkeys(_NULLABLE, _whole),
    **dict.fromkeys(TIMESTAMP.types | NULL.types | INTERVAL.types, _exact_array),
    **dict.fromkeys(_FLOATS, _as_floats),
    **dict.fromkeys(DECIMAL.types, _decimal_floats),
    **dict.fromkeys(DATE.types, _as_moments),
    **dict.fromkeys(DURATION.types, _as_durations),
    **dict.fromkeys(TIME.types, _as_times),
    **dict.fromkeys(BINARY.types | LIST.types | STRUCT.types | MAP.types, _as_objects),
}
_RESTORE: dict[Any, Callable[[pd.Series, pa.DataType], pa.Array | None]] = {
    DATE: _restore_days,
    DECIMAL: _restore_decimals,
    **dict.fromkeys((TIME, BINARY, DURATION), _restore_values),
    **dict.fromkeys((LIST, STRUCT, MAP), _restore_nested),
    JSON: _restore_json,
}
_REMEMBERED = LIST.types | STRUCT.types | MAP.types | DECIMAL.types | DATE.types
_KNOWN: dict[str, pa.DataType] = {}
