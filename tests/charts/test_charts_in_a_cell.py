"""A chart on its whole way: the tool, what a model and a person get of it, masks and
secrets, charts of other servers, freezing.
"""

import base64
import importlib.util
import json
import subprocess
import sys
from typing import Any

import mcp_types as types
import pandas as pd
import pytest
from mcp import Client

import mcp_notebook
from mcp_notebook.charts.drawing import CARRIED, MIME, NEEDED, take_carried
from mcp_notebook.charts.theirs import TheirChart, find_chart
from mcp_notebook.display.card import render_call
from mcp_notebook.display.tables import view_result
from mcp_notebook.display.view import View
from mcp_notebook.events import ToolCall, ToolResult
from mcp_notebook.notebook.freeze_cells import Freeze, freeze
from mcp_notebook.results import read
from mcp_notebook.sharing.notebook_server import build_notebook_server
from mcp_notebook.sharing.query import SqlRunner
from tests.charts.same import same_picture
from tests.fake_messages import FakeMessages, Reply, text, use
from tests.notebook.scripted import notebook
from tests.sharing.notebooks import Notebook

BARS = {
    "mark": "bar",
    "encoding": {"x": {"field": "region"}, "y": {"field": "n", "aggregate": "sum"}},
}
KEY = "sk-ant-api03-" + "a1B2" * 20
LITE = "https://vega.github.io/schema/vega-lite/v5.json"


def sales() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "region": ["North", "South", "North", KEY],
            "n": [1, 2, 3, 4],
            "email": ["a@x.org", "b@x.org", "c@x.org", "d@x.org"],
            "password": ["p1", "p2", "p3", "p4"],
        }
    )


async def call_chart(
    spec: Any, form: Any = "arrow", **more: Any
) -> types.CallToolResult:
    """What the tool answers about `sales`."""
    shelf = Notebook(sales=sales())
    runner = SqlRunner()
    server = build_notebook_server(
        shelf.catalog, form=form, runner=runner, mask=lambda: ["email"]
    )
    try:
        async with Client(server) as client:
            arguments = {"table": "sales", "spec": spec, **more}
            return await client.call_tool("chart", arguments)
    finally:
        await runner.close()


def texts(answer: types.CallToolResult) -> str:
    return "\n".join(part.text for part in answer.content if part.type == "text")


async def test_the_model_gets_words_and_the_picture_when_it_asks() -> None:
    answer = await call_chart(BARS)
    assert texts(answer).startswith("Bars of sales (4 rows) · x: region · y: sum of n")
    assert [part.type for part in answer.content] == ["text", "resource"]
    answer = await call_chart(BARS, picture=True)
    (picture,) = [part for part in answer.content if part.type == "image"]
    assert base64.b64decode(picture.data).startswith(b"\x89PNG")


@pytest.mark.parametrize("column", ["email", "password"])
async def test_masked_columns_and_secrets_never_reach_a_chart(column: str) -> None:
    spec = {**BARS, "encoding": {"x": {"field": column}, "y": {"aggregate": "count"}}}
    answer = await call_chart(spec)
    assert answer.is_error
    assert f"{column} is masked" in texts(answer)
    answer = await call_chart(BARS, picture=True)
    whole = answer.model_dump_json()
    assert KEY not in whole
    assert "North" in whole


async def test_a_client_outside_gets_vega_lite_that_it_can_show() -> None:
    answer = await call_chart(BARS, "json")
    (held,) = [part.resource for part in answer.content if part.type == "resource"]
    assert held.mime_type == MIME
    assert json.loads(held.text)["datasets"]["points_1"]


async def test_without_the_extra_a_chart_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "vl_convert" else found(n)
    )
    answer = await call_chart(BARS)
    assert answer.is_error
    assert (
        texts(answer)
        == NEEDED
        == ('Charts need the extra: pip install "mcp-notebook[charts]".')
    )


async def test_what_is_carried_comes_back_whole() -> None:
    answer = await call_chart(BARS)
    (held,) = [part.resource for part in answer.content if part.type == "resource"]
    assert held.mime_type == CARRIED
    drawing = take_carried(held.text)
    assert drawing.chart is not None
    assert drawing.chart.table == "sales"
    assert drawing.svg.startswith("<svg")
    data, about = drawing.bundle()
    assert set(data) == {MIME, "image/png", "text/plain"}
    assert about["image/png"]["alt"] == drawing.alt
    # who hears it is told the extremes, too
    assert "highest" in drawing.alt
    assert len(drawing.alt) <= 500
    # the editor's page elsewhere would be sent the rows
    assert about[MIME]["embed_options"]["actions"]["editor"] is False


# --- in a cell


