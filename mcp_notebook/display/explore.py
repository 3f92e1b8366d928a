"""A page of a whole table as a live card shows it: sorted, filtered, ten rows at a
time, however many there are.
"""

from collections.abc import Mapping
from typing import Any

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

        None where Arrow cannot do what is asked.
        """
        by, start, count = (asked.get(name) for name in ("by", "start", "count"))
        column = (
            by if isinstance(by, int) and 0 <= by < self._data.num_columns else None
        )
        wanted = (
            column,
            asked.get("down") is True,
            str(asked.get("find") or "")[:MOST_WORDS],
        )
        if wanted != self._asked:
            try:
                self._rows = self._order(*wanted)
            except pa.ArrowException:
                # a type that Arrow cannot order or read as text: the page has its first
                # rows
                return None
            self._asked = wanted
        found = self._data.num_rows if self._rows is None else len(self._rows)
        first = min(start, found) if isinstance(start, int) and start > 0 else 0
        size = min(count, MOST_ROWS) if isinstance(count, int) and count > 0 else 10
        try:
            some = self._rows_at(first, size)
        except pa.ArrowException:  # nor can it take rows of every type in another order
            return None
        return {
            "rows": list(zip(*map(column_texts, some.columns), strict=True)),
            "found": found,
        }

    def _rows_at(self, first: int, size: int) -> pa.Table:
        if self._rows is None:
            return self._data.slice(first, size)
        return self._data.take(self._rows.slice(first, size))

    def _order(self, by: int | None, down: bool, find: str) -> pa.Array | None:
        kept = self._matching(find) if find else None
        if by is None:
            return kept
        column = _sortable(
            self._data.column(by) if kept is None else self._data.column(by).take(kept)
        )
        if column is None:
            return kept
        order = pc.sort_indices(
            column, sort_keys=[("", "descending" if down else "ascending")]
        )
        return order if kept is None else kept.take(order)

    def _matching(self, find: str) -> pa.Array:
        """The rows in which a value holds the words, in any case."""
        matched = None
        for column in self._data.columns:
            words = _words(column)
            if words is not None:
                holds = pc.fill_null(
                    pc.match_substring(words, find, ignore_case=True), False
                )
                matched = holds if matched is None else pc.or_(matched, holds)
        if matched is None:
            return pa.array([], pa.int64())
        return pc.indices_nonzero(matched)


def _words(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
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
    return _words(column) if kind is BOOLEAN else plain_column(column)
