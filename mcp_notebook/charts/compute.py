"""A checked specification computed over the whole table: aggregates, bins and time units
in SQL, so that a browser gets marks and not rows.

What is drawn keeps the specification's own words. A group's one row is aggregated once
more to itself, a bin's middle falls into the same bin again, a month's first day into
the same month: so axes, stacks and orders come out as they would over all the rows.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.charts.specification import (
    CYCLIC_UNITS,
    OFFSETS,
    PANELS,
    Checked,
    Spec,
    SpecError,
    channels_of,
    mark_of,
    units_of,
)
from mcp_notebook.secrets import hide
from mcp_notebook.values import (
    BOOLEAN,
    FLOAT,
    TEXT,
    ValueKind,
    column_values,
    value_kind,
)

Ask = Callable[[str], Awaitable[pa.Table]]
"""Runs one SELECT (DuckDB) and gives its rows."""

MARKS_AT_MOST = 5_000
SAMPLE = 2_000  # rows of a scatter that are drawn of more
STEPS = 400  # of a line with more points: each keeps its first, last, lowest, highest
CATEGORIES = 100  # on one axis
PANELS_AT_MOST = 36
COLOURS_AT_MOST = 50

_SUMMED = {"count", "sum", "distinct", "valid", "missing", "product"}
_OF_ANYTHING = {"count", "distinct", "valid", "missing"}
_ORDERED = {"min", "max"}
_UNTYPED = {"x2", "y2", "theta2", "radius2"}
_DISCRETE_CHANNELS = {*PANELS, *OFFSETS, "shape", "strokeDash", "detail"}
_DISCRETE_TYPES = {"nominal", "ordinal"}
_SAMPLED = {"point", "circle", "square", "tick"}
_LINES = {"line", "area", "trail"}
_SMALL_INTEGERS = (
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.uint8(),
    pa.uint16(),
)
_DEFAULT_BINS = {"x": 10, "y": 10}
_OF_FACET = "facet "  # before the name of a panel of layers
_WORD = re.compile(r"[^\W\d]\w*")
_DATED = {
    "year": "year",
    "yearquarter": "quarter",
    "yearmonth": "month",
    "yearmonthdate": "day",
    "yearmonthdatehours": "hour",
    "yearmonthdatehoursminutes": "minute",
    "yearmonthdatehoursminutesseconds": "second",
}
# One day that stands for all of the same month, weekday, hour …: of 2012, as Vega has
# it, which began on a Sunday and had a 29th of February.
_CYCLIC = {
    "quarter": "make_timestamp(2012, 3 * quarter({t}) - 2, 1, 0, 0, 0)",
    "month": "make_timestamp(2012, month({t}), 1, 0, 0, 0)",
    "date": "make_timestamp(2012, 1, day({t}), 0, 0, 0)",
    "day": "make_timestamp(2012, 1, 1 + dayofweek({t}), 0, 0, 0)",
    "hours": "make_timestamp(2012, 1, 1, hour({t}), 0, 0)",
    "minutes": "make_timestamp(2012, 1, 1, 0, minute({t}), 0)",
    "seconds": "make_timestamp(2012, 1, 1, 0, 0, floor(second({t})))",
    "monthdate": "make_timestamp(2012, month({t}), day({t}), 0, 0, 0)",
}
_SQL_AGGREGATES = {
    "sum": "sum({c})",
    "mean": "avg({c})",
    "average": "avg({c})",
    "median": "median({c})",
    "min": "min({c})",
    "max": "max({c})",
    "distinct": "count(DISTINCT {c})",
    "valid": "count({c})",
    "missing": "count(*) - count({c})",
    "q1": "quantile_cont({c}, 0.25)",
    "q3": "quantile_cont({c}, 0.75)",
    "product": "product({c})",
    "stdev": "stddev_samp({c})",
    "stdevp": "stddev_pop({c})",
    "variance": "var_samp({c})",
    "variancep": "var_pop({c})",
}


@dataclass(frozen=True, eq=False)
class Points:
    """What one unit draws: the SELECT that gives its rows, and these.

    `whole`: they are all rows of the table, unchanged, so `columns` of the table alone
    would draw the same.
    """

    sql: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    whole: bool = False


@dataclass(frozen=True, eq=False)
class Chart:
    """What is drawn of one table. The units of `spec` name their data `points_1`,
    `points_2` …, in the order of `points`. `rows`: those of the table that were looked at.
    """

    table: str
    spec: Spec
    points: tuple[Points, ...]
    rows: int
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class _Unit:
    """One mark with its channels on the way into SQL."""

    spec: Spec
    mark: str
    filters: list[str]
    columns: dict[str, str] = field(default_factory=dict)  # name -> SQL
    keys: list[str] = field(default_factory=list)  # names that are not aggregated
    sorts: list[tuple[str, str, str]] = field(default_factory=list)  # name, key, SQL
    grouped: bool = False
    notes: list[str] = field(default_factory=list)

    def name(self, wanted: str, sql: str) -> str:
        """The name of a column of the rows: the same for the same SQL."""
        stem = wanted if _WORD.fullmatch(wanted) else f"c{len(self.columns) + 1}"
        made, number = stem, 2
        while self.columns.get(made, sql) != sql:
            made, number = f"{stem}_{number}", number + 1

        self.columns[made] = sql
        return made


@dataclass(frozen=True)
class _Facts:
    """What is counted before anything is computed: rows, and ranges by column."""

    rows: int
    ranges: Mapping[str, tuple[Any, Any]]


async def compute(checked: Checked, schema: pa.Schema, table: str, ask: Ask) -> Chart:
    """The chart; raises `SpecError` for what does not fit the table or would be too
    many marks, and whatever `ask` raises.
    """
    views, points, notes, rows = [], [], [*checked.left_out], 0
    in_facet = checked.form == "facet"
    for view in checked.views:
        units = [
            await _compute_unit(unit, schema, table, ask, _panel_of(checked))
            for unit in units_of(view)
        ]
        if in_facet:
            made = [_join_units(units)]
        else:
            made = [one for _, one, _ in units]

        names = []
        for one in made:
            points.append(one)
            names.append(f"points_{len(points)}")

        views.append(_with_data(view, [unit for unit, _, _ in units], names, in_facet))
        rows = max([rows, *(facts.rows for _, _, facts in units)])
        notes += [note for unit, _, _ in units for note in unit.notes]

    together = sum(len(one.rows) for one in points)
    if together > MARKS_AT_MOST:
        raise SpecError(_say_too_many(together))

    if not together:
        raise SpecError("No row is left to draw: the table is empty, or the filter is.")

    spec = _put_together(checked, views)
    return Chart(table, spec, tuple(points), rows, tuple(dict.fromkeys(notes)))


def compute_here(checked: Checked, data: pa.Table, table: str) -> Chart:
    """The chart of rows that are all here and few: one mark a row, or counts.

    Raises `SpecError`. What it draws is what `compute` would, without a database.
    """
    views, points = [], []
    for view in checked.views:
        names = []
        units = []
        for spec in units_of(view):
            unit, made = _compute_here(spec, data, table)
            units.append(unit)
            points.append(made)
            names.append(f"points_{len(points)}")

        views.append(_with_data(view, units, names, False))

    return Chart(table, _put_together(checked, views), tuple(points), data.num_rows)


def _compute_here(spec: Spec, data: pa.Table, table: str) -> tuple[_Unit, Points]:
    unit = _Unit(spec, mark_of(spec), [])
    ranges = {}
    for channel, definition in channels_of(spec):
        _settle_type(channel, definition, data.schema)
        name = definition.get("field")
        if name is not None:
            ranges[name] = _ends(data[name])

    unit.grouped = _is_grouped(spec)
    facts = _Facts(data.num_rows, ranges)
    columns: dict[str, list[Any]] = {}
    for channel, definition in channels_of(spec):
        name = definition.get("field")
        is_binned = bool(definition.get("bin"))
        _compute_channel(unit, channel, definition, data.schema, facts)
        if name is None:
            continue

        values = _values_here(data[name], definition)
        if is_binned:
            values = [_middle_of(value, definition["bin"]) for value in values]

        columns[definition["field"]] = values

    _keep_zero(unit)
    source = f"\nFROM {quote(table)}"
    sql, is_whole = _select(unit, data.schema, source, facts)
    names = list(columns)
    rows = [
        dict(zip(names, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
    if unit.grouped:
        names, rows = _count_rows(unit, rows)

    return unit, Points(sql, tuple(names), tuple(rows), is_whole)


def _ends(column: pa.ChunkedArray) -> tuple[Any, Any]:
    if not value_kind(column.type).number:
        return ("", "")  # there are values: all that is asked of a text

    ends = pc.min_max(column)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    return (None, None) if low is None else (float(low), float(high))


def _values_here(column: pa.ChunkedArray, definition: Spec) -> list[Any]:
    kind = value_kind(column.type)
    values = _plain_values(column)
    is_time = definition.get("type") == "temporal" or "timeUnit" in definition
    if is_time and kind.number:
        return [
            None if value is None else f"{value:04d}-01-01T00:00:00" for value in values
        ]
    if is_time and kind.text:
        return [_moment_text(value) for value in values]
    if kind.number or kind.moment or kind.text:
        return values

    # as DuckDB writes them
    return [None if value is None else str(value).lower() for value in values]


def _moment_text(text: str | None) -> str | None:
    """`2026`, `2026-11` and longer ones as a whole moment."""
    if text is None:
        return None

    padded = text + "0000-01-01"[len(text) :] if len(text) < 10 else text
    try:
        return dt.datetime.fromisoformat(padded).replace(tzinfo=None).isoformat()
    except ValueError:
        return None


def _middle_of(value: float | None, bins: Spec) -> float | None:
    if value is None:
        return None

    start, stop, step = *bins["extent"], bins["step"]
    return start + step * (
        math.floor((min(value, stop - step) - start) / step + 1e-9) + 0.5
    )


def _count_rows(
    unit: _Unit, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[str], list[dict[str, Any]]]:
    keys = list(dict.fromkeys(unit.keys))
    counts = Counter(tuple(row[key] for key in keys) for row in rows)
    names = [*keys, *(name for name in unit.columns if name not in keys)]
    ordered = sorted(counts.items(), key=lambda item: [(v is None, v) for v in item[0]])
    counted = [dict(zip(names, [*key, number], strict=True)) for key, number in ordered]
    return names, counted


def quote(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _panel_of(checked: Checked) -> Spec:
    """The panels of layers, as channels that every layer groups by."""
    if checked.form != "facet":
        return {}

    return {
        f"{_OF_FACET}{name}": definition
        for name, definition in checked.look["facet"].items()
    }


async def _compute_unit(
    spec: Spec, schema: pa.Schema, table: str, ask: Ask, panels: Spec
) -> tuple[_Unit, Points, _Facts]:
    spec["encoding"] |= panels
    filters = [
        _filter_sql(step["filter"], schema) for step in spec.pop("transform", [])
    ]
    unit = _Unit(spec, mark_of(spec), filters)
    for channel, definition in channels_of(spec):
        _settle_type(channel, definition, schema)
        _drop_lost_sort(definition, spec["encoding"])

    unit.grouped = _is_grouped(spec)
    facts = await _count(unit, schema, table, ask)
    for channel, definition in channels_of(spec):
        if "field" in definition or "aggregate" in definition:
            _compute_channel(unit, channel, definition, schema, facts)

    _keep_zero(unit)
    source = f"\nFROM {quote(table)}{_where(filters)}"
    sql, is_whole = _select(unit, schema, source, facts)
    found = await ask(sql)
    if found.num_rows > MARKS_AT_MOST:
        raise SpecError(_say_too_many(found.num_rows))

    made = Points(sql, tuple(found.column_names), rows_of(found), is_whole)
    _check_categories(spec, made)
    return unit, made, facts


def rows_of(table: pa.Table) -> tuple[dict[str, Any], ...]:
    """The rows as JSON keeps them: moments as texts without a zone, no secrets."""
    values = [_plain_values(column) for column in table.columns]
    names = table.column_names
    return tuple(
        dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)
    )


def _plain_values(column: pa.ChunkedArray) -> list[Any]:
    values = [_plain_value(value) for value in column_values(column)]
    if not value_kind(column.type).text:
        return values

    different = {value: hide(value) for value in set(values) if value}
    return [different.get(value, value) for value in values]


def _plain_value(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat()
    if isinstance(value, dt.date):
        # a bare day would be read as one of UTC, and may be the day before
        return f"{value.isoformat()}T00:00:00"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value

    try:
        return float(value)  # decimals
    except (TypeError, ValueError):
        return str(value)


def _kind(name: str, schema: pa.Schema) -> ValueKind:
    return value_kind(schema.field(name).type)


def _settle_type(channel: str, definition: Spec, schema: pa.Schema) -> None:
    """Give a channel its type, and refuse what the column's values do not allow."""
    aggregate, name = definition.get("aggregate"), definition.get("field")
    if name is not None:
        _check_kind(channel, definition, _kind(name, schema))

    if channel in _UNTYPED or ("field" not in definition and aggregate is None):
        definition.pop("type", None)
        return

    definition["type"] = _type_of(channel, definition, schema)