class Shown:
    """A screen that keeps what is shown, with its metadata."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, Any]] = []

    def show(self, bundle: dict, about: dict | None = None) -> str:
        self.bundles.append(bundle)
        return str(len(self.bundles) - 1)

    def update(self, shown: str, bundle: dict) -> None:
        self.bundles[int(shown)] = bundle

    def write(self, text: str) -> None:
        self.bundles.append({"text/plain": text})


def test_a_chart_that_claude_draws_is_told_and_freezes_to_code(tmp_path) -> None:
    script = [
        Reply([use("notebook__chart", {"table": "orders", "spec": {
            "mark": "bar", "encoding": {"x": {"field": "n", "type": "ordinal"},
                                        "y": {"field": "n", "aggregate": "sum"}}}})]),
        Reply([text("Drawn.")]),
    ]  # fmt: skip
    with FakeMessages(script) as api:
        environ = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": api.api_key}
        with notebook(tmp_path, environ) as state:
            answer = mcp_notebook.ask("Draw @orders")
            assert answer.text == "Drawn."
            told = json.dumps(api.requests[-1]["messages"][-1])
            assert "Bars of orders (3 rows)" in told
            assert "svg" not in told
            frozen = tmp_path / "frozen.py"
            freeze(state, Freeze(to=str(frozen), all_cells=True))

    code = frozen.read_text()
    assert "import altair as alt" in code
    names: dict[str, Any] = {"orders": pd.DataFrame({"n": [1, 2, 3]})}
    exec(code, names)
    drawn = names["orders_chart"].to_dict()
    assert drawn["mark"] == {"type": "bar"}


# --- charts of other servers


ROWS = [
    {"day": "2026-01-01", "n": 3},
    {"day": "2026-01-02", "n": 5},
    {"day": "2026-01-03", "n": 4},
]
LINE = {
    "$schema": LITE,
    "title": "By day",
    "data": {"values": ROWS},
    "mark": "line",
    "encoding": {
        "x": {"field": "day", "type": "temporal"},
        "y": {"field": "n", "type": "quantitative"},
    },
}
NAMED = {**LINE, "data": {"name": "d1"}, "datasets": {"d1": ROWS}}


def answer_of(form: str, spec: dict) -> dict[str, Any]:
    written = json.dumps(spec)
    if form == "text":
        return {"content": [{"type": "text", "text": written}]}
    if form == "structured":
        return {
            "content": [{"type": "text", "text": written}],
            "structuredContent": spec,
        }
    if form == "wrapped":
        return {"content": [], "structuredContent": {"result": {"spec": spec}}}
    held = {"uri": "chart://1", "mimeType": MIME, "text": written}
    return {
        "content": [
            {"type": "text", "text": "A chart."},
            {"type": "resource", "resource": held},
        ]
    }


@pytest.mark.parametrize("form", ["text", "structured", "wrapped", "resource"])
@pytest.mark.parametrize("spec", [LINE, NAMED], ids=["values", "named"])
def test_a_servers_own_chart_is_drawn_and_its_rows_are_a_table(
    form: str, spec: dict
) -> None:
    reading = read(answer_of(form, spec))
    (table,) = reading.tables
    assert table.data.num_rows == 3
    assert table.data.column_names == ["day", "n"]
    (chart,) = reading.charts
    assert isinstance(chart, TheirChart)
    record = view_result(
        ToolCall("a", "bi", "chart", {}),
        ToolResult("a", "ok", "", 0.1, names=("t",), reading=reading),
    )
    (drawing,) = record.charts
    assert drawing.title == "By day"
    assert record.tables[0].chart is None  # one picture of the same is enough
    assert "By day" in drawing.words
    assert "Altair code" in render_call(record)["text/html"]
    names: dict[str, Any] = {"t": pd.DataFrame(ROWS)}
    exec(drawing.code, names)
    assert same_picture(names["chart"], drawing.svg)


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"url": "https://example.org/rows.json"}},
        {"mark": {"type": "image", "url": "https://example.org/x.png"}},
        {"encoding": {"x": {"field": "day"}, "href": {"field": "n"}}},
        {"usermeta": {"embedOptions": {"loader": {}}}},
        # what would never end
        {"data": {"sequence": {"start": 0, "stop": 1e12}}},
        {"encoding": {"x": {"field": "n", "bin": {"step": 1e-9}}}},
        {"encoding": {"x": {"field": "n", "axis": {"tickCount": 1e9}}}},
    ],
)
def test_a_servers_chart_that_loads_or_links_is_not_drawn_and_that_is_said(
    change: dict,
) -> None:
    reading = read(answer_of("text", {**LINE, **change}))
    record = view_result(
        ToolCall("a", "bi", "chart", {}),
        ToolResult("a", "ok", "", 0.1, reading=reading),
    )
    assert record.charts == ()
    assert "The chart of this result is not drawn" in " ".join(record.notes)


def test_other_json_is_no_chart() -> None:
    for value in (
        None,
        3,
        "x",
        {},
        {"$schema": "other"},
        {"mark": "bar"},
        [LINE],
        "{",
        f'{{"{LITE}',
    ):
        assert find_chart(value) is None


def test_a_chart_is_an_output_of_its_own_below_its_card() -> None:
    screen = Shown()
    view = View(mode="static", decide=lambda *_: None, screen=screen)
    view.show(ToolCall("a", "bi", "chart", {}))
    reading = read(answer_of("text", LINE))
    view.show(ToolResult("a", "ok", "", 0.1, names=("t",), reading=reading))
    view.close()
    assert [sorted(bundle) for bundle in screen.bundles] == [
        ["text/html", "text/plain"],
        [MIME, "image/png", "text/plain"],
    ]


# --- what loads


@pytest.mark.slow
def test_nothing_that_draws_is_loaded_before_the_first_chart() -> None:
    code = """if True:
        import sys
        import pyarrow as pa
        from mcp_notebook.charts import choose, compute, drawing, theirs
        from mcp_notebook.display import tables, widgets
        from mcp_notebook.sharing import notebook_server
        assert not {"altair", "vl_convert"} & set(sys.modules)
        data = pa.table({"a": list("xyz"), "n": [1, 2, 4]})
        chosen = choose.choose(data)
        drawing.draw_chart(choose.chart_of(chosen, data, "t"), "")
        assert "vl_convert" in sys.modules
        assert "altair" not in sys.modules
        print("well")
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "well\n", done.stderr
