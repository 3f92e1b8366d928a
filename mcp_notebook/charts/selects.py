"""The SELECT of what a mark draws: groups, rows, the steps of a long line, a sample of
a cloud, five numbers a box. No more comes of it than can be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from mcp_notebook.charts.channel_sql import (
    DISCRETE_TYPES,
    ColumnRanges,
    Unit,
    kind_in,
    quote,
)
from mcp_notebook.charts.specification import SpecError, channels_of

MARKS_AT_MOST = 5_000
SAMPLE = 2_000  # rows of a scatter that are drawn of more
STEPS = 400  # of a line with more points: each keeps its first, last, lowest, highest
_SAMPLED = {"point", "circle", "square", "tick"}
_LINES = {"line", "area", "trail"}


def select_points(
    unit: Unit, schema: pa.Schema, source: str, facts: ColumnRanges
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

    raise SpecError(say_too_many(facts.rows))


def say_too_many(number: int) -> str:
    return (
        f"This would draw {number:,} marks; {MARKS_AT_MOST:,} can be seen. Give y an "
        "aggregate, bin x, take a coarser timeUnit, or filter."
    )


def where_sql(conditions: Sequence[str]) -> str:
    if not conditions:
        return ""

    return f"\nWHERE {' AND '.join(conditions)}"


def _list_columns(columns: Mapping[str, str]) -> str:
    return ", ".join(
        quote(name) if sql == quote(name) else f"{sql} AS {quote(name)}"
        for name, sql in columns.items()
    )


def _select_groups(unit: Unit, source: str) -> str:
    keys = list(dict.fromkeys(unit.keys))
    aggregated = {name: sql for name, sql in unit.columns.items() if name not in keys}
    listed = {**{key: unit.columns[key] for key in keys}, **aggregated}
    sql = f"SELECT {_list_columns(listed)}{source}"
    if keys:
        sql += _group_by(len(keys))

    return _order_by(unit, sql, source, keys)


def _group_by(number: int) -> str:
    """By the first columns; other engines know no GROUP BY ALL."""
    if not number:
        return ""

    return f"\nGROUP BY {', '.join(str(at) for at in range(1, number + 1))}"


def _order_by(unit: Unit, sql: str, source: str, keys: Sequence[str]) -> str:
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


def _select_rows(unit: Unit, source: str) -> str:
    sql = f"SELECT {_list_columns(unit.columns)}{source}"
    return _order_by(unit, sql, source, unit.keys if unit.sorts else ())


def _is_whole(unit: Unit, schema: pa.Schema) -> bool:
    """Whether the rows are columns of the table, of types that Altair reads the same."""
    if unit.filters or unit.sorts:
        return False

    return all(
        name in schema.names and sql == quote(name) and not _is_moment(name, schema)
        for name, sql in unit.columns.items()
    )


def _is_moment(name: str, schema: pa.Schema) -> bool:
    return kind_in(name, schema).moment


def _is_continuous(unit: Unit, channel: str) -> bool:
    definition = unit.spec["encoding"].get(channel, {})
    return definition.get("type") in ("quantitative", "temporal")


def _select_steps(unit: Unit, source: str, facts: ColumnRanges) -> str:
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
    listed = _list_columns({key: unit.columns[key] for key in dict.fromkeys(kept)})
    inner = f"SELECT {listed}{source}"
    steps = max(20, STEPS // 2 ** len(others))
    ends = f"(SELECT min({at}) AS low, max({at}) AS high FROM t)"
    place = f"least(floor({steps} * ({at} - low) / nullif(high - low, 0)), {steps - 1})"
    # of equal ones always the same, whichever thread comes first
    xy, yx = (f"({quote(a)}, {quote(b)})" for a, b in ((x, y), (y, x)))
    grouped = (
        f"SELECT {place} AS step{split},\n"
        f"  min({quote(x)}) AS x1, arg_min({quote(y)}, {xy}) AS y1,\n"
        f"  max({quote(x)}) AS x2, arg_max({quote(y)}, {xy}) AS y2,\n"
        f"  arg_min({quote(x)}, {yx}) AS x3, min({quote(y)}) AS y3,\n"
        f"  arg_max({quote(x)}, {yx}) AS x4, max({quote(y)}) AS y4\n"
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


def _splits(unit: Unit, key: str) -> bool:
    """Whether a column divides the marks into series or panels."""
    return any(
        definition.get("field") == key
        and (definition.get("type") in DISCRETE_TYPES or channel == "detail")
        for channel, definition in channels_of(unit.spec)
    )


def _drop_channels(unit: Unit, kept: set[str]) -> None:
    """Channels that only single rows have go, where single rows are not drawn."""
    encoding = unit.spec["encoding"]
    for channel in list(encoding):
        definition = encoding[channel]
        listed = definition if isinstance(definition, list) else [definition]
        if any("field" in one and one["field"] not in kept for one in listed):
            del encoding[channel]
            unit.notes.append(f"{channel} left out: single rows are not drawn")


def _select_sample(unit: Unit, source: str, facts: ColumnRanges) -> str:
    """The same rows at every run, with those at the ends of the axes."""
    axes = [
        unit.spec["encoding"][channel]["field"]
        for channel in ("x", "y")
        if _is_continuous(unit, channel)
    ]
    ends = [
        f"SELECT min(n) FROM t WHERE {quote(axis)} = (SELECT {end}({quote(axis)}) FROM t)"
        for axis in axes
        for end in ("min", "max")
    ]
    valid = where_sql([f"{quote(axis)} IS NOT NULL" for axis in axes])
    inner = f"SELECT {_list_columns(unit.columns)}, row_number() OVER () AS n{source}"
    chosen = f"SELECT n FROM (SELECT n FROM t{valid} ORDER BY hash(n) LIMIT {SAMPLE})"
    chosen = "\nUNION ".join([f"({chosen})", *ends])
    unit.notes.append(
        f"a sample of {SAMPLE:,} of {facts.rows:,} rows, with those at the axes' ends"
    )
    names = ", ".join(map(quote, unit.columns))
    return (
        f"WITH t AS ({inner})\nSELECT {names} FROM t\nWHERE n IN ({chosen})\nORDER BY n"
    )


def _select_boxes(unit: Unit, source: str) -> str:
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
    inner = f"SELECT {_list_columns(unit.columns)}{source}"
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