def _drop_lost_sort(definition: Spec, encoding: Spec) -> None:
    """In a layer that has no field there, nothing is sorted by that channel."""
    sort = definition.get("sort")
    by = sort.get("encoding") if isinstance(sort, Mapping) else sort
    if not isinstance(by, str) or by in ("ascending", "descending"):
        return

    target = encoding.get(by.lstrip("-"), {})
    if "field" not in target and "aggregate" not in target:
        del definition["sort"]


def _check_kind(channel: str, definition: Spec, kind: ValueKind) -> None:
    name, aggregate = definition["field"], definition.get("aggregate")
    if kind.nested:
        raise SpecError(
            f"{name} holds lists or objects: take their parts out with query, then "
            "chart that table."
        )

    if aggregate in _OF_ANYTHING:
        return

    is_number = kind.number or kind is BOOLEAN
    if aggregate and not is_number and not (aggregate in _ORDERED and kind.moment):
        raise SpecError(
            f"{channel}: {aggregate} needs numbers, and {name} is {kind.name}; count or "
            "distinct work, or CAST it with query and chart that table."
        )

    wants_number = definition.get("type") == "quantitative" or definition.get("bin")
    if wants_number and not (is_number or kind.moment):
        raise SpecError(
            f"{channel}: {name} is {kind.name}, which is not quantitative; leave the "
            "type out, or CAST it with query and chart that table."
        )

    if definition.get("bin") and kind.moment:
        raise SpecError(
            f"{channel}: {name} is a time; take a timeUnit such as yearmonth for bin."
        )


