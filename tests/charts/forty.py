"""Forty specifications over a million rows: how long each takes, and whether the Altair
code draws the same.

    python -m tests.charts.forty
"""

import asyncio
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import mcp_notebook
from mcp_notebook.charts.altair_code import altair_code
from mcp_notebook.charts.compute import compute
from mcp_notebook.charts.drawing import draw_chart
from mcp_notebook.charts.specification import check_spec
from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.sharing.describing import look
from mcp_notebook.sharing.local_sql import local_answer
from tests.charts.same import same_picture

ROWS = 1_000_000
Q, T, N, O = "quantitative", "temporal", "nominal", "ordinal"  # noqa: E741


def f(field: str, type: str = "", **more: Any) -> dict[str, Any]:
    """A channel."""
    return {"field": field, **({"type": type} if type else {}), **more}


COUNT: dict[str, Any] = {"aggregate": "count"}
SUM = f("revenue", aggregate="sum")
MONTH = f("ordered_at", timeUnit="yearmonth")


def unit(mark: Any, **encoding: Any) -> dict[str, Any]:
    """A chart of one mark."""
    return {"mark": mark, "encoding": encoding}


SPECS: dict[str, dict[str, Any]] = {
    "bars": unit("bar", x=f("region"), y=SUM),
    "bars of counts": unit("bar", x=f("channel"), y=COUNT),
    "bars that lie, sorted": unit("bar", y=f("category", sort="-x"), x=SUM),
    "bars sorted by another column": unit(
        "bar",
        y=f("category", sort={"field": "quantity", "op": "mean", "order": "descending"}),
        x=SUM,
    ),
    "stacked bars": unit("bar", x=f("region"), y=SUM, color=f("channel")),
    "shares": unit(
        "bar", x=f("region"), y={**SUM, "stack": "normalize"}, color=f("channel")
    ),
    "bars in groups": unit(
        "bar", x=f("region"), xOffset=f("channel"), y=SUM, color=f("channel")
    ),
    "means": unit("bar", x=f("category"), y=f("revenue", aggregate="mean")),
    "medians": unit("bar", x=f("category"), y=f("revenue", aggregate="median")),
    "customers": unit("bar", x=f("region"), y=f("customer_id", aggregate="distinct")),
    "missing": unit("bar", x=f("region"), y=f("rating", aggregate="missing")),
    "deviations": unit("point", x=f("category"), y=f("revenue", aggregate="stdev")),
    "months": unit("line", x=MONTH, y=SUM),
    "months by region": unit("line", x=MONTH, y=SUM, color=f("region")),
    "months, areas": unit("area", x=MONTH, y=SUM, color=f("channel")),
    "weeks": unit("line", x=f("ordered_at", timeUnit="yearweek"), y=COUNT),
    "days": unit("line", x=f("ordered_at", timeUnit="yearmonthdate"), y=COUNT),
    "quarters": unit("bar", x=f("ordered_at", timeUnit="yearquarter"), y=SUM),
    "years": unit("bar", x=f("ordered_at", O, timeUnit="year"), y=SUM),
    "hours of the day": unit("bar", x=f("ordered_at", timeUnit="hours"), y=COUNT),
    "weekdays": unit("bar", x=f("ordered_at", timeUnit="day"), y=COUNT),
    "month of the year": unit("bar", x=f("ordered_at", O, timeUnit="month"), y=SUM),
    "weekday by hour": unit(
        "rect",
        x=f("ordered_at", timeUnit="hours"),
        y=f("ordered_at", timeUnit="day"),
        color=COUNT,
    ),
    "histogram": unit("bar", x=f("revenue", bin=True), y=COUNT),
    "fine histogram": unit("bar", x=f("revenue", bin={"maxbins": 60}), y=COUNT),
    "histogram in steps": unit("bar", x=f("revenue", bin={"step": 25}), y=COUNT),
    "histograms by region": unit(
        "bar", x=f("revenue", bin={"maxbins": 30}), y=COUNT, row=f("region")
    ),
    "two histograms": unit(
        "rect",
        x=f("revenue", bin={"maxbins": 30}),
        y=f("quantity", bin={"maxbins": 10}),
        color=COUNT,
    ),
    "cloud": unit("point", x=f("revenue"), y=f("quantity")),
    "cloud in colours": unit(
        "circle", x=f("ordered_at"), y=f("revenue"), color=f("region"), tooltip=f("category")
    ),
    "long line": unit("line", x=f("ordered_at"), y=f("revenue")),
    "long lines": unit("line", x=f("ordered_at"), y=f("revenue"), color=f("channel")),
    "boxes": unit("boxplot", x=f("region"), y=f("revenue")),
    "boxes to the ends": unit(
        {"type": "boxplot", "extent": "min-max"}, y=f("channel"), x=f("revenue")
    ),
    "pie": unit("arc", theta=SUM, color=f("region")),
    "panels": unit("line", x=MONTH, y=SUM, column=f("channel")),
    "wrapped panels": unit("bar", x=f("region"), y=COUNT, facet=f("category", columns=3)),
    "filtered": {
        **unit("bar", x=f("category"), y=SUM),
        "transform": [
            {"filter": {"field": "ordered_at", "gte": "2025-06-01"}},
            {"filter": {"or": [{"field": "region", "oneOf": ["North", "South"]},
                               {"field": "quantity", "range": [8, 20]}]}},
        ],
    },
    "layers": {
        "layer": [
            unit("bar", y=SUM),
            unit({"type": "text", "dy": -6}, y=SUM, text={**SUM, "format": ".3s"}),
        ],
        "encoding": {"x": f("region", sort="-y")},
    },
    "panels of layers": {
        "facet": f("channel"),
        "spec": {
            "layer": [
                unit("line", x=MONTH, y=f("revenue", aggregate="mean")),
                unit("rule", y=f("revenue", aggregate="median")),
            ]
        },
    },
    "side by side": {
        "hconcat": [
            unit("bar", x=f("region"), y=SUM),
            unit("line", x=MONTH, y=SUM, color=f("region")),
        ]
    },
}  # fmt: skip
SPECS.pop("bars of counts")  # forty, and no more alike than need be


