"""Which table is worth a chart without being asked, and which chart: decided from types
and values; names only tell what a number is no quantity of.

A chart is drawn where it shows what a table does not: a course over time, a comparison
of categories, a relation, a distribution. Records, constants, two rows are better read.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.charts.compute import Chart, compute_here, read_moment
from mcp_notebook.charts.specification import Spec, check_spec
from mcp_notebook.values import BOOLEAN, column_values, plain_column, value_kind

ROWS = 5_000  # more are no answer to a question, and cost time
LEAST = 3  # rows
COLUMNS = 12  # wider tables are records, not results
BARS = 30
SERIES = 6
PANELS = 3
GRID = 40  # categories on an axis of a grid
CLOUD = 20  # points from which a relation can be seen
DISTRIBUTION = 30  # values from which one can

Role = Literal["measure", "id", "attribute", "time", "ordinal", "category", "other"]

# Numbers that count nothing: who a row is, where it is, its place in a list.
_ID = re.compile(
    r"(?:^|_)(?:id|key|uuid|code|zip|plz|postcode|phone|fax|no|nr|num|number|sku|isbn)s?$",
    re.IGNORECASE,
)
_RANK = re.compile(
    r"(?:^|_)(?:rank|ranking|position|place|index|idx|row)$", re.IGNORECASE
)
_COORDINATE = re.compile(
    r"(?:^|_)(?:lat|lon|lng|long|latitude|longitude)$", re.IGNORECASE
)
_ORDINALS = (
    (re.compile(r"(?:^|_)hours?(?:$|_of)", re.IGNORECASE), 0, 24),
    (re.compile(r"(?:^|_)(?:month|mon)s?(?:$|_of)", re.IGNORECASE), 1, 12),
    (re.compile(r"(?:^|_)(?:dow|weekday|day_of_week|dayofweek)$", re.IGNORECASE), 0, 7),
    (re.compile(r"(?:^|_)(?:day|dom)(?:$|_of_month)", re.IGNORECASE), 1, 31),
    (re.compile(r"(?:^|_)(?:week|kw)(?:$|_of)", re.IGNORECASE), 0, 53),
    (re.compile(r"(?:^|_)(?:quarter|qtr)$", re.IGNORECASE), 1, 4),
)
_YEAR = re.compile(r"(?:^|_)(?:year|yr|jahr|annee|ano)$", re.IGNORECASE)
_CALENDARS = tuple(
    words.split()
    for words in (
        "jan feb mar apr may jun jul aug sep oct nov dec",
        "january february march april may june july august september october november december",
        "mon tue wed thu fri sat sun",
        "monday tuesday wednesday thursday friday saturday sunday",
        "q1 q2 q3 q4",
    )
)
# Periods that sort as texts do but are no date.
_PERIOD = re.compile(r"\d{4}-?(?:Q[1-4]|W\d{2})")
_LAST_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True)
class ChartChoice:
    """What is drawn: `key` along one axis, `measures` in a panel each, `by` in colours."""

    mark: Literal["bar", "line", "point", "rect", "hist"]
    key: str
    measures: tuple[str, ...] = ()
    by: str = ""


@dataclass(eq=False)
class _Column:
    """A column with its role; `values` as Python has them."""

    name: str
    role: Role
    values: list[Any]
    order: list[Any] = field(default_factory=list)  # of an ordinal's words
    kind: str = ""

    @property
    def different(self) -> int:
        return len(set(map(str, self.values)))

    @property
    def is_unique(self) -> bool:
        return self.different == len(self.values)


def choose(data: pa.Table) -> ChartChoice | None:
    """The chart of a table of 3 to 5,000 rows, None when there is none worth looking at."""
    if not LEAST <= data.num_rows <= ROWS or not 1 <= data.num_columns <= COLUMNS:
        return None

    columns = [
        _read_column(name, data[name], at) for at, name in enumerate(data.column_names)
    ]
    if any(column.role == "other" for column in columns):
        return None

    # one value throughout tells nothing of a row
    columns = [column for column in columns if column.different > 1]
    groups: dict[str, list[_Column]] = {}
    for column in columns:
        groups.setdefault(column.role, []).append(column)

    measures = groups.get("measure", [])
    if not measures:
        return None

    keys = [*groups.get("category", []), *groups.get("ordinal", [])]
    times, ids = groups.get("time", []), groups.get("id", [])
    if not keys and not times:
        return _choose_numbers(data.num_rows, ids, measures)
    if not keys:
        return _choose_times(times, ids, measures)

    return _choose_categories(keys, times, ids, measures)


def chart_of(choice: ChartChoice, data: pa.Table, table: str) -> Chart:
    """The chart of a choice, on the way of every chart; raises `SpecError`."""
    spec = _spec_of(choice, data)
    checked = check_spec(spec, data.column_names, ())
    return compute_here(checked, data, table)


def _choose_numbers(
    rows: int, ids: Sequence[_Column], measures: Sequence[_Column]
) -> ChartChoice | None:
    """A table of nothing but numbers."""
    if ids:
        one = len(ids) == len(measures) == 1 and ids[0].is_unique
        if one and rows <= BARS and not _is_sequence(ids[0]):
            return ChartChoice("bar", ids[0].name, (measures[0].name,))

        return None

    if len(measures) == 1 and rows >= DISTRIBUTION:
        return ChartChoice("hist", measures[0].name)
    if len(measures) == 2 and rows >= CLOUD:
        return ChartChoice("point", measures[0].name, (measures[1].name,))

    return None


def _choose_times(
    times: Sequence[_Column], ids: Sequence[_Column], measures: Sequence[_Column]
) -> ChartChoice | None:
    """Quantities over one time, each time once."""
    if len(times) > 1 or ids or not times[0].is_unique:
        return None

    names = _names(measures)
    if _is_regular(times[0]):
        return ChartChoice("line", times[0].name, names)

    return ChartChoice("point", times[0].name, names[:1])


def _choose_categories(
    keys: Sequence[_Column],
    times: Sequence[_Column],
    ids: Sequence[_Column],
    measures: Sequence[_Column],
) -> ChartChoice | None:
    words = [key for key in keys if key.role == "category"]
    own = [key for key in keys if key.is_unique]
    if own and len(words) <= 1:
        return _choose_bars(own[0], measures)

    rows = len(measures[0].values)
    if ids or len(keys) + len(times) != 2:
        return None

    one, other = [*times, *keys]
    if len(set(zip(map(str, one.values), map(str, other.values), strict=True))) < rows:
        return None

    measures = [m for m in measures if not _follows(m, one) and not _follows(m, other)]
    if not measures:
        return None
    if (times and one.kind != "year") or (other.role == "category" and times):
        return _choose_series(one, other, measures[0])

    return _choose_grid(one, other, measures[0])


def _choose_bars(key: _Column, measures: Sequence[_Column]) -> ChartChoice | None:
    """A row a category: a date beside it is the category's own."""
    rows = len(key.values)
    names = _names(measures)
    if key.values.count(None) > 1:
        return None
    if rows > BARS:
        if len(measures) == 2 and rows >= CLOUD:
            return ChartChoice("point", names[0], names[1:])

        return None

    if key.role == "category" and (_is_sequence(key) or _has_total(measures)):
        return None

    return ChartChoice("bar", key.name, names)