def _type_of(channel: str, definition: Spec, schema: pa.Schema) -> str:
    told, aggregate = definition.get("type"), definition.get("aggregate")
    if aggregate is not None and aggregate not in _ORDERED:
        return "quantitative"

    kind = _kind(definition["field"], schema)
    if told == "quantitative" and kind.moment:
        told = None
    if told == "nominal" and kind.moment and "timeUnit" in definition:
        told = "ordinal"  # months in their order, not in that of their names
    if told is not None:
        return told
    if definition.get("bin"):
        return "quantitative"
    if "timeUnit" in definition:
        is_cyclic = definition["timeUnit"] in CYCLIC_UNITS
        return (
            "ordinal"
            if is_cyclic or channel.removeprefix(_OF_FACET) in _DISCRETE_CHANNELS
            else "temporal"
        )
    if channel.removeprefix(_OF_FACET) in _DISCRETE_CHANNELS:
        return "nominal"
    if kind.moment:
        return "temporal"

    return "quantitative" if kind.number else "nominal"


async def _count(unit: _Unit, schema: pa.Schema, table: str, ask: Ask) -> _Facts:
    """Rows, and the ranges that bins, lines and years among numbers need."""
    wanted: dict[str, str] = {}
    for _, definition in channels_of(unit.spec):
        name = definition.get("field")
        if name is None:
            continue

        kind = _kind(name, schema)
        if kind.number:
            wanted[name] = f"CAST({quote(name)} AS DOUBLE)"
        elif definition.get("type") == "temporal" or "timeUnit" in definition:
            wanted[name] = _moment_sql(name, kind)

    ends = [f"min({sql}), max({sql})" for sql in wanted.values()]
    said = ", ".join(["count(*)", *ends])
    found = await ask(f"SELECT {said} FROM {quote(table)}{_where(unit.filters)}")
    row = [column_values(column)[0] for column in found.columns]
    ranges = {
        name: (row[1 + 2 * at], row[2 + 2 * at]) for at, name in enumerate(wanted)
    }
    return _Facts(int(row[0]), ranges)


