"""What every database engine offers (`Engine`), the values it speaks of, and what
engines share: tables from an information schema, a bounded look at rows, a deadline.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from mcp_notebook.sharing.answer import AS_JSON, RowsAnswer, TableAnswer


@dataclass(frozen=True, slots=True)
class StatementLimits:
    """What one statement may take: rows and bytes of the answer, seconds of time,
    characters of SQL.
    """

    rows: int = AS_JSON.rows
    bytes: int = AS_JSON.bytes
    seconds: float = 15.0
    sql_length: int = 100_000


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column of a table. `values` are all its distinct values when they are few,
    `span` its least and greatest.
    """

    name: str
    type: str
    nullable: bool = True
    primary_key: bool = False
    references: str = ""  # "customers.id"
    values: tuple[str, ...] = ()
    span: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table or view. `rows` is None when counting was not worth its time."""

    name: str
    kind: str  # "table" or "view"
    columns: tuple[ColumnInfo, ...] = field(default=())
    rows: int | None = None
    definition: str = ""  # the SQL that made it, where the engine keeps it
    # where the engine has schemas and this is not the default one; `name` is then
    # `schema.table`
    schema: str = ""

    @property
    def source(self) -> str:
        """The table as it stands in FROM, quoted."""
        if not self.schema:
            return quote(self.name)
        return (
            f"{quote(self.schema)}.{quote(self.name.removeprefix(f'{self.schema}.'))}"
        )


def quote(name: str) -> str:
    """The name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class Engine(Protocol):
    """A read-only database. All methods are safe to call concurrently; each uses its
    own connection.
    """

    name: str  # what people call this database, e.g. "shop.db"
    # e.g. "SQLite"; no version, so that prompts are the same on every machine
    dialect: str
    hints: str  # how to write SQL for it, for the model

    async def schema(self) -> tuple[TableInfo, ...]:
        """Tables and views by name, without anything that needs a look at the rows."""
        ...

    async def survey(self, table: TableInfo) -> TableInfo:
        """The table with row count, few-valued columns and date spans, from a bounded
        look at its rows.
        """
        ...

    async def query(self, sql: str, limits: StatementLimits) -> RowsAnswer:
        """Run one read-only statement; raises `ToolError` with what to change."""
        ...

    async def table(
        self, sql: str, limits: StatementLimits
    ) -> RowsAnswer | TableAnswer:
        """The same with Arrow columns, where the engine has them at hand."""
        ...

    async def explain(self, sql: str, limits: StatementLimits) -> RowsAnswer:
        """The engine's plan for one read-only statement; raises `ToolError`."""
        ...

    async def views(self) -> dict[str, str]:
        """What each view reads, as the engine tells it: `CREATE VIEW ...` or its query."""
        ...

    async def close(self) -> None:
        """End what the engine keeps running."""
        ...


Rows = Sequence[Sequence[Any]]


def build_tables(columns: Rows, keys: Rows) -> tuple[TableInfo, ...]:
    """Tables by name from their columns and keys.

    `columns` are (schema or "" for the default one, table, kind, column, type,
    nullable) in the order of the columns; `keys` are (schema, table, "PRIMARY KEY" or
    "FOREIGN KEY", columns, other table, its columns).
    """
    primary: set[tuple[str, str, str]] = set()
    references: dict[tuple[str, str, str], str] = {}
    for schema, table, kind, names, other_table, other_names in keys:
        if kind == "PRIMARY KEY":
            primary |= {(schema, table, name) for name in names}
            continue

        for name, other in zip(names, other_names, strict=True):
            references[schema, table, name] = f"{other_table}.{other}"

    tables: dict[tuple[str, str], TableInfo] = {}
    for schema, table, kind, name, type_, nullable in columns:
        at = (schema, table)
        column = ColumnInfo(
            name,
            type_,
            nullable,
            (*at, name) in primary,
            references.get((*at, name), ""),
        )
        if schema:
            full_name = f"{schema}.{table}"
        else:
            full_name = table

        fresh = TableInfo(
            full_name, "view" if "view" in kind.lower() else "table", schema=schema
        )
        known = tables.get(at, fresh)
        tables[at] = replace(known, columns=(*known.columns, column))

    return tuple(tables[at] for at in sorted(tables))


