"""What came of a call, for looking at. The first rows of an Arrow table as text, exact and
bounded, which a card and a saved notebook show; the whole, of which a live card asks
for more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from mcp_notebook.display.call_view import (
    CallView,
    ShownColumn,
    TableView,
    view_call,
)
from mcp_notebook.display.card import COLUMNS as STATIC_COLUMNS
from mcp_notebook.display.charts import draw_all, draw_table
from mcp_notebook.events import ToolCall, ToolResult
from mcp_notebook.results.content import describe_file
from mcp_notebook.untrusted_text import clip, visible
from mcp_notebook.values import column_texts, type_name, value_kind

if TYPE_CHECKING:
    from mcp_notebook.display.explorer import Explorer
    from mcp_notebook.results import Table

ROWS = 200
COLUMNS = 60
BUDGET = 96_000  # bytes of JSON for all tables of one card


def view_result(call: ToolCall, result: ToolResult) -> CallView:
    """The view of a call with its result."""
    return finish_view(view_call(call), result)


def finish_view(view: CallView, event: ToolResult) -> CallView:
    """The view of a call that ended; tables are reduced to what can be shown of them."""
    ended = replace(
        view,
        status=event.outcome,
        seconds=event.seconds,
        received_bytes=event.received_bytes,
        shown=event.shown,
        images=event.images,
    )
    reading = event.reading
    failed = event.outcome != "ok"
    if reading is None:
        return replace(ended, error=event.shown if failed else "")

    charts, refused = draw_all(reading.charts, event.names)
    return replace(
        ended,
        charts=charts,
        error=(reading.error or event.shown) if failed else "",
        text="" if failed else reading.text,
        tables=view_tables(reading.tables, event.names, draws=not reading.charts),
        whole=tuple(Whole(table.data, table.types) for table in reading.tables),
        notes=(
            *view.notes,
            *(clip(visible(note), 400) for note in (*_notes_of(event), *refused)),
        ),
        images=_pictures_of(event),
    )


MOST_COUNTED = 24_000_000  # cells of a table whose columns are counted when it is saved
FEW_ROWS = 5  # of fewer there is nothing to count


class Whole:
    """A table of which any part can be looked at."""

    def __init__(self, data: pa.Table, types: Mapping[str, str]) -> None:
        self._data, self._types = data, types

    @property
    def nbytes(self) -> int:
        """Bytes of the table."""
        return self._data.nbytes

    @cached_property
    def explorer(self) -> Explorer:
        """What answers; DuckDB loads for it, at the first table that is looked at."""
        from mcp_notebook.display.explorer import Explorer

        fields = self._data.schema
        return Explorer(
            self._data,
            [show_column(one, self._types.get(one.name, "")) for one in fields],
        )

    def count(self, view: TableView) -> TableView:
        """The view with what its columns hold, which is saved with its first rows; a
        table that is too large for it says so.
        """
        across = min(STATIC_COLUMNS, len(view.columns))
        if view.total < FEW_ROWS or not across or view.columns[0].stats != ("", ""):
            return view
        if view.total * across > MOST_COUNTED:
            note = "columns of so many rows are counted in the live table only"
            return replace(view, notes=(*view.notes, note))

        told = self.explorer.describe(across)
        pairs = zip(view.columns, told, strict=False)
        columns = [replace(column, stats=stats) for column, stats in pairs]
        return replace(view, columns=(*columns, *view.columns[across:]))


def _pictures_of(event: ToolResult) -> tuple[tuple[str, str], ...]:
    reading = event.reading
    if reading is None or reading.reader == "chart":  # its picture is the model's
        return ()

    found = tuple(i for i in reading.images if i[0].startswith("image/"))
    return event.images or found


def _notes_of(event: ToolResult) -> list[str]:
    notes = list(event.reading.notes) if event.reading is not None else []
    return notes + [
        f"{describe_file(file)}: .files of mcp_notebook.result() after the call"
        for file in event.files
    ]


def view_tables(
    tables: tuple[Table, ...], names: tuple[str, ...], *, draws: bool = True
) -> tuple[TableView, ...]:
    """One view a table, together at most BUDGET bytes: rows are left out until they fit.

    `draws`: the first table that is worth a chart gets one.
    """
    share = BUDGET // max(1, len(tables))
    padded = (*names, *("" for _ in tables))
    views = [
        _view(table, name, share) for table, name in zip(tables, padded, strict=False)
    ]
    for at, (table, view) in enumerate(zip(tables, views, strict=True)):
        drawing = draw_table(table, view.name) if draws else None
        if drawing is not None:  # one is enough for a card
            views[at] = replace(view, chart=drawing)
            break

    return tuple(views)


def _view(table: Table, name: str, budget: int) -> TableView:
    head = table.data.slice(0, ROWS).select(range(min(COLUMNS, table.data.num_columns)))
    columns = tuple(
        show_column(field, table.types.get(field.name, "")) for field in head.schema
    )
    names = [column.name for column in columns]
    return TableView(
        name=clip(visible(name), 80),
        columns=columns,
        rows=_fitting_rows(head, names, budget),
        total=table.data.num_rows,
        width=table.data.num_columns,
        notes=tuple(clip(visible(note), 400) for note in table.notes),
        truncated=clip(visible(str(table.truncated or "")), 400),
        approximate=table.approximate,
        at_server=table.total_rows,
    )


def show_column(field: pa.Field, origin: str) -> ShownColumn:
    """What a page says of a column."""
    return ShownColumn(
        clip(visible(field.name), 80),
        clip(type_name(field.type), 24),
        value_kind(field.type).number,
        clip(visible(origin), 80),
    )


Rows = tuple[tuple[str | None, ...], ...]


def _fitting_rows(head: pa.Table, names: list[str], budget: int) -> Rows:
    """All rows as text; where they take more than the budget of bytes, the first half of
    them, or of these.
    """
    rows: Rows = ()
    if head.nbytes > budget:
        # Where cells are long, most rows would be written only to be left out: an
        # eighth, which is a half three times, tells.
        rows = _row_texts(head.slice(0, head.num_rows // 8))

    if not rows or _size(rows, names) <= budget:
        rows = _row_texts(head)

    while rows and _size(rows, names) > budget:
        rows = rows[: len(rows) // 2]

    return rows


def _row_texts(head: pa.Table) -> Rows:
    return tuple(zip(*map(column_texts, head.columns), strict=True))


def _size(rows: Rows, names: list[str]) -> int:
    # json escapes make a text longer than its characters, so the text itself is measured.
    return len(json.dumps([rows, names], ensure_ascii=False).encode("utf-8", "replace"))
