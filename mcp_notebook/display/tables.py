"""What came of a call, for looking at. The rows of an Arrow table as text, exact and
bounded: the first ones, which a card and a saved notebook show, and any page of the
whole, which a live card asks for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeGuard

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.display.call_view import CallView, ShownColumn, TableView, view_call
from mcp_notebook.display.charts import draw_all, draw_table
from mcp_notebook.events import ToolCall, ToolResult
from mcp_notebook.results.content import describe_file
from mcp_notebook.untrusted_text import clip, visible
from mcp_notebook.values import (
    BOOLEAN,
    NULL,
    column_texts,
    plain_column,
    type_name,
    value_kind,
    without_view,
)

if TYPE_CHECKING:
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
        whole=tuple(Explorer(table.data) for table in reading.tables),
        notes=(
            *view.notes,
            *(clip(visible(note), 400) for note in (*_notes_of(event), *refused)),
        ),
        images=_pictures_of(event),
    )


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
        _column(field, table.types.get(field.name, "")) for field in head.schema
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


def _column(field: pa.Field, origin: str) -> ShownColumn:
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


# ---- a page of a whole table: sorted, filtered, ten rows at a time

MOST_ROWS = 100  # of one page
MOST_WORDS = 200  # characters of a filter


class Explorer:
    """Answers for one table. The order of the last question is kept, so that turning
    pages costs nothing.
    """

    def __init__(self, data: pa.Table) -> None:
        self._whole = data
        self._asked: tuple[int | None, bool, str] | None = None
        # row numbers in order; None is all as they came
        self._rows: pa.Array | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the whole table."""
        return self._whole.nbytes

    @cached_property
    def _data(self) -> pa.Table:
        """The columns that are shown; most tables are never looked at twice."""
        shown = self._whole.select(range(min(COLUMNS, self._whole.num_columns)))
        return pa.table(
            [without_view(column) for column in shown.columns], shown.column_names
        )

    def page(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """`{rows, found}` for `{by, down, find, start, count}`; what is no sensible
        question counts as not asked.

        None where Arrow cannot do what is asked: order a type, read it as text, or take
        its rows in another order. The page has the first rows.
        """
        by, down = asked.get("by"), asked.get("down") is True
        if isinstance(by, int) and 0 <= by < self._data.num_columns:
            column = by
        else:
            column = None

        find = str(asked.get("find") or "")[:MOST_WORDS]
        start, count = asked.get("start"), asked.get("count")
        try:
            self._find(column, down, find)
            if self._rows is None:
                found = self._data.num_rows
            else:
                found = len(self._rows)

            if _is_positive(start):
                first = min(start, found)
            else:
                first = 0

            if _is_positive(count):
                size = min(count, MOST_ROWS)
            else:
                size = 10

            some = self._rows_at(first, size)
        except pa.ArrowException:
            return None

        rows = list(zip(*map(column_texts, some.columns), strict=True))
        return {"rows": rows, "found": found}

    def _find(self, by: int | None, down: bool, find: str) -> None:
        """Put the rows of a question in order, unless it is the last one again."""
        if (by, down, find) != self._asked:
            self._rows = self._order(by, down, find)
            self._asked = by, down, find

    def _rows_at(self, first: int, size: int) -> pa.Table:
        if self._rows is None:
            return self._data.slice(first, size)
        return self._data.take(self._rows.slice(first, size))

    def _order(self, by: int | None, down: bool, find: str) -> pa.Array | None:
        if find:
            kept = self._matching_rows(find)
        else:
            kept = None

        if by is None:
            return kept

        column = self._data.column(by)
        if kept is not None:
            column = column.take(kept)

        column = _sortable(column)
        if column is None:
            return kept

        if down:
            way = "descending"
        else:
            way = "ascending"

        order = pc.sort_indices(column, sort_keys=[("", way)])
        if kept is None:
            return order

        return kept.take(order)

    def _matching_rows(self, find: str) -> pa.Array:
        """The rows in which a value holds the words, in any case."""
        matched = None
        for column in self._data.columns:
            words = _as_text(column)
            if words is None:
                continue

            holds = pc.match_substring(words, find, ignore_case=True)
            holds = pc.fill_null(holds, False)
            if matched is None:
                matched = holds
            else:
                matched = pc.or_(matched, holds)

        if matched is None:
            return pa.array([], pa.int64())

        return pc.indices_nonzero(matched)


def _is_positive(number: object) -> TypeGuard[int]:
    return isinstance(number, int) and number > 0


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """A column as text, None for one that has none (lists, structures)."""
    try:
        return pc.cast(plain_column(column), pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """A column that Arrow can order: texts regardless of case, lists not at all."""
    kind = value_kind(column.type)
    if kind.nested or kind is NULL:
        return None
    if kind.text:
        return pc.utf8_lower(plain_column(column))
    if kind is BOOLEAN:
        return _as_text(column)

    return plain_column(column)
