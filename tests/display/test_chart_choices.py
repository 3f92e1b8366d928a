"""Which tables get a chart without being asked, against `chart_choices.yaml`, and that
the chart of each choice can be drawn and is honest about its axes.
"""

import datetime as dt
import random
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from mcp_notebook.charts.altair_code import altair_code
from mcp_notebook.charts.choose import ChartChoice, chart_of, choose
from mcp_notebook.charts.drawing import draw_chart, units_with_points

CASES = yaml.safe_load((Path(__file__).parent / "chart_choices.yaml").read_text())
NEEDED = 54


def column(wish: object, seed: str) -> list[object]:
    """A column as the data file writes it."""
    if isinstance(wish, list):
        return wish
    assert isinstance(wish, dict)
    if "start" in wish:
        steps = {
            "day": dt.timedelta(days=1),
            "hour": dt.timedelta(hours=1),
            "week": dt.timedelta(weeks=1),
        }
        start = dt.datetime.combine(wish["start"], dt.time())
        made = [start + n * steps[wish["every"]] for n in range(wish["n"])]
        return made if wish["every"] == "hour" else [one.date() for one in made]
    if "numbers" in wish:
        chance = random.Random(seed)
        low, high = wish["low"], wish["high"]
        numbers = [chance.uniform(low, high) for _ in range(wish["numbers"])]
        return [int(n) for n in numbers] if wish.get("whole") else numbers
    if "count" in wish:
        return list(range(wish["from"], wish["from"] + wish["count"]))
    if "names" in wish:
        return [f"{wish['prefix']}{n}" for n in range(1, wish["names"] + 1)]
    words = [w for w in wish["words"].split() for _ in range(wish.get("each", 1))]
    words *= wish.get("times", 1)
    return [int(word) for word in words] if wish.get("whole") else words


def table(case: dict) -> pa.Table:
    return pa.table(
        {
            name: column(wish, f"{case['name']} {name}")
            for name, wish in case["columns"].items()
        }
    )


def written(choice: ChartChoice | None) -> str:
    """A choice in the words of the data file."""
    if choice is None:
        return "none"
    if choice.mark == "hist":
        return f"hist {choice.key}"
    measures = ",".join(choice.measures)
    if choice.mark == "rect":
        return f"rect {choice.key} {choice.by} {measures}"
    series = f" by {choice.by}" if choice.by else ""
    return f"{choice.mark} {choice.key} {measures}{series}"


def test_the_rule_chooses_what_was_written_down_before() -> None:
    assert len(CASES) == 60
    misses = [
        f"{case['name']}: {found} where {case['expect']} is expected"
        for case in CASES
        if (found := written(choose(table(case)))) != case["expect"]
    ]
    print("\n".join(misses) or "no miss")
    assert len(CASES) - len(misses) >= NEEDED, "\n".join(misses)


DRAWN = [case for case in CASES if case["expect"] != "none"]


@pytest.mark.parametrize("case", DRAWN, ids=[case["name"] for case in DRAWN])
def test_every_choice_is_drawn_and_bars_begin_at_zero(case: dict) -> None:
    data = table(case)
    choice = choose(data)
    assert choice is not None
    chart = chart_of(choice, data, "t")
    drawing = draw_chart(chart, altair_code(chart))
    assert drawing.svg.startswith("<svg")
    assert drawing.width < 1_000
    for unit, rows in units_with_points(chart):
        assert rows
        for channel in ("x", "y"):
            definition = unit["encoding"].get(channel, {})
            cut = definition.get("scale", {}).get("zero") is False
            assert not (cut and unit["mark"] == "bar")
            assert not cut or "axis not from 0" in definition["title"]
