"""Every cell of a table as a 64-bit number that depends on its value alone: not on
dtype, machine, run or version.

Equal numbers are equal whatever holds them: 3, 3.0 and Decimal("3.00"). Missing is
missing (None, NA, NaT, and NaN where a dtype has no other word for it); where a column
tells NaN and NULL apart they differ. Moments are compared as moments: the unit does not
matter, the zone only as far as it moves them; a naive time differs from one with a
zone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.freeze.bits import (
    BOOLEAN,
    DAY,
    INTEGER,
    MOMENT,
    SPAN,
    TIME,
    ZONED,
    Hashes,
    float_hashes,
    mix,
    null,
    tagged,
    text_hash,
)
from mcp_notebook.freeze.values import value_hash

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def columns_of(frame: pd.DataFrame, *, rounded: bool = False) -> dict[str, Hashes]:
    """The hashes of each column by its label as text; labels that repeat get a number.

    `rounded`: floats count to about 12 digits, so that a sum added up in another order
    is the same sum.
    """
    return {
        label: series_hashes(frame.iloc[:, at], rounded=rounded)
        for at, label in enumerate(labels_of(frame.columns))
    }


def labels_of(labels: Sequence[Any] | pd.Index) -> list[str]:
    """Labels as text, those that repeat with #2, #3."""
    seen: dict[str, int] = {}
    found = []
    for label in labels:
        text = ".".join(map(str, label)) if isinstance(label, tuple) else str(label)
        seen[text] = seen.get(text, 0) + 1
        found.append(text if seen[text] == 1 else f"{text}#{seen[text]}")
    return found


def row_hashes(columns: Mapping[str, Hashes], rows: int) -> Hashes:
    """One number a row, whatever the order of the columns."""
    total = np.zeros(rows, dtype=np.uint64)
    for name, hashes in columns.items():
        total += mix(
            hashes ^ np.uint64(text_hash(b"c", name.encode("utf-8", "surrogatepass")))
        )
    return total


