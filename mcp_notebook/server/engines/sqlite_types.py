"""Column types of a SQLite answer: the declared type where SQLite itself can prove it,
else what the values are.

Python's sqlite3 does not expose where a result column comes from. SQLite does, though,
for the columns of a view: so the statement becomes a view in an empty in-memory copy of
the schema and `table_xinfo` tells each column's declared type. The copy's types carry a
mark, because newer SQLite versions also give expressions a type (their affinity).
"""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

from mcp_notebook.server.answer import Column
from mcp_notebook.server.engines import TableInfo

_MARK = "DECLARED_AS "
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?")
_TYPE_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_ ]*(\(\s*\d+\s*(,\s*\d+\s*)?\))?")


def declared_types(tables: Sequence[TableInfo], sql: str, width: int) -> list[str]:
    """The declared type of each of the `width` result columns, "" where the column is
    no table column.
    """
    with closing(sqlite3.connect(":memory:")) as copy:
        for table in tables:
            with suppress(sqlite3.Error):  # a view over something that is gone
                copy.execute(_empty_copy(table))
        try:
            copy.execute(f"create temp view described as {sql}")
            rows = copy.execute("pragma temp.table_info(described)").fetchall()
        except (sqlite3.Error, sqlite3.Warning):  # EXPLAIN and PRAGMA cannot be views
            return [""] * width
    types = [
        row[2].removeprefix(_MARK) if row[2].startswith(_MARK) else "" for row in rows
    ]
    return types if len(types) == width else [""] * width


def column_types(
    names: Sequence[str], declared: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[Column, ...]:
    """Name and type of each column; a declared type that the values contradict gives
    way to what they are.
    """
    columns = []
    for index, (name, type_) in enumerate(zip(names, declared, strict=True)):
        values = [row[index] for row in rows if row[index] is not None]
        proven = bool(type_) and _fits(type_, values)
        columns.append(
            Column(name, type_.upper() if proven else _type_of(values), declared=proven)
        )
    return tuple(columns)


def typed_rows(
    columns: Sequence[Column], rows: Sequence[Sequence[Any]]
) -> list[Sequence[Any]]:
    """The rows with the 0 and 1 of BOOLEAN columns as false and true; all else as
    SQLite gave it.
    """
    booleans = {
        index for index, column in enumerate(columns) if column.type.startswith("BOOL")
    }
    if not booleans:
        return list(rows)
    return [
        [bool(v) if i in booleans and v is not None else v for i, v in enumerate(row)]
        for row in rows
    ]


def _empty_copy(table: TableInfo) -> str:
    if table.kind == "view":
        return table.definition
    columns = ", ".join(
        f'"{c.name.replace(chr(34), chr(34) * 2)}" {_marked(c.type)}'
        for c in table.columns
    )
    return f'create table "{table.name.replace(chr(34), chr(34) * 2)}" ({columns})'


def _marked(type_: str) -> str:
    return _MARK + type_ if _TYPE_WORDS.fullmatch(type_) else ""


def _fits(type_: str, values: Sequence[Any]) -> bool:
    """SQLite stores any value in any column: a declared type holds only when the values
    bear it out.
    """
    kind = type_.upper()
    if kind.startswith("BOOL"):
        return all(type(value) is int and value in (0, 1) for value in values)
    if "INT" in kind:
        return all(type(value) is int for value in values)
    if "DATE" in kind or "TIME" in kind:
        return all(isinstance(value, str) for value in values)
    if any(word in kind for word in ("CHAR", "TEXT", "CLOB")):
        return all(isinstance(value, str) for value in values)
    if any(word in kind for word in ("DEC", "NUM", "REAL", "FLOA", "DOUB")):
        return all(isinstance(value, int | float) for value in values)
    return "BLOB" not in kind or all(isinstance(value, bytes) for value in values)


def _type_of(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values}
    if kinds == {str}:
        return _text_type(values)
    if kinds == {int}:
        return "INTEGER"
    if kinds == {bytes}:
        return "BLOB"
    return (
        "DOUBLE"
        if kinds and kinds <= {int, float}
        else "TEXT"
        if kinds <= {int, float, str}
        else "ANY"
    )


def _text_type(values: Sequence[str]) -> str:
    for pattern, type_ in ((_DATE, "DATE"), (_TIMESTAMP, "TIMESTAMP")):
        if all(pattern.fullmatch(value) for value in values):
            return type_
    return "TEXT"
