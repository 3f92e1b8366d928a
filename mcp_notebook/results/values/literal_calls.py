"""The constructor calls that may stand inside Python literal text, and the value each one means.

A call is looked up by name in a fixed table; nothing is ever evaluated or imported by
name. A call that is not in the table, or whose arguments do not fit, raises
`UnknownCall`, and the parser then keeps its source text.
"""

import datetime as dt
import re
import uuid
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

Args = Sequence[object]
Options = Mapping[str, object]

_MODULES = frozenset(
    {
        "datetime",
        "decimal",
        "uuid",
        "zoneinfo",
        "collections",
        "builtins",
        "types",
        "ipaddress",
        "pathlib",
    }
    | {"numpy", "np", "pandas", "pd", "pandas._libs.tslibs.timestamps", "pendulum"}
    | {
        "psycopg2.tz",
        "dateutil.tz",
        "cassandra.util",
        "asyncpg.pgproto.pgproto",
        "bson.decimal128",
    }
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


def word(name: str) -> object:
    """The value of a bare word such as `None` or `datetime.timezone.utc`; raises `UnknownCall`."""
    if name in _WORDS:
        return _WORDS[name]
    raise UnknownCall(name)


def bracketed(source: str) -> object:
    """The value of a `<...>` repr: pytz zones become `tzinfo`, `<NA>` becomes None, all
    else stays text.
    """
    if source == "<NA>":
        return None
    static = _PYTZ_STATIC.match(source)
    if static:
        return _zone_or_text(static[1] or static[2], source)
    summer = _PYTZ_DST.match(source)
    if summer:
        days, hours, minutes, seconds = (int(part or 0) for part in summer.groups())
        return dt.timezone(
            dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        )
    return source


def call(name: str, args: Args, options: Options) -> object:
    """The value of `name(*args, **options)`; raises `UnknownCall` when the table cannot say."""
    module, _, last = name.rpartition(".")
    build = _CALLS.get(last) if not module or module in _MODULES else None
    if build is None:
        return _record(last, args, options)
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


def _record(name: str, args: Args, options: Options) -> dict[str, object]:
    """A named tuple, `Row(id=1, name='x')`: its fields. A range says more as text than
    as fields.
    """
    if args or not options or name.lower().endswith("range"):
        raise UnknownCall(name)
    return dict(options)


def _zone_or_text(key: str, source: str) -> object:
    try:
        return _zone(key)
    except ValueError:
        return source


def _zone(key: str) -> dt.tzinfo:
    try:
        return zoneinfo.ZoneInfo(key)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, TypeError) as error:
        raise UnknownCall(key) from error


def _decimal(value: object = "0") -> Decimal:
    if not isinstance(value, str | int):
        raise TypeError(value)
    return Decimal(value)


def _int64(value: object) -> int:
    """MongoDB's integer, in digits or in quotes."""
    if not isinstance(value, str | int) or len(str(value)) > 20:
        raise TypeError(value)
    return int(value)


def _uuid(value: str) -> uuid.UUID:
    return uuid.UUID(value)


def _timestamp(value: str, *, tz: object = None, freq: object = None) -> dt.datetime:
    """pandas' `Timestamp('...', tz='UTC')`; finer than microseconds is not a datetime any more."""
    fraction = _ISO_FRACTION.search(value)
    if fraction and fraction[1].strip("0"):
        raise ValueError(value)
    moment = dt.datetime.fromisoformat(value)
    if isinstance(tz, str) and moment.tzinfo is not None:
        return moment.astimezone(_zone(tz))
    return moment


def _datetime64(value: str, unit: str = "") -> object:
    return dt.date.fromisoformat(value) if len(value) == 10 else _timestamp(value)


def _fixed_offset(offset: object = 0, name: object = None) -> dt.tzinfo:
    """psycopg2's `FixedOffsetTimezone(offset=60, name=None)`: minutes, or a timedelta
    in newer versions.
    """
    if isinstance(offset, dt.timedelta):
        return dt.timezone(offset)
    if not isinstance(offset, int):
        raise TypeError(offset)
    return dt.timezone(dt.timedelta(minutes=offset))


def _offset_seconds(name: object, seconds: int) -> dt.tzinfo:
    """dateutil's `tzoffset('CET', 3600)`."""
    return dt.timezone(dt.timedelta(seconds=seconds))


def _mapping(*args: object) -> dict:
    """OrderedDict, defaultdict, Counter: the last argument holds the items."""
    return dict(args[-1]) if args else {}  # type: ignore[call-overload]


def _sequence(*args: object, dtype: object = None, **_: object) -> list:
    """`array([1, 2], dtype=float32)`, `array('i', [1])`, `deque([1], maxlen=3)`: the items."""
    items = next((item for item in args if isinstance(item, list | tuple)), None)
    if items is None and args:
        raise TypeError(args)
    return list(items or ())


def _set(items: object = ()) -> frozenset:
    return frozenset(items)  # type: ignore[arg-type]


def _number(value: object) -> object:
    if not isinstance(value, int | float):
        raise TypeError(value)
    return value


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _bytes(value: bytes = b"") -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(value)
    return value


def _utc(*_: object) -> dt.tzinfo:
    return dt.UTC


def _table(
    build: Callable[..., object], names: str
) -> dict[str, Callable[..., object]]:
    return dict.fromkeys(names.split(), build)


_CALLS: dict[str, Callable[..., object]] = {
    "datetime": dt.datetime,
    "date": dt.date,
    "time": dt.time,
    "timedelta": dt.timedelta,
    "timezone": dt.timezone,
    "Decimal": _decimal,
    "UUID": _uuid,
    "Decimal128": _decimal,
    "Int64": lambda value: _int64(value),
    "Long": lambda value: _int64(value),
    "ZoneInfo": lambda key: _zone(key),
    "Timestamp": _timestamp,
    "datetime64": _datetime64,
    "FixedOffsetTimezone": _fixed_offset,
    "tzoffset": _offset_seconds,
    "dict_values": _sequence,
    "set": _set,
    **_table(_utc, "tzutc tzlocal_utc"),
    **_table(_mapping, "dict OrderedDict defaultdict Counter mappingproxy"),
    **_table(_sequence, "array deque list tuple"),
    **_table(_set, "frozenset"),
    **_table(_bytes, "bytes bytearray memoryview"),
    **_table(
        _text,
        "str str_ IPv4Address IPv6Address IPv4Network IPv6Network IPv4Interface IPv6Interface ObjectId",
    ),
    **_table(_text, "PosixPath WindowsPath PurePosixPath"),
    **_table(
        _number,
        "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 longdouble bool_ bool",
    ),
}
