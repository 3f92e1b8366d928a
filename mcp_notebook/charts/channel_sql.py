"""A channel of a chart in SQL: its type, its value, its time unit, its bins; and filters."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mcp_notebook.charts.specification import (
    CYCLIC_UNITS,
    OFFSETS,
    PANELS,
    Spec,
    SpecError,
)
from mcp_notebook.values import BOOLEAN, FLOAT, TEXT, ValueKind, value_kind

_SUMMED = {"count", "sum", "distinct", "valid", "missing", "product"}
_OF_ANYTHING = {"count", "distinct", "valid", "missing"}
_ORDERED = {"min", "max"}
_UNTYPED = {"x2", "y2", "theta2", "radius2"}
_DISCRETE_CHANNELS = {*PANELS, *OFFSETS, "shape", "strokeDash", "detail"}
DISCRETE_TYPES = {"nominal", "ordinal"}
_SMALL_INTEGERS = (
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.uint8(),
    pa.uint16(),
)
_DEFAULT_BINS = {"x": 10, "y": 10}
OF_FACET = "facet "  # before the name of a panel of layers
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


@dataclass(eq=False)
class Unit:
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
class ColumnRanges:
    """What is counted before anything is computed: rows, and ranges by column."""

    rows: int
    ranges: Mapping[str, tuple[Any, Any]]


def quote(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def kind_in(name: str, schema: pa.Schema) -> ValueKind:
    return value_kind(schema.field(name).type)


def settle_type(channel: str, definition: Spec, schema: pa.Schema) -> None:
    """Give a channel its type, and refuse what the column's values do not allow."""
    aggregate, name = definition.get("aggregate"), definition.get("field")
    if name is not None:
        _check_kind(channel, definition, kind_in(name, schema))

    if channel in _UNTYPED or ("field" not in definition and aggregate is None):
        definition.pop("type", None)
        return

    definition["type"] = _type_of(channel, definition, schema)


def drop_lost_sort(definition: Spec, encoding: Spec) -> None:
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
    aggregate = definition.get("aggregate")
    if aggregate is not None and aggregate not in _ORDERED:
        return "quantitative"

    kind = kind_in(definition["field"], schema)
    return _fitting_type(definition, kind) or _usual_type(channel, definition, kind)


def _fitting_type(definition: Spec, kind: ValueKind) -> str:
    """The type that was asked for, as far as the values have it; "" for none."""
    wanted = definition.get("type", "")
    if not kind.moment:
        return wanted
    if wanted == "quantitative":
        return ""
    if wanted == "nominal" and "timeUnit" in definition:
        return "ordinal"  # months in their order, not in that of their names

    return wanted


def _usual_type(channel: str, definition: Spec, kind: ValueKind) -> str:
    is_discrete = channel.removeprefix(OF_FACET) in _DISCRETE_CHANNELS
    if definition.get("bin"):
        return "quantitative"
    if "timeUnit" in definition:
        is_cyclic = definition["timeUnit"] in CYCLIC_UNITS
        return "ordinal" if is_cyclic or is_discrete else "temporal"
    if is_discrete:
        return "nominal"
    if kind.moment:
        return "temporal"

    return "quantitative" if kind.number else "nominal"


def compute_channel(
    unit: Unit, channel: str, definition: Spec, schema: pa.Schema, facts: ColumnRanges
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


def _is_number(definition: Spec) -> bool:
    return definition.get("type", "quantitative") == "quantitative"


def _compute_sort(unit: Unit, definition: Spec, schema: pa.Schema) -> None:
    """An order by another column is counted over all rows of a category."""
    sort = definition.get("sort")
    if not isinstance(sort, Mapping) or "field" not in sort:
        return

    op = sort.get("op", "sum" if kind_in(sort["field"], schema).number else "min")
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

    kind, column = kind_in(name, schema), quote(name)
    if aggregate not in _OF_ANYTHING and (kind.number or kind is BOOLEAN):
        if kind is BOOLEAN:
            column = f"CAST({column} AS INTEGER)"

        column = f"CAST({column} AS DOUBLE)"
    elif kind.moment and aggregate in _ORDERED:
        column = moment_sql(name, kind)

    return _SQL_AGGREGATES[aggregate].format(c=column), f"{aggregate}_{name}"


def _value_sql(
    name: str, definition: Spec, schema: pa.Schema, facts: ColumnRanges
) -> str:
    kind, column = kind_in(name, schema), quote(name)
    is_time = definition.get("type") == "temporal" or "timeUnit" in definition
    if is_time:
        return _time_sql(name, kind, facts)
    if kind.moment:
        return moment_sql(name, kind)
    if kind is TEXT or kind is FLOAT or schema.field(name).type in _SMALL_INTEGERS:
        return column
    if kind.number:
        return f"CAST({column} AS DOUBLE)"
    if kind is BOOLEAN and definition.get("type") == "quantitative":
        return f"CAST({column} AS INTEGER)"

    return f"CAST({column} AS VARCHAR)"


def _time_sql(name: str, kind: ValueKind, facts: ColumnRanges) -> str:
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

    return moment_sql(name, kind)


def moment_sql(name: str, kind: ValueKind) -> str:
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


def filter_sql(condition: Mapping[str, Any], schema: pa.Schema) -> str:
    for word in ("and", "or"):
        if word in condition:
            parts = [filter_sql(inner, schema) for inner in condition[word]]
            return f"({f' {word.upper()} '.join(parts) or 'true'})"

    if "not" in condition:
        return f"NOT {filter_sql(condition['not'], schema)}"

    name = condition["field"]
    test = next(key for key in condition if key != "field")
    value, kind = condition[test], kind_in(name, schema)
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
