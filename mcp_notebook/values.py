"""One value as one text, and the one table of the kinds of values.

Whatever shows a value (the preview for Claude, a card in each of its forms, the log)
writes it with `value_text` or `column_texts`, so that a person and a model read the same
text for the same value. Whatever depends on the type of a column asks `value_kind` what
can be done with it; a new kind is one more entry of `KINDS`.

This module loads pyarrow: it is imported where results are read, not by `%load_ext`.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.secrets import MASK
from mcp_notebook.untrusted_text import clip, visible

CELL = 160  # characters of one value
_BYTES = 40  # of a binary value that are shown
_DEEPEST = 20  # lists within lists
_LONGEST_INTEGER = 133  # bits: about forty digits
_DAY = 86_400 * 10**9  # nanoseconds

# Relative; what adding binary fractions leaves behind (59288.31000000016), not what
# anyone measured.
_NOISE = 1e-14

Masked = Callable[[str], bool]


@dataclass(frozen=True)
class ValueKind:
    """A family of Arrow types, and what can be done with its values.

    `types`: the numbers of the Arrow types (`DataType.id`), which take a fraction of the
    time of Arrow's own tests. `write`: a valid scalar as text. `word`: a type of the
    family in the words of a database.
    """

    name: str
    types: frozenset[int]
    write: Callable[[pa.Scalar], str]
    word: Callable[[Any], str]
    number: bool = False  # shown to the right, can be summed and drawn
    whole: bool = False  # exact without a fraction
    ordered: bool = False  # has a lowest and a highest value that say something
    counted: bool = True  # its values are compared for being equal, and repeat
    moment: bool = False  # a day or a time of a day: has a place on an axis
    text: bool = False  # words: searched, sorted regardless of case, may hold JSON
    nested: bool = False  # has values inside, with names that may be masked
    as_text: bool = False  # Python has no plain value for it: it travels as its text


def value_kind(type_: pa.DataType) -> ValueKind:
    """The kind of a column's values; of an encoded or extended type that of what it holds."""
    found = _BY_TYPE.get(type_.id)
    if found is not None:
        return found
    return _kind_inside(type_)


def type_name(type_: pa.DataType) -> str:
    """An Arrow type in the words of a database: `text`, `timestamp UTC`,
    `decimal(10,2)`, `list of int64`.
    """
    if isinstance(type_, pa.BaseExtensionType):
        return type_.extension_name.rpartition(".")[2]
    if _holds_encoded(type_):
        return type_name(type_.value_type)

    return value_kind(type_).word(type_)


