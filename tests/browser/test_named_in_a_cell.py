"""A question that names a figure and a table in JupyterLab: what was sent stands below
it, thinking stands folded, an unknown name is refused.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.lab import Lab, lab_with_model, write_notebook
from tests.fake_messages import Reply, text, thinking

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SETUP = """\
%load_ext mcp_notebook
%config MCPNotebook.thinking = True
from matplotlib.figure import Figure
import pandas as pd
orders = pd.DataFrame({"n": [1, 2], "city": ["Turku", "Oulu"]})
fig = Figure(figsize=(4, 3))
_ = fig.subplots().plot([1, 3, 2])
limit = 3"""
THOUGHTS = "The line rises, then falls. So the person's peak is in the middle."


@pytest.fixture(scope="module", params=["light", "dark"])
def lab(
    request: pytest.FixtureRequest,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """A JupyterLab whose kernels ask a scripted model that thinks and answers."""
    reply = Reply([thinking(THOUGHTS), text("The peak is at **1**.")])
    with lab_with_model(
        lambda body, number: reply,
        tmp_path_factory.mktemp("notebooks"),
        theme=request.param,
        size=(1000, 700),
        browser=browser,
    ) as (running, api):
        running.api = api  # type: ignore[attr-defined]
        yield running


def test_what_a_question_names_is_sent_and_said(lab: Lab, pictures: Path) -> None:
    ask = "%%claude\nWhere is the peak of @fig? See @orders and @limit."
    wrong = "%%claude\nWhere is the peak of @fgi?"
    write_notebook(lab.folder / "named.ipynb", [SETUP, ask, wrong])
    with lab.open("named.ipynb") as page:
        page.run(0, timeout=120)
        page.run(1, timeout=120)
        output = page.output(1)
        expect(output).to_contain_text("sent: @fig (picture, ")
        expect(output).to_contain_text("@orders (2 columns, names and types, no rows)")
        expect(output).to_contain_text("@limit = 3")
        fold = output.locator("details")
        expect(fold).to_contain_text("Thinking · 13 words")
        told = fold.get_by_text("rises, then falls")
        expect(told).to_be_hidden()
        page.screenshot(pictures / f"named-folded-{lab.theme}.png", cell=1)
        fold.locator("summary").click()
        expect(told).to_be_visible()
        page.screenshot(pictures / f"named-open-{lab.theme}.png", cell=1)
        page.start(2)
        expect(page.output(2)).to_contain_text("Did you mean @fig?", timeout=60_000)
        page.screenshot(pictures / f"named-unknown-{lab.theme}.png", cell=2)
        saved = page.save()
    (body,) = lab.api.requests[-1:]  # type: ignore[attr-defined]
    blocks = body["messages"][-1]["content"]
    (image,) = [block for block in blocks if block["type"] == "image"]
    assert base64.b64decode(image["source"]["data"]).startswith(b"\x89PNG")
    assert "rises, then falls" in str(saved["cells"][1]["outputs"])
