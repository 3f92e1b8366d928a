"""SQLite that cannot be talked into writing.

A text check of the SQL is not the guard; the connection is
(https://www.sqlite.org/security.html): opened `mode=ro`, `query_only`, an authorizer
that allows reading and nothing else, no ATTACH, bounded lengths, an interrupt at the
deadline, and one fresh connection for each statement so that nothing lasts.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from mcp_notebook.errors import ConfigError, ToolError, did_you_mean
from mcp_notebook.sharing.answer import (
    AnswerColumn,
    RowsAnswer,
    big_integer_notice,
    within,
)
from mcp_notebook.sharing.engines.interface import (
    ColumnInfo,
    StatementLimits,
    TableInfo,
    quote,
    run_until,
    survey_table,
)

T = TypeVar("T")

SURVEY_SECONDS = 2.0

# All else is refused: writing, ATTACH, pragmas that set, functions that load.
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_DENIED_FUNCTIONS = {
    "load_extension",
    "fts3_tokenizer",
    "readfile",
    "writefile",
    "edit",
}
_DENIED_TABLES = {
    "dbstat",
    "sqlite_dbpage",
    "sqlite_stmt",
    "bytecode",
    "tables_used",
    "fsdir",
}
_SCHEMA_PRAGMAS = {
    *("table_info", "table_xinfo", "table_list"),
    *("index_list", "index_info", "index_xinfo", "foreign_key_list"),
}
_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LENGTH: 10_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 250_000,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


class SqliteEngine:
    """A SQLite file, read only. `tables`, when given, is an allow-list."""

    def __init__(self, path: Path, *, tables: Sequence[str] | None = None) -> None:
        self.path = path
        self.name = path.name
        self.dialect = "SQLite"
        self.hints = (
            # no literal date: a model copies it into questions that have another
            "Dates are text of the form YYYY-MM-DD: compare them as text, take the "
            "month with strftime('%Y-%m', column), "
            "step back with date(column, '-6 months'). There is no date_trunc, "
            "extract or interval."
        )
        self._allowed = None if tables is None else {name.lower() for name in tables}
        self._check()

    async def schema(self) -> tuple[TableInfo, ...]:
        return await asyncio.to_thread(self._schema)

    async def survey(self, table: TableInfo) -> TableInfo:
        try:
            return await survey_table(table, self._ask)
        except sqlite3.Error:
            # too slow, or a view that does not run: its columns are enough
            return table

    async def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        return await self._run(
            lambda connection: connection.execute(sql).fetchall(), SURVEY_SECONDS
        )

    async def query(self, sql: str, limits: StatementLimits) -> RowsAnswer:
        if len(sql) > limits.sql_length:
            raise ToolError(
                f"The statement has {len(sql):,} characters; {limits.sql_length:,} are allowed."
            )

        try:
            return await self._run(
                lambda connection: self._fetch(connection, sql, limits), limits.seconds
            )
        except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError) as error:
            raise ToolError(
                explain_error(error, self._schema(), sql, limits.seconds)
            ) from error

    async def table(self, sql: str, limits: StatementLimits) -> RowsAnswer:
        return await self.query(sql, limits)

    async def explain(self, sql: str, limits: StatementLimits) -> RowsAnswer:
        return await self.query(f"EXPLAIN QUERY PLAN {sql}", limits)

    async def views(self) -> dict[str, str]:
        return dict(await asyncio.to_thread(self._views))

    def _views(self) -> list[tuple[str, str]]:
        with closing(self._connect()) as connection:
            connection.set_authorizer(None)
            return connection.execute(
                "select name, sql from sqlite_master where type = 'view'"
            ).fetchall()

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _run(self, work: Callable[[sqlite3.Connection], T], seconds: float) -> T:
        """Run `work` with a fresh connection in a thread and interrupt it at the
        deadline or when cancelled.
        """
        connection = await asyncio.to_thread(self._connect)

        def work_and_close() -> T:
            with closing(connection):
                return work(connection)

        return await run_until(work_and_close, lambda: _interrupt(connection), seconds)

    def _connect(self) -> sqlite3.Connection:
        """One guarded connection; nothing that a statement does outlives it."""
        uri = f"{self.path.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5
        )
        connection.text_factory = _decode
        connection.execute("pragma query_only=on")
        connection.execute("pragma trusted_schema=off")
        connection.execute("pragma cell_size_check=on")
        for limit, value in _LIMITS.items():
            connection.setlimit(limit, value)

        connection.set_authorizer(self._build_authorizer(connection))
        return connection

    def _build_authorizer(self, connection: sqlite3.Connection) -> Callable[..., int]:
        """What SQLite asks for each thing that a statement would do.
        https://www.sqlite.org/c3ref/set_authorizer.html
        """
        hidden = set(_DENIED_TABLES)
        if self._allowed is not None:
            present = connection.execute(
                "select lower(name) from sqlite_master where type in ('table', 'view')"
            )
            hidden |= {name for (name,) in present} - self._allowed
            hidden |= {"sqlite_master", "sqlite_schema", "sqlite_sequence"}

        def authorize(
            action: int, first: str | None, second: str | None, *rest: str | None
        ) -> int:
            if _is_permitted(
                action, (first or "").lower(), (second or "").lower(), hidden
            ):
                return sqlite3.SQLITE_OK
            return sqlite3.SQLITE_DENY

        return authorize

    def _fetch(
        self, connection: sqlite3.Connection, sql: str, limits: StatementLimits
    ) -> RowsAnswer:
        cursor = connection.execute(sql)
        if cursor.description is None:
            raise ToolError(
                "The statement gives no rows. This database is read-only: write one SELECT."
            )

        names = [entry[0] for entry in cursor.description]
        rows, cut = within(cursor, limits.rows, limits.bytes)
        cursor.close()
        declared = declared_types(self._schema(), sql, len(names))
        columns = column_types(names, declared, rows)
        notices = filter(None, [cut, big_integer_notice(columns, rows)])
        return RowsAnswer(
            columns,
            typed_rows(columns, rows),
            truncated=bool(cut),
            notice="; ".join(notices),
        )

    def _schema(self) -> tuple[TableInfo, ...]:
        with closing(self._connect()) as connection:
            # our own statements only, on a connection that is read-only anyway
            connection.set_authorizer(None)
            tables = read_schema(connection)

        if self._allowed is None:
            return tables

        return tuple(table for table in tables if table.name.lower() in self._allowed)

    def _check(self) -> None:
        try:
            self._schema()
        except sqlite3.Error as error:
            raise ConfigError(
                f"{self.path} is not a usable SQLite database: {error}."
            ) from error


def _is_permitted(action: int, first: str, second: str, hidden: set[str]) -> bool:
    # which argument holds the name differs from action to action
    if action == sqlite3.SQLITE_FUNCTION:
        return second not in _DENIED_FUNCTIONS
    if action == sqlite3.SQLITE_PRAGMA:
        return first in _SCHEMA_PRAGMAS
    return action in _READING and first not in hidden


def read_schema(connection: sqlite3.Connection) -> tuple[TableInfo, ...]:
    """Tables and views of the file by name, with their columns; SQLite's own tables are
    left out.
    """
    listed = connection.execute(
        "select name, type, sql from sqlite_master where type in ('table', 'view')"
        " and substr(name, 1, 7) <> 'sqlite_' order by name"
    ).fetchall()
    return tuple(
        TableInfo(name, kind, _columns(connection, name), definition=definition or "")
        for name, kind, definition in listed
    )


def _columns(connection: sqlite3.Connection, table: str) -> tuple[ColumnInfo, ...]:
    references: dict[str, str] = {}
    listed = connection.execute("select * from pragma_foreign_key_list(?)", [table])
    for _, _, other_table, column, other, *_ in listed:
        # without a column it means the other table's primary key
        references[column.lower()] = f"{other_table}.{other}" if other else other_table

    try:
        rows = connection.execute(
            "select * from pragma_table_xinfo(?)", [table]
        ).fetchall()
    except sqlite3.OperationalError:  # a view over a table that is gone
        return ()

    return tuple(
        ColumnInfo(
            name, type_, not required, bool(key), references.get(name.lower(), "")
        )
        for _, name, type_, required, _, key, hidden in rows
        if hidden != 1  # 1: a hidden column of a virtual table
    )


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "replace")  # SQLite does not check that text is UTF-8


def _interrupt(connection: sqlite3.Connection) -> None:
    try:
        connection.interrupt()
    except sqlite3.ProgrammingError:  # closed in the meantime: nothing runs any more
        return


READ_ONLY = (
    "This database is read-only: write one SELECT (or VALUES, WITH ... SELECT) over "
    "its tables."
)
# What other databases have, and what SQLite has in its place:
# https://www.sqlite.org/lang_datefunc.html
_MONTH = "strftime('%Y-%m', column)"
_INSTEAD = {
    "date_trunc": f"{_MONTH} for months, date(column, 'start of year') for years",
    "date_part": "strftime('%Y', column) or strftime('%m', column)",
    "extract": "strftime('%Y', column) or strftime('%m', column)",
    "to_char": _MONTH,
    "date_format": _MONTH,
    "format_date": _MONTH,
    "year": "strftime('%Y', column)",
    "month": _MONTH,
    "now": "date('now') or datetime('now')",
    "current_date": "date('now')",
    "curdate": "date('now')",
    "date_sub": "date(column, '-6 months')",
    "date_add": "date(column, '+6 months')",
    "dateadd": "date(column, '-6 months')",
    "datediff": "julianday(a) - julianday(b)",
    "concat": "a || b",
    "left": "substr(text, 1, n)",
    "if": "CASE WHEN ... THEN ... ELSE ... END, or iif(condition, a, b)",
}
_INTERVAL = re.compile(r"\binterval\b\s*('|\d)", re.IGNORECASE)


def explain_error(
    error: Exception, tables: Sequence[TableInfo], sql: str, seconds: float
) -> str:
    """One or two sentences: what SQLite said, and what to change."""
    said = str(error)
    if said == "interrupted":
        return (
            f"The statement was stopped after {seconds:g} s. Filter or aggregate "
            "earlier, or add LIMIT."
        )

    # the authorizer's refusals, and those of `query_only`; SQLite's codes do not tell more
    refusals = ("not authorized", "attempt to write a readonly database")
    if said in refusals or "prohibited" in said:
        return f"Refused ({said}). {READ_ONLY}"
    if "one statement at a time" in said:
        return f"Refused: more than one statement. {READ_ONLY}"

    return f"SQLite says: {said}.{_advice(said, tables, sql)}"


def _advice(said: str, tables: Sequence[TableInfo], sql: str) -> str:
    kind, _, name = said.partition(": ")
    if kind == "no such table":
        names = [table.name for table in tables]
        return f"{did_you_mean(name.rpartition('.')[2], names)} Tables: {', '.join(names)}."

    if kind == "no such column":
        return _column_advice(name.rpartition(".")[2], tables, sql)
    if kind == "no such function" and name.lower() in _INSTEAD:
        return f" In SQLite write {_INSTEAD[name.lower()]}."
    if _INTERVAL.search(sql):
        return " SQLite has no INTERVAL: write date(column, '-6 months')."
    if re.search(r"\bextract\s*\(", sql, re.IGNORECASE):
        return f" In SQLite write {_INSTEAD['extract']} in place of EXTRACT."

    return ""


def _column_advice(name: str, tables: Sequence[TableInfo], sql: str) -> str:
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    used = [table for table in tables if table.name.lower() in words] or list(tables)
    owners = [table for table in tables if _has_column(table, name)]
    hint = ""
    if owners:
        joins = [_join_of(owner, table) for owner in owners for table in used]
        hint = f" {name} is a column of {', '.join(table.name for table in owners)}."
        hint += next((f" Join on {join}." for join in joins if join), "")

    known: list[str] = []
    for table in used:
        known += _column_names(table)

    # The very name is there, but in another table than the statement takes it from.
    others = [column for column in known if column.lower() != name.lower()]
    near_misses = did_you_mean(name, others)
    # a model that misses a column needs the columns, but not those of every table
    listing = "; ".join(
        f"{table.name}({', '.join(_column_names(table))})" for table in used[:5]
    )
    return f"{hint}{near_misses} Columns: {listing}."


def _join_of(one: TableInfo, other: TableInfo) -> str:
    """The condition that joins two tables by a foreign key; empty without one."""
    if one.name == other.name:
        return ""

    for table, target in ((other, one), (one, other)):
        for column in table.columns:
            name, _, key = column.references.partition(".")
            if name.lower() != target.name.lower():
                continue

            keys = [known.name for known in target.columns if known.primary_key]
            key = key or "".join(keys[:1])
            return f"{table.name}.{column.name} = {target.name}.{key}"

    return ""


def _column_names(table: TableInfo) -> list[str]:
    return [column.name for column in table.columns]


def _has_column(table: TableInfo, name: str) -> bool:
    wanted = name.lower()
    return any(known.lower() == wanted for known in _column_names(table))


# Column types of a SQLite answer: the declared type where SQLite itself can prove it,
# else what the values are.
#
# Python's sqlite3 does not expose where a result column comes from. SQLite does,
# though, for the columns of a view: so the statement becomes a view in an empty
# in-memory copy of the schema and `table_xinfo` tells each column's declared type. The
# copy's types carry a mark, because newer SQLite versions also give expressions a type
# (their affinity).


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
