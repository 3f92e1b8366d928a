"""A bounded look at a table's rows, the same for every engine: how many, which few
values, from when to when.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.server.engines import ColumnInfo, TableInfo, quote

# a text column with at most so many distinct values is listed by its values
FEW_VALUES = 12
SURVEY_ROWS = 50_000  # of a larger table a survey only counts the rows

Ask = Callable[[str], Awaitable[Sequence[Sequence[Any]]]]


async def survey(table: TableInfo, ask: Ask, *, exact_count: bool = True) -> TableInfo:
    """The table with its row count, the values of few-valued text columns and the spans
    of date columns.

    `ask` runs one SELECT of ours. Without `exact_count` a larger table keeps
    `rows=None` rather than be counted.
    """
    source = table.source
    counted = (
        source
        if exact_count
        else f"(SELECT 1 FROM {source} LIMIT {SURVEY_ROWS + 1}) AS bounded"
    )
    ((count,),) = await ask(f"SELECT count(*) FROM {counted}")  # noqa: S608 - quoted identifiers
    if count > SURVEY_ROWS:
        return replace(table, rows=count if exact_count else None)
    columns = [await _column(column, source, ask) for column in table.columns]
    return replace(table, rows=count, columns=tuple(columns))


async def _column(column: ColumnInfo, source: str, ask: Ask) -> ColumnInfo:
    kind, name = column.type.upper(), quote(column.name)
    if kind.startswith(("DATE", "TIMESTAMP")):
        ((first, last),) = await ask(f"SELECT min({name}), max({name}) FROM {source}")  # noqa: S608
        return replace(column, span=None if first is None else (str(first), str(last)))
    if (
        column.primary_key
        or column.references
        or not ("CHAR" in kind or "TEXT" in kind)
    ):
        return column
    distinct = f"SELECT DISTINCT {name} FROM {source} WHERE {name} IS NOT NULL LIMIT {FEW_VALUES + 1}"  # noqa: S608
    values = [value for (value,) in await ask(distinct)]
    few = len(values) <= FEW_VALUES and all(
        isinstance(value, str) and len(value) <= 40 for value in values
    )
    return replace(column, values=tuple(sorted(values)) if few else ())