def _choose_series(
    time: _Column, other: _Column, measure: _Column
) -> ChartChoice | None:
    if not 2 <= other.different <= SERIES or time.different < LEAST:
        return None
    if None in other.values:
        return None

    return ChartChoice("line", time.name, (measure.name,), other.name)


def _choose_grid(one: _Column, other: _Column, measure: _Column) -> ChartChoice | None:
    """Two keys, each pair once: bars in groups while they are few, else a grid."""
    wide, narrow = (one, other) if one.different >= other.different else (other, one)
    cells = wide.different * narrow.different
    if len(measure.values) < 0.6 * cells or wide.different > GRID:
        return None
    if narrow.different <= SERIES and cells <= BARS:
        return ChartChoice("bar", wide.name, (measure.name,), narrow.name)

    return ChartChoice("rect", wide.name, (measure.name,), narrow.name)


def _names(measures: Sequence[_Column]) -> tuple[str, ...]:
    return tuple(measure.name for measure in measures[:PANELS])


def _read_column(name: str, column: pa.ChunkedArray, at: int) -> _Column:
    kind = value_kind(column.type)
    column = plain_column(column)
    values = column_values(column)
    if column.null_count == len(column):
        return _Column(name, "attribute", [None] * len(values))
    if kind.moment:
        role: Role = "attribute" if column.null_count else "time"
        return _Column(name, role, values, kind="moment")
    if kind.number:
        return _read_numbers(name, values, kind.whole, at)
    if kind.text:
        return _read_words(name, values)
    if kind is BOOLEAN:
        return _Column(name, "category", values)

    return _Column(name, "other" if kind.nested else "attribute", values)


