"""What the columns of a table hold, counted by DuckDB over all rows: missing and distinct
values, range, and bars, each of which is a condition on the column as well.
"""

# ruff: noqa: S608 - the column is `c`, numbers are our own

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.charts.drawing import short_number
from mcp_notebook.untrusted_text import clip, visible
from mcp_notebook.values import (
    BOOLEAN,
    DATE,
    TIMESTAMP,
    ValueKind,
    column_texts,
    value_kind,
)

WRITTEN_OUT = (
    10_000_000  # ends of a range below it have all their digits before the point
)
EXACT_ROWS = 100_000  # of a longer table the distinct values are estimated, and said so
BINS = 14
FEW = 12  # whole numbers of so few values have a bar each
TOP = 5  # values of a text that are told
MOST_VALUES = 50_000  # of a text with more values none stands out
LABEL = 60  # characters
MOST_SOUGHT = 300  # characters of a value that can be looked for by a click
_BLOCKS = "▁▂▃▄▅▆▇█"
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Bar:
    """So many rows of one value or of a span, and the filter that gives them (`what`,
    `value`, `end`, `closed`); without one it cannot be clicked.
    """

    label: str
    rows: int
    filter: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """What a column holds. `exact`: the distinct values are counted, not estimated.
    `spans`: the bars are parts of a range in order, else single values.
    """

    rows: int
    nulls: int
    distinct: int | None = None
    exact: bool = True
    low: str | None = None
    high: str | None = None
    bars: tuple[Bar, ...] = ()
    spans: bool = False


def count_columns(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[pa.ChunkedArray],
) -> list[Counts]:
    """The counts of columns of one length, as DuckDB reads them; raises duckdb.Error."""
    if not columns or not len(columns[0]):
        return [Counts(0, 0) for _ in columns]

    kinds = [value_kind(column.type) for column in columns]
    names = [f"c{at}" for at in range(len(columns))]
    connection.register("t", pa.table(list(columns), names))
    wanted = [_measures(*pair) for pair in zip(names, kinds, strict=True)]
    terms = ", ".join(term for each in wanted for term in each)
    measured = connection.sql(f"SELECT {terms} FROM t").to_arrow_table()
    values, found = iter(measured.columns), []
    for column, kind, each in zip(columns, kinds, wanted, strict=True):
        own = list(islice(values, len(each)))
        plain = _read_measures(kind, own, column)
        # A column by itself: one that is named among 300 costs as much as to count it.
        connection.register("t", pa.table([column], ["c"]))
        found.append(_with_bars(connection, "c", kind, plain, own))

    return found


def _measures(name: str, kind: ValueKind) -> list[str]:
    found = [f"count({name})"]
    if kind.nested:
        return found

    found.append(f"approx_count_distinct({name})")
    if kind.ordered:
        found += [f"min({_finite(name, kind)})", f"max({_finite(name, kind)})"]

    return found


def _finite(name: str, kind: ValueKind) -> str:
    # Not a number is greater than any in DuckDB, and no end of a range.
    if kind.number and not kind.whole and kind.name != "decimal":
        return f"CASE WHEN isfinite({name}) THEN {name} END"
    return name


def _read_measures(
    kind: ValueKind, own: Sequence[pa.ChunkedArray], column: pa.ChunkedArray
) -> Counts:
    rows, present = len(column), own[0][0].as_py()
    if len(own) < 2:
        return Counts(rows, rows - present)

    distinct = min(own[1][0].as_py(), present)
    exact = rows <= EXACT_ROWS
    if exact:  # DuckDB would need a table of its own for each column
        distinct = pc.count_distinct(column).as_py()
    low = high = None
    if len(own) == 4:
        (low,), (high,) = column_texts(own[2]), column_texts(own[3])

    return Counts(rows, rows - present, distinct, exact, low, high)


def _with_bars(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    kind: ValueKind,
    counts: Counts,
    own: Sequence[pa.ChunkedArray],
) -> Counts:
    bars, spans = (), False
    distinct = counts.distinct or 0
    if _is_told_by_values(kind, counts):
        bars = _value_bars(connection, name, kind)
        # all values have a bar: then their number is no estimate
        if len(bars) < (FEW if kind.whole else TOP):
            counts = replace(counts, distinct=len(bars), exact=True)
    elif counts.low is not None and distinct > 1 and _has_axis(kind):
        bars = _span_bars(connection, name, kind, own[2][0], own[3][0])
        spans = True

    return replace(counts, bars=bars, spans=spans and bool(bars))


