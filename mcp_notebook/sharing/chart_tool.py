"""The tool `chart` of the notebook's own server: a Vega-Lite specification over one of
its tables, computed over all rows and drawn here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
import pyarrow as pa

from mcp_notebook.charts.altair_code import altair_code
from mcp_notebook.charts.compute import Chart, compute
from mcp_notebook.charts.drawing import (
    CARRIED,
    MIME,
    NEEDED,
    Drawing,
    carry,
    draw_chart,
    is_available,
    write_live,
)
from mcp_notebook.charts.selects import MARKS_AT_MOST
from mcp_notebook.charts.specification import SpecError, check_spec
from mcp_notebook.errors import ToolError
from mcp_notebook.secrets import hide, is_secret_name
from mcp_notebook.sharing.answer import TableAnswer
from mcp_notebook.sharing.catalog import Entry
from mcp_notebook.sharing.describing import look
from mcp_notebook.sharing.masks import Masks
from mcp_notebook.sharing.tools import Tool

Find = Callable[[str], tuple[Entry, object]]
AskRows = Callable[[str, int], Awaitable[TableAnswer]]

_SPEC = {
    "type": "object",
    "description": (
        "Vega-Lite: mark and encoding (field, type, aggregate, bin, timeUnit, sort, "
        "scale, axis, color, row, column …), or layer, facet, hconcat, vconcat. "
        "transform takes filters such as "
        '{"filter": {"field": "year", "gte": 2020}}. No data, no config, no '
        "expressions: compute other columns with query first."
    ),
    "examples": [
        {
            "mark": "line",
            "encoding": {
                "x": {"field": "ordered_at", "timeUnit": "yearmonth"},
                "y": {"field": "revenue", "aggregate": "sum"},
                "color": {"field": "region"},
            },
        }
    ],
}
_PICTURE = {
    "type": "boolean",
    "description": "Also give you the picture (PNG) to look at; the person sees it anyway.",
    "default": False,
    "examples": [True],
}


def chart_tool(
    find: Find,
    ask: AskRows,
    masks: Callable[[], Masks],
    table: dict[str, Any],
    *,
    inside: bool,
) -> Tool:
    """The tool. `find` gives a table's entry and value, `ask` runs a SELECT with a limit
    of rows, `table` is the schema of a table's name; `inside`: the client is this
    notebook, which shows the chart itself.
    """

    async def chart(
        table: str, spec: dict[str, Any], picture: bool = False
    ) -> types.CallToolResult:
        if not is_available():
            raise ToolError(NEEDED)

        entry, value = find(table)
        schema = await asyncio.to_thread(_schema_of, value)
        secret = [name for name in schema.names if is_secret_name(name)]
        masked = [*masks().for_entry(entry).columns(schema.names), *secret]

        async def rows(sql: str) -> pa.Table:
            return (await ask(sql, MARKS_AT_MOST + 1)).data

        try:
            checked = check_spec(hide(spec), schema.names, masked)
            made = await compute(checked, schema, entry.name, rows)
            drawing = await asyncio.to_thread(_draw, made)
        except SpecError as error:
            raise ToolError(str(error)) from error

        return await asyncio.to_thread(_result, drawing, picture, inside)

    return Tool(
        "chart",
        "Draw a chart of a table",
        "Draw a table of the notebook for the person: all its rows are computed here, "
        "you get the chart in words. Use it when a chart is asked for or shows more "
        "than numbers; group by the columns that matter.",
        chart,
        {"table": table, "spec": _SPEC, "picture": _PICTURE},
        None,
    )


def _schema_of(value: object) -> pa.Schema:
    return look(value).schema


def _draw(chart: Chart) -> Drawing:
    return draw_chart(chart, altair_code(chart))


def _result(drawing: Drawing, picture: bool, inside: bool) -> types.CallToolResult:
    """The words for the model; the chart as this notebook takes it, or as any client may."""
    if inside:
        kind, written = CARRIED, carry(drawing)
    else:
        kind, written = MIME, write_live(drawing)

    held = types.TextResourceContents(
        uri="notebook://chart", mime_type=kind, text=written
    )
    content: list[Any] = [
        types.TextContent(text=drawing.words),
        types.EmbeddedResource(resource=held),
    ]
    if picture:
        content.append(types.ImageContent(data=drawing.png(), mime_type="image/png"))

    return types.CallToolResult(content=content)