def _read_numbers(name: str, values: list[Any], whole: bool, at: int) -> _Column:
    seen = [value for value in values if value is not None]
    if _COORDINATE.search(name) or _RANK.search(name):
        return _Column(name, "attribute", values)
    if not whole:
        return _Column(name, "measure", values)
    if _is_year(name, values, at):
        return _Column(name, "time", values, kind="year")

    for words, low, high in _ORDINALS:
        if words.search(name) and all(low <= value <= high for value in seen):
            return _Column(name, "ordinal", values, sorted(set(seen)))

    if _ID.search(name) or _are_numbers_of_things(seen):
        return _Column(name, "id", values)

    return _Column(name, "measure", values)


def _is_year(name: str, values: list[Any], at: int) -> bool:
    if None in values or not all(1800 <= value <= 2200 for value in values):
        return False
    if _YEAR.search(name):
        return True

    # years by another name: one after the other, in front of what is counted
    steps = {after - before for before, after in pairwise(values)}
    return at == 0 and steps in ({1}, {-1})


def _are_numbers_of_things(seen: list[Any]) -> bool:
    """Telephone numbers, accounts: long, of one length, each once."""
    lengths = {len(str(value)) for value in seen}
    return len(lengths) == 1 and min(lengths) >= 9 and len(set(seen)) == len(seen)


def _read_words(name: str, values: list[Any]) -> _Column:
    seen = [value for value in values if value is not None]
    lower = {value.strip().lower() for value in seen}
    for calendar in _CALENDARS:
        if len(lower) > 2 and lower <= set(calendar):
            order = sorted(set(seen), key=lambda v: calendar.index(v.strip().lower()))
            return _Column(name, "ordinal", values, order)

    if None in values:
        return _Column(name, "category", values)
    if all(_PERIOD.fullmatch(value) for value in seen):
        return _Column(name, "time", values, kind="period")
    # years among months have no common scale
    is_one_form = len({min(len(value), 10) for value in seen}) == 1
    if is_one_form and all(read_moment(value) is not None for value in seen):
        return _Column(name, "time", values, kind="moment text")

    return _Column(name, "category", values)


def _is_regular(time: _Column) -> bool:
    """Whether times are those of a clock or a calendar, not of single events."""
    if time.kind in ("year", "period"):
        return True

    moments = sorted(filter(None, map(_as_moment, time.values)))
    if all(one.time() == dt.time() for one in moments):
        return True

    steps = [(b - a).total_seconds() for a, b in pairwise(moments)]
    usual = median(steps)
    return max(steps) <= 3 * usual and min(steps) >= usual / 3


def _as_moment(value: Any) -> dt.datetime | None:
    if isinstance(value, str):
        return read_moment(value)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)

    return dt.datetime(value.year, value.month, value.day)


def _is_sequence(key: _Column) -> bool:
    """Whether a key numbers its rows: `A-1001`, `A-1002`, … are records."""
    numbers = []
    for value in key.values:
        found = _LAST_NUMBER.search(str(value))
        if found is None:
            return False

        numbers.append(int(found[1]))

    steps = {after - before for before, after in pairwise(numbers)}
    named = bool(_ID.search(key.name)) or min(numbers) >= 100
    return named and steps in ({1}, {-1})


def _has_total(measures: Sequence[_Column]) -> bool:
    """Whether one row is the sum of all the others, which dwarfs them."""
    for measure in measures:
        seen = [float(value) for value in measure.values if value is not None]
        total = max(seen)
        rest = sum(seen) - total
        if len(seen) < 4 or min(seen) < 0 or abs(rest - total) > 1e-9 * total:
            return False

    return True