def _has_axis(kind: ValueKind) -> bool:
    return kind.number or kind in (DATE, TIMESTAMP)


def _is_told_by_values(kind: ValueKind, counts: Counts) -> bool:
    distinct, present = counts.distinct or 0, counts.rows - counts.nulls
    if kind.whole:
        return 0 < distinct <= FEW and present > distinct
    if kind is BOOLEAN:
        return distinct > 0
    return kind.text and distinct <= MOST_VALUES and present > distinct


def _value_bars(
    connection: duckdb.DuckDBPyConnection, name: str, kind: ValueKind
) -> tuple[Bar, ...]:
    most = FEW if kind.whole else TOP
    order = name if kind.whole else f"n DESC, {name}"
    found = connection.sql(
        f"SELECT {name}, CAST({name} AS VARCHAR), count(*) AS n FROM t "
        f"WHERE {name} IS NOT NULL GROUP BY {name} ORDER BY {order} LIMIT {most}"
    ).to_arrow_table()
    texts = column_texts(found.column(0))
    rest = zip(texts, *(c.to_pylist() for c in found.columns[1:]), strict=True)
    bars = []
    for shown, value, count in rest:
        condition = {"what": "is", "value": value} if len(value) < MOST_SOUGHT else {}
        bars.append(Bar(clip(shown or "", LABEL) or "''", count, condition))

    return tuple(bars)


# ---- bars of a range: equal parts with edges that are read at a glance


def _span_bars(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    kind: ValueKind,
    low: pa.Scalar,
    high: pa.Scalar,
) -> tuple[Bar, ...]:
    if kind.number and not kind.whole:
        return _float_bars(connection, name, float(low.as_py()), float(high.as_py()))

    try:
        first, last = _as_integer(low), _as_integer(high)
    except (ValueError, OverflowError):  # a year that Python has not
        return ()
    if last - first >= 2**62:
        return ()

    step = _step_of(kind, low, last - first + 1)
    start = first - first % step if kind.number else first
    count = (last - start) // step + 1
    place = f"CAST((({_axis(name, kind, low)}) - ({start})) // {step} AS UTINYINT)"
    found = connection.sql(
        f"SELECT {place} AS b, count(*) FROM t WHERE {name} IS NOT NULL GROUP BY b"
    ).fetchall()
    rows = dict(found)
    bars = []
    for at in range(count):
        try:
            ends = [_edge(low, start + step * (at + more)) for more in (0, 1)]
        except (ValueError, OverflowError):
            return ()

        condition = {"what": "span", "value": ends[0], "end": ends[1], "closed": "left"}
        label = f"{ends[0]} – {ends[1]}" if step > 1 else ends[0]
        bars.append(Bar(label, rows.get(at, 0), condition))

    return tuple(bars)


def _as_integer(value: pa.Scalar) -> int:
    """A whole number as it is, a day since 1970, a moment in microseconds."""
    held = value.as_py()
    if isinstance(held, int):
        return held
    if not isinstance(held, dt.datetime):
        return (held - dt.date(1970, 1, 1)).days

    zone = dt.UTC if held.tzinfo else None
    return (held - dt.datetime(1970, 1, 1, tzinfo=zone)) // dt.timedelta(microseconds=1)


def _axis(name: str, kind: ValueKind, low: pa.Scalar) -> str:
    if kind.number:
        return name
    if isinstance(low.as_py(), dt.datetime):
        return f"epoch_us({name})"
    return f"date_diff('day', DATE '1970-01-01', {name})"


def _edge(like: pa.Scalar, at: int) -> str:
    held = like.as_py()
    if isinstance(held, int):
        return str(at)
    if not isinstance(held, dt.datetime):
        return (dt.date(1970, 1, 1) + at * _DAY).isoformat()

    zone = dt.UTC if held.tzinfo else None
    moment = dt.datetime(1970, 1, 1, tzinfo=zone) + dt.timedelta(microseconds=at)
    return moment.isoformat(sep=" ")