def series_hashes(series: pd.Series, *, rounded: bool = False) -> Hashes:
    """The hash of each value of a column."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        categories = series_hashes(pd.Series(series.cat.categories), rounded=rounded)
        return np.append(categories, np.uint64(null()))[series.cat.codes.to_numpy()]
    array = None if series.dtype == object else _arrow(series)
    if array is None:
        return _each(series.tolist(), rounded)
    hasher = _hasher_for(array.type)
    return (
        _each(array.to_pylist(), rounded)
        if hasher is None
        else _with_nulls(array, hasher(array, rounded))
    )


def _arrow(series: pd.Series) -> pa.Array | None:
    """The column in Arrow, None where Arrow has no plain type for it."""
    # In a numpy column NaN is the word for missing; extension arrays say themselves
    # what is missing.
    plain = isinstance(series.dtype, np.dtype)
    try:
        array = pa.array(series, from_pandas=plain)
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError):
        return None
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array.type, pa.BaseExtensionType):
        return None
    return (
        array.cast(array.type.value_type)
        if pa.types.is_dictionary(array.type)
        else array
    )


def _hasher_for(kind: pa.DataType) -> Callable[[pa.Array, bool], Hashes] | None:
    for check, hasher in _HASHERS:
        if check(kind):
            return hasher
    return None


def _with_nulls(array: pa.Array, hashes: Hashes) -> Hashes:
    if not array.null_count:
        return hashes
    return np.where(
        array.is_null().to_numpy(zero_copy_only=False), np.uint64(null()), hashes
    )


def _filled(array: pa.Array, kind: pa.DataType) -> np.ndarray:
    filled = pc.fill_null(array.cast(kind, safe=False), pa.scalar(0, kind))
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def _integers(array: pa.Array, rounded: bool) -> Hashes:
    if not pa.types.is_uint64(array.type):
        return tagged(INTEGER, _filled(array, pa.int64()).view(np.uint64))
    values = _filled(array, pa.uint64()).astype(np.uint64)
    hashes = tagged(INTEGER, values)
    for at in np.flatnonzero(values >= np.uint64(2**63)):
        hashes[at] = value_hash(int(values[at]))
    return hashes


def _booleans(array: pa.Array, rounded: bool) -> Hashes:
    return tagged(BOOLEAN, _filled(array, pa.int64()).view(np.uint64))


def _floats(array: pa.Array, rounded: bool) -> Hashes:
    return float_hashes(_filled(array, pa.float64()), rounded)


def _texts(array: pa.Array, rounded: bool) -> Hashes:
    return _by_distinct(
        array, lambda value: text_hash(b"t", value.encode("utf-8", "surrogatepass"))
    )


def _decimals(array: pa.Array, rounded: bool) -> Hashes:
    return _by_distinct(array, value_hash)


def _binaries(array: pa.Array, rounded: bool) -> Hashes:
    return _by_distinct(array, lambda value: text_hash(b"b", value))


def _by_distinct(array: pa.Array, hash_one: Callable[[Any], int]) -> Hashes:
    """Hash each different value once; the work of Python grows with the number of
    different ones.
    """
    encoded = pc.dictionary_encode(array)
    distinct = np.fromiter(
        map(hash_one, encoded.dictionary.to_pylist()),
        np.uint64,
        len(encoded.dictionary),
    )
    places = pc.fill_null(encoded.indices.cast(pa.int64()), len(distinct))
    return np.append(distinct, np.uint64(null()))[places.to_numpy(zero_copy_only=False)]


def _timestamps(array: pa.Array, rounded: bool) -> Hashes:
    tag = ZONED if array.type.tz else MOMENT
    return _moments(tag, _filled(array, pa.int64()), _PER_SECOND[array.type.unit])


def _durations(array: pa.Array, rounded: bool) -> Hashes:
    return _moments(SPAN, _filled(array, pa.int64()), _PER_SECOND[array.type.unit])


def _times(array: pa.Array, rounded: bool) -> Hashes:
    storage = pa.int32() if array.type.bit_width == 32 else pa.int64()
    values = _filled(array.cast(storage), pa.int64())
    return _moments(TIME, values, _PER_SECOND[array.type.unit])


def _dates(array: pa.Array, rounded: bool) -> Hashes:
    days = array.cast(pa.date32()).cast(pa.int32())
    return tagged(DAY, _filled(days, pa.int64()).view(np.uint64))


def _moments(tag: int, values: np.ndarray, per_second: int) -> Hashes:
    """Whole seconds and the nanoseconds beyond them: no unit overflows, and none is left to see."""
    values = values.astype(np.int64)
    seconds, rest = values // per_second, (values % per_second) * (10**9 // per_second)
    return tagged(tag, mix(seconds.view(np.uint64)) + rest.view(np.uint64))


def _nulls(array: pa.Array, rounded: bool) -> Hashes:
    return np.full(len(array), null(), dtype=np.uint64)


_HASHERS: tuple[
    tuple[Callable[[pa.DataType], bool], Callable[[pa.Array, bool], Hashes]], ...
] = (
    (pa.types.is_null, _nulls),
    (pa.types.is_boolean, _booleans),
    (pa.types.is_integer, _integers),
    (pa.types.is_floating, _floats),
    (pa.types.is_string, _texts),
    (pa.types.is_large_string, _texts),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_timestamp, _timestamps),
    (pa.types.is_date, _dates),
    (pa.types.is_time, _times),
    (pa.types.is_duration, _durations),
    (pa.types.is_binary, _binaries),
    (pa.types.is_large_binary, _binaries),
)


def _each(values: Sequence[Any], rounded: bool) -> Hashes:
    return np.fromiter(
        (value_hash(value, rounded=rounded) for value in values), np.uint64, len(values)
    )