def _follows(measure: _Column, key: _Column) -> bool:
    """Whether a number is the key's own: a station's height, not its rain."""
    if key.different == len(key.values):
        return False

    pairs = set(zip(map(str, key.values), map(str, measure.values), strict=True))
    return len(pairs) == key.different


# --- the choice as a specification


def _spec_of(choice: ChartChoice, data: pa.Table) -> Spec:
    if choice.mark == "hist":
        return {
            "mark": "bar",
            "encoding": {
                "x": {"field": choice.key, "bin": {"maxbins": 20}},
                "y": {"aggregate": "count"},
            },
        }

    views = [
        _view(choice, measure, data, at) for at, measure in enumerate(choice.measures)
    ]
    if len(views) == 1:
        return views[0]

    return {"hconcat" if _lies(choice, data) else "vconcat": views}


def _lies(choice: ChartChoice, data: pa.Table) -> bool:
    """Whether bars lie, with their words before them: categories have names."""
    column = _column(choice.key, data)
    return choice.mark == "bar" and column.role != "ordinal"


def _column(name: str, data: pa.Table) -> _Column:
    return _read_column(name, data[name], data.column_names.index(name))


def _view(choice: ChartChoice, measure: str, data: pa.Table, at: int) -> Spec:
    key = _column(choice.key, data)
    several = len(choice.measures) > 1
    along: Spec = {"field": choice.key}
    value: Spec = {"field": measure, "type": "quantitative"}
    if choice.mark == "rect":
        return {
            "mark": "rect",
            "encoding": {
                "x": {**along, **_order(key)},
                "y": {"field": choice.by, **_order(_column(choice.by, data))},
                "color": value,
            },
        }

    if choice.mark == "bar":
        return _bars(choice, key, along, value, lies=_lies(choice, data), at=at)

    if key.role == "time":
        along |= _time_axis(key)
    else:
        along["type"] = "quantitative"
        along |= _zero(data[choice.key])

    encoding = {"x": along, "y": {**value, **_zero(data[measure])}}
    if choice.by:
        encoding["color"] = {"field": choice.by, "type": "nominal"}

    mark: Any = choice.mark
    if choice.mark == "line" and data.num_rows <= 60:
        mark = {"type": "line", "point": True}

    height = {"height": 120} if several else {}
    return {"mark": mark, "encoding": encoding, **height}


def _bars(
    choice: ChartChoice, key: _Column, along: Spec, value: Spec, *, lies: bool, at: int
) -> Spec:
    along |= _order(key)
    beside: Spec = {}
    if choice.by:
        beside = {"field": choice.by, "type": "nominal", "sort": None}

    several = len(choice.measures)
    if not lies:
        encoding = {"x": along, "y": value}
        if beside:
            encoding |= {"xOffset": beside, "color": {**beside}}

        return {
            "mark": "bar",
            "encoding": encoding,
            **({"height": 120} if several > 1 else {}),
        }

    if at:  # the words stand before the first panel
        along["axis"] = None

    encoding = {"y": along, "x": value}
    if beside:
        encoding |= {"yOffset": beside, "color": {**beside}}

    return {"mark": "bar", "encoding": encoding, "width": 380 // several}


def _order(key: _Column) -> Spec:
    if key.role == "ordinal":
        return {"type": "ordinal", "sort": key.order}
    if key.role == "category":
        return {"type": "nominal", "sort": None}  # as the rows stand

    return {"type": "ordinal"}


def _time_axis(key: _Column) -> Spec:
    if key.kind == "period":
        return {"type": "ordinal"}
    if key.kind == "year":
        return {"type": "temporal", "timeUnit": "year"}

    return {"type": "temporal"}


def _zero(column: pa.ChunkedArray) -> Spec:
    """An axis of points and lines begins at zero while zero is near enough."""
    ends = pc.min_max(column)
    low, high = (float(ends[side].as_py() or 0) for side in ("min", "max"))
    if (0.6 * high <= low and high > 0) or (0.6 * low >= high and low < 0):
        return {"scale": {"zero": False}}

    return {}
