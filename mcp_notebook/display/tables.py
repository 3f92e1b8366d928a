"""The first rows of an Arrow table as text, exact and bounded: what a card and a saved
notebook show of it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from mcp_notebook.display.charts import draw_table
from mcp_notebook.display.shown_table import ShownColumn, TableView
from mcp_notebook.untrusted_text import clip, visible
from mcp_notebook.values import column_texts, type_name, value_kind

if TYPE_CHECKING:
    from mcp_notebook.results import Table

ROWS = 200
COLUMNS = 60
BUDGET = 96_000  # bytes of JSON for all tables of one card


def view_tables(
    tables: tuple[Table, ...], names: tuple[str, ...], *, draws: bool = True
) -> tuple[TableView, ...]:
    """One view a table, together at most BUDGET bytes: rows are left out until they fit.

    `draws`: the first table that is worth a chart gets one.
    """
    share = BUDGET // max(1, len(tables))
    padded = (*names, *("" for _ in tables))
    views = [
        _fit_view(_view(table, name), share)
        for table, name in zip(tables, padded, strict=False)
    ]
    for at, (table, view) in enumerate(zip(tables, views, strict=True)):
        drawing = draw_table(table, view.name) if draws else None
        if drawing is not None:  # one is enough for a card
            views[at] = replace(view, chart=drawing)
            break

    return tuple(views)


def _view(table: Table, name: str) -> TableView:
    head = table.data.slice(0, ROWS).select(range(min(COLUMNS, table.data.num_columns)))
    columns = tuple(
        _column(field, table.types.get(field.name, "")) for field in head.schema
    )
    values = [column_texts(column) for column in head.columns]
    return TableView(
        name=clip(visible(name), 80),
        columns=columns,
        rows=tuple(zip(*values, strict=True)),
        total=table.data.num_rows,
        width=table.data.num_columns,
        notes=tuple(clip(visible(note), 400) for note in table.notes),
        truncated=clip(visible(str(table.truncated or "")), 400),
        approximate=table.approximate,
        at_server=table.total_rows,
    )


def _column(field: pa.Field, origin: str) -> ShownColumn:
    return ShownColumn(
        clip(visible(field.name), 80),
        clip(type_name(field.type), 24),
        value_kind(field.type).number,
        clip(visible(origin), 80),
    )


def _fit_view(view: TableView, budget: int) -> TableView:
    while view.rows and _size(view) > budget:
        view = replace(view, rows=view.rows[: len(view.rows) // 2])
    return view


def _size(view: TableView) -> int:
    # json escapes make a text longer than its characters, so the text itself is measured.
    return len(
        json.dumps(
            [view.rows, [column.name for column in view.columns]], ensure_ascii=False
        ).encode()
    )
