"""Every cell of a table as a 64-bit number that depends on its value alone: not on dtype, machine, run or version.

Equal numbers are equal whatever holds them: 3, 3.0 and Decimal("3.00"). Missing is missing (None, NA, NaT, and NaN
where a dtype has no other word for it); where a column tells NaN and NULL apart they differ. Moments are compared as
moments: the unit does not matter, the zone only as far as it moves them; a naive time differs from one with a zone.

Texts and nested values are hashed by BLAKE2b; bits are mixed by splitmix64, https://prng.di.unimi.it/splitmix64.c.
"""

import datetime
import hashlib
from collections.abc import Callable, Mapping, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Hashes = np.ndarray[Any, np.dtype[np.uint64]]

_INTEGER, _FLOAT, _BOOLEAN, _MOMENT, _ZONED, _DAY, _TIME, _SPAN = range(1, 9)
_NULL = 0x6E756C6C
_EXACT = 2.0**53  # below it every integer is a float of its own
_DROPPED = 12  # bits of a float's 52 that rounding takes away: about 12 decimal digits stay
_WIDE = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_EPOCH = datetime.datetime(1970, 1, 1)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def columns_of(frame: pd.DataFrame, *, rounded: bool = False) -> dict[str, Hashes]:
    """The hashes of each column by its label as text; labels that repeat get a number.

    `rounded`: floats count to about 12 digits, so that a sum added up in another order is the same sum.
    """
    return {
        label: series_hashes(frame.iloc[:, at], rounded=rounded) for at, label in enumerate(labels_of(frame.columns))
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
        total += mix(hashes ^ np.uint64(_text_hash(b"c", name.encode("utf-8", "surrogatepass"))))
    return total


def mix(values: Hashes) -> Hashes:
    """Spread every bit over all others; wraps around silently, as unsigned arrays do."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def series_hashes(series: pd.Series, *, rounded: bool = False) -> Hashes:
    """The hash of each value of a column."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        categories = series_hashes(pd.Series(series.cat.categories), rounded=rounded)
        return np.append(categories, np.uint64(_null()))[series.cat.codes.to_numpy()]
    array = None if series.dtype == object else _arrow(series)
    if array is None:
        return _each(series.tolist(), rounded)
    hasher = _hasher_for(array.type)
    return _each(array.to_pylist(), rounded) if hasher is None else _with_nulls(array, hasher(array, rounded))


def _arrow(series: pd.Series) -> pa.Array | None:
    """The column in Arrow, None where Arrow has no plain type for it."""
    # In a numpy column NaN is the word for missing; extension arrays say themselves what is missing.
    plain = isinstance(series.dtype, np.dtype)
    try:
        array = pa.array(series, from_pandas=plain)
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError):
        return None
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array.type, pa.BaseExtensionType):
        return None
    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def _hasher_for(kind: pa.DataType) -> Callable[[pa.Array, bool], Hashes] | None:
    for check, hasher in _HASHERS:
        if check(kind):
            return hasher
    return None


def _with_nulls(array: pa.Array, hashes: Hashes) -> Hashes:
    if not array.null_count:
        return hashes
    return np.where(array.is_null().to_numpy(zero_copy_only=False), np.uint64(_null()), hashes)


def _tagged(tag: int, values: Hashes) -> Hashes:
    return mix(values + np.uint64((tag * 0x9E3779B97F4A7C15) % 2**64))


def _filled(array: pa.Array, kind: pa.DataType) -> np.ndarray:
    filled = pc.fill_null(array.cast(kind, safe=False), pa.scalar(0, kind))
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def _integers(array: pa.Array, rounded: bool) -> Hashes:
    if not pa.types.is_uint64(array.type):
        return _tagged(_INTEGER, _filled(array, pa.int64()).view(np.uint64))
    values = _filled(array, pa.uint64()).astype(np.uint64)
    hashes = _tagged(_INTEGER, values)
    for at in np.flatnonzero(values >= np.uint64(2**63)):
        hashes[at] = value_hash(int(values[at]))
    return hashes


def _booleans(array: pa.Array, rounded: bool) -> Hashes:
    return _tagged(_BOOLEAN, _filled(array, pa.int64()).view(np.uint64))


def _floats(array: pa.Array, rounded: bool) -> Hashes:
    return _float_hashes(_filled(array, pa.float64()), rounded)