@cache
def sales() -> pd.DataFrame:
    """A million orders."""
    chance = np.random.default_rng(11)
    days = pd.to_timedelta(chance.integers(0, 730 * 86_400, ROWS), unit="s")
    return pd.DataFrame(
        {
            "region": chance.choice(["North", "South", "East", "West"], ROWS, p=[0.4, 0.3, 0.2, 0.1]),
            "channel": chance.choice(["web", "shop", "phone"], ROWS),
            "category": chance.choice(["Books", "Games", "Toys", "Food", "Garden", "Art"], ROWS),
            "ordered_at": pd.Timestamp("2024-03-01") + days,
            "revenue": chance.gamma(2, 40, ROWS).round(2),
            "quantity": chance.integers(1, 21, ROWS),
            "customer_id": chance.integers(1, 90_000, ROWS),
            "rating": np.where(chance.random(ROWS) < 0.2, np.nan, chance.random(ROWS)),
        }
    )  # fmt: skip


@dataclass
class Drawn:
    """What came of one specification: processor seconds, marks, the picture, the code."""

    seconds: float
    marks: int
    svg: str
    code: str
    words: str


def draw_one(spec: dict[str, Any]) -> Drawn:
    """Check, compute and draw a specification over `sales`."""
    catalog = Catalog(lambda: {"sales": sales()})
    catalog.add("sales", origin="shared")
    schema = look(sales()).schema

    async def ask(sql: str) -> pa.Table:
        return (await local_answer(catalog, sql)).data

    started = time.process_time()
    checked = check_spec(spec, schema.names, ())
    chart = asyncio.run(compute(checked, schema, "sales", ask))
    code = altair_code(chart, name="drawn")
    drawing = draw_chart(chart, code)
    drawing.png()
    seconds = time.process_time() - started
    marks = sum(len(points.rows) for points in chart.points)
    return Drawn(seconds, marks, drawing.svg, code, drawing.words)


def draws_the_same(drawn: Drawn) -> bool:
    """Whether the Altair code, run over the same table, gives the same picture."""
    names: dict[str, Any] = {"sales": sales(), "mcp_notebook": mcp_notebook}
    exec(drawn.code, names)
    return same_picture(names["drawn"], drawn.svg)


def main() -> None:
    """A line a specification, then the slowest."""
    draw_one(SPECS["bars"])  # the engine starts once a kernel
    slowest = 0.0
    for name, spec in SPECS.items():
        drawn = draw_one(spec)
        slowest = max(slowest, drawn.seconds)
        same = "same" if draws_the_same(drawn) else "DIFFERS"
        print(f"{name:32} {drawn.seconds:5.2f} s {drawn.marks:6,} marks  {same}")

    print(
        f"{len(SPECS)} specifications over {ROWS:,} rows, slowest {slowest:.2f} s of CPU"
    )


if __name__ == "__main__":
    main()
