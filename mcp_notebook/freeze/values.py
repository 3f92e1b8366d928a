"""One Python value as a hash: the same as that of an equal value in a column of any dtype."""

import datetime
from collections.abc import Callable, Mapping
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

import numpy as np
import pandas as pd

from mcp_notebook.freeze.bits import (
    BOOLEAN,
    DAY,
    INTEGER,
    MOMENT,
    SPAN,
    TIME,
    ZONED,
    float_hashes,
    mix,
    null,
    one,
    tagged,
    text_hash,
)

_WIDE = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_EPOCH = datetime.datetime(1970, 1, 1)


def value_hash(value: Any, *, rounded: bool = False) -> int:
    """The hash of one Python value, the same as that of an equal value in a column."""
    if (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or (type(value) is float and value != value)
    ):
        return null()
    if isinstance(value, np.generic) and not isinstance(
        value, np.datetime64 | np.timedelta64
    ):
        value = value.item()
        if value is None or value != value:
            return null()
    for kinds, hasher in _VALUES:
        if isinstance(value, kinds):
            return hasher(value, rounded)
    return text_hash(
        b"o", f"{type(value).__qualname__}:{value}".encode("utf-8", "surrogatepass")
    )


def _boolean(value: bool, rounded: bool) -> int:
    return one(tagged(BOOLEAN, np.array([value], np.uint64)))


def _integer(value: int, rounded: bool) -> int:
    if -(2**63) <= value < 2**63:
        return one(tagged(INTEGER, np.array([value], np.int64).view(np.uint64)))
    # hex: Python writes no decimal number of more than 4300 digits
    return text_hash(b"i", hex(value).encode())


def _float(value: float, rounded: bool) -> int:
    return one(float_hashes(np.array([value]), rounded))


def _decimal(value: Decimal, rounded: bool) -> int:
    if value.is_nan():
        return null()
    if not value.is_finite():
        return _float(float(value), rounded)
    if value == value.to_integral_value():
        return _integer(int(value), rounded)
    near = float(value)
    if Decimal(near) == value:
        return _float(near, rounded)
    sign, digits, exponent = value.normalize(_WIDE).as_tuple()
    return text_hash(b"d", f"{sign}{digits}{exponent}".encode())


def _text(value: str, rounded: bool) -> int:
    return text_hash(b"t", value.encode("utf-8", "surrogatepass"))


def _binary(value: bytes | bytearray | memoryview, rounded: bool) -> int:
    return text_hash(b"b", bytes(value))


def _moment(value: datetime.datetime, rounded: bool) -> int:
    nanoseconds = getattr(value, "nanosecond", 0)
    zoned = value.tzinfo is not None
    plain = (
        value.to_pydatetime(warn=False) if isinstance(value, pd.Timestamp) else value
    )
    if zoned:
        plain = plain.astimezone(datetime.UTC).replace(tzinfo=None)
    span = plain - _EPOCH
    whole = (span.days * 86400 + span.seconds) * 10**6 + span.microseconds
    seconds, rest = whole // 10**6, (whole % 10**6) * 1000 + nanoseconds
    return _split(ZONED if zoned else MOMENT, seconds, rest)


def _day(value: datetime.date, rounded: bool) -> int:
    days = (value - _EPOCH.date()).days
    return one(tagged(DAY, np.array([days], np.int64).view(np.uint64)))


def _clock(value: datetime.time, rounded: bool) -> int:
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    return _split(TIME, seconds, value.microsecond * 1000)


def _span(value: datetime.timedelta, rounded: bool) -> int:
    nanoseconds = getattr(value, "nanoseconds", 0)
    return _split(
        SPAN,
        value.days * 86400 + value.seconds,
        value.microseconds * 1000 + nanoseconds,
    )


def _numpy_moment(value: Any, rounded: bool) -> int:
    return value_hash(
        pd.Timestamp(value) if isinstance(value, np.datetime64) else pd.Timedelta(value)
    )


def _sequence(value: Any, rounded: bool) -> int:
    inner = (value_hash(item, rounded=rounded).to_bytes(8, "big") for item in value)
    return text_hash(b"l", b"".join(inner))


def _set(value: Any, rounded: bool) -> int:
    inner = sorted(
        value_hash(item, rounded=rounded).to_bytes(8, "big") for item in value
    )
    return text_hash(b"s", b"".join(inner))


def _mapping(value: Mapping[Any, Any], rounded: bool) -> int:
    pairs = (
        (value_hash(k, rounded=rounded), value_hash(v, rounded=rounded))
        for k, v in value.items()
    )
    inner = sorted(k.to_bytes(8, "big") + v.to_bytes(8, "big") for k, v in pairs)
    return text_hash(b"m", b"".join(inner))


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
    halves = mix(np.array([seconds], np.int64).view(np.uint64)) + np.array(
        [rest], np.uint64
    )
    return one(tagged(tag, halves))