def _compute_channel(
    unit: _Unit, channel: str, definition: Spec, schema: pa.Schema, facts: _Facts
) -> None:
    """Put a channel's column into the SELECT, and its name there into the channel."""
    _title(channel, definition)
    aggregate, name = definition.get("aggregate"), definition.get("field")
    if aggregate is not None:
        sql, made = _aggregate_sql(aggregate, name, schema)
        definition["field"] = unit.name(made, sql)
        if aggregate in _SUMMED:
            definition["aggregate"] = "sum"
        else:
            definition["aggregate"] = "mean" if _is_number(definition) else aggregate

        return

    assert name is not None
    sql = _value_sql(name, definition, schema, facts)
    made = name
    if "timeUnit" in definition:
        made = f"{definition['timeUnit']}_{name}"
        sql = _time_unit_sql(definition["timeUnit"], sql)
    elif definition.get("bin"):
        made = f"bin_{name}"
        sql, definition["bin"] = _bin_sql(channel, definition, sql, facts.ranges[name])

    definition["field"] = unit.name(made, sql)
    unit.keys.append(definition["field"])
    _compute_sort(unit, definition, schema)


def _is_grouped(spec: Spec) -> bool:
    """Whether rows become one mark a group: there is an aggregate, or nothing in a mark
    tells two rows of a group apart.
    """
    fields = [
        one for _, one in channels_of(spec) if "field" in one or "aggregate" in one
    ]
    if any("aggregate" in one for one in fields):
        return True

    return all(
        one.get("bin") or "timeUnit" in one or one.get("type") in _DISCRETE_TYPES
        for one in fields
    )


def _is_number(definition: Spec) -> bool:
    return definition.get("type", "quantitative") == "quantitative"


def _compute_sort(unit: _Unit, definition: Spec, schema: pa.Schema) -> None:
    """An order by another column is counted over all rows of a category."""
    sort = definition.get("sort")
    if not isinstance(sort, Mapping) or "field" not in sort:
        return

    op = sort.get("op", "sum" if _kind(sort["field"], schema).number else "min")
    sql, _ = _aggregate_sql(op, sort["field"], schema)
    made = f"order_{len(unit.sorts) + 1}"
    unit.sorts.append((made, definition["field"], sql))
    definition["sort"] = {**sort, "field": made, "op": "max"}


def _aggregate_sql(
    aggregate: str, name: str | None, schema: pa.Schema
) -> tuple[str, str]:
    """An aggregate in SQL, and what its column is called."""
    if name is None or aggregate == "count":
        return "count(*)", "number"

    kind, column = _kind(name, schema), quote(name)
    if aggregate not in _OF_ANYTHING and (kind.number or kind is BOOLEAN):
        if kind is BOOLEAN:
            column = f"CAST({column} AS INTEGER)"

        column = f"CAST({column} AS DOUBLE)"
    elif kind.moment and aggregate in _ORDERED:
        column = _moment_sql(name, kind)

    return _SQL_AGGREGATES[aggregate].format(c=column), f"{aggregate}_{name}"


def _value_sql(name: str, definition: Spec, schema: pa.Schema, facts: _Facts) -> str:
    kind, column = _kind(name, schema), quote(name)
    is_time = definition.get("type") == "temporal" or "timeUnit" in definition
    if is_time:
        return _time_sql(name, kind, facts)
    if kind.moment:
        return _moment_sql(name, kind)
    if kind is TEXT or kind is FLOAT or schema.field(name).type in _SMALL_INTEGERS:
        return column
    if kind.number:
        return f"CAST({column} AS DOUBLE)"
    if kind is BOOLEAN and definition.get("type") == "quantitative":
        return f"CAST({column} AS INTEGER)"

    return f"CAST({column} AS VARCHAR)"


def _time_sql(name: str, kind: ValueKind, facts: _Facts) -> str:
    low, high = facts.ranges.get(name, (None, None))
    if kind.number:
        if low is None or not (kind.whole and low >= 1000 and high <= 3000):
            raise SpecError(
                f"{name} holds numbers that are no years, so it is not temporal; leave "
                "the type out, or make a date of it with query and chart that table."
            )

        return f"make_timestamp(CAST({quote(name)} AS BIGINT), 1, 1, 0, 0, 0)"

    if low is None and facts.rows:
        raise SpecError(
            f"{name} holds no dates that can be read; leave the type out, or make a "
            "date of it with query and chart that table."
        )

    return _moment_sql(name, kind)


