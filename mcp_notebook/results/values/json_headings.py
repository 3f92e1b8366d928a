"""Columns that a server lists apart from its rows, with or without types, and rows that
come without any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from mcp_notebook.results.columns import declared, strings, wrappers
from mcp_notebook.results.raw_table import Raw, from_records, from_rows

_NAME_KEYS = (
    "name",
    "column_name",
    "columnname",
    "column",
    "field",
    "fieldname",
    "field_name",
    "label",
    "title",
    "key",
    "id",
)
_TYPE_KEYS = (
    "type", "data_type", "datatype", "type_name", "typename", "type_text", "column_type", "columntype", "db_type",
    "dbtype", "dtype", "sql_type", "sqltype", "dataTypeName",
)  # fmt: skip
_LIST_KEYS = (
    "columns", "fields", "column_names", "columnnames", "headers", "header", "meta", "schema", "cols", "names",
    "colnames", "columninfo", "column_info", "columnmetadata", "column_metadata", "resultsetmetadata", "metadata",
    "keys", "attributes", "fieldnames", "field_names", "columnheaders", "labels", "manifest", "description",
    "columns_info", "fieldinfo",
)  # fmt: skip
_TYPE_LISTS = (
    "columntypes",
    "column_types",
    "types",
    "datatypes",
    "data_types",
    "dtypes",
    "field_types",
    "col_types",
)
_SCALAR = (str, int, float, bool, type(None))


class Columns(NamedTuple):
    """Names in order and the types declared for them; `sure` when the key says that
    these are columns.
    """

    names: tuple[str, ...]
    declared: tuple[str | None, ...]
    sure: bool


def has_rows(value: Mapping[str, Any]) -> bool:
    """Whether a list that is called columns stands beside a list of rows, each a list."""
    named = any(
        str(key).lower() in _LIST_KEYS and type(sub) is list and sub
        for key, sub in value.items()
    )
    return named and any(
        str(key).lower() not in _LIST_KEYS
        and type(sub) is list
        and bool(sub)
        and all(type(row) is list for row in sub)
        for key, sub in value.items()
    )


def candidates(value: Mapping[str, Any], depth: int = 0) -> Iterator[Columns]:
    """Everything in an envelope that may list columns, the most likely key first,
    nested ones after.
    """
    ranked = sorted(value.items(), key=lambda item: _rank(item[0]))
    types = next(
        (sub for key, sub in value.items() if str(key).lower() in _TYPE_LISTS), None
    )
    for key, sub in ranked:
        sure = str(key).lower() in _LIST_KEYS
        if (columns := _columns(sub, sure)) is not None:
            yield _with_types(columns, types)
    for key, sub in ranked:
        if type(sub) is dict and depth < 3:
            if str(key).lower() in _LIST_KEYS and (mapped := _mapped(sub)) is not None:
                yield mapped
            yield from candidates(sub, depth + 1)


def _rank(key: str) -> int:
    lowered = str(key).lower()
    return _LIST_KEYS.index(lowered) if lowered in _LIST_KEYS else len(_LIST_KEYS)


def _columns(value: Any, sure: bool) -> Columns | None:
    if type(value) not in (list, tuple) or not value:
        return None
    if all(type(item) is str for item in value):
        return Columns(tuple(value), (None,) * len(value), sure)
    if all(type(item) is dict for item in value):
        pairs = [_described(item) for item in value]
        if all(name is not None for name, _ in pairs):
            return Columns(
                tuple(str(name) for name, _ in pairs),
                tuple(kind for _, kind in pairs),
                sure,
            )
    if sure and all(
        type(item) in (list, tuple) and item and type(item[0]) is str for item in value
    ):
        kinds = tuple(
            str(item[1]) if len(item) > 1 and type(item[1]) is str else None
            for item in value
        )
        return Columns(tuple(item[0] for item in value), kinds, sure)
    return None


def _described(item: Mapping[str, Any]) -> tuple[str | None, str | None]:
    lowered = {str(key).lower(): sub for key, sub in item.items()}
    name = next(
        (lowered[key] for key in _NAME_KEYS if type(lowered.get(key)) is str), None
    )
    oid = lowered.get("datatypeid", lowered.get("type_oid", lowered.get("oid")))
    if type(oid) is int and oid in declared.POSTGRES_OIDS:
        return name, declared.POSTGRES_OIDS[oid]
    kind = next(
        (lowered[key] for key in _TYPE_KEYS if type(lowered.get(key)) is str), None
    )
    if type(lowered.get("type")) is dict:
        kind = next((sub for sub in lowered["type"].values() if type(sub) is str), kind)
    return name, kind


def _mapped(value: Mapping[str, Any]) -> Columns | None:
    """`{"id": "BIGINT", "name": "TEXT"}` under a key that says columns or schema."""
    if not value or not all(
        type(sub) is str and declared.kind(sub) for sub in value.values()
    ):
        return None
    return Columns(tuple(map(str, value)), tuple(value.values()), sure=True)


def _with_types(columns: Columns, types: Any) -> Columns:
    if (
        type(types) is list
        and len(types) == len(columns.names)
        and all(type(kind) is str for kind in types)
    ):
        return columns._replace(declared=tuple(types))
    if type(types) is dict and set(columns.names) <= types.keys():
        return columns._replace(
            declared=tuple(str(types[name]) for name in columns.names)
        )
    return columns


def pair(columns: Columns, rows: Sequence[Any], path: str) -> Raw | None:
    """Names and rows that fit each other as one table; None when they do not."""
    width = len(columns.names)
    if not rows:
        return (
            from_rows(columns.names, [], declared=columns.declared, path=path)
            if columns.sure
            else None
        )
    if all(type(row) is dict for row in rows):
        return _pair_records(columns, rows, path)
    if not all(type(row) in (list, tuple) for row in rows):
        return None
    if all(len(row) == width for row in rows):
        raw = from_rows(
            columns.names, _unwrapped(rows), declared=columns.declared, path=path
        )
        return _without_header(raw) if width > 1 else raw
    return _ragged(columns, rows, path) if columns.sure else None


def _without_header(raw: Raw) -> Raw:
    """Without a first row that repeats the names (Athena)."""
    if not raw.rows or [column[0] for column in raw.columns] != list(raw.names or ()):
        return raw
    raw = replace(
        raw, columns=tuple(column[1:] for column in raw.columns), rows=raw.rows - 1
    )
    return raw.noted("the first row repeated the names and was left out")


def _ragged(columns: Columns, rows: Sequence[Sequence[Any]], path: str) -> Raw | None:
    """Rows shorter than the header lost blank cells at their end; longer ones cannot be placed."""
    width = len(columns.names)
    if any(len(row) > width for row in rows):
        return None
    short = sum(len(row) < width for row in rows)
    filled = [[*row, *[None] * (width - len(row))] for row in rows]
    raw = from_rows(columns.names, filled, declared=columns.declared, path=path)
    return raw.noted(
        f"{short} rows had fewer cells than columns; filled with null at their end",
        approximate=True,
    )


def _pair_records(
    columns: Columns, rows: Sequence[dict[str, Any]], path: str
) -> Raw | None:
    keys = dict.fromkeys(key for row in rows for key in row)
    if (cells := nested_cells(rows)) is not None and all(
        len(row) == len(columns.names) for row in cells
    ):
        return _without_header(
            from_rows(columns.names, cells, declared=columns.declared, path=path)
        )
    if not columns.sure or not set(keys) <= set(columns.names):
        return None
    repeated = [name for name, count in Counter(columns.names).items() if count > 1]
    names = tuple(dict.fromkeys(columns.names))
    kinds = dict(zip(reversed(columns.names), reversed(columns.declared), strict=True))
    raw = from_records(
        rows, names, declared=tuple(kinds[name] for name in names), path=path
    )
    if not repeated:
        return raw
    return raw.noted(
        f"`{repeated[0]}` is the name of several columns and only the last one came",
        approximate=True,
    )


def nested_cells(rows: Sequence[dict[str, Any]]) -> list[list[Any]] | None:
    """Rows in one key of an object each: BigQuery's `{"f": [{"v": 1}]}`, Neo4j's
    `{"row": [...], "meta": [...]}`.
    """
    first = rows[0] if rows else {}
    key = next(
        (
            name
            for name in ("f", "c", "row", "Data", "cells")
            if type(first.get(name)) is list
        ),
        None,
    )
    if (
        key is None
        or len(first) > 3
        or not all(type(row.get(key)) is list for row in rows)
    ):
        return None
    return _unwrapped([row[key] for row in rows])


def _unwrapped(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The cells themselves where each is in an object of its own."""
    return wrappers.rows(rows) or [list(row) for row in rows]


