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

import mcp_notebook
from mcp_notebook.charts import drawing as drawing_of
from mcp_notebook.charts.altair_code import altair_code
from mcp_notebook.charts.choose import chart_of, choose
from mcp_notebook.charts.compute import Chart
from mcp_notebook.charts.drawing import draw_chart, short_number, units_with_points
from mcp_notebook.display.card import render_call
from mcp_notebook.display.tables import view_result
from mcp_notebook.display.widgets import result_payload
from mcp_notebook.results import Table
from tests.browser.scripted import months
from tests.charts.same import same_picture
from tests.display.conftest import Strict, call, result

MONTHS = [f"2026-{number:02d}" for number in range(1, 13)]
NUMBERS = [float(number * number) for number in range(12)]
DAYS = [dt.date(2023, 1, 1) + dt.timedelta(days=number) for number in range(1_400)]


def chosen(table: str = "t", /, **columns: object) -> Chart:
    data = pa.table(columns)
    choice = choose(data)
    assert choice is not None
    return chart_of(choice, data, table)


def marks(chart: Chart) -> list[str]:
    units = [unit for unit, _ in units_with_points(chart)]
    return [
        u["mark"] if isinstance(u["mark"], str) else u["mark"]["type"] for u in units
    ]


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
    ids="months,days as text,quarters,weeks,years,dates,times,times with a zone".split(
        ","
    ),
)
def test_a_number_over_time_is_a_line(times: object) -> None:
    table = pa.table({"year": times, "sold": NUMBERS}).take([3, 1, 2, 0, *range(4, 12)])
    choice = choose(table)
    assert choice is not None
    assert (choice.mark, choice.key, choice.measures) == ("line", "year", ("sold",))
    made = draw_chart(chart_of(choice, table, "t"), "")
    assert made.title == "sold by year"
    # from the first to the last in the order of time, however the rows stand
    assert "sold: from 0 at the first to 121 at the last" in made.words


def test_quantities_of_their_own_have_panels_of_their_own_and_keys_have_none() -> None:
    chart = chosen(
        month=MONTHS,
        orders=range(12),
        revenue=[Decimal(n).scaleb(-2) for n in range(12)],
        rate=NUMBERS,
    )
    titles = [unit["encoding"]["y"]["title"] for unit, _ in units_with_points(chart)]
    assert titles == ["orders", "revenue", "rate"]


def test_a_few_values_beside_time_are_a_line_each() -> None:
    chart = chosen(
        month=["2026-01", "2026-01", "2026-02", "2026-03", "2026-03"],
        kind=list("abaab"),
        n=[1, 2, 3, 4, 5],
    )
    ((unit, rows),) = units_with_points(chart)
    assert unit["encoding"]["color"]["field"] == "kind"
    assert len(rows) == 5


def test_one_row_a_category_is_a_bar_in_the_order_of_the_rows() -> None:
    chart = chosen(status=["shipped", None, "paid"], n=[9, 8, None])
    ((unit, rows),) = units_with_points(chart)
    assert marks(chart) == ["bar"]
    assert unit["encoding"]["y"]["sort"] is None
    assert [row["status"] for row in rows] == ["shipped", None, "paid"]
    assert "NULL" in draw_chart(chart, "").words


@pytest.mark.parametrize("odd", [None, "2026", "total"])
def test_times_with_something_else_among_them_are_categories(odd: str | None) -> None:
    assert marks(chosen(month=[*MONTHS[:11], odd], n=range(12))) == ["bar"]


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
        {"month": MONTHS, "name": [f"n{n}" for n in range(12)], "n": [0, 0] * 6},
        {"name": [f"n{n}" for n in range(35)], "n": range(35)},  # too many bars
        {"tags": [["a"], ["b"], ["c"]], "n": [1, 2, 3]},
        {"status": ["a", "b", "c"], "n": pa.nulls(3, pa.float64())},
        {"id": range(6_000), "name": ["x"] * 6_000, "n": range(6_000)},
    ],
)
def test_what_is_better_read_has_no_picture(columns: dict) -> None:
    assert choose(pa.table(columns)) is None


def test_records_have_no_picture() -> None:
    assert choose(months()) is None


@pytest.mark.parametrize(
    "about", [{"truncated": "at 12 rows"}, {"approximate": True}, {"total_rows": 900}]
)
def test_a_table_that_is_not_whole_or_exact_has_no_picture(about: dict) -> None:
    data = pa.table({"month": MONTHS, "n": range(12)})
    assert view_result(call(), result(data=data)).tables[0].chart is not None
    assert view_result(call(), result(data=data, **about)).tables[0].chart is None


def test_without_the_extra_there_is_the_table_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    data = pa.table({"month": MONTHS, "n": range(12)})
    assert view_result(call(), result(data=data)).tables[0].chart is None
    assert not drawing_of.is_available()


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
        {"year": range(2010, 2022), "n": NUMBERS},
        {"delay": [float(n * n % 83) for n in range(200)]},
        {"a.b": list("xyz"), "c[0]": [1.5, 2.5, 4.0]},
    ],
)
def test_the_code_draws_the_same_with_altair(columns: dict) -> None:
    chart = chosen("sales", **columns)
    code = altair_code(chart, name="chart")
    frame = Table(data=pa.table(columns)).to_pandas()
    names = {"sales": frame, "mcp_notebook": mcp_notebook}
    exec(code, names)
    assert same_picture(names["chart"], draw_chart(chart, code).svg)


def test_a_drawing_stays_small_whatever_is_drawn() -> None:
    wild = [None, 1e300, -1e300, 0.0, *NUMBERS[:8]]
    for chart in (
        chosen(day=DAYS, n=[float(n % 97) for n in range(1_400)], m=range(1_400)),
        chosen(month=MONTHS, n=wild),
        chosen(
            name=[f"{'long ' * 20}{n}" for n in range(24)], n=range(24), m=range(24)
        ),
        chosen(name=list("abc"), n=[-1.5, -2.0, -3.0]),
        chosen(
            month=MONTHS * 6,
            kind=[f"kind {n // 12} of a long name" for n in range(72)],
            n=range(72),
        ),
    ):
        drawing = draw_chart(chart, "")
        assert len(drawing.url) < 90_000
        assert drawing.width < 1_000


def test_the_picture_is_an_image_that_loads_nothing_and_is_told_in_words() -> None:
    name = "<script>alert(1)</script>"
    data = pa.table({"month": MONTHS, name: NUMBERS})
    html = render_call(view_result(call(), result(data=data)))["text/html"]
    assert (
        'alt="Lines of sales (12 rows) · x: month · y: &lt;script&gt;alert(1)' in html
    )
    source = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert source
    image = ET.fromstring(base64.b64decode(source[1]))
    assert not [
        name
        for node in image.iter()
        for name in node.attrib
        if "href" in name or name.startswith("on")
    ]
    assert not [
        n for n in image.iter() if n.tag.endswith(("script", "image", "foreignObject"))
    ]
    assert "alt.Chart(" in Strict(html).text


def test_a_live_card_is_sent_a_picture_and_not_markup() -> None:
    sent = result_payload(
        view_result(call(), result(data=pa.table({"month": MONTHS, "n": NUMBERS})))
    )
    chart = sent["tables"][0]["chart"]
    assert chart["url"].startswith("data:image/svg+xml;base64,")
    assert "alt.Chart(" in chart["code"]
    assert (
        result_payload(view_result(call(), result(data=months())))["tables"][0]["chart"]
        is None
    )


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