def _moment_sql(name: str, kind: ValueKind) -> str:
    column = quote(name)
    if kind.moment:
        # also takes the zone off, in the session's
        return f"CAST({column} AS TIMESTAMP)"

    text = f"CAST({column} AS VARCHAR)"
    forms = "['%Y-%m', '%Y']"
    return f"coalesce(TRY_CAST({text} AS TIMESTAMP), try_strptime({text}, {forms}))"


def _time_unit_sql(unit: str, moment: str) -> str:
    if unit == "yearweek":  # Vega's weeks begin on Sunday
        day = f"date_trunc('day', {moment})"
        return (
            f"CAST({day} - to_days(CAST(dayofweek({moment}) AS INTEGER)) AS TIMESTAMP)"
        )
    if unit in _DATED:
        return f"CAST(date_trunc('{_DATED[unit]}', {moment}) AS TIMESTAMP)"

    return _CYCLIC[unit].format(t=moment)


def _bin_sql(
    channel: str, definition: Spec, value: str, ends: tuple[Any, Any]
) -> tuple[str, Spec]:
    """The middle of each value's bin, and the bins as Vega would choose them.

    https://github.com/vega/vega/blob/main/packages/vega-statistics/src/bin.js
    """
    asked = definition["bin"] if isinstance(definition["bin"], Mapping) else {}
    most = asked.get("maxbins") or _DEFAULT_BINS.get(channel, 6)
    low, high = (float(end) if end is not None else 0.0 for end in ends)
    span = (high - low) or abs(low) or 1.0
    step = float(asked.get("step") or _bin_step(span, most))
    start = math.floor(low / step + 1e-9) * step
    stop = math.ceil(high / step - 1e-9) * step
    if stop <= start:
        stop = start + step

    if (stop - start) / step > 500:
        raise SpecError(f"{channel}: more than 500 bins; take a larger step.")

    # the highest value stands in the last bin, not in one of its own
    place = f"floor((least({value}, {stop - step!r}) - {start!r}) / {step!r} + 1e-9)"
    sql = f"{start!r} + {step!r} * ({place} + 0.5)"
    return sql, {"step": step, "extent": [start, stop]}


def _bin_step(span: float, most: float) -> float:
    level = math.ceil(math.log10(most))
    step = 10.0 ** (round(math.log10(span)) - level)
    while math.ceil(span / step) > most:
        step *= 10

    for divisor in (5, 2):
        if span / (step / divisor) <= most:
            step /= divisor

    return step


def _title(channel: str, definition: Spec) -> None:
    """A channel is called after the column, not after our name for what was computed."""
    if "title" in definition or channel in _UNTYPED:
        return

    aggregate, name = definition.get("aggregate"), definition.get("field")
    if name is None or aggregate == "count":
        said = "number of rows"
    elif aggregate is not None:
        said = f"{aggregate} of {name}"
    elif definition.get("bin"):
        said = f"{name} (binned)"
    else:
        said = name

    definition["title"] = said


def _keep_zero(unit: _Unit) -> None:
    """Bars and areas are measured from zero; where another axis does not begin there,
    its title says so.
    """
    for channel in ("x", "y"):
        definition = unit.spec["encoding"].get(channel, {})
        if definition.get("type") != "quantitative" or definition.get("bin"):
            continue

        scale = definition.get("scale")
        if not isinstance(scale, Mapping) or scale.get("type") == "log":
            continue

        domain = scale.get("domain")
        cut = scale.get("zero") is False or _leaves_zero(domain)
        if not cut:
            continue

        if unit.mark in ("bar", "area") and f"{channel}2" not in unit.spec["encoding"]:
            kept = {k: v for k, v in scale.items() if k not in ("zero", "domain")}
            definition["scale"] = kept
            unit.notes.append(
                f"{channel} begins at zero: {unit.mark}s are measured from there"
            )
        else:
            definition["title"] = f"{definition['title']} (axis not from 0)"


def _leaves_zero(domain: object) -> bool:
    numbers = (
        [n for n in domain if isinstance(n, int | float)]
        if isinstance(domain, list)
        else []
    )
    return bool(numbers) and (min(numbers) > 0 or max(numbers) < 0)


def _select(
    unit: _Unit, schema: pa.Schema, source: str, facts: _Facts
) -> tuple[str, bool]:
    """The SELECT of what is drawn, and whether it is the whole table as it stands."""
    if unit.mark == "boxplot":
        return _select_boxes(unit, source), False
    if unit.grouped:
        return _select_groups(unit, source), False
    if facts.rows <= (SAMPLE if unit.mark in _SAMPLED else MARKS_AT_MOST):
        return _select_rows(unit, source), _is_whole(unit, schema)
    if unit.mark in _LINES and _is_continuous(unit, "x") and _is_continuous(unit, "y"):
        return _select_steps(unit, source, facts), False
    if unit.mark in _SAMPLED:
        return _select_sample(unit, source, facts), False

    raise SpecError(_say_too_many(facts.rows))


def _say_too_many(number: int) -> str:
    return (
        f"This would draw {number:,} marks; {MARKS_AT_MOST:,} can be seen. Give y an "
        "aggregate, bin x, take a coarser timeUnit, or filter."
    )