def bare_rows(rows: Sequence[Sequence[Any]], path: str) -> Iterator[Raw]:
    """Rows without names: a first row of distinct texts above other kinds is taken as
    the header, and said.
    """
    width = max(map(len, rows))
    if not width or all(type(cell) is dict for row in rows for cell in row):
        return
    if (kinds := _types_row(rows)) is not None:
        raw = pair(Columns(tuple(rows[0]), kinds, sure=True), rows[2:], path)
        if raw is not None:
            yield raw
            return
    header = _header(rows)
    if header is not None:
        raw = pair(Columns(header, (None,) * len(header), sure=True), rows[1:], path)
        if raw is not None:
            yield raw.noted("the first row was taken as the header", approximate=True)
        return
    if any(len(row) != width for row in rows):
        return
    yield from_rows(None, rows, path=path)


def _types_row(rows: Sequence[Sequence[Any]]) -> tuple[str, ...] | None:
    """The types in the row below the names (ClickHouse's `…WithNamesAndTypes`)."""
    if len(rows) < 2 or not all(
        type(cell) is str and cell for row in rows[:2] for cell in row
    ):
        return None
    fits = len(rows[0]) == len(rows[1]) and not all(map(declared.kind, rows[0]))
    return tuple(rows[1]) if fits and all(map(declared.kind, rows[1])) else None


def _is_value(text: str) -> bool:
    return strings.is_number(text) or strings.is_temporal(text)


def _header(rows: Sequence[Sequence[Any]]) -> tuple[str, ...] | None:
    first = rows[0]
    if (
        len(rows) < 2
        or not all(type(cell) is str and cell.strip() for cell in first)
        or len(set(first)) < len(first)
    ):
        return None
    for number in range(len(first)):
        below = [
            row[number]
            for row in rows[1:]
            if number < len(row) and row[number] is not None
        ]
        if below and not any(type(cell) is str for cell in below):
            return tuple(first)
        if (
            below
            and all(type(cell) is str and _is_value(cell) for cell in below)
            and not _is_value(first[number])
        ):
            return tuple(first)
    return None
