"""Whether a table is worth a picture, and which: decided from types and values; names
only tell keys from quantities.

Two shapes are: values in the order of a time column, as lines, and one row a category,
as bars. A time column with one text column of few values beside it gives a line a
value. Anything else is better read as a table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.display.draw_chart import Chart, Panel, Series, Values
from mcp_notebook.untrusted_text import clip, visible
from mcp_notebook.values import (
    BOOLEAN,
    DECIMAL,
    column_texts,
    plain_column,
    value_kind,
)

ROWS = 5_000  # more are no answer to a question, and cost time
LEAST = 3  # rows
BARS = 24
LINES = 6
PANELS = 3
COLUMNS = 12  # wider tables are records, not results
LABEL = 28  # characters
_T = TypeVar("_T")
_PERIOD = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?|-?(?:Q([1-4])|W(\d{2})))?")
_KEY = re.compile(
    r"(?:^|_)(?:id|key|code|zip|year|month|day|week|quarter|hour)s?$", re.IGNORECASE
)


def choose_chart(data: pa.Table, name: str) -> Chart | None:
    """The chart of a table of 3 to 5,000 rows, None when there is none worth looking
    at; `name` is its variable.
    """
    if not LEAST <= data.num_rows <= ROWS or not 2 <= data.num_columns <= COLUMNS:
        return None

    fields = list(data.schema)
    measures = [one.name for one in fields if _is_measure(one, data[one.name])]
    keys = [column for column in data.column_names if column not in measures]
    if not measures or len(keys) not in (1, 2):
        return None

    places = {key: _time_places(data[key]) for key in keys}
    times = [key for key in keys if places[key]]
    if len(keys) == 1 and times:
        return _over_time(data, name, keys[0], places[keys[0]], measures)
    if len(keys) == 1:
        return _by_category(data, name, keys[0], measures)
    if len(times) != 1:
        return None

    time = times[0]
    other = next(key for key in keys if key != time)
    return _line_per_value(data, name, time, places[time], other, measures[0])


def _is_measure(field: pa.Field, column: pa.ChunkedArray) -> bool:
    """Whether a column holds quantities: numbers that are no keys."""
    kind = value_kind(field.type)
    if not kind.number or column.null_count == len(column):
        return False
    return not (kind.whole and _KEY.search(field.name))


def _is_category(type_: pa.DataType) -> bool:
    kind = value_kind(type_)
    return kind.text or kind is BOOLEAN


def _over_time(
    data: pa.Table,
    name: str,
    key: str,
    places: tuple[float, ...],
    measures: Sequence[str],
) -> Chart | None:
    """A panel a measure, over a time column whose values stand once each."""
    if len(set(places)) < len(places):
        return None

    order = sorted(range(len(places)), key=places.__getitem__)
    shown = measures[:PANELS]
    panels = []
    for one in shown:
        series = Series(_label(one), _pick(_floats(data[one]), order))
        panels.append(Panel(_label(one), (series,)))

    is_sorted = order == list(range(len(order)))
    if is_sorted:
        ordered = ""
    else:
        ordered = f".sort_values({key!r})"

    frame = _frame_code(data, name, shown) + ordered
    return Chart(
        "line",
        f"{_label_list(shown)} by {_label(key)}",
        _label(key),
        at=_pick(places, order),
        labels=_pick(_labels(data[key]), order),
        panels=tuple(panels),
        code=f"{frame}.plot(x={key!r}, {_columns_code(shown)})",
    )


def _line_per_value(
    data: pa.Table,
    name: str,
    time: str,
    places: tuple[float, ...],
    other: str,
    measure: str,
) -> Chart | None:
    """A line a value of `other`; every pair of time and value at most once."""
    if not _is_category(data[other].type) or data[other].null_count:
        return None

    names = data[other].to_pylist()
    distinct = list(dict.fromkeys(names))
    points = zip(places, names, strict=True)
    values = dict(zip(points, _floats(data[measure]), strict=True))
    labels = dict(zip(places, _labels(data[time]), strict=True))
    at = tuple(sorted(labels))
    if not 2 <= len(distinct) <= LINES or len(at) < LEAST:
        return None
    if len(values) < len(names):
        return None

    series = []
    for one in distinct:
        line = tuple(values.get((place, one)) for place in at)
        series.append(Series(_label(str(one)), line))

    pivot = f"index={time!r}, columns={other!r}, values={measure!r}"
    return Chart(
        "line",
        f"{_label(measure)} by {_label(time)} and {_label(other)}",
        _label(time),
        at=at,
        labels=tuple(labels[place] for place in at),
        panels=(Panel(_label(measure), tuple(series)),),
        code=f"{_frame_code(data, name, [measure])}.pivot({pivot}).plot()",
    )


def _by_category(
    data: pa.Table, name: str, key: str, measures: Sequence[str]
) -> Chart | None:
    """A bar a row, a panel a measure; every category once."""
    column = data[key]
    if data.num_rows > BARS or not _is_category(column.type):
        return None
    if column.null_count > 1 or len(pc.unique(plain_column(column))) < data.num_rows:
        return None

    shown = measures[:PANELS]
    panels = [
        Panel(_label(one), (Series(_label(one), _floats(data[one])),)) for one in shown
    ]

    labels = _labels(column)
    frame = _frame_code(data, name, shown)
    return Chart(
        "bar",
        f"{_label_list(shown)} by {_label(key)}",
        _label(key),
        at=tuple(map(float, range(len(labels)))),
        labels=labels,
        panels=tuple(panels),
        code=f"{frame}[::-1].plot.barh(x={key!r}, {_columns_code(shown)})",
    )


def _columns_code(shown: Sequence[str]) -> str:
    if len(shown) == 1:
        return f"y={shown[0]!r}"
    return f"y={list(shown)!r}, subplots=True"


def _frame_code(data: pa.Table, name: str, columns: Sequence[str]) -> str:
    """The variable in the code; decimals become floats there, because pandas draws no decimals."""
    kinds = {one: value_kind(data.schema.field(one).type) for one in columns}
    exact = [one for one, kind in kinds.items() if kind is DECIMAL]
    frame = name or "table"
    if exact:
        return f"{frame}.astype({dict.fromkeys(exact, 'float')!r})"

    return frame


def _floats(column: pa.ChunkedArray) -> Values:
    """The values as floats; what is no number on a scale is a gap."""
    return tuple(map(_as_float, plain_column(column).to_pylist()))


def _as_float(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if math.isfinite(number):
        return number
    return None


def _labels(column: pa.ChunkedArray) -> tuple[str, ...]:
    found = ["NULL" if text is None else text for text in column_texts(column)]
    if all(text.endswith(" 00:00:00") for text in found):
        found = [text[:-9] for text in found]
    return tuple(map(_label, found))


def _label(text: str) -> str:
    return clip(visible(text), LABEL)


def _label_list(texts: Sequence[str]) -> str:
    return ", ".join(map(_label, texts))


def _pick(values: Sequence[_T], order: Sequence[int]) -> tuple[_T, ...]:
    return tuple(values[at] for at in order)


def _time_places(column: pa.ChunkedArray) -> tuple[float, ...]:
    """Where each value of a time column stands on a line, empty when it is none or holds a NULL."""
    if column.null_count:
        return ()

    kind = value_kind(column.type)
    column = plain_column(column)
    if kind.moment:
        return _moment_places(column)
    if kind.whole:
        return _year_places(column.to_pylist())
    if kind.text:
        return _period_places(column.to_pylist())

    return ()


def _moment_places(column: pa.ChunkedArray) -> tuple[float, ...]:
    zone = getattr(column.type, "tz", None)
    moments = pc.cast(column, pa.timestamp("us", zone), safe=False)
    return tuple(map(float, pc.cast(moments, pa.int64()).to_pylist()))


def _year_places(years: Sequence[int]) -> tuple[float, ...]:
    if not all(1900 <= year <= 2200 for year in years):
        return ()
    return tuple(map(float, years))


def _period_places(texts: Sequence[str]) -> tuple[float, ...]:
    """Of texts like `2026`, `2026-11`, `2026-Q4`, all of one form: years among months
    have no common scale.
    """
    places, forms = [], set()
    for text in texts:
        match = _PERIOD.fullmatch(text)
        if match is None:
            return ()

        forms.add(tuple(group is not None for group in match.groups()))
        places.append(_period_place(match))

    if len(forms) == 1:
        return tuple(places)

    return ()


def _period_place(match: re.Match[str]) -> float:
    """Years from the year 0."""
    year, month, day, quarter, week = (float(group or 0) for group in match.groups())
    if month:
        return year + (month - 1) / 12 + max(0.0, day - 1) / 372
    if quarter:
        return year + (quarter - 1) / 4

    return year + week / 53