def _where(conditions: Sequence[str]) -> str:
    if not conditions:
        return ""

    return f"\nWHERE {' AND '.join(conditions)}"


def _listed(columns: Mapping[str, str]) -> str:
    return ", ".join(
        quote(name) if sql == quote(name) else f"{sql} AS {quote(name)}"
        for name, sql in columns.items()
    )


def _select_groups(unit: _Unit, source: str) -> str:
    keys = list(dict.fromkeys(unit.keys))
    aggregated = {name: sql for name, sql in unit.columns.items() if name not in keys}
    listed = {**{key: unit.columns[key] for key in keys}, **aggregated}
    sql = f"SELECT {_listed(listed)}{source}"
    if keys:
        sql += _group_by(len(keys))

    return _ordered(unit, sql, source, keys)


def _group_by(number: int) -> str:
    """By the first columns; other engines know no GROUP BY ALL."""
    if not number:
        return ""

    return f"\nGROUP BY {', '.join(str(at) for at in range(1, number + 1))}"


def _ordered(unit: _Unit, sql: str, source: str, keys: Sequence[str]) -> str:
    """With the columns that categories are sorted by, in an order that is fixed."""
    for number, (made, key, order) in enumerate(unit.sorts):
        inner = f"SELECT {unit.columns[key]} AS k, {order} AS v{source}{_group_by(1)}"
        sql = (
            f"SELECT a{number}.*, b{number}.v AS {quote(made)}\nFROM ({sql}) a{number}\n"
            f"JOIN ({inner}) b{number}\n"
            f"ON a{number}.{quote(key)} IS NOT DISTINCT FROM b{number}.k"
        )

    if keys:
        sql += f"\nORDER BY {', '.join(map(quote, keys))}"

    return sql


def _select_rows(unit: _Unit, source: str) -> str:
    sql = f"SELECT {_listed(unit.columns)}{source}"
    return _ordered(unit, sql, source, unit.keys if unit.sorts else ())


def _is_whole(unit: _Unit, schema: pa.Schema) -> bool:
    """Whether the rows are columns of the table, of types that Altair reads the same."""
    if unit.filters or unit.sorts:
        return False

    return all(
        name in schema.names and sql == quote(name) and not _is_moment(name, schema)
        for name, sql in unit.columns.items()
    )


def _is_moment(name: str, schema: pa.Schema) -> bool:
    return _kind(name, schema).moment


def _is_continuous(unit: _Unit, channel: str) -> bool:
    definition = unit.spec["encoding"].get(channel, {})
    return definition.get("type") in ("quantitative", "temporal")


