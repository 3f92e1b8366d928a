"""Standard forms that name themselves: series of measurements (InfluxDB, Prometheus),
SPARQL's answers, collections of GeoJSON, the data of a chart.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from mcp_notebook.results.reading import Raw, from_rows

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

    return from_rows([*heads, *tags, *columns], rows, path=path)


def _tags_of(series: dict[str, Any]) -> dict[str, Any]:
    return series.get("tags") or {}


def _read_prometheus(series: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """`{"metric": {"job": "a"}, "values": [[1704412800, "1"]]}`: labels, time and value a row."""
    labels = list(_names_in_order(item.get("metric") or {} for item in series))
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


def _read_seconds(seconds: float) -> Any:
    try:
        return _EPOCH + dt.timedelta(seconds=seconds)
    except OverflowError:
        return None


def _read_number(text: Any) -> Any:
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def _names_in_order(items: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    names: dict[str, None] = {}
    for item in items:
        names.update(dict.fromkeys(item))

    return names


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
