"""A chart that Claude draws when it is asked, in a real JupyterLab: live, in both themes,
and in the saved notebook.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from mcp_notebook.charts.drawing import MIME
from tests.browser.lab import Lab, lab_with_model, write_notebook
from tests.fake_messages import Reply, text, use

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SETUP = """%load_ext mcp_notebook
import pandas as pd, numpy as np
rng = np.random.default_rng(7)
n = 50_000
sales = pd.DataFrame({
    "region": rng.choice(["North", "South", "East", "West"], n, p=[0.4, 0.3, 0.2, 0.1]),
    "ordered_at": pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 365, n), unit="D"),
    "revenue": rng.gamma(2, 30, n).round(2),
})
%mcp_share sales"""
SPEC = {
    "mark": {"type": "line", "point": True},
    "encoding": {
        "x": {"field": "ordered_at", "timeUnit": "yearmonth"},
        "y": {"field": "revenue", "aggregate": "sum"},
        "color": {"field": "region"},
    },
}


@pytest.fixture(scope="module", params=["light", "dark"])
def lab(
    request: pytest.FixtureRequest,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """A JupyterLab whose kernels ask a scripted model: a chart, a table, an answer."""

    def script(body: dict, _number: int) -> Reply:
        last = json.dumps(body["messages"][-1])
        if "tool_result" in last:
            return Reply([text("The North leads in **every** month.")])
        if "by region" in last:
            sql = "SELECT region, sum(revenue) AS revenue FROM sales GROUP BY 1 ORDER BY 2 DESC"
            return Reply([use("notebook__query", {"sql": sql})])
        return Reply([use("notebook__chart", {"table": "sales", "spec": SPEC})])

    with lab_with_model(
        script,
        tmp_path_factory.mktemp("notebooks"),
        theme=request.param,
        size=(1100, 1000),
        browser=browser,
    ) as (running, _):
        yield running


def test_a_chart_that_was_asked_for_is_live_and_stays(lab: Lab, pictures: Path) -> None:
    cells = [
        SETUP,
        "%%claude\nDraw the revenue of each month, a line a region.",
        "%%claude\nRevenue by region?",
        "%mcp_freeze --all-cells",
    ]
    write_notebook(lab.folder / "chart.ipynb", cells)
    with lab.open("chart.ipynb") as page:
        page.run(0, timeout=120)
        page.run(1, timeout=120)
        output = page.output(1)
        # Vega draws in the page, not a picture
        live = output.locator(".vega-embed svg, .vega-embed canvas").first
        expect(live).to_be_visible(timeout=60_000)
        expect(output).to_contain_text("The North leads")
        page.screenshot(pictures / f"chart-asked-{lab.theme}.png", cell=1)
        page.run(2, timeout=120)
        picture = page.output(2).locator(".mcpn .chart img")
        expect(picture).to_be_visible()
        expect(page.output(2).get_by_text("copy as code").first).to_be_visible()
        page.screenshot(pictures / f"chart-unasked-{lab.theme}.png", cell=2)
        page.run(3, timeout=120)
        page.save()
        assert page.errors == []
        assert page.outside == []

    saved = json.loads((lab.folder / "chart.ipynb").read_text())
    bundles = [out["data"] for out in saved["cells"][1]["outputs"] if "data" in out]
    (chart,) = [data for data in bundles if MIME in data]
    assert {"image/png", "text/plain"} <= set(chart)
    assert "highest" in "".join(chart["text/plain"])
    written = "".join("".join(cell["source"]) for cell in saved["cells"])
    assert "alt.Chart(points)" in written