def _select_steps(unit: _Unit, source: str, facts: _Facts) -> str:
    """Of a line with too many points the first, last, lowest and highest of each step:
    the same pixels. Known as M4, https://www.vldb.org/pvldb/vol7/p797-jugel.pdf
    """
    encoding = unit.spec["encoding"]
    x, y = encoding["x"]["field"], encoding["y"]["field"]
    kept = [x, y, *(key for key in unit.keys if _splits(unit, key))]
    _drop_channels(unit, set(kept))
    others = list(dict.fromkeys(key for key in kept if key not in (x, y)))
    split = "".join(f", {quote(key)}" for key in others)
    at = f"epoch({quote(x)})" if encoding["x"]["type"] == "temporal" else quote(x)
    inner = f"SELECT {_listed({key: unit.columns[key] for key in dict.fromkeys(kept)})}{source}"
    steps = max(20, STEPS // 2 ** len(others))
    ends = f"(SELECT min({at}) AS low, max({at}) AS high FROM t)"
    place = f"least(floor({steps} * ({at} - low) / nullif(high - low, 0)), {steps - 1})"
    grouped = (
        f"SELECT {place} AS step{split},\n"
        f"  min({quote(x)}) AS x1, arg_min({quote(y)}, {quote(x)}) AS y1,\n"
        f"  max({quote(x)}) AS x2, arg_max({quote(y)}, {quote(x)}) AS y2,\n"
        f"  arg_min({quote(x)}, {quote(y)}) AS x3, min({quote(y)}) AS y3,\n"
        f"  arg_max({quote(x)}, {quote(y)}) AS x4, max({quote(y)}) AS y4\n"
        f"FROM t, {ends}\nWHERE {quote(y)} IS NOT NULL{_group_by(1 + len(others))}"
    )
    pairs = "\nUNION ".join(
        f"SELECT x{n} AS {quote(x)}, y{n} AS {quote(y)}{split} FROM g"
        for n in range(1, 5)
    )
    unit.notes.append(
        f"of {facts.rows:,} points each of {steps} steps along x shows its first, last, "
        "lowest and highest"
    )
    order = ", ".join(map(quote, [x, y, *others]))
    return f"WITH t AS ({inner}),\ng AS ({grouped})\n{pairs}\nORDER BY {order}"


def _splits(unit: _Unit, key: str) -> bool:
    """Whether a column divides the marks into series or panels."""
    return any(
        definition.get("field") == key
        and (definition.get("type") in _DISCRETE_TYPES or channel == "detail")
        for channel, definition in channels_of(unit.spec)
    )


def _drop_channels(unit: _Unit, kept: set[str]) -> None:
    """Channels that only single rows have go, where single rows are not drawn."""
    encoding = unit.spec["encoding"]
    for channel in list(encoding):
        definition = encoding[channel]
        listed = definition if isinstance(definition, list) else [definition]
        if any("field" in one and one["field"] not in kept for one in listed):
            del encoding[channel]
            unit.notes.append(f"{channel} left out: single rows are not drawn")


def _select_sample(unit: _Unit, source: str, facts: _Facts) -> str:
    """The same rows at every run, with those at the ends of the axes."""
    axes = [
        unit.spec["encoding"][channel]["field"]
        for channel in ("x", "y")
        if _is_continuous(unit, channel)
    ]
    ends = [
        f"{end}(n, {quote(axis)})" for axis in axes for end in ("arg_min", "arg_max")
    ]
    valid = _where([f"{quote(axis)} IS NOT NULL" for axis in axes])
    inner = f"SELECT {_listed(unit.columns)}, row_number() OVER () AS n{source}"
    chosen = f"SELECT n FROM (SELECT n FROM t{valid} ORDER BY hash(n) LIMIT {SAMPLE})"
    if ends:
        chosen += f"\nUNION SELECT unnest([{', '.join(ends)}]) FROM t"

    unit.notes.append(
        f"a sample of {SAMPLE:,} of {facts.rows:,} rows, with those at the axes' ends"
    )
    names = ", ".join(map(quote, unit.columns))
    return (
        f"WITH t AS ({inner})\nSELECT {names} FROM t\nWHERE n IN ({chosen})\nORDER BY n"
    )


def _select_boxes(unit: _Unit, source: str) -> str:
    """Five numbers a box: a boxplot of these alone is the boxplot of all the values."""
    numbers = [
        channel
        for channel in ("y", "x")
        if unit.spec["encoding"].get(channel, {}).get("type") == "quantitative"
    ]
    if not numbers or unit.grouped or unit.sorts:
        raise SpecError(
            "A boxplot has one quantitative channel, y or x, without an aggregate."
        )

    value = unit.spec["encoding"][numbers[0]]["field"]
    keys = [key for key in dict.fromkeys(unit.keys) if key != value]
    inner = f"SELECT {_listed(unit.columns)}{source}"
    split = "".join(f"{quote(key)}, " for key in keys)
    v = quote(value)
    quarters = ", ".join(
        f"quantile_cont({v}, {part}) AS q{n}"
        for n, part in ((1, 0.25), (2, 0.5), (3, 0.75))
    )
    extent = (
        unit.spec["mark"].get("extent")
        if isinstance(unit.spec["mark"], Mapping)
        else None
    )
    reach = extent if isinstance(extent, int | float) else 1.5
    if extent == "min-max":
        low, high = f"min({v})", f"max({v})"
    else:
        low = f"min({v}) FILTER (WHERE {v} >= q1 - {reach} * (q3 - q1))"
        high = f"max({v}) FILTER (WHERE {v} <= q3 + {reach} * (q3 - q1))"
        unit.notes.append("values beyond the whiskers are not drawn")

    on = " AND ".join(f"t.{quote(k)} IS NOT DISTINCT FROM q.{quote(k)}" for k in keys)
    named = "".join(f"t.{quote(key)}, " for key in keys)
    mark = unit.spec["mark"] if isinstance(unit.spec["mark"], Mapping) else {}
    unit.spec["mark"] = {**mark, "type": "boxplot", "extent": "min-max"}
    return (
        f"WITH t AS ({inner}),\nq AS (SELECT {split}{quarters}\nFROM t{_group_by(len(keys))}),\n"
        f"b AS (SELECT {named}q1, q2, q3,\n  {low} AS q0,\n  {high} AS q4\n"
        f"FROM t JOIN q ON {on or 'true'}{_group_by(len(keys) + 3)})\n"
        f"SELECT {split}unnest([least(q0, q1), q1, q2, q3, greatest(q4, q3)]) AS {v}\n"
        f"FROM b\nORDER BY {', '.join(map(quote, [*keys, value]))}"
    )


def _check_categories(spec: Spec, points: Points) -> None:
    """Refuse an axis, panels or colours that nobody could read."""
    for channel, definition in channels_of(spec):
        limit = CATEGORIES if channel in ("x", "y") else COLOURS_AT_MOST
        if channel.removeprefix(_OF_FACET) in PANELS:
            limit = PANELS_AT_MOST
        elif definition.get("type") not in _DISCRETE_TYPES or channel in (
            "detail",
            "text",
            "tooltip",
            "order",
        ):
            continue

        if "field" not in definition:
            continue

        found = len({row[definition["field"]] for row in points.rows})
        if found > limit:
            raise SpecError(
                f"{channel} would have {found:,} different values; {limit} can be read. "
                "Make a table of the first ones with query (ORDER BY … LIMIT) and chart "
                "that, or filter."
            )


def _filter_sql(condition: Mapping[str, Any], schema: pa.Schema) -> str:
    for word in ("and", "or"):
        if word in condition:
            parts = [_filter_sql(inner, schema) for inner in condition[word]]
            return f"({f' {word.upper()} '.join(parts) or 'true'})"

    if "not" in condition:
        return f"NOT {_filter_sql(condition['not'], schema)}"

    name = condition["field"]
    test = next(key for key in condition if key != "field")
    value, kind = condition[test], _kind(name, schema)
    column = quote(name)
    if test == "valid":
        return f"({column} IS {'NOT ' if value else ''}NULL)"

    if kind.moment:
        column = f"CAST({column} AS TIMESTAMP)"

    return f"({_compare(column, test, value, kind, name)})"


def _compare(column: str, test: str, value: Any, kind: ValueKind, name: str) -> str:
    if test == "oneOf":
        listed = [_literal(one, kind, name) for one in value if one is not None]
        return f"{column} IN ({', '.join(listed)})" if listed else "false"

    if test == "range":
        low, high = value
        ends = [
            f"{column} {sign} {_literal(end, kind, name)}"
            for sign, end in ((">=", low), ("<=", high))
            if end is not None
        ]
        return " AND ".join(ends) or "true"

    sign = {"equal": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}[test]
    return f"{column} {sign} {_literal(value, kind, name)}"


def _literal(value: Any, kind: ValueKind, name: str) -> str:
    if (kind.number and isinstance(value, str)) or (
        kind.moment and not isinstance(value, str)
    ):
        raise SpecError(
            f"filter: {name} is {kind.name}; give "
            + ("a number." if kind.number else "a text such as 2026-01-31.")
        )

    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)

    written = "'" + value.replace("'", "''") + "'"
    if not kind.moment:
        return written

    try:
        dt.datetime.fromisoformat(value)
    except ValueError as error:
        raise SpecError(
            f"filter: {value!r} is no date; write it as 2026-01-31."
        ) from error

    return f"TIMESTAMP {written}"


