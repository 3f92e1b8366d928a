"""Charts of a result as drawings: those that a call gave, and the one that a table is
worth without being asked.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_notebook.charts.altair_code import altair_code
from mcp_notebook.charts.choose import chart_of, choose
from mcp_notebook.charts.drawing import Drawing, draw_chart, is_available
from mcp_notebook.charts.specification import SpecError
from mcp_notebook.charts.theirs import TheirChart, draw_theirs

if TYPE_CHECKING:
    from mcp_notebook.results import Table

log = logging.getLogger(__name__)


def draw_all(
    charts: Sequence[Drawing | TheirChart], names: Sequence[str]
) -> tuple[tuple[Drawing, ...], list[str]]:
    """The charts of a call, and a line for each that was not drawn. `names`: the
    variables of its tables.
    """
    made, refused = [], []
    for chart in charts:
        if isinstance(chart, Drawing):
            made.append(chart)
            continue

        try:
            made.append(draw_theirs(chart, names[0] if names else ""))
        except SpecError as error:
            refused.append(f"The chart of this result is not drawn: {error}.")

    return tuple(made), refused


def draw_table(table: Table, name: str) -> Drawing | None:
    """The chart of a whole table that is worth one; of one that is not whole or not
    exact it would mislead. None, too, without the extra `charts`.
    """
    is_part = (table.total_rows or 0) > table.data.num_rows
    if table.truncated or table.approximate or is_part or not is_available():
        return None

    choice = choose(table.data)
    if choice is None:
        return None

    try:
        chart = chart_of(choice, table.data, name or "table")
        return draw_chart(chart, altair_code(chart))
    except SpecError:
        # nobody asked for it, so nothing is said of it on the card
        log.exception("the chart of a table could not be drawn")
        return None
