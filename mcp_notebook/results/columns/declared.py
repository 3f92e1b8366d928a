"""Types that a server declares: database names, driver codes, JSON-schema words, and
the conversion to them.

A declaration is followed only when every value agrees with it; `convert` returns None otherwise.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.results.columns import strings
from mcp_notebook.values import DECIMAL, TIMESTAMP

_ZONE = re.compile(r"^(?:nullable\()?datetime(?:64)?\(.*'([\w/+-]+)'\)", re.IGNORECASE)
_WRAPPED = re.compile(r"(?:nullable|lowcardinality)\((.*)\)", re.IGNORECASE | re.DOTALL)
_INT = re.compile(
    r"[iu](?:8|16|32|64|128)|u?(?:tiny|small|medium|big|huge)?int(?:eger)?(?:\d+)?"
    r"(?: unsigned| signed)?|u?int\d+|"
    r"(?:small|big)?serial\d?|long(?:long)?|short|tiny|int24|oid|byteint|hugeint|uhugeint"
    r"|u(?:tiny|small|big)int|number_int|year"
)
_FLOAT = re.compile(
    r"(?:f32|f64|float|double|real|float\d+|double precision|"
    r"binary_(?:float|double)|bfloat16|number_float)"
    r"(?: precision)?"
)
_DECIMAL = re.compile(
    r"(?:big)?(?:decimal|numeric|newdecimal|dec|fixed)(?:32|64|128|256)?"
)
_BOOL = re.compile(r"bool(?:ean)?")
_DATE = re.compile(r"date(?:32)?(?:\[day\])?|datetime\.date")
_STAMP = re.compile(
    r"datetime(?:2|64)?(?:\[.*\])?|timestamp(?:_(?:ntz|s|ms|us|ns))?(?: without time zone)?|"
    r"smalldatetime"
)
_STAMPTZ = re.compile(
    r"timestamp(?:_l?tz|tz)|timestamp with(?: local)? time zone|datetimeoffset|datetimetz"
)
_TIME = re.compile(r"time(?: without time zone)?(?:64|32)?")
_TEXT = re.compile(
    r"(?:n?var)?(?:n?char)(?:acter)?2?(?: varying)?|character(?: varying)?|"
    r"text|string|str|(?:tiny|medium|long)text|"
    r"clob|nclob|name|citext|bpchar|uuid|guid|enum|fixedstring|utf8|var_string|object|inet|cidr|xml"
)
_DAYS = re.compile(r"-?\d{1,6}", re.ASCII)
_SECONDS = re.compile(r"-?\d{1,11}\.\d{9}", re.ASCII)
_BINARY = re.compile(
    r"bytea|blob|binary|varbinary|(?:tiny|medium|long)blob|image|raw|bytes|large_binary"
)

# PostgreSQL's type numbers as node-postgres and DB-API drivers pass them on (pg_type.dat).
POSTGRES_OIDS = {
    16: "bool",
    17: "bytea",
    20: "int8",
    21: "int2",
    23: "int4",
    25: "text",
    26: "oid",
    114: "json",
    700: "float4",
    701: "float8",
    1042: "bpchar",
    1043: "varchar",
    1082: "date",
    1083: "time",
    1114: "timestamp",
    1184: "timestamptz",
    1700: "numeric",
    2950: "uuid",
    3802: "jsonb",
}


def kind(name: str) -> str | None:
    """The family a declared type belongs to, or None when we do not know it.

    "int", "float", "decimal", "bool", "date", "timestamp", "timestamptz", "time",
    "text" or "binary".
    """
    name = " ".join(name.strip().split())
    while match := _WRAPPED.fullmatch(name):
        name = match[1].strip()

    zoned = name.lower().startswith("datetime") and ("'" in name or '"' in name)
    bare = " ".join(re.sub(r"\([^()]*\)", "", name).lower().split())
    if zoned:
        return "timestamptz"
    if bare in ("number", "numeric") and re.search(r"\(\s*\d+\s*\)|,\s*0\s*\)", name):
        return "decimal"

    return next(
        (family for family, pattern in _FAMILIES if pattern.fullmatch(bare)), None
    )


def convert(values: Sequence[Any], family: str, name: str = "") -> pa.Array | None:
    """The values in the declared family, exactly; None when one does not fit it (then
    the declaration is ignored).

    `name` is the whole type, which may name a time zone.
    """
    try:
        if zone := _ZONE.search(name):
            return _in_zone(values, zone[1])
        read, build = _CONVERTERS[family]
        return build(strings.map_present(read, values) if read else values)
    except (
        ValueError,
        TypeError,
        InvalidOperation,
        OverflowError,
        pa.ArrowInvalid,
        pa.ArrowTypeError,
        KeyError,
    ):
        return None


def _as_int(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) in (str, Decimal, float) and int(value) == Decimal(value):
        return int(value)
    raise ValueError(value)


def _as_float(value: Any) -> float:
    if type(value) is bool or (type(value) is int and float(value) != value):
        raise ValueError(value)
    return float(value)


def _decimal(values: Sequence[Any]) -> pa.Array | None:
    exact = strings.map_present(_as_decimal, values)
    if not all(value is None or value.is_finite() for value in exact):
        return None

    array = strings.decimals(exact)[0]
    return array if array.type.id in DECIMAL.types else None


def _as_decimal(value: Any) -> Decimal:
    if type(value) is bool:
        raise ValueError(value)
    if type(value) is float:
        return Decimal(repr(value))
    return Decimal(value)


def _are_counts(values: Sequence[Any], pattern: re.Pattern[str]) -> bool:
    """Whether all are texts of counts since 1970, as Snowflake sends days and seconds."""
    present = [value for value in values if value is not None]
    return bool(present) and all(
        type(value) is str and pattern.fullmatch(value) for value in present
    )


def _date(values: Sequence[Any]) -> pa.Array | None:
    """Dates, their text, or days since 1970 as text (Snowflake)."""
    if _are_counts(values, _DAYS):
        return pa.array(strings.map_present(int, values), pa.int32()).cast(pa.date32())

    return _type_values(values, dt.date, pa.date32())


def _stamp(values: Sequence[Any]) -> pa.Array | None:
    """Timestamps, their text, or seconds since 1970 with nine digits of a fraction as
    text (Snowflake).
    """
    if _are_counts(values, _SECONDS):
        exact = strings.map_present(lambda text: int(Decimal(text) * 10**9), values)
        nanoseconds = pa.array(exact, pa.int64()).cast(pa.timestamp("ns"))
        return nanoseconds.cast(pa.timestamp("us"))

    found = _type_values(values, dt.datetime, pa.timestamp("us"))
    if found is None or found.type.id in TIMESTAMP.types:
        return found

    return found.cast(pa.timestamp("us"))


def _type_values(
    values: Sequence[Any], wanted: type, arrow: pa.DataType
) -> pa.Array | None:
    if strings.hold_only(values, wanted):
        return pa.array(values, arrow)

    found = strings.temporal(values) if strings.hold_only(values, str) else None
    return found and found.array


def _stamptz(values: Sequence[Any]) -> pa.Array | None:
    """Instants only: where the values lack a zone and the type names none, the
    session's zone is not known.
    """
    found = _stamp(values)
    return found if found is not None and found.type.tz else None


def _in_zone(values: Sequence[Any], zone: str) -> pa.Array | None:
    """Times without a zone, in the zone that the type names: `DateTime64(3, 'UTC')`."""
    found = _stamp(values)
    if found is None or found.type.tz:
        return found
    return pc.assume_timezone(found, timezone=zone)  # pyright: ignore[reportAttributeAccessIssue]


def _as_bytes(value: Any) -> bytes:
    """Bytes as bytes, or as hexadecimal text with its mark; base64 is never guessed."""
    if type(value) is bytes:
        return value
    if type(value) is str and value.startswith(("\\x", "0x")):
        return bytes.fromhex(value[2:])
    raise ValueError(value)


_TRUTH = {
    True: True,
    False: False,
    "true": True,
    "false": False,
    "t": True,
    "f": False,
    "True": True,
    "False": False,
    "1": True,
    "0": False,
}

_FAMILIES = (
    ("int", _INT),
    ("bool", _BOOL),
    ("decimal", _DECIMAL),
    ("float", _FLOAT),
    ("date", _DATE),
    ("timestamptz", _STAMPTZ),
    ("timestamp", _STAMP),
    ("time", _TIME),
    ("text", _TEXT),
    ("binary", _BINARY),
)

# What reads one value, and what makes the array of all; without the first all are read
# at once.
_CONVERTERS: dict[str, tuple[Callable[[Any], Any] | None, Callable[[Any], Any]]] = {
    "int": (_as_int, lambda values: strings.integers(values)[0]),
    "float": (_as_float, lambda values: pa.array(values, pa.float64())),
    "decimal": (None, _decimal),
    "bool": (_TRUTH.__getitem__, lambda values: pa.array(values, pa.bool_())),
    "date": (None, _date),
    "timestamp": (None, _stamp),
    "timestamptz": (None, _stamptz),
    "time": (str, strings.times),
    "text": (None, lambda values: pa.array(values, pa.string())),
    "binary": (_as_bytes, lambda values: pa.array(values, pa.binary())),
}
