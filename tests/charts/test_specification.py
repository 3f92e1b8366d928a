"""What of Vega-Lite is taken, and in which words the rest is refused."""

import asyncio
import copy
import json
import random
from typing import Any

import pyarrow as pa
import pytest

from mcp_notebook.charts.altair_code import altair_code
from mcp_notebook.charts.compute import compute, compute_here
from mcp_notebook.charts.drawing import describe_chart, draw_chart, title_of
from mcp_notebook.charts.specification import MARKS, SpecError, check_spec
from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.sharing.local_sql import local_answer
from tests.charts.forty import SPECS

COLUMNS = ["region", "revenue", "ordered_at", "card_number"]
X = {"field": "region"}
BARS = {"mark": "bar", "encoding": {"x": X, "y": {"aggregate": "count"}}}
SALES = pa.table(
    {
        "region": ["North", "South", "East", None] * 5,
        "revenue": [float(n * n) for n in range(20)],
        "ordered_at": [f"2026-{n % 12 + 1:02d}-01" for n in range(20)],
        "year": [2010 + n for n in range(20)],
        "tags": [["a"]] * 20,
    }
)


def check(spec: Any) -> Any:
    return check_spec(spec, COLUMNS, ["card_number"])


def draw(spec: Any, data: pa.Table = SALES) -> Any:
    """The chart over a table as the tool computes it."""
    catalog = Catalog(lambda: {"sales": data})
    catalog.add("sales", origin="shared")

    async def ask(sql: str) -> pa.Table:
        return (await local_answer(catalog, sql)).data

    checked = check_spec(spec, data.column_names, ())
    return asyncio.run(compute(checked, data.schema, "sales", ask))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": {"x": {"field": "regoin"}}}, "no column 'regoin'. Did you mean region?"),
        ({"encoding": {"x": {"field": "card_number"}}}, "card_number is masked"),
        ({"mark": "bars"}, "There is no mark 'bars'. Did you mean bar"),
        ({"mark": "image"}, "no mark 'image'"),
        ({"mark": "geoshape"}, "no mark 'geoshape'"),
        ({"data": {"url": "https://example.org/x.csv"}}, "a chart loads nothing"),
        ({"data": {"values": [{"a": 1}]}}, "the data is the table"),
        ({"datasets": {"a": []}}, "the data is the table"),
        ({"usermeta": {"a": 1}}, "usermeta is not taken"),
        ({"params": [{"name": "p"}]}, "without interaction"),
        ({"projection": {"type": "mercator"}}, "no maps"),
        ({"encoding": {"x": X, "href": {"field": "region"}}}, "no links"),
        ({"encoding": {"x": X, "url": {"field": "region"}}}, "loads nothing"),
        ({"encoding": {"x": {**X, "axis": {"labelExpr": "datum.label"}}}}, "expressions do not run"),
        ({"mark": {"type": "bar", "color": {"expr": "x"}}}, "expressions do not run"),
        ({"mark": {"type": "bar", "href": "https://example.org"}}, "no links"),
        ({"transform": [{"calculate": "datum.a", "as": "b"}]}, "transform takes filters only"),
        ({"transform": [{"lookup": "a", "from": {}}]}, "lookup"),
        ({"transform": [{"filter": "datum.a > 1"}]}, "not an expression"),
        ({"transform": [{"filter": {"field": "card_number", "equal": 1}}]}, "masked"),
        ({"transform": [{"filter": {"field": "region", "like": "N"}}]}, "one of equal, lt"),
        ({"encoding": {"x": X, "y": {"field": "revenue", "aggregate": "total"}}}, "no aggregate 'total'"),
        ({"encoding": {"x": {"field": "ordered_at", "timeUnit": "months"}}}, "Did you mean month"),
        ({"encoding": {"z": X}}, "no channel 'z'"),
        ({"encoding": {"x": {}}}, "x has no field"),
        ({"encoding": {}}, "encoding is missing"),
        ({"encoding": {"x": {**X, "sort": {"field": "card_number"}}}}, "masked"),
        ({"repeat": ["a"]}, "not taken"),
        ({"encoding": {"x": {**X, "axis": {"tickCount": 1e9}}}}, "1,000 at most"),
        ({"encoding": {"x": {**X, "scale": {"bins": {"step": 1e-9}}}}}, "no bound"),
        ({"layer": [BARS]}, "one of mark, layer"),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_refused_in_a_sentence(change: dict, words: str) -> None:
    with pytest.raises(SpecError) as error:
        check({**BARS, **change})
    assert words in str(error.value)


