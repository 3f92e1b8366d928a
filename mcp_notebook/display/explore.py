"""A page of a whole table as a live card shows it: sorted, filtered, ten rows at a
time, however many there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.display.tables import COLUMNS
from mcp_notebook.values import (
    BOOLEAN,
    NULL,
    column_texts,
    plain_column,
    value_kind,
    without_view,
)

MOST_ROWS = 100  # of one page
MOST_WORDS = 200  # characters of a filter


class Explorer:
    """Answers for one table. The order of the last question is kept, so that turning
    pages costs nothing.
    """

    def __init__(self, data: pa.Table) -> None:
        shown = data.select(range(min(COLUMNS, data.num_columns)))
        self._data = pa.table(
            [without_view(column) for column in shown.columns], shown.column_names
        )
        self._asked: tuple[int | None, bool, str] | None = None
        # row numbers in order; None is all as they came
        self._rows: pa.Array | None = None

    def page(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """`{rows, found}` for `{by, down, find, start, count}`; what is no sensible
        question counts as not asked.

        None where Arrow cannot do what is asked: order a type, read it as text, or take
        its rows in another order. The page has the first rows.
        """
        by, down = asked.get("by"), asked.get("down") is True
        if _is_within(by, self._data.num_columns - 1):
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


def _is_within(number: object, last: int) -> TypeGuard[int]:
    return isinstance(number, int) and 0 <= number <= last


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