# a text column with at most so many distinct values is listed by its values
FEW_VALUES = 12
VALUE_LENGTH = 40  # characters
SURVEY_ROWS = 50_000  # of a larger table a survey only counts the rows

Ask = Callable[[str], Awaitable[Sequence[Sequence[Any]]]]


async def survey_table(
    table: TableInfo, ask: Ask, *, exact_count: bool = True
) -> TableInfo:
    """The table with its row count, the values of few-valued text columns and the spans
    of date columns.

    `ask` runs one SELECT of ours. Without `exact_count` a larger table keeps
    `rows=None` rather than be counted.
    """
    source = table.source
    counted = source
    if not exact_count:
        # An engine without cheap counts stops after one row more than is looked at.
        counted = f"(SELECT 1 FROM {source} LIMIT {SURVEY_ROWS + 1}) AS bounded"  # noqa: S608

    ((count,),) = await ask(f"SELECT count(*) FROM {counted}")  # noqa: S608 - quoted identifiers
    if count > SURVEY_ROWS:
        return replace(table, rows=count if exact_count else None)

    columns = [await _survey_column(column, source, ask) for column in table.columns]
    return replace(table, rows=count, columns=tuple(columns))


async def _survey_column(column: ColumnInfo, source: str, ask: Ask) -> ColumnInfo:
    kind = column.type.upper()
    if kind.startswith(("DATE", "TIMESTAMP")):
        return await _with_span(column, source, ask)

    # The values of keys are names of rows, not kinds of them.
    is_key = column.primary_key or bool(column.references)
    is_text = "CHAR" in kind or "TEXT" in kind
    if is_key or not is_text:
        return column

    return await _with_few_values(column, source, ask)


async def _with_span(column: ColumnInfo, source: str, ask: Ask) -> ColumnInfo:
    name = quote(column.name)
    ((first, last),) = await ask(f"SELECT min({name}), max({name}) FROM {source}")  # noqa: S608
    if first is None:
        return column
    return replace(column, span=(str(first), str(last)))


async def _with_few_values(column: ColumnInfo, source: str, ask: Ask) -> ColumnInfo:
    name = quote(column.name)
    # One more than is listed: that tells few values from many without counting them.
    distinct = (
        f"SELECT DISTINCT {name} FROM {source}"  # noqa: S608
        f" WHERE {name} IS NOT NULL"
        f" LIMIT {FEW_VALUES + 1}"
    )
    values = [value for (value,) in await ask(distinct)]
    if len(values) > FEW_VALUES:
        return column

    for value in values:
        # longer ones are prose, and some databases give other types than they declare
        if not isinstance(value, str) or len(value) > VALUE_LENGTH:
            return column

    return replace(column, values=tuple(sorted(values)))


T = TypeVar("T")


async def run_until(
    work: Callable[[], T],
    cancel: Callable[[], None],
    seconds: float,
    *,
    again: float = 0.05,
) -> T:
    """The result of `work()`; at the deadline, or when the caller is cancelled, `cancel()` ends it.

    At the deadline `cancel` is repeated every `again` seconds until the work ends,
    because it has no effect between two statements; what the driver then raises is what
    the caller gets.
    """
    done = threading.Event()

    def work_and_tell() -> T:
        try:
            return work()
        finally:
            done.set()

    task = asyncio.ensure_future(asyncio.to_thread(work_and_tell))
    try:
        finished, _ = await asyncio.wait({task}, timeout=seconds)
        while not finished:
            await asyncio.to_thread(cancel)
            finished, _ = await asyncio.wait({task}, timeout=again)

        return task.result()
    finally:
        # The caller is cancelled, but a thread cannot be: the driver must end its work.
        if not done.is_set():
            cancel()
