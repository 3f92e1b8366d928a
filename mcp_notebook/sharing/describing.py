"""What the notebook's server says of a table: a line in the list, and its description
with samples under the masks.
"""

import asyncio
import glob
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from mcp_notebook.errors import DataError
from mcp_notebook.results.model_preview import preview
from mcp_notebook.sharing.answer import TableAnswer, to_json
from mcp_notebook.sharing.arrow import snapshot, to_arrow
from mcp_notebook.sharing.catalog import Catalog, Entry
from mcp_notebook.sharing.engines.interface import quote
from mcp_notebook.sharing.masks import Masks
from mcp_notebook.sharing.sources.describe import UNREADABLE, look
from mcp_notebook.sharing.sources.engines import is_remote
from mcp_notebook.sharing.sources.local_tables import sample
from mcp_notebook.sharing.tool_errors import ToolError
from mcp_notebook.values import column_values

LISTING_BYTES = 20_000
SAMPLE_ROWS = 5

Ask = Callable[[str, int], Awaitable[TableAnswer]]


def summary(catalog: Catalog, entry: Entry, masks: Masks) -> list[Any]:
    """Name, rows, columns with types, and where it comes from; a value that is no table
    any more says so.
    """
    try:
        seen = look(catalog.resolve(entry.name))
    except UNREADABLE as error:
        return [entry.name, None, "", f"cannot be read now: {error}"]

    hidden = set(masks.for_entry(entry).columns(seen.schema.names))
    columns = ", ".join(
        f"{f.name} {f.type}{' (masked)' if f.name in hidden else ''}"
        for f in seen.schema
    )
    about = [
        entry.description or ("result" if entry.origin == "result" else "shared"),
        seen.said,
    ]
    return [entry.name, seen.rows, columns, "; ".join(filter(None, about))]


def describe_here(
    value: object, name: str, masks: Masks
) -> tuple[str, list[list[Any]]]:
    """`describe` for a model; raises `ToolError`."""
    try:
        return describe(value, name, masks)
    except DataError as error:
        raise ToolError(error.message) from error


def describe(value: object, name: str, masks: Masks) -> tuple[str, list[list[Any]]]:
    """The preview of a table as text, and name, type, nulls, whether masked, and first
    values of each column.
    """
    table, notes = to_arrow(snapshot(value))
    hidden = masks.columns(table.column_names)
    sample = masks.apply(table.slice(0, SAMPLE_ROWS), name)
    fields = [
        [
            field.name,
            str(field.type),
            table.column(i).null_count,
            field.name in hidden,
            None
            if field.name in hidden
            else _sample_words(column_values(sample.column(i))),
        ]
        for i, field in enumerate(table.schema)
    ]
    shown = masks.inside(table, name)
    return preview(
        shown, name, mask=(*masks.patterns, *map(glob.escape, hidden)), notes=notes
    ), fields


async def describe_elsewhere(
    value: object, name: str, masks: Masks, ask: Ask
) -> tuple[str, list[list[Any]]]:
    """A table that is not in memory: its columns, and what its first rows show; it is
    not counted for that.

    `ask` answers SQL within seconds. Raises `ToolError`.
    """
    try:
        seen = await asyncio.to_thread(look, value)
        if is_remote(value):
            first_rows = f"SELECT * FROM {quote(name)} LIMIT {SAMPLE_ROWS}"  # noqa: S608
            rows = (await ask(first_rows, SAMPLE_ROWS)).data
        else:
            rows = masks.apply(
                await asyncio.to_thread(sample, value, SAMPLE_ROWS), name
            )
    except DataError as error:
        raise ToolError(error.message) from error

    hidden = masks.columns(seen.schema.names)
    shown = preview(
        rows, name, mask=(*masks.patterns, *map(glob.escape, hidden))
    ).partition("\n")[2]
    head = f"{name}: {count_words(seen.rows)} × {len(seen.schema)} columns; query it by that name"
    about = f"{seen.said}; what follows is of its first {rows.num_rows} rows"
    values = dict(
        zip(
            rows.column_names,
            map(column_values, rows.columns),
            strict=True,
        )
    )
    fields = [
        [
            f.name,
            str(f.type),
            None,
            f.name in hidden,
            None if f.name in hidden else _sample_words(values.get(f.name, [])),
        ]
        for f in seen.schema
    ]
    return f"{head}\n{about}\n{shown}", fields


def _sample_words(values: Sequence[Any]) -> str | None:
    return (
        " | ".join(str(to_json(value))[:60] for value in values if value is not None)
        or None
    )


def count_words(rows: int | None) -> str:
    """`1,234 rows`, or that they were not counted."""
    if rows is None:
        return "rows not counted"
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def list_lines(listed: Sequence[Sequence[Any]]) -> Iterator[str]:
    """A line for each table's summary, within `LISTING_BYTES`."""
    used = 0
    for number, (name, rows, columns, about) in enumerate(listed):
        line = (
            f"{name} ({about}{f', {count_words(rows)}' if columns else ''}): {columns}"
        )
        used += len(line.encode())
        if used > LISTING_BYTES:
            yield f"… and {len(listed) - number} more tables; describe_table describes each"
            return

        yield line
