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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.charts.channel_sql import (
    DISCRETE_TYPES,
    OF_FACET,
    ColumnRanges,
    Unit,
    compute_channel,
    drop_lost_sort,
    filter_sql,
    kind_in,
    moment_sql,
    quote,
    settle_type,
)
from mcp_notebook.charts.selects import (
    MARKS_AT_MOST,
    say_too_many,
    select_points,
    where_sql,
)
from mcp_notebook.charts.specification import (
    PANELS,
    CheckedSpec,
    Spec,
    SpecError,
    channels_of,
    mark_of,
    units_of,
)
from mcp_notebook.secrets import hide
from mcp_notebook.values import column_values, value_kind

Ask = Callable[[str], Awaitable[pa.Table]]
"""Runs one SELECT (DuckDB) and gives its rows."""


_DATE = re.compile(r"\d{4}(?:$|-\d{2})")
CATEGORIES = 100  # on one axis
PANELS_AT_MOST = 36
COLOURS_AT_MOST = 50


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


async def compute(
    checked: CheckedSpec, schema: pa.Schema, table: str, ask: Ask
) -> Chart:
    """The chart; raises `SpecError` for what does not fit the table or would be too
    many marks, and whatever `ask` raises.
    """
    views: list[Spec] = []
    points: list[Points] = []
    notes, rows = [*checked.left_out], 0
    in_facet = checked.form == "facet"
    for view in checked.views:
        units = [
            await _compute_unit(unit, schema, table, ask, _panel_of(checked))
            for unit in units_of(view)
        ]
        # a facet divides one table into its panels, whichever layer a row is of
        made = [_join_units(units)] if in_facet else [one for _, one, _ in units]
        names = [_name_points(points, one) for one in made]
        views.append(_with_data(view, [unit for unit, _, _ in units], names, in_facet))
        rows = max([rows, *(ranges.rows for _, _, ranges in units)])
        notes += [note for unit, _, _ in units for note in unit.notes]

    _check_number(sum(len(one.rows) for one in points))
    spec = _put_together(checked, views)
    return Chart(table, spec, tuple(points), rows, tuple(dict.fromkeys(notes)))


def _name_points(points: list[Points], made: Points) -> str:
    """The name of these rows, which are added where no unit drew the same ones before.

    Layers of one table under one name share its order: Vega-Lite drops `sort` where an
    axis is put together from several tables.
    """
    for number, one in enumerate(points, start=1):
        if one.sql == made.sql:
            return f"points_{number}"

    points.append(made)
    return f"points_{len(points)}"


def _check_number(marks: int) -> None:
    if marks > MARKS_AT_MOST:
        raise SpecError(say_too_many(marks))
    if not marks:
        raise SpecError("No row is left to draw: the table is empty, or the filter is.")


def compute_here(checked: CheckedSpec, data: pa.Table, table: str) -> Chart:
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


def _compute_here(spec: Spec, data: pa.Table, table: str) -> tuple[Unit, Points]:
    unit = Unit(spec, mark_of(spec), [])
    ranges = {}
    for channel, definition in channels_of(spec):
        settle_type(channel, definition, data.schema)
        name = definition.get("field")
        if name is not None:
            ranges[name] = _ends(data[name])

    unit.grouped = _is_grouped(spec)
    facts = ColumnRanges(data.num_rows, ranges)
    columns: dict[str, list[Any]] = {}
    for channel, definition in channels_of(spec):
        name = definition.get("field")
        is_binned = bool(definition.get("bin"))
        compute_channel(unit, channel, definition, data.schema, facts)
        if name is None:
            continue

        values = _values_here(data[name], definition)
        if is_binned:
            values = [_middle_of(value, definition["bin"]) for value in values]

        columns[definition["field"]] = values

    _keep_zero(unit)
    source = f"\nFROM {quote(table)}"
    sql, is_whole = select_points(unit, data.schema, source, facts)
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
    if is_time and not kind.moment:
        return list(map(_moment_text, values))
    if kind.number or kind.moment or kind.text:
        return values

    # as DuckDB writes them
    return [None if value is None else str(value).lower() for value in values]


def _moment_text(value: str | int | None) -> str | None:
    moment = read_moment(str(value))
    return moment and moment.isoformat()