@pytest.mark.parametrize(
    "spec", [None, [], "bar", {}, 3, {"mark": "bar"}, {"layer": []}]
)
def test_what_is_no_specification_is_refused(spec: object) -> None:
    with pytest.raises(SpecError):
        check(spec)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"mark": "bar", "encoding": {"x": {"field": "tags"}, "y": {"aggregate": "count"}}}, "lists or objects"),
        ({"mark": "bar", "encoding": {"x": X, "y": {"field": "region", "aggregate": "mean"}}}, "mean needs numbers"),
        ({"mark": "point", "encoding": {"x": {"field": "region", "type": "quantitative"}}}, "not quantitative"),
        ({"mark": "line", "encoding": {"x": {"field": "revenue", "type": "temporal"}}}, "no years"),
        ({"mark": "line", "encoding": {"x": {"field": "region", "type": "temporal"}}}, "no dates"),
        ({**BARS, "transform": [{"filter": {"field": "revenue", "equal": "x"}}]}, "give a number"),
        ({**BARS, "transform": [{"filter": {"field": "revenue", "lt": -1}}]}, "No row is left"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_table_is_refused_in_a_sentence(
    spec: dict, words: str
) -> None:
    with pytest.raises(SpecError) as error:
        draw(spec)
    assert words in str(error.value)


def test_looks_are_left_out_and_that_is_said() -> None:
    chart = draw({**BARS, "config": {"view": {}}, "$schema": "x", "background": "red"})
    assert "config, background left out" in describe_chart(chart)


def test_a_chart_is_told_in_words_with_its_ranges_and_extremes() -> None:
    revenue = {"field": "revenue", "aggregate": "sum"}
    chart = draw({"mark": "bar", "encoding": {"x": X, "y": revenue}})
    words = describe_chart(chart)
    assert words.splitlines()[0] == (
        "Bars of sales (20 rows) · x: region · y: sum of revenue"
    )
    assert "region: 4 (East, North, South, NULL)" in words
    assert "highest 765 at NULL; lowest 480 at North" in words
    assert title_of(chart) == "sum of revenue by region"


def test_bars_begin_at_zero_and_another_axis_that_does_not_says_so() -> None:
    cut = {"field": "revenue", "aggregate": "sum", "scale": {"zero": False}}
    bars = draw({"mark": "bar", "encoding": {"x": X, "y": cut}})
    assert bars.spec["encoding"]["y"]["scale"] == {}
    assert "y begins at zero" in describe_chart(bars)
    points = draw({"mark": "point", "encoding": {"x": X, "y": copy.deepcopy(cut)}})
    assert "(axis not from 0)" in points.spec["encoding"]["y"]["title"]


def test_years_and_months_as_texts_are_times() -> None:
    for column in ("year", "ordered_at"):
        x = {"field": column, "type": "temporal"}
        chart = draw({"mark": "line", "encoding": {"x": x, "y": {"field": "revenue"}}})
        assert all(
            "T00:00:00" in str(list(row.values())) for row in chart.points[0].rows
        )


def test_too_many_marks_are_refused_with_what_to_do() -> None:
    data = pa.table({"a": range(6_000), "b": range(6_000)})
    with pytest.raises(SpecError, match="6,000 marks; 5,000 can be seen"):
        draw(
            {"mark": "bar", "encoding": {"x": {"field": "a"}, "y": {"field": "b"}}},
            data,
        )
    words = pa.table({"name": [f"n{n}" for n in range(300)]})
    bars = {
        "mark": "bar",
        "encoding": {"x": {"field": "name"}, "y": {"aggregate": "count"}},
    }
    with pytest.raises(SpecError, match="300 different values; 100 can be read"):
        draw(bars, words)


def test_a_table_in_memory_is_drawn_as_the_database_would() -> None:
    spec = {
        "mark": "bar",
        "encoding": {
            "x": {"field": "revenue", "bin": True},
            "y": {"aggregate": "count"},
        },
    }
    over = draw(copy.deepcopy(spec))
    here = compute_here(check_spec(spec, SALES.column_names, ()), SALES, "sales")
    assert here.spec == over.spec
    assert here.points[0].rows == over.points[0].rows


# --- any specification: one sentence or a picture, never anything else


def bent(spec: Any, chance: random.Random) -> Any:
    """A specification with a few things put wrong, as a model may write it."""
    whole = copy.deepcopy(spec)
    for _ in range(chance.randint(1, 3)):
        places = [p for p in _places(whole) if p]
        target = chance.choice(places)
        holder = whole
        for step in target[:-1]:
            holder = holder[step]
        odd = chance.choice(
            [None, 0, -1, True, "", "x", [], {}, ["x"], {"field": "region"}, 1e400,
             "quantitative", "temporal", {"url": "x"}, "ordered_at", {"step": 0}]
        )  # fmt: skip
        if chance.random() < 0.3 and isinstance(holder, dict):
            holder.pop(target[-1])
        else:
            holder[target[-1]] = odd
    return whole


def _places(value: Any, path: tuple = ()) -> list[tuple]:
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _places(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            found += _places(inner, (*path, at))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_a_bent_specification_gives_a_sentence_or_a_picture(seed: int) -> None:
    chance = random.Random(seed)
    data = SALES.select(["region", "revenue", "ordered_at"])
    data = data.append_column("channel", pa.array(["web", "shop"] * 10))
    data = data.append_column("category", pa.array(["a", "b"] * 10))
    data = data.append_column("quantity", pa.array(range(20)))
    data = data.append_column("customer_id", pa.array(range(20)))
    data = data.append_column("rating", pa.array([None, 0.5] * 10, pa.float64()))
    for _ in range(25):
        spec = bent(chance.choice(list(SPECS.values())), chance)
        try:
            chart = draw(spec, data)
            drawing = draw_chart(chart, altair_code(chart))
        except SpecError:
            continue
        assert drawing.svg
        assert "://" not in json.dumps(chart.spec)
        compile(drawing.code, "code", "exec")


def test_every_mark_can_be_drawn() -> None:
    for mark in MARKS:
        x, y = {"field": "year"}, {"field": "revenue"}
        encoding = {"theta": y} if mark == "arc" else {"x": x, "y": y}
        if mark == "text":
            encoding["text"] = {"field": "region"}
        if mark == "boxplot":
            encoding["x"] = X
        chart = draw({"mark": mark, "encoding": encoding})
        assert draw_chart(chart, "").svg
