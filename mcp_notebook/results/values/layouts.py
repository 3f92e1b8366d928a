"""Layouts that services have of their own: a row inside an object about it, a
spreadsheet's cells, named columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcp_notebook.results.columns import wrappers
from mcp_notebook.results.raw import Raw, from_records, from_rows
from mcp_notebook.results.values import headings

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
        for found in headings.candidates(others):
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
