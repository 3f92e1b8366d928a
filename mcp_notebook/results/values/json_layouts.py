"""Layouts that services have of their own: a row inside an object about it, a
spreadsheet's cells, named columns.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from mcp_notebook.results.columns import wrappers
from mcp_notebook.results.raw_table import Raw, from_records, from_rows
from mcp_notebook.results.values import json_headings

# The key that holds the row's fields, and the keys that may stand beside it.
_INSIDE: tuple[tuple[str, frozenset[str]], ...] = (
    ("node", frozenset({"cursor"})),  # GraphQL connections
    ("_source", frozenset({"_index", "_id", "_score", "_type", "_version", "_seq_no", "_primary_term", "_routing",
                           "_ignored", "sort"})),
    ("doc", frozenset({"id", "key", "value"})),  # CouchDB
    ("fields", frozenset({"id", "createdTime"})),  # Airtable
    # JSON:API
    ("attributes", frozenset({"type", "id", "links", "relationships", "meta"})),
)  # fmt: skip
_SCALAR = (str, int, float, bool, type(None))
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def opened(records: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """Records whose fields are all in one key: they are the columns here, and what
    stood beside it follows.
    """
    first = records[0]
    for key, beside in _INSIDE:
        if (
            type(first.get(key)) is dict
            and (len(first) > 1 or key == "node")
            and set(first) - {key} <= beside
        ):
            break
    else:
        return None
    if not all(
        type(item.get(key)) is dict and item.keys() - {key} <= beside
        for item in records
    ):
        return None
    inner = dict.fromkeys(name for item in records for name in item[key])
    others = [
        name
        for name in dict.fromkeys(n for item in records for n in item)
        if name not in (key, "cursor")
    ]
    labels = {name: _free(name, inner) for name in others}
    flat = [
        {**item[key], **{label: item.get(name) for name, label in labels.items()}}
        for item in records
    ]
    raw = from_records(flat, [*inner, *labels.values()], path=path)
    return raw.noted(
        f"the fields stood inside `{key}` of each row; they are columns here"
    )


def _free(name: str, taken: Mapping[str, Any]) -> str:
    count = 2
    label = name
    while label in taken:
        label, count = f"{name}_{count}", count + 1
    return label


def typed_records(records: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """Records whose every cell is in an object that names its type (DynamoDB)."""
    if not all(type(cell) is dict for item in records for cell in item.values()):
        return None
    names = list(dict.fromkeys(name for item in records for name in item))
    cells = (
        wrappers.rows([[item.get(name) for name in names] for item in records])
        if names
        else None
    )
    return None if cells is None else from_rows(names, cells, path=path)


def named_first(value: Sequence[Any], path: str) -> Raw | None:
    """A list of names, then objects with just these keys."""
    names, records = value[0], value[1:]
    if (
        type(names) is not list
        or not names
        or not all(type(name) is str for name in names)
    ):
        return None
    if not records or not all(
        type(item) is dict and item.keys() <= set(names) for item in records
    ):
        return None
    return from_records(records, names, path=path)


def sheet(value: Mapping[str, Any], path: str) -> Raw | None:
    """A range of a spreadsheet, `{"range": "A1:B3", "majorDimension": "ROWS", "values":
    [[…]]}`: names come first.
    """
    cells = value.get("values")
    if type(value.get("range")) is not str or type(cells) is not list or len(cells) < 2:
        return None
    if not all(type(row) is list for row in cells):
        return None
    if value.get("majorDimension") == "COLUMNS":
        height = max(map(len, cells))
        cells = [
            list(row)
            for row in zip(
                *([*column, *[None] * (height - len(column))] for column in cells),
                strict=True,
            )
        ]
    names, *rows = cells
    if (
        not names
        or not all(type(name) is str and name for name in names)
        or any(len(row) > len(names) for row in rows)
    ):
        return None
    filled = [[*row, *[None] * (len(names) - len(row))] for row in rows]
    raw = from_rows(names, filled, path=path, text="all")
    return raw.noted(
        "a spreadsheet's first row was taken as the header", approximate=True
    )


def described_columns(value: Mapping[str, Any], path: str) -> Raw | None:
    """`{"meta": [{"name": "a", "type": "Int32"}], "data": {"a": [1, 2]}}`: columns by
    name beside their types.
    """
    for key, columns in value.items():
        lists = list(columns.values()) if type(columns) is dict else []
        if not lists or not all(
            type(column) is list and len(column) == len(lists[0]) for column in lists
        ):
            continue
        others = {name: sub for name, sub in value.items() if name != key}
        for found in json_headings.candidates(others):
            if found.sure and list(found.names) == list(columns):
                where = f"{path}.{key}" if path else key
                return Raw(
                    found.names,
                    tuple(lists),
                    len(lists[0]),
                    declared=found.declared,
                    path=where,
                )
    return None


def lists(value: dict[str, Any], path: str) -> Raw | None:
    """`{"a": [1, 2], "b": [3, 4]}`: every value a list of scalars, all of one length,
    two columns at least.
    """
    columns = list(value.values())
    if len(columns) < 2 or not all(type(item) is list for item in columns):
        return None
    size = len(columns[0])
    if not size or any(
        len(item) != size or not all(isinstance(cell, _SCALAR) for cell in item)
        for item in columns
    ):
        return None
    return Raw(tuple(map(str, value)), tuple(columns), size, path=path)


def indexed(value: dict[str, Any], path: str) -> Raw | None:
    """pandas' `to_dict()`/`to_json()`: `{"a": {"0": 1, "1": 2}}` by column, `{"0":
    {"a": 1}}` by row.
    """
    inner = list(value.values())
    if not inner or not all(type(item) is dict and item for item in inner):
        return None
    keys = inner[0].keys()
    if any(item.keys() != keys for item in inner):
        return None
    scalars = all(isinstance(cell, _SCALAR) for item in inner for cell in item.values())
    if not scalars and not (_numbered(keys) and len(keys) > 1):
        return None
    if _numbered(keys):
        return Raw(
            tuple(map(str, value)),
            tuple(list(item.values()) for item in inner),
            len(keys),
            path=path,
        )
    return from_records(inner, path=path) if _numbered(value) else None


def under_names(value: dict[str, Any], path: str) -> Raw | None:
    """pandas' columns under the statement's names: each an object from row numbers to
    cells, or all empty.
    """
    inner = list(value.values())
    if not all(type(item) is dict for item in inner) or any(
        item.keys() != inner[0].keys() for item in inner
    ):
        return None
    if not _numbered(inner[0]) or (not inner[0] and len(inner) < 2):
        return None
    return Raw(
        tuple(map(str, value)),
        tuple(list(item.values()) for item in inner),
        len(inner[0]),
        path=path,
    )


def labelled(value: dict[str, Any], path: str) -> Raw | None:
    """Objects of one form under different names (`{"Bonn": {"n": 1}, "Rome": {"n":
    2}}`): the name is a column.
    """
    inner = list(value.values())
    if (
        len(inner) < 2
        or not all(type(item) is dict and item for item in inner)
        or len(inner[0]) < 2
    ):
        return None
    if any(item.keys() != inner[0].keys() for item in inner):
        return None
    if not all(isinstance(cell, _SCALAR) for item in inner for cell in item.values()):
        return None
    label = next(
        name for name in ("name", "key", "label", "entry") if name not in inner[0]
    )
    raw = from_records(
        [{label: name, **item} for name, item in value.items()], path=path
    )
    return raw.noted(f"each row stood under a name of its own, which is `{label}`")


def _numbered(keys: Any) -> bool:
    return all(str(key) == str(number) for number, key in enumerate(keys))


def of_list(value: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """The one table of a list of series; None when it is another list."""
    first = value[0]
    if type(first.get("columns")) is list and type(first.get("values")) is list:
        return _influx(value, path)
    if type(first.get("metric")) is dict and (
        type(first.get("value")) is list or type(first.get("values")) is list
    ):
        return _prometheus(value, path)
    return None


def _influx(value: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """`{"name": "cpu", "tags": {"host": "a"}, "columns": [...], "values": [[...]]}`:
    the tags are columns here.
    """
    columns = value[0]["columns"]
    tags = list(value[0].get("tags") or {})
    same = all(
        item.get("columns") == columns and list(item.get("tags") or {}) == tags
        for item in value
    )
    if (
        not same
        or not all(type(name) is str for name in columns)
        or not (tags or len(value) == 1)
    ):
        return None
    named = len({item.get("name") for item in value}) > 1
    head = (["name"] if named else []) + tags
    rows = []
    for item in value:
        labels = ([item.get("name")] if named else []) + [
            (item.get("tags") or {})[tag] for tag in tags
        ]
        for row in item.get("values") or ():
            if type(row) is not list or len(row) != len(columns):
                return None
            rows.append([*labels, *row])
    return from_rows([*head, *columns], rows, path=path)


def _prometheus(value: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """`{"metric": {"job": "a"}, "values": [[1704412800, "1"]]}`: labels, time and value a row."""
    labels = list(
        dict.fromkeys(label for item in value for label in item.get("metric") or {})
    )
    rows = []
    for item in value:
        points = (
            item.get("values")
            if type(item.get("values")) is list
            else [item.get("value")]
        )
        for point in points or ():
            if (
                type(point) is not list
                or len(point) != 2
                or type(point[0]) not in (int, float)
            ):
                return None
            rows.append(
                [
                    *((item["metric"] or {}).get(label) for label in labels),
                    _moment(point[0]),
                    _number(point[1]),
                ]
            )
    return from_rows([*labels, "timestamp", "value"], rows, path=path)


def _moment(seconds: float) -> Any:
    try:
        return _EPOCH + dt.timedelta(seconds=seconds)
    except OverflowError:
        return None


def _number(text: Any) -> Any:
    try:
        return float(text)
    except (TypeError, ValueError):
        return text