def _join_units(units: Sequence[tuple[_Unit, Points, _Facts]]) -> Points:
    """The rows of all layers as one table, which a facet divides into its panels."""
    selects, rows = [], []
    columns: dict[str, None] = {}
    for number, (_, points, _) in enumerate(units):
        selects.append(f"(SELECT *, {number} AS layer FROM (\n{points.sql}\n))")
        rows += [{**row, "layer": number} for row in points.rows]
        columns |= dict.fromkeys([*points.columns, "layer"])

    empty = dict.fromkeys(columns)
    order = ", ".join(map(quote, ["layer", *(c for c in columns if c != "layer")]))
    sql = "\nUNION ALL BY NAME\n".join(selects) + f"\nORDER BY {order}"
    return Points(sql, tuple(columns), tuple({**empty, **row} for row in rows))


def _with_data(
    view: Spec, units: Sequence[_Unit], names: Sequence[str], in_facet: bool
) -> Spec:
    """The view with the names of its data and the size that its axes need."""
    made = []
    for number, unit in enumerate(units):
        spec = dict(unit.spec)
        if in_facet:
            spec["transform"] = [{"filter": {"field": "layer", "equal": number}}]
            spec["encoding"] = {
                k: v for k, v in spec["encoding"].items() if not k.startswith(_OF_FACET)
            }
        else:
            spec["data"] = {"name": names[number]}

        made.append(spec)

    size = _sizes(made[0], in_facet)
    if "layer" not in view:
        return {**size, **made[0]}

    layers = [
        {k: v for k, v in spec.items() if k not in ("width", "height")} for spec in made
    ]
    whole = {**size, **view, "layer": layers}
    return {**whole, "data": {"name": names[0]}} if in_facet else whole


def _sizes(unit: Spec, in_facet: bool) -> Spec:
    """Width and height of a view, or of each category on an axis."""
    encoding = unit["encoding"]
    small = in_facet or bool(set(PANELS) & set(encoding))
    if "theta" in encoding or mark_of(unit) == "arc":
        return {"width": 220, "height": 220}

    sides = {}
    for side, axis, room, step in (
        ("width", "x", 180 if small else 480, 22),
        ("height", "y", 130 if small else 260, 18),
    ):
        kind = encoding.get(axis, {}).get("type")
        if kind in _DISCRETE_TYPES and f"{axis}Offset" in encoding:
            sides[side] = {"step": 12, "for": "offset"}
        elif kind in _DISCRETE_TYPES:
            sides[side] = {"step": step}
        elif axis in encoding:
            sides[side] = room

    return sides


def _put_together(checked: Checked, views: Sequence[Spec]) -> Spec:
    if checked.form in ("unit", "layer"):
        return views[0]

    look = dict(checked.look)
    if checked.form != "facet":
        return {**look, checked.form: list(views)}

    view = dict(views[0])
    facet = {}
    for name, definition in look["facet"].items():
        facet[name] = {k: v for k, v in definition.items() if k not in ("columns",)}

    top = {"data": view.pop("data"), "spec": view}
    if "title" in view:
        top["title"] = view.pop("title")
    if "resolve" in view:
        top["resolve"] = view.pop("resolve")
    if "facet" in facet:
        columns = look["facet"]["facet"].get("columns")
        return {
            **top,
            "facet": facet["facet"],
            **({"columns": columns} if columns else {}),
        }

    return {**top, "facet": facet}


def channels_in(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """The channels of all units of what is drawn, and its panels."""
    if "facet" in spec and "spec" in spec:
        panels = spec["facet"]
        if "field" in panels:
            yield "facet", panels
        else:
            yield from panels.items()

        yield from channels_in(spec["spec"])
        return

    for form in ("hconcat", "vconcat", "concat", "layer"):
        for inner in spec.get(form, ()):
            yield from channels_in(inner)

    yield from channels_of(spec)
