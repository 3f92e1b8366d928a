"""Whether a table is worth a picture, and which: decided from types and values; names
only tell keys from quantities.

Two shapes are: values in the order of a time column, as lines, and one row a category,
as bars. A time column with one text column of few values beside it gives a line a
value. Anything else is better read as a table.
"""

import math
import re
from collections.abc import Sequence
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.display.chart.draw_chart import Chart, Panel, Series, Values
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


def choose(data: pa.Table, name: str) -> Chart | None:
    """The chart of a table of 3 to 5,000 rows, None when there is none worth looking
    at; `name` is its variable.
    """
    if not (LEAST <= data.num_rows <= ROWS and 2 <= data.num_columns <= COLUMNS):
        return None
    measures = [
        field.name for field in data.schema if _measures(field, data[field.name])
    ]
    keys = [column for column in data.column_names if column not in measures]
    if not measures or not 1 <= len(keys) <= 2:
        return None
    times = {key: places for key in keys if (places := _places(data[key]))}
    if len(keys) == 1:
        key = keys[0]
        return (
            _over_time(data, name, key, times[key], measures)
            if times
            else _by_category(data, name, key, measures)
        )
    if len(times) != 1:
        return None
    time = next(iter(times))
    other = next(key for key in keys if key != time)
    return _lines(data, name, time, times[time], other, measures[0])


def _measures(field: pa.Field, column: pa.ChunkedArray) -> bool:
    """Whether a column holds quantities: numbers that are no keys."""
    kind = value_kind(field.type)
    if not kind.number or column.null_count == len(column):
        return False
    return not (kind.whole and _KEY.search(field.name))


def _places(column: pa.ChunkedArray) -> tuple[float, ...]:
    """Where each value of a time column stands on a line, empty when it is none or holds a NULL."""
    if column.null_count:
        return ()
    kind = value_kind(column.type)
    column = plain_column(column)
    if kind.moment:
        zone = getattr(column.type, "tz", None)
        moments = pc.cast(column, pa.timestamp("us", zone), safe=False)
        whole = pc.cast(moments, pa.int64())
        return tuple(float(value) for value in whole.to_pylist())
    if kind.whole:
        years = column.to_pylist()
        return (
            tuple(map(float, years))
            if all(1900 <= year <= 2200 for year in years)
            else ()
        )
    if not kind.text:
        return ()
    found = [_PERIOD.fullmatch(text) for text in column.to_pylist()]
    forms = {
        tuple(group is not None for group in match.groups()) for match in found if match
    }
    if not all(found) or len(forms) != 1:  # years among months have no common scale
        return ()
    return tuple(_place(match) for match in found if match)


def _place(match: "re.Match[str]") -> float:
    """Years from the year 0."""
    year, month, day, quarter, week = (
        float(group) if group else 0.0 for group in match.groups()
    )
    part = (
        (month - 1) / 12 + max(0.0, day - 1) / 372
        if month
        else (quarter - 1) / 4
        if quarter
        else week / 53
    )
    return year + part


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
    if len(set(places)) < len(places):
        return None
    order = sorted(range(len(places)), key=places.__getitem__)
    shown = measures[:PANELS]
    panels = tuple(
        Panel(_word(one), (Series(_word(one), _picked(_floats(data[one]), order)),))
        for one in shown
    )
    columns = (
        f"y={shown[0]!r}" if len(shown) == 1 else f"y={list(shown)!r}, subplots=True"
    )
    code = (
        f"{_frame(data, name, shown)}{_sorted(key, order)}.plot(x={key!r}, {columns})"
    )
    labels = _picked(_labels(data[key]), order)
    title = f"{', '.join(map(_word, shown))} by {_word(key)}"
    return Chart(
        "line", title, _word(key), _picked(places, order), labels, panels, code
    )


def _lines(
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
    pairs = dict(
        zip(zip(places, names, strict=True), _floats(data[measure]), strict=True)
    )
    labels = dict(zip(places, _labels(data[time]), strict=True))
    at = tuple(sorted(labels))
    if not 2 <= len(distinct) <= LINES or len(pairs) < len(names) or len(at) < LEAST:
        return None
    series = tuple(
        Series(_word(str(one)), tuple(pairs.get((place, one)) for place in at))
        for one in distinct
    )
    code = f"{_frame(data, name, [measure])}.pivot(index={time!r}, columns={other!r}, values={measure!r}).plot()"
    title = f"{_word(measure)} by {_word(time)} and {_word(other)}"
    panel = (Panel(_word(measure), series),)
    return Chart(
        "line",
        title,
        _word(time),
        at,
        tuple(labels[place] for place in at),
        panel,
        code,
    )


def _by_category(
    data: pa.Table, name: str, key: str, measures: Sequence[str]
) -> Chart | None:
    column = data[key]
    if data.num_rows > BARS or not _is_category(column.type):
        return None
    if column.null_count > 1 or len(pc.unique(plain_column(column))) < data.num_rows:
        return None
    shown = measures[:PANELS]
    panels = tuple(
        Panel(_word(one), (Series(_word(one), _floats(data[one])),)) for one in shown
    )
    columns = (
        f"y={shown[0]!r}" if len(shown) == 1 else f"y={list(shown)!r}, subplots=True"
    )
    code = f"{_frame(data, name, shown)}[::-1].plot.barh(x={key!r}, {columns})"
    labels = _labels(column)
    title = f"{', '.join(map(_word, shown))} by {_word(key)}"
    return Chart(
        "bar",
        title,
        _word(key),
        tuple(map(float, range(len(labels)))),
        labels,
        panels,
        code,
    )


def _frame(data: pa.Table, name: str, columns: Sequence[str]) -> str:
    """The variable in the code; decimals become floats there, because pandas draws no decimals."""
    exact = [
        one for one in columns if value_kind(data.schema.field(one).type) is DECIMAL
    ]
    return (name or "table") + (
        f".astype({dict.fromkeys(exact, 'float')!r})" if exact else ""
    )


def _sorted(key: str, order: Sequence[int]) -> str:
    return "" if list(order) == sorted(order) else f".sort_values({key!r})"


def _floats(column: pa.ChunkedArray) -> Values:
    values = (
        None if value is None else float(value)
        for value in plain_column(column).to_pylist()
    )
    return tuple(
        value if value is not None and math.isfinite(value) else None
        for value in values
    )


def _labels(column: pa.ChunkedArray) -> tuple[str, ...]:
    found = ["NULL" if text is None else text for text in column_texts(column)]
    if all(text.endswith(" 00:00:00") for text in found):
        found = [text[:-9] for text in found]
    return tuple(map(_word, found))


def _word(text: str) -> str:
    return clip(visible(text), LABEL)


def _picked(values: Sequence[_T], order: Sequence[int]) -> tuple[_T, ...]:
    return tuple(values[at] for at in order)
