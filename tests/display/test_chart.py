"""The picture of a table: which tables have one, what is drawn, and that its code draws
the same.
"""

import base64
import datetime as dt
import re
import xml.etree.ElementTree as ET
from decimal import Decimal

import pyarrow as pa
import pytest

from mcp_notebook.display.card import render_call
from mcp_notebook.display.choose_chart import choose_chart
from mcp_notebook.display.draw_chart import (
    MOST,
    WIDTH,
    Chart,
    draw_chart,
    round_marks,
    short_number,
    svg,
)
from mcp_notebook.display.tables import view_result
from mcp_notebook.display.widgets import result_payload
from mcp_notebook.results import Table
from tests.browser.scripted import months
from tests.display.conftest import Strict, call, result

MONTHS = [f"2026-{number:02d}" for number in range(1, 13)]
NUMBERS = [float(number * number) for number in range(12)]
DAYS = [dt.date(2023, 1, 1) + dt.timedelta(days=number) for number in range(1_400)]


def chosen(**columns: object) -> Chart:
    chart = choose_chart(pa.table(columns), "t")
    assert chart is not None
    return chart


@pytest.mark.parametrize(
    "times",
    [
        MONTHS,
        [f"2026-01-{number:02d}" for number in range(1, 13)],
        [f"{2020 + number // 4}-Q{number % 4 + 1}" for number in range(12)],
        [f"2026-W{number:02d}" for number in range(1, 13)],
        list(range(2010, 2022)),
        DAYS[:12],
        [dt.datetime(2026, 1, 1, hour) for hour in range(12)],
        pa.array(
            [dt.datetime(2026, 1, 1, hour) for hour in range(12)],
            pa.timestamp("ns", "UTC"),
        ),
    ],
    ids=[
        "months",
        "days as text",
        "quarters",
        "weeks",
        "years",
        "dates",
        "times",
        "times with a zone",
    ],
)
def test_a_number_over_time_is_a_line_in_the_order_of_time(times: object) -> None:
    table = pa.table({"year": times, "sold": NUMBERS}).take([3, 1, 2, 0, *range(4, 12)])
    chart = choose_chart(table, "t")
    assert chart is not None
    assert (chart.kind, chart.title) == ("line", "sold by year")
    assert chart.panels[0].series[0].values == tuple(NUMBERS)
    assert list(chart.at) == sorted(chart.at)
    assert ".sort_values('year')" in chart.code


def test_quantities_of_their_own_have_panels_of_their_own_and_keys_have_none() -> None:
    chart = chosen(
        month=MONTHS,
        orders=range(12),
        revenue=[Decimal(n).scaleb(-2) for n in range(12)],
        rate=NUMBERS,
    )
    assert [panel.title for panel in chart.panels] == ["orders", "revenue", "rate"]
    assert chart.code == (
        "t.astype({'revenue': 'float'}).plot(x='month', y=['orders', 'revenue', 'rate'], subplots=True)"
    )


def test_a_few_values_beside_time_are_a_line_each_with_gaps_where_a_pair_is_missing() -> (
    None
):
    chart = chosen(
        month=["2026-01", "2026-01", "2026-02", "2026-03", "2026-03"],
        kind=list("abaab"),
        n=[1, 2, 3, 4, 5],
    )
    assert [one.name for one in chart.panels[0].series] == ["a", "b"]
    assert chart.panels[0].series[1].values == (2.0, None, 5.0)


def test_one_row_a_category_is_a_bar_in_the_order_of_the_rows() -> None:
    chart = chosen(status=["shipped", None, "paid"], n=[9, 8, None])
    assert (chart.kind, chart.labels) == ("bar", ("shipped", "NULL", "paid"))
    assert chart.panels[0].series[0].values == (9.0, 8.0, None)


@pytest.mark.parametrize("odd", [None, "2026", "total"])
def test_times_with_something_else_among_them_are_categories(odd: str | None) -> None:
    assert chosen(month=[*MONTHS[:11], odd], n=range(12)).kind == "bar"


@pytest.mark.parametrize(
    "columns",
    [
        {"status": ["a", "b"], "n": [1, 2]},  # two rows are read at a glance
        # a category twice: rows are something else
        {"status": ["a", "b", "b"], "n": [1, 2, 3]},
        {"status": ["a", "b", "c"], "customer_id": [1, 2, 3]},  # nothing to measure
        {"n": [1, 2, 3], "m": [1, 2, 3]},  # no key
        {"month": [*MONTHS[:11], MONTHS[0]], "n": range(12)},  # a time twice
        # too many lines
        {"month": MONTHS, "name": [f"n{n}" for n in range(12)], "n": range(12)},
        {"name": [f"n{n}" for n in range(25)], "n": range(25)},  # too many bars
        {"tags": [["a"], ["b"], ["c"]], "n": [1, 2, 3]},
        {"status": ["a", "b", "c"], "n": pa.nulls(3, pa.float64())},
        {"id": range(6_000), "name": ["x"] * 6_000, "n": range(6_000)},
    ],
)
def test_what_is_better_read_has_no_picture(columns: dict) -> None:
    assert choose_chart(pa.table(columns), "t") is None


def test_records_have_no_picture() -> None:
    assert choose_chart(months(), "t") is None


@pytest.mark.parametrize(
    "about", [{"truncated": "at 12 rows"}, {"approximate": True}, {"total_rows": 900}]
)
def test_a_table_that_is_not_whole_or_exact_has_no_picture(about: dict) -> None:
    data = pa.table({"month": MONTHS, "n": range(12)})
    assert view_result(call(), result(data=data)).tables[0].chart is not None
    assert view_result(call(), result(data=data, **about)).tables[0].chart is None