def plain_type(type_: pa.DataType) -> pa.DataType:
    """The type of what `plain_column` makes of a column of this type."""
    if isinstance(type_, pa.BaseExtensionType):
        return plain_type(type_.storage_type)
    if _holds_encoded(type_):
        return plain_type(type_.value_type)
    return _WITHOUT_VIEW.get(type_.id, type_)


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same values as Arrow's functions can work on them: an extension as its storage,
    a dictionary and runs as their values, views of text and bytes as text and bytes.
    """
    type_ = column.type
    if isinstance(type_, pa.BaseExtensionType):
        chunks = [chunk.storage for chunk in column.chunks]
        return plain_column(pa.chunked_array(chunks, type_.storage_type))

    if pa.types.is_dictionary(type_):
        return pa.chunked_array(
            map(_decode_dictionary, column.chunks), plain_type(type_)
        )

    if pa.types.is_run_end_encoded(type_):
        chunks = [pc.run_end_decode(chunk) for chunk in column.chunks]
        return plain_column(pa.chunked_array(chunks, type_.value_type))

    return without_view(column)


def column_values(
    column: pa.ChunkedArray | pa.Array, *, map_as_dict: bool = False
) -> list[Any]:
    """A column's values in Python; what Python cannot hold (a year beyond 9999) is there
    as its text. Never raises.

    A map is a list of pairs or, `map_as_dict`, a dict: of equal keys the last counts.
    """
    if _travels_as_text(column.type):
        return [_python_value(value, map_as_dict) for value in column]

    try:
        return column.to_pylist(maps_as_pydicts="lossy" if map_as_dict else None)
    except (ValueError, OverflowError, LookupError):
        return [_python_value(value, map_as_dict) for value in column]


def _python_value(value: Any, map_as_dict: bool) -> Any:
    value = _bare(value)
    fields = _fields(value)
    if fields is not None:
        pairs = [
            (_python_value(key, map_as_dict), _python_value(inner, map_as_dict))
            for key, inner in fields
        ]
        is_map = isinstance(value, pa.MapScalar)
        if is_map and not map_as_dict:
            return pairs

        return _joined_fields(pairs)

    items = _items(value)
    if items is not None:
        return [_python_value(item, map_as_dict) for item in items]
    if not isinstance(value, pa.Scalar):
        return value

    kind = value_kind(value.type)
    if kind.as_text:
        return kind.write(value)

    try:
        return value.as_py()
    except (ValueError, OverflowError, LookupError):  # LookupError: an unknown zone
        return kind.write(value)


def _travels_as_text(type_: pa.DataType) -> bool:
    type_ = plain_type(type_)
    inner = [type_.field(at).type for at in range(type_.num_fields)]
    return value_kind(type_).as_text or any(map(_travels_as_text, inner))


def _joined_fields(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A dict; fields of one name, which Arrow allows, are a list under it."""
    found: dict[Any, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {key: each[0] if len(each) == 1 else each for key, each in found.items()}


def _decode_dictionary(chunk: pa.DictionaryArray) -> pa.Array:
    values = plain_column(pa.chunked_array([chunk.dictionary])).combine_chunks()
    return values.take(chunk.indices)


def without_view(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A view of text or bytes as text or bytes, which Arrow can filter, take and sort."""
    wanted = _WITHOUT_VIEW.get(column.type.id)
    if wanted is None:
        return column
    return column.cast(wanted)


def column_texts(
    column: pa.ChunkedArray | pa.Array, masked: Masked | None = None
) -> list[str | None]:
    """Each value of a column as `value_text` writes it."""
    return [value_text(value, masked) for value in column]


def value_text(value: object, masked: Masked | None = None) -> str | None:
    """A value of Python or a scalar of Arrow as one line of at most `CELL` characters,
    exact while there is room; None for NULL. Never raises.

    Fields inside the value whose name is `masked` are hidden.
    """
    value = _bare(value)
    if value is None:
        return None

    if isinstance(value, pa.Scalar):
        written = _write_scalar(value, masked)
    else:
        written = _write_object(value, masked)

    return clip(visible(clip(written, CELL)), CELL)


def whole_text(value: pa.Scalar) -> str | None:
    """A value of Arrow as its whole text, however long and with nothing hidden taken
    out: for a file, a clipboard, a reader of one cell. None for NULL.

    A list, a structure and a map are JSON, bytes are hexadecimal, a fraction has all
    its digits.
    """
    bare = _bare(value)
    if bare is None:
        return None

    kind = value_kind(bare.type)
    if kind.nested:
        return json.dumps(
            _json_value(_python_value(bare, True)), ensure_ascii=False, default=str
        )
    if kind is BINARY:
        return bare.as_py().hex()
    if kind is FLOAT:
        return repr(bare.as_py())
    return kind.write(bare)


def _json_value(value: Any) -> Any:
    """The same with names that are texts, as JSON wants them."""
    if isinstance(value, dict):
        return {str(key): _json_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_json_value(inner) for inner in value]
    return value


def _holds_encoded(type_: pa.DataType) -> bool:
    return pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_)


def _kind_inside(type_: pa.DataType) -> ValueKind:
    match type_:
        case pa.JsonType():
            return JSON
        case pa.UuidType():
            return UUID
        case pa.BaseExtensionType():
            return value_kind(type_.storage_type)

    return value_kind(type_.value_type) if _holds_encoded(type_) else OTHER


def _bare(value: Any) -> Any:
    """A scalar out of its dictionary, runs or extension; None for a scalar of NULL."""
    while isinstance(value, pa.Scalar):
        if not value.is_valid:
            return None

        named = (
            isinstance(value, pa.ExtensionScalar) and value_kind(value.type) in _NAMED
        )
        if named or not isinstance(value, _WRAPPED):
            return value

        value = value.value

    return value


def _write_scalar(scalar: pa.Scalar, masked: Masked | None) -> str:
    kind = value_kind(scalar.type)
    if kind.nested:
        return _json(scalar, masked)
    if kind is JSON:
        return _masked_json(scalar.as_py(), masked)
    return kind.write(scalar)


# Python's values, each kind in the words that its Arrow column has.


def _write_object(value: object, masked: Masked | None) -> str:
    for types, write in _OBJECTS:
        if isinstance(value, types):
            return write(value)

    if isinstance(value, list | tuple | Mapping):
        return _json(value, masked)
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        return _write_numpy(value, masked)
    if type(value).__name__ == "DateOffset":  # an interval in pandas
        return _interval(pa.scalar(value, pa.month_day_nano_interval()).as_py())

    return _safe_str(value)


def _write_numpy(value: Any, masked: Masked | None) -> str:
    if getattr(value, "ndim", 0):
        return _json(value.tolist(), masked)
    if value.dtype.kind == "f":
        return _write_narrow_float(value)
    return _write_object(value.item(), masked)


def _safe_str(value: object) -> str:
    try:
        return str(value)
    except Exception:  # boundary: the text of somebody's object may do anything
        return f"<{type(value).__name__}>"


def _write_integer(value: int) -> str:
    # Python refuses to write more than 4300 digits, and nobody reads forty
    if value.bit_length() > _LONGEST_INTEGER:
        return f"an integer of {value.bit_length():,} bits"
    return str(value)


def _write_float(value: float) -> str:
    if math.isnan(value):
        return "NaN"

    exact = repr(float(value))
    if len(exact) <= 14:
        return exact

    short = format(value, ".12g")
    if abs(float(short) - value) <= abs(value) * _NOISE:
        return short

    return exact


def _write_narrow_float(value: Any) -> str:
    """A numpy float of 16 or 32 bits: as a Python float it would show digits that it
    does not have.
    """
    return _write_float(float(str(value)))


def _write_decimal(value: Decimal) -> str:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):  # NaN, Infinity
        if not value.is_snan():
            return _write_float(float(value))
        return "NaN"

    if -CELL <= exponent <= CELL:
        return format(value, "f")

    return str(value)


def _write_bytes(value: bytes) -> str:
    data = bytes(value)
    written = f"0x{data[:_BYTES].hex()}"
    if len(data) <= _BYTES:
        return written
    return f"{written}… ({len(data):,} bytes)"


def _write_datetime(value: dt.datetime) -> str:
    try:
        offset = value.utcoffset()
    except (ValueError, OverflowError):  # a zone's rules at the ends of the calendar
        offset = None
    clock = _without_zeros(value.replace(tzinfo=None).isoformat(sep=" "))
    return clock + ("" if offset is None else _write_offset(offset))


def _write_offset(offset: dt.timedelta) -> str:
    if not offset:
        return "Z"
    minutes = round(offset.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def _write_time(value: dt.time) -> str:
    offset = value.utcoffset()
    clock = _without_zeros(value.replace(tzinfo=None).isoformat())
    return clock + ("" if offset is None else _write_offset(offset))


def _write_timedelta(value: dt.timedelta) -> str:
    whole = (value.days * 86_400 + value.seconds) * 10**9
    # pandas' own counts nanoseconds beyond the microseconds
    rest = value.microseconds * 1000 + getattr(value, "nanoseconds", 0)
    return _duration(whole + rest)


# What Arrow holds and Python may not: years beyond 9999, nanoseconds, durations of ages.


def _scalar_date(scalar: pa.Scalar) -> str:
    in_milliseconds = scalar.type.id != _DATE32
    return _date(scalar.value // 86_400_000 if in_milliseconds else scalar.value)


def _scalar_timestamp(scalar: pa.Scalar) -> str:
    try:
        return _write_datetime(scalar.as_py())
    except (ValueError, OverflowError, LookupError):  # LookupError: an unknown zone
        days, rest = divmod(scalar.value * _NANOSECONDS[scalar.type.unit], _DAY)
        zone = "" if scalar.type.tz is None else "Z"
        return f"{_date(days)} {_clock(rest)}{zone}"


def _scalar_time(scalar: pa.Scalar) -> str:
    return _clock(scalar.value * _NANOSECONDS[scalar.type.unit])


def _scalar_duration(scalar: pa.Scalar) -> str:
    return _duration(scalar.value * _NANOSECONDS[scalar.type.unit])


def _scalar_narrow_float(scalar: pa.Scalar) -> str:
    # numpy knows the shortest digits of a narrow float; Arrow those of 32 bits only
    (value,) = pa.array([scalar.as_py()], scalar.type).to_numpy(zero_copy_only=False)
    return _write_narrow_float(value)


def _date(days: int) -> str:
    """A day by its number since 1970, of any year: `civil_from_days` of
    https://howardhinnant.github.io/date_algorithms.html.
    """
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153  # months since March
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = (shifted + 2) % 12 + 1
    full = year + era * 400 + (month <= 2)
    sign = "-" if full < 0 else ""
    return f"{sign}{abs(full):04}-{month:02}-{day:02}"


def _interval(value: pa.MonthDayNano) -> str:
    """`1 year 2 months 3 days 4:05:06`, each part with a sign of its own: a month and a
    day have no length, so that none can be turned into another.
    """
    years, months = divmod(abs(value.months), 12)
    sign = -1 if value.months < 0 else 1
    parts = {"year": sign * years, "month": sign * months, "day": value.days}
    words = [f"{n} {unit}{'s' * (abs(n) != 1)}" for unit, n in parts.items() if n]
    if not value.nanoseconds and words:
        return " ".join(words)

    hours, rest = divmod(abs(value.nanoseconds), 3_600 * 10**9)
    time = f"{hours}:{_clock(rest)[3:]}"
    return " ".join([*words, f"-{time}" if value.nanoseconds < 0 else time])


def _clock(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return _without_zeros(f"{hour:02}:{minute:02}:{second:02}.{rest:09}")


def _duration(nanoseconds: int) -> str:
    """`1:00:00`, `1 day, 12:00:00`, `-0:00:01.5`: Python's words, with the sign in front."""
    days, rest = divmod(abs(nanoseconds), _DAY)
    sign = "-" if nanoseconds < 0 else ""
    clock = _clock(rest)
    before = f"{days} day{'s' * (days != 1)}, " if days else ""
    return sign + before + clock.removeprefix("0")


def _without_zeros(clock: str) -> str:
    whole, _, fraction = clock.partition(".")
    return f"{whole}.{fraction.rstrip('0')}".removesuffix(".")


# Values inside values, as JSON.


def _masked_json(source: str, masked: Masked | None) -> str:
    """JSON as it was sent; with masked fields in it, without them."""
    if masked is None:
        return source

    try:
        value = json.loads(source)
    except (ValueError, RecursionError):
        return source

    if _names_masked(value, masked):
        return _json(value, masked)

    return source


def _names_masked(value: object, masked: Masked) -> bool:
    match value:
        case Mapping():
            named = any(masked(str(key)) for key in value)
            return named or any(_names_masked(part, masked) for part in value.values())
        case list():
            return any(_names_masked(part, masked) for part in value)

    return False


def _json(value: Any, masked: Masked | None, depth: int = 0) -> str:
    """A value as JSON, no more of it than a cell shows."""
    if depth > _DEEPEST:
        return "…"

    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()

    value = _bare(value)
    fields = _fields(value)
    if fields is not None:
        written = (_json_field(pair, masked, depth + 1) for pair in fields)
        return "{" + _join_parts(written) + "}"

    items = _items(value)
    if items is not None:
        written = (_json(item, masked, depth + 1) for item in items)
        return "[" + _join_parts(written) + "]"

    return _json_leaf(value, masked)


def _json_leaf(value: Any, masked: Masked | None) -> str:
    if value is None:
        return "null"

    if not isinstance(value, pa.Scalar):
        text = _write_object(value, masked)
        if isinstance(value, int | float):
            return text

        return _quote_text(text)

    kind = value_kind(value.type)
    if kind in _JSON_HAS:
        return kind.write(value)

    return _quote_text(kind.write(value))


def _quote_text(text: str) -> str:
    return json.dumps(text[: CELL + 1], ensure_ascii=False)


def _json_field(field: tuple[object, object], masked: Masked | None, depth: int) -> str:
    key, value = field
    name = value_text(key) or "null"
    if masked is not None and masked(name):
        return f"{_quote_text(name)}: {_quote_text(MASK)}"
    return f"{_quote_text(name)}: {_json(value, masked, depth)}"


def _join_parts(parts: Iterable[str]) -> str:
    """The parts with commas between, up to what a cell has room for."""
    kept, used = [], 0
    for part in parts:
        kept.append(part)
        used += len(part) + 2
        if used > CELL:
            break

    return ", ".join(kept)


def _fields(value: Any) -> Iterator[tuple[object, object]] | None:
    """The named values inside one, None for a value of another kind."""
    # Arrow's own first: its scalars are Python mappings, too, which may raise
    match value:
        case pa.MapScalar():
            entries = value.values
            return zip(entries.field(0), entries.field(1), strict=True)
        case pa.StructScalar():
            return ((field.name, value[at]) for at, field in enumerate(value.type))
        case Mapping():
            return iter(value.items())

    return None


def _items(value: Any) -> Iterator[object] | None:
    match value:
        case pa.ListScalar():
            return iter(value.values)
        case list() | tuple():
            return iter(value)

    return None


# Types in words.


def _arrow_word(type_: pa.DataType) -> str:
    return str(type_)


def _word(word: str) -> Callable[[pa.DataType], str]:
    return lambda type_: word


def _decimal_word(type_: pa.DataType) -> str:
    return f"decimal({type_.precision},{type_.scale})"


def _timestamp_word(type_: pa.DataType) -> str:
    if type_.tz:
        return f"timestamp {type_.tz}"
    return "timestamp"


def _list_word(type_: pa.DataType) -> str:
    return f"list of {type_name(type_.value_type)}"


def _struct_word(type_: pa.DataType) -> str:
    return clip("struct(" + ", ".join(field.name for field in type_) + ")", 60)


_NARROW_WORDS = {pa.float16().id: "float16", pa.float32().id: "float32"}


def _narrow_float_word(type_: pa.DataType) -> str:
    return _NARROW_WORDS[type_.id]


def _write_nested(scalar: pa.Scalar) -> str:
    return _json(scalar, None)


def _of_python(write: Callable[[Any], str]) -> Callable[[pa.Scalar], str]:
    return lambda scalar: write(scalar.as_py())


def _ids(*names: str) -> frozenset[int]:
    return frozenset(getattr(pa.lib, f"Type_{name}") for name in names)


_DATE32 = pa.date32().id
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_WITHOUT_VIEW = {
    pa.string_view().id: pa.large_string(),
    pa.binary_view().id: pa.large_binary(),
}
_INTEGERS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
_LISTS = ["LIST", "LARGE_LIST", "FIXED_SIZE_LIST", "LIST_VIEW", "LARGE_LIST_VIEW"]

NULL = ValueKind("null", _ids("NA"), str, _word("null"), counted=False)
BOOLEAN = ValueKind("boolean", _ids("BOOL"), _of_python(json.dumps), _word("bool"))
INTEGER = ValueKind(
    "integer", _ids(*_INTEGERS), _of_python(_write_integer), _arrow_word,
    number=True, whole=True, ordered=True,
)  # fmt: skip
FLOAT = ValueKind(
    "float", _ids("DOUBLE"), _of_python(_write_float), _word("float64"),
    number=True, ordered=True, counted=False,
)  # fmt: skip
NARROW_FLOAT = ValueKind(
    "narrow float", _ids("HALF_FLOAT", "FLOAT"), _scalar_narrow_float, _narrow_float_word,
    number=True, ordered=True, counted=False,
)  # fmt: skip
DECIMAL = ValueKind(
    "decimal", _ids("DECIMAL32", "DECIMAL64", "DECIMAL128", "DECIMAL256"),
    _of_python(_write_decimal), _decimal_word, number=True, ordered=True, counted=False,
)  # fmt: skip
TEXT = ValueKind(
    "text", _ids("STRING", "LARGE_STRING", "STRING_VIEW"), _of_python(str), _word("text"),
    text=True,
)  # fmt: skip
BINARY = ValueKind(
    "binary", _ids("BINARY", "LARGE_BINARY", "BINARY_VIEW", "FIXED_SIZE_BINARY"),
    _of_python(_write_bytes), _word("binary"),
)  # fmt: skip
DATE = ValueKind(
    "date", _ids("DATE32", "DATE64"), _scalar_date, _word("date"), ordered=True, moment=True
)  # fmt: skip
TIME = ValueKind(
    "time", _ids("TIME32", "TIME64"), _scalar_time, _word("time"), ordered=True
)
TIMESTAMP = ValueKind(
    "timestamp", _ids("TIMESTAMP"), _scalar_timestamp, _timestamp_word,
    ordered=True, moment=True,
)  # fmt: skip
DURATION = ValueKind(
    "duration", _ids("DURATION"), _scalar_duration, _word("duration"), ordered=True
)
INTERVAL = ValueKind(
    "interval", _ids("INTERVAL_MONTH_DAY_NANO"), _of_python(_interval), _word("interval"),
    counted=False, as_text=True,
)  # fmt: skip
LIST = ValueKind(
    "list", _ids(*_LISTS), _write_nested, _list_word,
    counted=False, nested=True,
)  # fmt: skip
STRUCT = ValueKind(
    "struct", _ids("STRUCT"), _write_nested, _struct_word,
    counted=False, nested=True,
)  # fmt: skip
MAP = ValueKind(
    "map", _ids("MAP"), _write_nested, _word("map"),
    counted=False, nested=True,
)  # fmt: skip
JSON = ValueKind(
    "json", frozenset(), _of_python(str), _word("json"), counted=False, text=True
)
UUID = ValueKind("uuid", frozenset(), _of_python(str), _word("uuid"))
OTHER = ValueKind("other", frozenset(), _safe_str, _arrow_word, counted=False)

KINDS = (
    NULL, BOOLEAN, INTEGER, FLOAT, NARROW_FLOAT, DECIMAL, TEXT, BINARY, DATE, TIME,
    TIMESTAMP, DURATION, INTERVAL, LIST, STRUCT, MAP, JSON, UUID, OTHER,
)  # fmt: skip
_NAMED = (JSON, UUID)  # extensions with a text of their own
_WRAPPED = (pa.DictionaryScalar, pa.RunEndEncodedScalar, pa.ExtensionScalar)
_JSON_HAS = (
    BOOLEAN,
    INTEGER,
    FLOAT,
    NARROW_FLOAT,
)  # kinds with a JSON value of their own
_BY_TYPE = {number: kind for kind in KINDS for number in kind.types}

# The first that fits counts: a bool is an int, a datetime a date, too.
_OBJECTS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (str, str),
    (bool, json.dumps),
    (int, _write_integer),
    (float, _write_float),
    (Decimal, _write_decimal),
    ((bytes, bytearray, memoryview), _write_bytes),
    (dt.datetime, _write_datetime),
    (dt.date, dt.date.isoformat),
    (dt.time, _write_time),
    (dt.timedelta, _write_timedelta),
    (pa.MonthDayNano, _interval),
)
