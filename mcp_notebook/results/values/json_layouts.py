"""Layouts that services and libraries have of their own: a row inside an object about
it, a spreadsheet's cells, measurements in series, columns by name, pandas' `to_dict()`.

Each reader answers with the one table, or with None when the value is something else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mcp_notebook.results.columns import wrappers
from mcp_notebook.results.raw_table import Raw, from_records, from_rows
from mcp_notebook.results.values import json_headings
from mcp_notebook.results.values.json_headings import holds_only

# The key that holds the row's fields, and the keys that may stand beside it.
_INSIDE: tuple[tuple[str, frozenset[str]], ...] = (
    ("node", frozenset({"cursor"})),  # GraphQL connections
    # Elasticsearch
    (
        "_source",
        frozenset(
            "_index _id _score _type _version _seq_no _primary_term _routing _ignored "
            "sort".split()
        ),
    ),
    ("doc", frozenset({"id", "key", "value"})),  # CouchDB
    ("fields", frozenset({"id", "createdTime"})),  # Airtable
    # JSON:API
    ("attributes", frozenset({"type", "id", "links", "relationships", "meta"})),
)
_SCALAR = (str, int, float, bool, type(None))
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


# --- lists of objects


def read_wrapped_records(records: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """Records whose fields are all in one key: they are the columns here, and what
    stood beside it follows.
    """
    key = _wrapping_key(records)
    if key is None:
        return None

    fields = _keys_in_order(record[key] for record in records)
    beside = [name for name in _keys_in_order(records) if name not in (key, "cursor")]
    labels = {name: _free_name(name, fields) for name in beside}
    flat = []
    for record in records:
        row = dict(record[key])
        for name, label in labels.items():
            row[label] = record.get(name)

        flat.append(row)

    raw = from_records(flat, [*fields, *labels.values()], path=path)
    return raw.with_note(
        f"the fields stood inside `{key}` of each row; they are columns here"
    )


def _wrapping_key(records: Sequence[dict[str, Any]]) -> str | None:
    """The key that holds the fields of each record, if the first record has one and all
    others have the same.
    """
    for key, beside in _INSIDE:
        # An object in the only key of a record is a cell, but for GraphQL's node.
        may_wrap = len(records[0]) > 1 or key == "node"
        if may_wrap and _wraps(records[0], key, beside):
            same = all(_wraps(record, key, beside) for record in records)
            if same:
                return key

            return None

    return None


def _wraps(record: dict[str, Any], key: str, beside: frozenset[str]) -> bool:
    return type(record.get(key)) is dict and record.keys() - {key} <= beside


def _keys_in_order(records: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    keys: dict[str, None] = {}
    for record in records:
        keys.update(dict.fromkeys(record))
    return keys


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    count = 2
    label = name
    while label in taken:
        label, count = f"{name}_{count}", count + 1
    return label


def read_typed_cells(records: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """Records whose every cell is in an object that names its type (DynamoDB)."""
    for record in records:
        if not set(map(type, record.values())) <= {dict}:
            return None

    names = list(_keys_in_order(records))
    if not names:
        return None

    cells = wrappers.rows([list(map(record.get, names)) for record in records])
    if cells is None:
        return None

    return from_rows(names, cells, path=path)


def read_names_before_records(value: Sequence[Any], path: str) -> Raw | None:
    """A list of names, then objects with just these keys."""
    names, records = value[0], value[1:]
    if type(names) is not list or not holds_only(names, str):
        return None
    if not holds_only(records, dict):
        return None

    known = set(names)
    if not all(record.keys() <= known for record in records):
        return None

    return from_records(records, names, path=path)


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
    labels = list(_keys_in_order(item.get("metric") or {} for item in series))
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


# In this order: a series also looks like a record whose cells are objects.
OF_RECORDS = (read_series, read_wrapped_records, read_typed_cells)


# --- objects


def read_sheet(value: Mapping[str, Any], path: str) -> Raw | None:
    """A range of a spreadsheet, `{"range": "A1:B3", "majorDimension": "ROWS", "values":
    [[…]]}`: names come first.
    """
    match value:
        case {"range": str(), "values": list([list(), list(), *_])}:
            cells = value["values"]
        case _:
            return None

    if not holds_only(cells, list):
        return None

    if value.get("majorDimension") == "COLUMNS":
        columns = _fill_up(cells, max(map(len, cells)))
        cells = [list(row) for row in zip(*columns, strict=True)]

    names, *rows = cells
    if not holds_only(names, str) or not all(names):
        return None
    if any(len(row) > len(names) for row in rows):
        return None

    # Google leaves blank cells at the end of a row out.
    raw = from_rows(names, _fill_up(rows, len(names)), path=path, text="all")
    return raw.with_note(
        "a spreadsheet's first row was taken as the header", approximate=True
    )


def _fill_up(rows: Sequence[list[Any]], width: int) -> list[list[Any]]:
    return [row + [None] * (width - len(row)) for row in rows]


def read_described_columns(value: Mapping[str, Any], path: str) -> Raw | None:
    """`{"meta": [{"name": "a", "type": "Int32"}], "data": {"a": [1, 2]}}`: columns by
    name beside their types (ClickHouse's `JSONColumnsWithMetadata`).
    """
    for key, columns in value.items():
        if type(columns) is dict:
            lists = list(columns.values())
        else:
            lists = []

        if not _are_equal_lists(lists):
            continue

        others = {name: sub for name, sub in value.items() if name != key}
        for found in json_headings.candidates(others):
            if not found.sure or list(found.names) != list(columns):
                continue
            return Raw(
                found.names,
                tuple(lists),
                len(lists[0]),
                declared=found.declared,
                path=f"{path}.{key}" if path else key,
            )

    return None


def _are_equal_lists(values: Sequence[Any]) -> bool:
    if not holds_only(values, list):
        return False
    return all(len(item) == len(values[0]) for item in values)


def read_equal_lists(value: dict[str, Any], path: str) -> Raw | None:
    """`{"a": [1, 2], "b": [3, 4]}`: every value a list of scalars, all of one length,
    two columns at least.
    """
    columns = list(value.values())
    if len(columns) < 2 or not _are_equal_lists(columns):
        return None

    size = len(columns[0])
    if not size or not all(map(_are_scalars, columns)):
        return None

    return Raw(tuple(map(str, value)), tuple(columns), size, path=path)


def _are_scalars(cells: Iterable[Any]) -> bool:
    return all(isinstance(cell, _SCALAR) for cell in cells)


def read_pandas_dict(value: dict[str, Any], path: str) -> Raw | None:
    """pandas' `to_dict()`/`to_json()`: `{"a": {"0": 1, "1": 2}}` by column, `{"0":
    {"a": 1}}` by row.
    """
    inner = list(value.values())
    if not _are_equal_objects(inner) or not inner[0]:
        return None

    by_number = _are_row_numbers(inner[0])
    # Cells that are lists or objects are believed below two row numbers only.
    has_two_rows = by_number and len(inner[0]) > 1
    if not has_two_rows and not all(_are_scalars(item.values()) for item in inner):
        return None
    if by_number:
        return _columns_of(value, path)
    if _are_row_numbers(value):
        return from_records(inner, path=path)

    return None


def read_columns_by_number(value: dict[str, Any], path: str) -> Raw | None:
    """pandas' columns under the statement's names: each an object from row numbers to
    cells, or all empty.
    """
    inner = list(value.values())
    if not _are_equal_objects(inner) or not _are_row_numbers(inner[0]):
        return None
    # One empty object may as well be a cell.
    if not inner[0] and len(inner) < 2:
        return None

    return _columns_of(value, path)


def _are_equal_objects(values: Sequence[Any]) -> bool:
    """Whether all are objects with the same keys, and there is one at least."""
    if not holds_only(values, dict):
        return False
    return all(item.keys() == values[0].keys() for item in values)


def _are_row_numbers(keys: Iterable[Any]) -> bool:
    """Whether the keys are 0, 1, 2 and so on, as numbers or as JSON's texts."""
    return all(str(key) == str(number) for number, key in enumerate(keys))


def _columns_of(value: dict[str, dict[Any, Any]], path: str) -> Raw:
    columns = [list(column.values()) for column in value.values()]
    return Raw(tuple(map(str, value)), tuple(columns), len(columns[0]), path=path)


def read_named_objects(value: dict[str, Any], path: str) -> Raw | None:
    """Objects of one form under different names (`{"Bonn": {"n": 1}, "Rome": {"n":
    2}}`): the name is a column.
    """
    inner = list(value.values())
    if len(inner) < 2 or not _are_equal_objects(inner) or len(inner[0]) < 2:
        return None
    if not all(_are_scalars(item.values()) for item in inner):
        return None

    labels = ("name", "key", "label", "entry")
    label = next(name for name in labels if name not in inner[0])
    rows = [{label: name, **item} for name, item in value.items()]
    raw = from_records(rows, path=path)
    return raw.with_note(f"each row stood under a name of its own, which is `{label}`")
