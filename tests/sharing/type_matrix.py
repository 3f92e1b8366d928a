"""One row of every type and one of nulls on each engine, and what an answer must make of them."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pyarrow.types as kinds

from mcp_notebook.sharing.query import SqlRunner
from tests.sharing.notebooks import Notebook

_UTC = dt.datetime(2026, 5, 1, 10, 30, 0, 123456, tzinfo=dt.UTC)
# column: value, test of the Arrow type, and how DuckDB, Spark and PostgreSQL write it
# ("" where it has no such type)
TYPES: dict[str, tuple[Any, Any, str, str, str]] = {
    "whole": (7, kinds.is_int32, "7::integer", "7", "7::int"),
    "large": (2**53 + 1, kinds.is_int64, "9007199254740993", "9007199254740993L", "9007199254740993::bigint"),
    "exact": (Decimal("12.50"), kinds.is_decimal, "12.50::decimal(10,2)", "cast(12.50 as decimal(10,2))",
              "12.50::numeric(10,2)"),
    "wide": (Decimal("12345678901234567890.90"), kinds.is_decimal, "'12345678901234567890.90'::decimal(38,2)",
             "cast('12345678901234567890.90' as decimal(38,2))", "12345678901234567890.90::numeric(38,2)"),
    "double_": (0.1, kinds.is_float64, "0.1::double", "0.1D", "0.1::double precision"),
    "not_a_number": (math.nan, kinds.is_float64, "'nan'::double", "double('nan')", "'nan'::double precision"),
    "infinite": (math.inf, kinds.is_float64, "'inf'::double", "double('infinity')", "'infinity'::double precision"),
    "truth": (True, kinds.is_boolean, "true", "true", "true"),
    "words": ("ünï 'quoted' \\ back", lambda t: kinds.is_string(t) or kinds.is_large_string(t),
              "'ünï ''quoted'' \\ back'", "'ünï \\'quoted\\' \\\\ back'", "'ünï ''quoted'' \\ back'"),
    "raw": (b"\x00\xff", lambda t: kinds.is_binary(t) or kinds.is_large_binary(t), "'\\x00\\xFF'::blob", "X'00FF'",
            "'\\x00ff'::bytea"),
    "day": (dt.date(2026, 5, 1), kinds.is_date, "date '2026-05-01'", "date'2026-05-01'", "date '2026-05-01'"),
    "naive": (_UTC.replace(tzinfo=None), lambda t: kinds.is_timestamp(t) and t.tz is None,
              "timestamp '2026-05-01 10:30:00.123456'", "timestamp_ntz'2026-05-01 10:30:00.123456'",
              "timestamp '2026-05-01 10:30:00.123456'"),
    "zoned": (_UTC, lambda t: kinds.is_timestamp(t) and t.tz is not None, "timestamptz '2026-05-01 12:30:00.123456+02'",
              "timestamp'2026-05-01 12:30:00.123456+02:00'", "timestamptz '2026-05-01 12:30:00.123456+02'"),
    "list_": ([1, None, 3], kinds.is_list, "[1, null, 3]", "array(1, null, 3)", "array[1, null, 3]::int[]"),
    "struct_": ({"a": 1, "b": "x"}, kinds.is_struct, "{'a': 1, 'b': 'x'}", "named_struct('a', 1, 'b', 'x')", ""),
    "map_": ([("k", 1)], kinds.is_map, "map {'k': 1}", "map('k', 1)", ""),
    "nested": ([{"a": [1, 2]}], kinds.is_list, "[{'a': [1, 2]}]", "array(named_struct('a', array(1, 2)))", ""),
}  # fmt: skip
_COLUMN = {"duckdb": 2, "spark": 3, "postgres": 4}


def select(engine: str) -> str:
    """A SELECT of the row, and of a row of nulls, in the engine's own SQL."""
    at = _COLUMN[engine]
    columns = ", ".join(
        f"{entry[at]} as {name}" for name, entry in TYPES.items() if entry[at]
    )
    names = [name for name, entry in TYPES.items() if entry[at]]
    nulls = ", ".join(f"case when n = 1 then {name} end as {name}" for name in names)
    series = (
        "(select 1 as n union all select 2)"
        if engine != "spark"
        else "(select id as n from range(1, 3))"
    )
    return f"select n, {nulls} from (select {columns}) r cross join {series} s"


async def wrong(runner: SqlRunner, notebook: Notebook, engine: str) -> list[str]:
    """The columns whose type or value an answer got wrong: `events` is the table, `n`
    numbers its rows.
    """
    table = (
        await runner.query(notebook.catalog, "select * from events order by n")
    ).data
    found = []
    for name, entry in TYPES.items():
        if not entry[_COLUMN[engine]]:
            continue
        kind, values = table.schema.field(name).type, table.column(name).to_pylist()
        if (
            not entry[1](kind)
            or not _same(values[0], entry[0])
            or values[1] is not None
        ):
            found.append(f"{name}: {kind} {values}")
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(other, float) and math.isnan(other):
        return isinstance(one, float) and math.isnan(one)
    return one == other