def _float_hashes(values: np.ndarray, rounded: bool) -> Hashes:
    values = np.array(values, dtype=np.float64)
    values[np.isnan(values)] = np.nan  # one of the many
    if rounded:
        usual = np.isfinite(values) & ((values != np.trunc(values)) | (np.abs(values) >= _EXACT))
        bits = values.view(np.uint64)
        near = (bits + np.uint64(1 << (_DROPPED - 1))) >> np.uint64(_DROPPED) << np.uint64(_DROPPED)
        values = np.where(usual, near.view(np.float64), values)
    whole = np.isfinite(values) & (np.abs(values) < _EXACT) & (values == np.trunc(values))
    integers = np.where(whole, values, 0).astype(np.int64).view(np.uint64)
    return np.where(whole, _tagged(_INTEGER, integers), _tagged(_FLOAT, values.view(np.uint64)))


def _texts(array: pa.Array, rounded: bool) -> Hashes:
    return _by_distinct(array, lambda value: _text_hash(b"t", value.encode("utf-8", "surrogatepass")))


def _decimals(array: pa.Array, rounded: bool) -> Hashes:
    return _by_distinct(array, value_hash)


def _binaries(array: pa.Array, rounded: bool) -> Hashes:
    return _by_distinct(array, lambda value: _text_hash(b"b", value))


def _by_distinct(array: pa.Array, hash_one: Callable[[Any], int]) -> Hashes:
    """Hash each different value once; the work of Python grows with the number of different ones."""
    encoded = pc.dictionary_encode(array)
    distinct = np.fromiter(map(hash_one, encoded.dictionary.to_pylist()), np.uint64, len(encoded.dictionary))
    places = pc.fill_null(encoded.indices.cast(pa.int64()), len(distinct))
    return np.append(distinct, np.uint64(_null()))[places.to_numpy(zero_copy_only=False)]


def _timestamps(array: pa.Array, rounded: bool) -> Hashes:
    tag = _ZONED if array.type.tz else _MOMENT
    return _moments(tag, _filled(array, pa.int64()), _PER_SECOND[array.type.unit])


def _durations(array: pa.Array, rounded: bool) -> Hashes:
    return _moments(_SPAN, _filled(array, pa.int64()), _PER_SECOND[array.type.unit])


def _times(array: pa.Array, rounded: bool) -> Hashes:
    storage = pa.int32() if array.type.bit_width == 32 else pa.int64()
    values = _filled(array.cast(storage), pa.int64())
    return _moments(_TIME, values, _PER_SECOND[array.type.unit])


def _dates(array: pa.Array, rounded: bool) -> Hashes:
    days = array.cast(pa.date32()).cast(pa.int32())
    return _tagged(_DAY, _filled(days, pa.int64()).view(np.uint64))


def _moments(tag: int, values: np.ndarray, per_second: int) -> Hashes:
    """Whole seconds and the nanoseconds beyond them: no unit overflows, and none is left to see."""
    values = values.astype(np.int64)
    seconds, rest = values // per_second, (values % per_second) * (10**9 // per_second)
    return _tagged(tag, mix(seconds.view(np.uint64)) + rest.view(np.uint64))


def _nulls(array: pa.Array, rounded: bool) -> Hashes:
    return np.full(len(array), _null(), dtype=np.uint64)


_HASHERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array, bool], Hashes]], ...] = (
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
    return np.fromiter((value_hash(value, rounded=rounded) for value in values), np.uint64, len(values))


def value_hash(value: Any, *, rounded: bool = False) -> int:
    """The hash of one Python value, the same as that of an equal value in a column."""
    if value is None or value is pd.NA or value is pd.NaT or (type(value) is float and value != value):
        return _null()
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64 | np.timedelta64):
        value = value.item()
        if value is None or value != value:
            return _null()
    for kinds, hasher in _VALUES:
        if isinstance(value, kinds):
            return hasher(value, rounded)
    return _text_hash(b"o", f"{type(value).__qualname__}:{value}".encode("utf-8", "surrogatepass"))


def _boolean(value: bool, rounded: bool) -> int:
    return _one(_tagged(_BOOLEAN, np.array([value], np.uint64)))


def _integer(value: int, rounded: bool) -> int:
    if -(2**63) <= value < 2**63:
        return _one(_tagged(_INTEGER, np.array([value], np.int64).view(np.uint64)))
    return _text_hash(b"i", hex(value).encode())  # hex: Python writes no decimal number of more than 4300 digits


