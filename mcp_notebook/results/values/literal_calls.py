"""The constructor calls that may stand inside Python literal text, and the value each one means.

A call is looked up by name in a fixed table; nothing is ever evaluated or imported by
name. A call that is not in the table, or whose arguments do not fit, raises
`UnknownCall`, and the parser then keeps its source text.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

Args = Sequence[object]
Options = Mapping[str, object]

# A name with another module in front may be anyone's class of that name.
_MODULES = frozenset(
    "datetime decimal uuid zoneinfo collections builtins types ipaddress pathlib "
    "numpy np pandas pd pandas._libs.tslibs.timestamps pendulum "
    "psycopg2.tz dateutil.tz cassandra.util asyncpg.pgproto.pgproto "
    "bson.decimal128".split()
)
_ISO_FRACTION = re.compile(r"\.\d{6}(\d+)")
_PYTZ_STATIC = re.compile(r"<(?:StaticTzInfo '([^']+)'|(UTC))>\Z")
_PYTZ_DST = re.compile(
    r"<DstTzInfo '[^']+' \S*?(?:(-?\d+) days?, )?([+-]?\d+):(\d\d):(\d\d) (?:STD|DST)>\Z"
)
_WORDS: dict[str, object] = {
    "None": None,
    "True": True,
    "False": False,
    "nan": float("nan"),
    "NaN": float("nan"),
    "inf": float("inf"),
    "np.nan": float("nan"),
    "np.inf": float("inf"),
    "np.True_": True,
    "np.False_": False,
    "NaT": None,
    "pd.NaT": None,
    "pd.NA": None,
    "NA": None,
    "datetime.timezone.utc": dt.UTC,
    "timezone.utc": dt.UTC,
    "UTC": dt.UTC,
}


class UnknownCall(ValueError):
    """The call or word is not in the table, or its arguments do not fit."""


def read_word(name: str) -> object:
    """The value of a bare word such as `None` or `datetime.timezone.utc`; raises `UnknownCall`."""
    if name in _WORDS:
        return _WORDS[name]
    raise UnknownCall(name)


def read_angle(source: str) -> object:
    """The value of a `<...>` repr: pytz zones become `tzinfo`, `<NA>` becomes None, all
    else stays text.
    """
    if source == "<NA>":
        return None

    static = _PYTZ_STATIC.match(source)
    if static:
        return _read_zone(static[1] or static[2], source)

    summer = _PYTZ_DST.match(source)
    if summer:
        days, hours, minutes, seconds = (int(part or 0) for part in summer.groups())
        return dt.timezone(
            dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        )

    return source


def build_call(name: str, args: Args, options: Options) -> object:
    """The value of `name(*args, **options)`; raises `UnknownCall` when the table cannot say."""
    module, _, last = name.rpartition(".")
    if not module or module in _MODULES:
        build = _CALLS.get(last)
    else:
        build = None

    if build is None:
        return _build_record(last, args, options)

    try:
        return build(*args, **options)
    except (
        TypeError,
        ValueError,
        ArithmeticError,
        InvalidOperation,
        AttributeError,
        KeyError,
    ) as error:
        raise UnknownCall(name) from error


def _build_record(name: str, args: Args, options: Options) -> dict[str, object]:
    """A named tuple, `Row(id=1, name='x')`: its fields. A range says more as text than
    as fields.
    """
    if args or not options or name.lower().endswith("range"):
        raise UnknownCall(name)
    return dict(options)


def _read_zone(key: str, source: str) -> object:
    try:
        return _find_zone(key)
    except ValueError:
        return source


def _find_zone(key: str) -> dt.tzinfo:
    try:
        return zoneinfo.ZoneInfo(key)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, TypeError) as error:
        raise UnknownCall(key) from error


def _build_decimal(value: object = "0") -> Decimal:
    if not isinstance(value, str | int):
        raise TypeError(value)
    return Decimal(value)


def _build_int64(value: object) -> int:
    """MongoDB's integer, in digits or in quotes."""
    if not isinstance(value, str | int) or len(str(value)) > 20:
        raise TypeError(value)
    return int(value)