@pytest.mark.parametrize(
    "columns",
    [
        {"month": MONTHS, "n": [Decimal(n).scaleb(-1) for n in range(12)]},
        {
            "month": MONTHS[::-1],
            "n": range(12),
            "rate": [None, float("nan"), *NUMBERS[2:]],
        },
        {"day": DAYS[:30], "n": range(30)},
        {
            "month": MONTHS * 2,
            "kind": ["a"] * 12 + ["b"] * 12,
            "n": [Decimal(n).scaleb(-1) for n in range(24)],
        },
        {'it\'s "x"': ["a", "b", "c"], "n\n": [-1, 2, 3]},
        {"status": ["a", "b", "c"], "n": [1, 2, 3], "share": [0.1, None, 0.9]},
        {"paid": [True, False, None], "n": [1, 2, 3]},
    ],
)
def test_the_code_draws_the_same_with_pandas(
    columns: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    chart = choose_chart(pa.table(columns), "sales")
    assert chart is not None
    drawn = eval(chart.code, {"sales": Table(data=pa.table(columns)).to_pandas()})
    axes = [drawn] if not hasattr(drawn, "__len__") else list(drawn)
    assert len(axes) == len(chart.panels)
    if chart.kind == "line":
        assert len(axes[0].lines) == len(chart.panels[0].series)
    else:
        assert len(axes[0].patches) == len(chart.labels)


def test_a_drawing_stays_on_its_canvas_and_small_whatever_is_drawn() -> None:
    wild = [None, 1e300, -1e300, 0.0, *NUMBERS[:8]]
    for chart in (
        chosen(day=DAYS, n=[float(n % 97) for n in range(1_400)], m=range(1_400)),
        chosen(month=MONTHS, n=wild),
        chosen(
            name=[f"{'long ' * 20}{n}" for n in range(24)],
            n=range(24),
            m=range(24),
            k=range(24),
        ),
        chosen(month=MONTHS, n=[5] * 12),
        chosen(month=MONTHS, n=[0] * 12),
        chosen(name=list("abc"), n=[-1.5, -2.0, -3.0]),
        chosen(
            month=MONTHS * 6,
            kind=[f"kind {n // 12} of a long name" for n in range(72)],
            n=range(72),
        ),
    ):
        drawing = draw_chart(chart)
        assert len(svg(drawing)) < 24_000
        for shape in drawing.shapes:
            numbers = [
                float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", shape.at.get("d", ""))
            ]
            numbers += [
                shape.at[name] for name in ("x", "y", "cx", "cy") if name in shape.at
            ]
            assert all(
                -1 <= number <= max(WIDTH, drawing.height) + 1 for number in numbers
            ), (chart.title, shape)


def test_of_a_long_line_every_step_keeps_its_lowest_and_highest() -> None:
    values = [1.0] * 1_400
    values[700], values[900] = 50.0, -50.0
    line = next(
        shape
        for shape in draw_chart(chosen(day=DAYS, n=values)).shapes
        if shape.look == "line0"
    )
    heights = [
        float(point.split(",")[1]) for point in re.split("[ML]", line.at["d"])[1:]
    ]
    assert len(heights) <= MOST + 2
    middle = sorted(heights)[len(heights) // 2]
    assert min(heights) < middle - 30
    assert max(heights) > middle + 30


def test_the_picture_is_an_image_that_loads_nothing_and_is_told_in_words() -> None:
    name = "<script>alert(1)</script>"
    data = pa.table({"month": MONTHS, name: NUMBERS})
    html = render_call(view_result(call(), result(data=data)))["text/html"]
    assert (
        'alt="Lines: &lt;script&gt;alert(1)&lt;/script&gt; by month, 2026-01 to 2026-12; values from 0 to 121"'
        in html
    )
    source = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert source
    image = ET.fromstring(base64.b64decode(source[1]))
    assert {node.tag.split("}")[1] for node in image.iter()} == {
        "svg",
        "path",
        "circle",
        "text",
    }
    assert not [
        name
        for node in image.iter()
        for name in node.attrib
        if "href" in name or name.startswith("on")
    ]
    assert "sales.plot(x='month'" in Strict(html).text


def test_a_live_card_is_sent_the_shapes_and_not_markup() -> None:
    sent = result_payload(
        view_result(call(), result(data=pa.table({"month": MONTHS, "n": NUMBERS})))
    )
    chart = sent["tables"][0]["chart"]
    assert {shape[0] for shape in chart["shapes"]} == {"path", "circle", "text"}
    assert "2026-12: 121" in [shape[4] for shape in chart["shapes"]]
    assert (
        result_payload(view_result(call(), result(data=months())))["tables"][0]["chart"]
        is None
    )


def test_marks_are_round_numbers_around_all_values() -> None:
    assert round_marks(57_374, 99_605, 5) == [
        50_000,
        60_000,
        70_000,
        80_000,
        90_000,
        100_000,
    ]
    assert round_marks(0, 0.31, 3) == pytest.approx([0, 0.2, 0.4])
    assert round_marks(7, 7, 5)[0] < 7 < round_marks(7, 7, 5)[-1]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (66, "66"),
        (11_305, "11,305"),
        (0.25, "0.25"),
        (1_200_000, "1.2M"),
        (999_999, "1M"),
        (-3e9, "-3G"),
    ],
)
def test_numbers_are_short(value: float, words: str) -> None:
    assert short_number(value) == words