def _float(value: float, rounded: bool) -> int:
    return _one(_float_hashes(np.array([value]), rounded))


def _decimal(value: Decimal, rounded: bool) -> int:
    if value.is_nan():
        return _null()
    if not value.is_finite():
        return _float(float(value), rounded)
    if value == value.to_integral_value():
        return _integer(int(value), rounded)
    near = float(value)
    if Decimal(near) == value:
        return _float(near, rounded)
    sign, digits, exponent = value.normalize(_WIDE).as_tuple()
    return _text_hash(b"d", f"{sign}{digits}{exponent}".encode())


def _text(value: str, rounded: bool) -> int:
    return _text_hash(b"t", value.encode("utf-8", "surrogatepass"))


def _binary(value: bytes | bytearray | memoryview, rounded: bool) -> int:
    return _text_hash(b"b", bytes(value))


def _moment(value: datetime.datetime, rounded: bool) -> int:
    nanoseconds = getattr(value, "nanosecond", 0)
    zoned = value.tzinfo is not None
    plain = value.to_pydatetime(warn=False) if isinstance(value, pd.Timestamp) else value
    if zoned:
        plain = plain.astimezone(datetime.UTC).replace(tzinfo=None)
    span = plain - _EPOCH
    whole = (span.days * 86400 + span.seconds) * 10**6 + span.microseconds
    seconds, rest = whole // 10**6, (whole % 10**6) * 1000 + nanoseconds
    return _split(_ZONED if zoned else _MOMENT, seconds, rest)


def _day(value: datetime.date, rounded: bool) -> int:
    days = (value - _EPOCH.date()).days
    return _one(_tagged(_DAY, np.array([days], np.int64).view(np.uint64)))


def _clock(value: datetime.time, rounded: bool) -> int:
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    return _split(_TIME, seconds, value.microsecond * 1000)


def _span(value: datetime.timedelta, rounded: bool) -> int:
    nanoseconds = getattr(value, "nanoseconds", 0)
    return _split(_SPAN, value.days * 86400 + value.seconds, value.microseconds * 1000 + nanoseconds)


def _numpy_moment(value: Any, rounded: bool) -> int:
    return value_hash(pd.Timestamp(value) if isinstance(value, np.datetime64) else pd.Timedelta(value))


def _sequence(value: Any, rounded: bool) -> int:
    inner = (value_hash(item, rounded=rounded).to_bytes(8, "big") for item in value)
    return _text_hash(b"l", b"".join(inner))


def _set(value: Any, rounded: bool) -> int:
    inner = sorted(value_hash(item, rounded=rounded).to_bytes(8, "big") for item in value)
    return _text_hash(b"s", b"".join(inner))


def _mapping(value: Mapping[Any, Any], rounded: bool) -> int:
    pairs = ((value_hash(k, rounded=rounded), value_hash(v, rounded=rounded)) for k, v in value.items())
    inner = sorted(k.to_bytes(8, "big") + v.to_bytes(8, "big") for k, v in pairs)
    return _text_hash(b"m", b"".join(inner))


# The first kind that fits counts: a bool is an int, a datetime a date, too.
_VALUES: tuple[tuple[Any, Callable[[Any, bool], int]], ...] = (
    (bool, _boolean),
    (int, _integer),
    (float, _float),
    (Decimal, _decimal),
    (str, _text),
    ((bytes, bytearray, memoryview), _binary),
    (datetime.datetime, _moment),
    (datetime.date, _day),
    (datetime.time, _clock),
    (datetime.timedelta, _span),
    ((np.datetime64, np.timedelta64), _numpy_moment),
    (Mapping, _mapping),
    ((set, frozenset), _set),
    ((list, tuple, np.ndarray), _sequence),
)


def _split(tag: int, seconds: int, rest: int) -> int:
    halves = mix(np.array([seconds], np.int64).view(np.uint64)) + np.array([rest], np.uint64)
    return _one(_tagged(tag, halves))


def _one(hashes: Hashes) -> int:
    return int(hashes[0])


def _null() -> int:
    return _one(_tagged(0, np.array([_NULL], np.uint64)))


def _text_hash(tag: bytes, value: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(value, digest_size=8, person=tag).digest(), "big")
