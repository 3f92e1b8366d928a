"""The first rows of an Arrow table as text, exact and bounded: what a card and a saved
notebook show of it.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.display.chart.choosing import choose
from mcp_notebook.display.chart.drawing import draw
from mcp_notebook.display.chart.shapes import Drawing
from mcp_notebook.display.safe import clip, visible
from mcp_notebook.display.tableview import Column, TableView

if TYPE_CHECKING:
    from mcp_notebook.results import Table

ROWS = 200
COLUMNS = 60
CELL = 160  # characters
BUDGET = 96_000  # bytes of JSON for all tables of one card


def view_tables(
    tables: "tuple[Table, ...]", names: tuple[str, ...]
) -> tuple[TableView, ...]:
    """One view a table, together at most BUDGET bytes: rows are left out until they fit."""
    share = BUDGET // max(1, len(tables))
    padded = (*names, *("" for _ in tables))
    views = [
        _fitted(_view(table, name), share)
        for table, name in zip(tables, padded, strict=False)
    ]
    for at, (table, view) in enumerate(zip(tables, views, strict=True)):
        drawing = _chart(table, view.name)
        if drawing is not None:  # one is enough for a card
            views[at] = replace(view, chart=drawing)
            break
    return tuple(views)


def _chart(table: "Table", name: str) -> Drawing | None:
    """The picture of a whole table; of one that is not whole or not exact it would mislead."""
    if (
        table.truncated
        or table.approximate
        or (table.total_rows or 0) > table.data.num_rows
    ):
        return None
    chart = choose(table.data, name)
    return None if chart is None else draw(chart)


def _view(table: "Table", name: str) -> TableView:
    head = table.data.slice(0, ROWS).select(range(min(COLUMNS, table.data.num_columns)))
    columns = tuple(
        _column(field, table.types.get(field.name, "")) for field in head.schema
    )
    values = [texts(column) for column in head.columns]
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


def _column(field: pa.Field, origin: str) -> Column:
    return Column(
        clip(visible(field.name), 80),
        clip(kind(field.type), 24),
        _numeric(field.type),
        clip(visible(origin), 80),
    )


def _fitted(view: TableView, budget: int) -> TableView:
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


_SHORT = {
    "large_string": "string",
    "string_view": "string",
    "large_binary": "binary",
    "double": "float",
    "float": "float32",
}


def kind(type_: pa.DataType) -> str:
    """An Arrow type in a word or two: `int64`, `decimal(10, 2)`, `timestamp UTC`."""
    if pa.types.is_dictionary(type_):
        return kind(type_.value_type)
    if pa.types.is_decimal(type_):
        return f"decimal({type_.precision}, {type_.scale})"
    if pa.types.is_timestamp(type_):
        return f"timestamp {type_.tz}" if type_.tz else "timestamp"
    if (
        pa.types.is_date(type_)
        or pa.types.is_time(type_)
        or pa.types.is_duration(type_)
        or pa.types.is_nested(type_)
    ):
        return re.split(r"[\d\[<]", str(type_))[0]
    return _SHORT.get(str(type_), str(type_))


def _numeric(type_: pa.DataType) -> bool:
    return (
        pa.types.is_integer(type_)
        or pa.types.is_floating(type_)
        or pa.types.is_decimal(type_)
    )


def texts(column: pa.ChunkedArray) -> list[str | None]:
    """Every value of a column as text, exact: nothing goes through a float or a
    JavaScript number.
    """
    type_ = column.type
    if pa.types.is_dictionary(type_):
        return texts(column.cast(type_.value_type))
    if pa.types.is_temporal(type_):
        return _temporal(column)
    # as a Python float it would show digits that it does not have
    if pa.types.is_float32(type_):
        return pc.cast(column, pa.string()).to_pylist()
    write = _writer(type_)
    return [
        None if value is None else clip(visible(clip(write(value), CELL)), CELL)
        for value in _values(column)
    ]


def _writer(type_: pa.DataType) -> Callable[[Any], str]:
    if pa.types.is_floating(type_):
        return _float
    if pa.types.is_boolean(type_):
        return lambda value: "true" if value else "false"
    if pa.types.is_nested(type_):
        return lambda value: json.dumps(value, ensure_ascii=False, default=_plain)
    return _plain


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return f"0x{value[:40].hex()}" + (
            f"… ({len(value):,} bytes)" if len(value) > 40 else ""
        )
    return str(value)


# relative; what adding binary fractions leaves behind (59288.31000000016), not what
# anyone measured
NOISE = 1e-14


def _float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    short = format(value, ".12g")
    return (
        short
        if len(repr(value)) > 14 and abs(float(short) - value) <= abs(value) * NOISE
        else repr(value)
    )


def _temporal(column: pa.ChunkedArray) -> list[str | None]:
    try:
        written = pc.cast(column, pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        written = [None if value is None else str(value) for value in _values(column)]
    return [None if text is None else _trimmed(text) for text in written]


def _trimmed(text: str) -> str:
    text = re.sub(
        r"\.(\d*?)0+(?=\D|$)",
        lambda found: f".{found[1]}" if found[1] else "",
        text,
        count=1,
    )
    return visible(text)


def _values(column: pa.ChunkedArray) -> Iterator[Any]:
    """Python values one by one; one that Python cannot hold (a year above 9999) is
    written by Arrow.
    """
    for scalar in column:
        try:
            yield scalar.as_py()
        except (ValueError, OverflowError):
            yield str(scalar)