def _step_of(kind: ValueKind, low: pa.Scalar, span: int) -> int:
    least = -(-span // BINS)
    if kind.number:
        return max(1, round(_nice(least)))
    if not isinstance(low.as_py(), dt.datetime):
        return max(1, least)

    second = 1_000_000
    return -(-least // second) * second if least > second else max(1, least)


def _nice(least: float) -> float:
    """The next number of the row 1, 2, 5, 10, 20, …"""
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    steps = (power, 2 * power, 5 * power, 10 * power)
    return next((step for step in steps if step >= least * (1 - 1e-9)), 10 * power)


def _float_bars(
    connection: duckdb.DuckDBPyConnection, name: str, low: float, high: float
) -> tuple[Bar, ...]:
    # 1e300 and its like have no readable parts
    if not 1e-12 < high - low < 1e15:
        return ()

    step = _nice((high - low) / (BINS - 1))
    first = math.floor(low / step)
    count = math.ceil(high / step) - first
    digits = max(0, -math.floor(math.log10(step)))
    edges = [f"{(first + at) * step:.{digits}f}" for at in range(count + 1)]
    if float(edges[-1]) < high:
        edges.append(f"{(first + count + 1) * step:.{digits}f}")

    # An upper edge belongs to its part: so DuckDB counts, by comparing.
    uppers = ", ".join(edges[1:])
    ((found,),) = connection.sql(
        f"SELECT histogram(CAST({name} AS DOUBLE), [{uppers}]::DOUBLE[]) FROM t "
        f"WHERE {name} IS NOT NULL"
    ).fetchall()
    rows = list(found.values())
    bars = []
    for at, (below, upper) in enumerate(pairwise(edges)):
        condition = {
            "what": "span",
            "value": below,
            "end": upper,
            # the lowest edge may be a value itself
            "closed": "both" if at == 0 else "right",
        }
        bars.append(Bar(f"{below} – {upper}", rows[at], condition))

    return tuple(bars)


# ---- in words


def counts_json(counts: Counts) -> dict[str, Any]:
    """The counts as a page takes them."""
    return {
        "nulls": counts.nulls,
        "distinct": counts.distinct,
        "exact": counts.exact,
        "range": _range_of(counts),
        "ends": [counts.low or "", counts.high or ""],
        "spans": counts.spans,
        "bars": [[one.label, one.rows, one.filter or None] for one in counts.bars],
    }


def describe_counts(counts: Counts) -> tuple[str, str]:
    """Two short lines: the bars with their range or the commonest values, and how many
    are missing and distinct; for output that is saved.
    """
    first = ""
    if counts.spans:
        heights = [one.rows for one in counts.bars]
        first = f"{draw_bars(heights)} {_range_of(counts)}"
    elif counts.low is not None and not counts.bars:
        first = _range_of(counts)
    elif counts.bars:
        top = sorted(counts.bars, key=lambda one: -one.rows)[:2]
        shares = [f"{clip(one.label, 18)} {one.rows / counts.rows:.0%}" for one in top]
        first = f"{draw_bars([one.rows for one in counts.bars])} {', '.join(shares)}"

    second = [f"{counts.nulls:,} NULL"] if counts.nulls else []
    if counts.distinct is not None:
        about = "" if counts.exact else "≈ "
        second.append(f"{about}{counts.distinct:,} distinct")

    return visible(first), " · ".join(second)


def _range_of(counts: Counts) -> str:
    if counts.low is None:
        return ""

    return f"{_short_end(counts.low)} – {_short_end(counts.high or '')}"


def _short_end(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text  # a day, a time

    # `2024` is a year, perhaps
    if text.lstrip("-").isdigit() and len(text) <= 4:
        return text

    return short_number(value, WRITTEN_OUT)


def draw_bars(heights: Sequence[int]) -> str:
    """Numbers as tiny bars, nothing as a space: `▁▃█`."""
    most = max(heights, default=0)
    if not most:
        return ""

    drawn = ""
    for one in heights:
        drawn += _BLOCKS[math.ceil(one / most * 8) - 1] if one else " "
    return drawn.replace(" ", "\u2007")