def read_moment(text: str) -> dt.datetime | None:
    """The moment of `2026`, `2026-11`, `2026-11-30` or a longer one; None of other texts."""
    if not _DATE.match(text):
        return None

    padded = text + "0000-01-01"[len(text) :]
    try:
        return dt.datetime.fromisoformat(padded).replace(tzinfo=None)
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
    unit: Unit, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[str], list[dict[str, Any]]]:
    keys = list(dict.fromkeys(unit.keys))
    counts = Counter(tuple(row[key] for key in keys) for row in rows)
    names = [*keys, *(name for name in unit.columns if name not in keys)]
    ordered = sorted(counts.items(), key=lambda item: [(v is None, v) for v in item[0]])
    counted = [dict(zip(names, [*key, number], strict=True)) for key, number in ordered]
    return names, counted


def _panel_of(checked: CheckedSpec) -> Spec:
    """The panels of layers, as channels that every layer groups by."""
    if checked.form != "facet":
        return {}

    return {
        f"{OF_FACET}{name}": definition
        for name, definition in checked.look["facet"].items()
    }


async def _compute_unit(
    spec: Spec, schema: pa.Schema, table: str, ask: Ask, panels: Spec
) -> tuple[Unit, Points, ColumnRanges]:
    spec["encoding"] |= panels
    filters = [filter_sql(step["filter"], schema) for step in spec.pop("transform", [])]
    unit = Unit(spec, mark_of(spec), filters)
    for channel, definition in channels_of(spec):
        settle_type(channel, definition, schema)
        drop_lost_sort(definition, spec["encoding"])

    unit.grouped = _is_grouped(spec)
    facts = await _count(unit, schema, table, ask)
    for channel, definition in channels_of(spec):
        if "field" in definition or "aggregate" in definition:
            compute_channel(unit, channel, definition, schema, facts)

    _keep_zero(unit)
    source = f"\nFROM {quote(table)}{where_sql(filters)}"
    sql, is_whole = select_points(unit, schema, source, facts)
    found = await ask(sql)
    if found.num_rows > MARKS_AT_MOST:
        raise SpecError(say_too_many(found.num_rows))

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


async def _count(unit: Unit, schema: pa.Schema, table: str, ask: Ask) -> ColumnRanges:
    """Rows, and the ranges that bins, lines and years among numbers need."""
    wanted: dict[str, str] = {}
    for _, definition in channels_of(unit.spec):
        name = definition.get("field")
        if name is None:
            continue

        kind = kind_in(name, schema)
        if kind.number:
            wanted[name] = f"CAST({quote(name)} AS DOUBLE)"
        elif definition.get("type") == "temporal" or "timeUnit" in definition:
            wanted[name] = moment_sql(name, kind)

    ends = [f"min({sql}), max({sql})" for sql in wanted.values()]
    said = ", ".join(["count(*)", *ends])
    found = await ask(f"SELECT {said} FROM {quote(table)}{where_sql(unit.filters)}")
    row = [column_values(column)[0] for column in found.columns]
    ranges = {
        name: (row[1 + 2 * at], row[2 + 2 * at]) for at, name in enumerate(wanted)
    }
    return ColumnRanges(int(row[0]), ranges)


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
        one.get("bin") or "timeUnit" in one or one.get("type") in DISCRETE_TYPES
        for one in fields
    )


def _keep_zero(unit: Unit) -> None:
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


def _check_categories(spec: Spec, points: Points) -> None:
    """Refuse an axis, panels or colours that nobody could read."""
    for channel, definition in channels_of(spec):
        limit = CATEGORIES if channel in ("x", "y") else COLOURS_AT_MOST
        if channel.removeprefix(OF_FACET) in PANELS:
            limit = PANELS_AT_MOST
        elif definition.get("type") not in DISCRETE_TYPES or channel in (
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


def _join_units(units: Sequence[tuple[Unit, Points, ColumnRanges]]) -> Points:
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
    view: Spec, units: Sequence[Unit], names: Sequence[str], in_facet: bool
) -> Spec:
    """The view with the names of its data and the size that its axes need."""
    made = []
    for number, unit in enumerate(units):
        spec = dict(unit.spec)
        if in_facet:
            spec["transform"] = [{"filter": {"field": "layer", "equal": number}}]
            spec["encoding"] = {
                k: v for k, v in spec["encoding"].items() if not k.startswith(OF_FACET)
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
        if kind in DISCRETE_TYPES and f"{axis}Offset" in encoding:
            sides[side] = {"step": 12, "for": "offset"}
        elif kind in DISCRETE_TYPES:
            sides[side] = {"step": step}
        elif axis in encoding:
            sides[side] = room

    return sides


def _put_together(checked: CheckedSpec, views: Sequence[Spec]) -> Spec:
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
