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

from mcp_notebook.sharing.answer import AnswerColumn
from mcp_notebook.sharing.engines.interface import TableInfo, quote

_MARK = "DECLARED_AS "
# SQLite has no booleans of its own, and its values are exactly of these types
_VALUES_OF_TYPES: tuple[tuple[tuple[str, ...], type | tuple[type, ...]], ...] = (
    (("INT",), int),
    (("DATE", "TIME"), str),
    (("CHAR", "TEXT", "CLOB"), str),
    (("DEC", "NUM", "REAL", "FLOA", "DOUB"), (int, float)),
    (("BLOB",), bytes),
)
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

    if len(rows) != width:
        return [""] * width

    types = [row[2] for row in rows]
    return [
        type_.removeprefix(_MARK) if type_.startswith(_MARK) else "" for type_ in types
    ]


def column_types(
    names: Sequence[str], declared: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[AnswerColumn, ...]:
    """Name and type of each column; a declared type that the values contradict gives
    way to what they are.
    """
    columns = []
    # the type of an expression is not declared anywhere: it is what its values are
    for index, (name, type_) in enumerate(zip(names, declared, strict=True)):
        values = [row[index] for row in rows if row[index] is not None]
        proven = bool(type_) and _fits(type_, values)
        columns.append(
            AnswerColumn(
                name, type_.upper() if proven else _type_of(values), declared=proven
            )
        )

    return tuple(columns)


def typed_rows(
    columns: Sequence[AnswerColumn], rows: Sequence[Sequence[Any]]
) -> list[Sequence[Any]]:
    """The rows with the 0 and 1 of BOOLEAN columns as false and true; all else as
    SQLite gave it.
    """
    booleans = [
        index for index, column in enumerate(columns) if column.type.startswith("BOOL")
    ]
    if not booleans:
        return list(rows)

    return [_with_booleans(row, booleans) for row in rows]


def _with_booleans(row: Sequence[Any], booleans: Sequence[int]) -> list[Any]:
    values = list(row)
    for index in booleans:
        if values[index] is not None:
            values[index] = bool(values[index])
    return values


def _empty_copy(table: TableInfo) -> str:
    if table.kind == "view":
        return table.definition
    columns = ", ".join(
        f"{quote(column.name)} {_mark_type(column.type)}" for column in table.columns
    )
    return f"create table {quote(table.name)} ({columns})"


def _mark_type(type_: str) -> str:
    # A declared type may be any text, also one that ends the statement.
    if _TYPE_WORDS.fullmatch(type_):
        return _MARK + type_
    return ""


def _fits(type_: str, values: Sequence[Any]) -> bool:
    """SQLite stores any value in any column: a declared type holds only when the values
    bear it out. Its words are free too, and read as SQLite reads them, by what they
    contain: https://www.sqlite.org/datatype3.html#determination_of_column_affinity
    """
    kind = type_.upper()
    if kind.startswith("BOOL"):
        return all(type(value) is int and value in (0, 1) for value in values)

    # BLOB stands last, because SQLite reads the other words first
    for words, expected in _VALUES_OF_TYPES:
        if any(word in kind for word in words):
            return all(isinstance(value, expected) for value in values)

    return True


def _type_of(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values}
    if not kinds:
        return "TEXT"
    if kinds == {str}:
        return _text_type(values)
    if kinds == {int}:
        return "INTEGER"
    if kinds == {bytes}:
        return "BLOB"
    if kinds <= {int, float}:
        return "DOUBLE"
    if kinds <= {int, float, str}:
        return "TEXT"

    return "ANY"


def _text_type(values: Sequence[str]) -> str:
    for pattern, type_ in ((_DATE, "DATE"), (_TIMESTAMP, "TIMESTAMP")):
        if all(pattern.fullmatch(value) for value in values):
            return type_
    return "TEXT"