def _build_uuid(value: str) -> uuid.UUID:
    return uuid.UUID(value)


def _build_timestamp(
    value: str, *, tz: object = None, freq: object = None
) -> dt.datetime:
    """pandas' `Timestamp('...', tz='UTC')`; finer than microseconds is not a datetime any more."""
    fraction = _ISO_FRACTION.search(value)
    if fraction and fraction[1].strip("0"):
        raise ValueError(value)

    moment = dt.datetime.fromisoformat(value)
    if isinstance(tz, str) and moment.tzinfo is not None:
        return moment.astimezone(_find_zone(tz))

    return moment


def _build_datetime64(value: str, unit: str = "") -> object:
    if len(value) == 10:
        return dt.date.fromisoformat(value)
    return _build_timestamp(value)


def _build_fixed_offset(offset: object = 0, name: object = None) -> dt.tzinfo:
    """psycopg2's `FixedOffsetTimezone(offset=60, name=None)`: minutes, or a timedelta
    in newer versions.
    """
    if isinstance(offset, dt.timedelta):
        return dt.timezone(offset)
    if not isinstance(offset, int):
        raise TypeError(offset)

    return dt.timezone(dt.timedelta(minutes=offset))


def _build_tzoffset(name: object, seconds: int) -> dt.tzinfo:
    """dateutil's `tzoffset('CET', 3600)`."""
    return dt.timezone(dt.timedelta(seconds=seconds))


def _build_dict(*args: object) -> dict[Any, Any]:
    """OrderedDict, defaultdict, Counter: the last argument holds the items."""
    return dict(args[-1]) if args else {}  # type: ignore[call-overload]


def _build_list(*args: object, dtype: object = None, **_: object) -> list[Any]:
    """`array([1, 2], dtype=float32)`, `array('i', [1])`, `deque([1], maxlen=3)`: the items."""
    items = next((item for item in args if isinstance(item, list | tuple)), None)
    if items is None and args:
        raise TypeError(args)
    return list(items or ())


def _build_set(items: object = ()) -> frozenset[Any]:
    return frozenset(items)  # type: ignore[arg-type]


def _build_number(value: object) -> object:
    if not isinstance(value, int | float):
        raise TypeError(value)
    return value


def _build_text(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _build_bytes(value: bytes = b"") -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(value)
    return value


def _build_utc(*_: object) -> dt.tzinfo:
    return dt.UTC


def _by_name(
    build: Callable[..., object], names: str
) -> dict[str, Callable[..., object]]:
    return dict.fromkeys(names.split(), build)


_CALLS: dict[str, Callable[..., object]] = {
    "datetime": dt.datetime,
    "date": dt.date,
    "time": dt.time,
    "timedelta": dt.timedelta,
    "timezone": dt.timezone,
    "UUID": _build_uuid,
    "ZoneInfo": _find_zone,
    # pandas and numpy
    "Timestamp": _build_timestamp,
    "datetime64": _build_datetime64,
    # psycopg2, dateutil
    "FixedOffsetTimezone": _build_fixed_offset,
    "tzoffset": _build_tzoffset,
    **_by_name(_build_utc, "tzutc tzlocal_utc"),
    # Python's own, and BSON's as MongoDB's driver prints them
    **_by_name(_build_decimal, "Decimal Decimal128"),
    **_by_name(_build_int64, "Int64 Long"),
    **_by_name(
        _build_dict,
        "dict OrderedDict defaultdict Counter mappingproxy RealDictRow RowMapping "
        "immutabledict frozendict SON UserDict",
    ),
    **_by_name(_build_list, "array deque list tuple dict_values"),
    **_by_name(_build_set, "set frozenset"),
    **_by_name(_build_bytes, "bytes bytearray memoryview"),
    # What a column keeps as text
    **_by_name(
        _build_text,
        "str str_ IPv4Address IPv6Address IPv4Network IPv6Network IPv4Interface "
        "IPv6Interface ObjectId PosixPath WindowsPath PurePosixPath",
    ),
    # numpy's scalars, since its version 2 prints `np.int64(1)`
    **_by_name(
        _build_number,
        "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 "
        "longdouble bool_ bool",
    ),
}
