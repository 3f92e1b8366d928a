"""Standard forms that name themselves: series of measurements (InfluxDB, Prometheus),
SPARQL's answers, collections of GeoJSON, the data of a chart; and cells that an object
stands for: bytes, and the typed values of MongoDB, DynamoDB, libSQL and others.

An object is undone only where its keys leave no doubt; DynamoDB's one-letter keys count
when every cell has them.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import itertools
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from mcp_notebook.results.reading import Raw, from_records, from_rows

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECONDS = 13  # digits; seconds of any year have fewer


# --- series: measurements that each have their labels beside their points


def read_series(records: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """The one table of a list of series, as InfluxDB and Prometheus send them."""
    match records[0]:
        case {"columns": list(), "values": list()}:
            return _read_influx(records, path)
        case {"metric": dict(), "value": list()}:
            return _read_prometheus(records, path)
        case {"metric": dict(), "values": list()}:
            return _read_prometheus(records, path)
        case {"stream": dict(), "values": list()}:
            return _read_streams(records, path)
        case {"schema": {"fields": [{}, *_]}, "data": {"values": list()}}:
            return _read_frames(records, path)

    return None


def _read_influx(series: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """`{"name": "cpu", "tags": {"host": "a"}, "columns": [...], "values": [[...]]}`:
    the tags are columns here.
    """
    columns = series[0]["columns"]
    tags = list(_tags_of(series[0]))
    if not set(map(type, columns)) <= {str}:
        return None

    for item in series:
        if item.get("columns") != columns or list(_tags_of(item)) != tags:
            return None

    if not tags and len(series) > 1:
        return None

    # The name of the measurement is a column only when it tells rows apart.
    if len({item.get("name") for item in series}) > 1:
        heads = ["name"]
    else:
        heads = []

    rows = []
    for item in series:
        labels = [*map(item.get, heads), *_tags_of(item).values()]
        values = item.get("values") or ()
        if any(type(row) is not list or len(row) != len(columns) for row in values):
            return None

        rows += [[*labels, *row] for row in values]

    raw = from_rows([*heads, *tags, *columns], rows, path=path)
    name = series[0].get("name")
    return raw if heads or not name else raw.with_note(f"is the measurement `{name}`")


def _read_streams(streams: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """Loki's lines with their labels: `{"stream": {"app": "a"}, "values": [["17…",
    "line"]]}`, in nanoseconds since 1970.
    """
    labels = list(keys_in_order(item.get("stream") or {} for item in streams))
    rows = []
    for item in streams:
        values = item.get("values")
        if type(values) is not list or not all(map(_is_line, values)):
            return None

        about = [*map((item.get("stream") or {}).get, labels)]
        rows += [[*about, _read_nanoseconds(at), line] for at, line in values]

    return from_rows([*labels, "timestamp", "line"], rows, path=path)


def _read_nanoseconds(digits: str) -> Any:
    return _read_seconds(Decimal(digits) / 10**9)


def _is_line(value: Any) -> bool:
    is_list = type(value) is list and len(value) == 2
    return is_list and type(value[0]) is str and value[0].isdecimal()


def _read_frames(frames: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """Grafana's frames: fields with names and types beside their values, column by
    column; labels of a series are columns.
    """
    rows: list[dict[str, Any]] = []
    for frame in frames:
        match frame:
            case {"schema": {"fields": list(fields)}, "data": {"values": list(values)}}:
                pass
            case _:
                return None

        columns = [_read_field(*pair) for pair in zip(fields, values, strict=False)]
        if len(fields) != len(values) or len(set(map(len, columns))) > 1:
            return None

        names = [str(field.get("name")) for field in fields]
        labels = _labels_of(fields)
        cells = zip(*columns, strict=True)
        rows += [labels | dict(zip(names, row, strict=True)) for row in cells]

    return from_records(rows, path=path) if rows else None


def _read_field(field: Mapping[str, Any], values: list[Any]) -> list[Any]:
    if field.get("type") != "time":
        return values
    # in milliseconds since 1970
    return [
        _read_seconds(at / 1000) if type(at) in (int, float) else at for at in values
    ]


def _labels_of(fields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The labels of all fields of a frame."""
    found: dict[str, Any] = {}
    for field in fields:
        found |= field.get("labels") or {}

    return found


def _tags_of(series: dict[str, Any]) -> dict[str, Any]:
    return series.get("tags") or {}


def _read_prometheus(series: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """`{"metric": {"job": "a"}, "values": [[1704412800, "1"]]}`: labels, time and value a row."""
    labels = list(keys_in_order(item.get("metric") or {} for item in series))
    rows = []
    for item in series:
        # `values` are the points of a range, `value` is the one of an instant.
        points: Any = item.get("values")
        if type(points) is not list:
            points = [item.get("value")]

        for point in points:
            if not _is_point(point):
                return None

            metric = item.get("metric") or {}
            seconds, value = point
            moment = _read_seconds(seconds)
            rows.append([*map(metric.get, labels), moment, _read_number(value)])

    return from_rows([*labels, "timestamp", "value"], rows, path=path)


def _is_point(value: Any) -> bool:
    return type(value) is list and len(value) == 2 and type(value[0]) in (int, float)


def _read_seconds(seconds: float | Decimal) -> Any:
    try:
        return _EPOCH + dt.timedelta(microseconds=round(seconds * 1_000_000))
    except OverflowError:
        return None


def _read_number(text: Any) -> Any:
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def keys_in_order(items: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    """The keys of all items, each once, as they first come."""
    return dict.fromkeys(itertools.chain.from_iterable(items))


def read_measurement(value: dict[str, Any], path: str) -> Raw | None:
    """Prometheus' one value with its time: `{"resultType": "scalar", "result":
    [1704412800, "42"]}`.
    """
    match value:
        case {"resultType": "scalar" | "string", "result": list(point)}:
            if not _is_point(point):
                return None
        case _:
            return None

    cells = [_read_seconds(point[0]), point[1]]
    if value["resultType"] == "scalar":
        cells[1] = _read_number(point[1])

    raw = from_rows(["timestamp", "value"], [cells], path=path)
    return raw.mark_taken(value, "result")


# --- SPARQL


def read_sparql(value: dict[str, Any], path: str) -> Raw | None:
    """SPARQL's results in JSON, each cell by its datatype; a language is a column of
    its own, beside the text.
    """
    match value:
        case {"head": {"vars": list(names)}, "results": {"bindings": list(rows)}}:
            pass
        case _:
            return None

    if not all(type(row) is dict for row in rows):
        return None

    heads: list[str] = []
    columns: list[list[Any]] = []
    kinds: list[str | None] = []
    for name in map(str, names):
        terms = [row.get(name) or {} for row in rows]
        if not all(type(term) is dict for term in terms):
            return None

        heads.append(name)
        columns.append(list(map(_read_term, terms)))
        is_text = not any("datatype" in term for term in terms)
        kinds.append("text" if is_text else None)
        languages = [term.get("xml:lang") for term in terms]
        if any(languages):
            heads.append(f"{name}_lang")
            columns.append(languages)
            kinds.append("text")

    raw = Raw(tuple(heads), tuple(columns), len(rows), declared=tuple(kinds), path=path)
    return raw.mark_taken(rows).mark_taken(names)


def _read_term(term: Mapping[str, Any]) -> Any:
    kind = str(term.get("datatype", "")).rpartition("#")[2]
    return _convert(term.get("value"), _XML_TYPES.get(kind))


def _convert(value: Any, read: Callable[[str], Any] | None) -> Any:
    """A text as its type reads it; anything else, and what does not fit, as it is."""
    if read is None or type(value) is not str:
        return value

    try:
        return read(value)
    except (ValueError, InvalidOperation, OverflowError, KeyError):
        return value


_TRUTH = {"true": True, "1": True, "false": False, "0": False}
# XML Schema's types, which SPARQL names by their addresses.
_XML_TYPES: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(
        "integer int long short byte nonNegativeInteger positiveInteger "
        "negativeInteger nonPositiveInteger unsignedInt unsignedLong unsignedShort "
        "unsignedByte".split(),
        int,
    ),
    "decimal": Decimal,
    "double": float,
    "float": float,
    "date": dt.date.fromisoformat,
    "dateTime": dt.datetime.fromisoformat,
    "boolean": _TRUTH.__getitem__,
}


# --- BigQuery


def read_bigquery(
    cells: Sequence[Any], fields: Sequence[Mapping[str, Any]]
) -> list[Any]:
    """The cells of one row of BigQuery's REST interface, by the types of its fields:
    times are seconds since 1970, a record is a row, a repeated value a list.
    """
    return [_read_cell(*pair) for pair in zip(cells, fields, strict=True)]


def _read_cell(value: Any, field: Mapping[str, Any]) -> Any:
    if type(value) is dict and value.keys() == {"v"}:
        value = value["v"]
    if field.get("mode") == "REPEATED" and type(value) is list:
        single = {**field, "mode": "NULLABLE"}
        return [_read_cell(item, single) for item in value]

    kind = str(field.get("type", "")).upper()
    inner = field.get("fields")
    match value:
        case {"f": list(cells)} if type(inner) is list and len(inner) == len(cells):
            names = [str(item.get("name")) for item in inner]
            return dict(zip(names, map(_read_cell, cells, inner), strict=True))

    return _convert(value, _BIGQUERY_TYPES.get(kind))


def _read_instant(text: str) -> dt.datetime:
    """Seconds since 1970; with `useInt64Timestamp` microseconds, in digits."""
    is_whole = text.lstrip("-").isdecimal() and len(text) > _MICROSECONDS
    seconds = Decimal(text) / 1_000_000 if is_whole else Decimal(text)
    return _EPOCH + dt.timedelta(microseconds=int(seconds * 1_000_000))


# Types that a column's declaration covers stay text.
_BIGQUERY_TYPES: dict[str, Callable[[str], Any]] = {
    "TIMESTAMP": _read_instant,
    **dict.fromkeys(["INTEGER", "INT64"], int),
    **dict.fromkeys(["FLOAT", "FLOAT64"], float),
    **dict.fromkeys(["BOOLEAN", "BOOL"], _TRUTH.__getitem__),
}


# --- charts


def read_chart(value: dict[str, Any], path: str) -> Raw | None:
    """The data of a chart: `{"labels": ["Jan"], "datasets": [{"label": "n", "data":
    [1]}]}` has a column a data set.
    """
    match value:
        case {"labels": list(labels), "datasets": list(sets)}:
            pass
        case _:
            return None

    if not all(type(item) is dict for item in sets) or not sets:
        return None

    points = [item.get("data") for item in sets]
    if any(type(data) is not list or len(data) != len(labels) for data in points):
        return None

    names = [str(item.get("label", at)) for at, item in enumerate(sets, start=1)]
    raw = Raw(
        ("label", *names),
        (labels, *(item["data"] for item in sets)),
        len(labels),
        path=path,
    ).mark_taken(labels)
    for item in sets:
        raw = raw.mark_taken(item, "label", "data")

    return raw


# --- cells that an object stands for


_DYNAMO = {"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}
_TAGS = {"null", "integer", "float", "text", "blob"}
# digits of a number; int() of more takes longer than the text is worth
_LONGEST = 6_000


def undo_cell(value: dict[str, Any]) -> Any:
    """What an object stands for: bytes or MongoDB's extended JSON; else the object itself."""
    if len(value) > 4:
        return value

    if len(value) == 1:
        decode = _EXTENDED.get(next(iter(value), ""))
    else:
        decode = None

    try:
        if decode:
            return decode(next(iter(value.values())))
        return _bytes(value)
    except (
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        InvalidOperation,
        binascii.Error,
        AttributeError,
    ):
        return value


def _bytes(value: dict[str, Any]) -> Any:
    """Node's `{"type": "Buffer", "data": [0, 1]}`, and one text beside its `encoding`
    and perhaps its size.
    """
    if (
        value.keys() == {"type", "data"}
        and value["type"] == "Buffer"
        and type(value["data"]) is list
    ):
        return bytes(value["data"])
    if value.get("encoding") not in ("base64", "hex"):
        return value

    texts = [
        item
        for key, item in value.items()
        if key not in ("encoding", "type") and type(item) is str
    ]
    sizes = [item for item in value.values() if type(item) is int]
    if len(texts) != 1:
        return value

    if value["encoding"] == "hex":
        data = bytes.fromhex(texts[0])
    else:
        data = _base64(texts[0])

    if all(size == len(data) for size in sizes):
        return data

    return value


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _date(value: Any) -> dt.datetime:
    """`"2024-01-05T00:00:00Z"`, or milliseconds since 1970."""
    if type(value) is str:
        moment = dt.datetime.fromisoformat(value)
        if moment.tzinfo:
            return moment

        return moment.replace(tzinfo=dt.UTC)

    if type(value) is dict:
        milliseconds = value["$numberLong"]
    else:
        milliseconds = value

    return _EPOCH + dt.timedelta(milliseconds=_integer(milliseconds))


def _integer(value: Any) -> int:
    if type(value) not in (str, int) or len(str(value)) > _LONGEST:
        raise ValueError("no integer")
    return int(value)


def _decimal(value: Any) -> Decimal | float:
    number = Decimal(value)
    if number.is_finite():
        return number
    return float(number)


_EXTENDED: Mapping[str, Callable[[Any], Any]] = {
    "$oid": str,
    "$numberInt": _integer,
    "$numberLong": _integer,
    "$numberDouble": float,
    "$numberDecimal": _decimal,
    "$date": _date,
    "$uuid": uuid.UUID,
    "$binary": lambda value: _base64(value["base64"]),
    "base64": _base64,
    "$base64": _base64,
}


def undo_rows(cells: Sequence[Sequence[Any]]) -> list[list[Any]] | None:
    """Rows whose every cell is wrapped in one way, undone; None when they are not.

    `{"v": 1}` (BigQuery, Google's charts), `{"stringValue": "x"}` and `{"isNull":
    true}` (AWS), `{"S": "x"}` (DynamoDB), `{"type": "integer", "value": "1"}` (libSQL).
    """
    flat = [cell for row in cells for cell in row if cell is not None]
    if not flat or not all(type(cell) is dict and len(cell) <= 2 for cell in flat):
        return None

    keys = {key for cell in flat for key in cell}
    for fits, undo in _WRAPPINGS:
        if fits(keys, flat):
            return [
                [None if cell is None else undo(cell) for cell in row] for row in cells
            ]

    return None


def _of_libsql(cell: dict[str, Any]) -> Any:
    kind, value = cell["type"], cell.get("value", cell.get("base64"))
    if kind == "integer" and type(value) is str and len(value) < _LONGEST:
        return int(value)
    if kind == "blob" and type(value) is str:
        return _base64_or(value + "=" * (-len(value) % 4))
    return value


def _of_dynamo(cell: dict[str, Any]) -> Any:
    kind, value = next(iter(cell.items()))
    if kind == "NULL":
        return None
    if kind == "N":
        return _number(value)

    if kind == "L":
        if all(map(_is_dynamo, value)):
            return [_of_dynamo(item) for item in value]
        return value

    if kind == "M":
        return {
            key: _of_dynamo(item) if _is_dynamo(item) else item
            for key, item in value.items()
        }
    if kind == "NS":
        return [_number(item) for item in value]
    if kind == "B":
        return _base64_or(value)

    return value


def _is_dynamo(cell: Any) -> bool:
    return (
        type(cell) is dict
        and len(cell) == 1
        and cell.keys() <= _DYNAMO
        and _fits_dynamo(*next(iter(cell.items())))
    )


def _fits_dynamo(kind: str, value: Any) -> bool:
    wanted = {
        "M": dict,
        "L": list,
        "SS": list,
        "NS": list,
        "BS": list,
        "BOOL": bool,
        "NULL": bool,
    }.get(kind, str)
    return type(value) is wanted


def _number(text: str) -> Any:
    """DynamoDB's numbers have up to 38 digits and come as text."""
    if len(text) > _LONGEST:
        return text

    try:
        if text.lstrip("-").isdecimal():
            return int(text)
        return Decimal(text)
    except (ValueError, InvalidOperation):
        return text


def _base64_or(text: Any) -> Any:
    try:
        return _base64(text)
    except (ValueError, TypeError, binascii.Error):
        return text


_WRAPPINGS: tuple[
    tuple[
        Callable[[set[str], list[dict[str, Any]]], bool],
        Callable[[dict[str, Any]], Any],
    ],
    ...,
] = (
    (lambda keys, _: keys in ({"v"}, {"v", "f"}), lambda cell: cell.get("v")),
    (
        lambda keys, cells: (
            all(key == "isNull" or key.endswith("Value") for key in keys)
            and max(map(len, cells)) == 1
        ),
        lambda cell: None if "isNull" in cell else next(iter(cell.values()), None),
    ),
    (
        lambda keys, cells: (
            "type" in keys
            and keys <= {"type", "value", "base64"}
            and all(cell.get("type") in _TAGS for cell in cells)
        ),
        _of_libsql,
    ),
    (lambda keys, cells: keys <= _DYNAMO and all(map(_is_dynamo, cells)), _of_dynamo),
)
