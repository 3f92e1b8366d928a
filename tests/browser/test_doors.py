"""Every kind of content by every door in JupyterLab: what the person sees of a call by a
magic, from code, of SQL, of a resource and of Claude's call.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.lab import Lab, NotebookPage, lab_with_model, write_notebook
from tests.fake_messages import Reply, text, use

pytestmark = [pytest.mark.browser, pytest.mark.slow]
STUDIO = Path(__file__).parents[1] / "servers" / "studio.py"
CONNECT = f"""%load_ext mcp_notebook
%mcp_connect studio --allow '*' {sys.executable} {STUDIO}
import mcp_notebook
studio = mcp_notebook.server("studio")"""
# what each kind shows, as text or as the element that it is
SHOWN = {
    "table": "709037",
    "several tables": "463",
    "text": "nothing had to be moved",
    "png": "img",
    "jpeg": "img",
    "svg": "img",
    "table and image": "img",
    "audio": "audio.wav",
    "pdf": "report.pdf",
    "link": "notes.bin",
    "embedded text": "All well.",
    "empty list": "0 rows",
    "nothing": "nothing",
}
# a person's other ways to the same, and what each shows
DOORS = {
    'mcp_notebook.call("studio.give", {"what": "table"})': "709037",
    'studio.give("table and image")': "img",
    'studio.give("pdf")': "report.pdf",
    "studio.count()": "'7'",
    "studio.fail()": "No such layer: roads_2",
    "%mcp_call studio.fail": "No such layer: roads_2",
    "%mcp_call studio.count": "'7'",
    "%%mcp_sql studio\nselect 1": "select 1",
    "%mcp_read studio data://cities.csv": "709037",
    'mcp_notebook.resource("studio", "data://cities.csv")': "709037",
}


@pytest.fixture(scope="module", params=["light", "dark"])
def lab(
    request: pytest.FixtureRequest,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """A JupyterLab whose kernels ask a model that calls the tool with what it is asked."""

    def script(body: dict, _number: int) -> Reply:
        last = body["messages"][-1]["content"]
        if "tool_result" in json.dumps(last):
            return Reply([text("There it is.")])

        asked = re.search(r"Give me: ([\w ]+)", json.dumps(last))
        if asked is not None:
            return Reply([use("studio__give", {"what": asked[1]})])
        return Reply([use("studio__fail")])

    with lab_with_model(
        script,
        tmp_path_factory.mktemp("notebooks"),
        theme=request.param,
        size=(1000, 900),
        browser=browser,
    ) as (running, _):
        yield running


def expect_shown(output: Locator, what: str) -> None:
    """An output shows a picture (`img`) that was loaded, or these words."""
    if what != "img":
        expect(output).to_contain_text(what)
        return

    picture = output.locator("img").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 10


def run_cells(
    lab: Lab, name: str, cells: dict[str, str], pictures: Path, *, opened: bool = False
) -> None:
    """Run the cells, look at each output, and take one picture of each."""
    write_notebook(lab.folder / f"{name}.ipynb", [CONNECT, *cells])
    with lab.open(f"{name}.ipynb") as page:
        page.run(0, timeout=120)
        for number, what in enumerate(cells.values(), 1):
            page.run(number, timeout=120)
            if opened:
                open_cards(page, number)

            expect_shown(page.output(number), what)
            file = f"doors-{name}-{number:02}-{lab.theme}.png"
            page.screenshot(pictures / file, cell=number)

        assert page.outside == []


def open_cards(page: NotebookPage, cell: int) -> None:
    cards = page.output(cell).locator(".mcpn .card:not([open]) > summary")
    for card in cards.all():
        card.click()


def test_every_kind_of_content_by_a_magic(lab: Lab, pictures: Path) -> None:
    calls = {}
    # of several tables the first is the value, the others have a line
    for kind, what in {**SHOWN, "several tables": "1 row × 3 columns"}.items():
        calls[f"%mcp_call studio.give {json.dumps({'what': kind})}"] = what

    run_cells(lab, "kinds", calls, pictures)


def test_every_other_door(lab: Lab, pictures: Path) -> None:
    run_cells(lab, "others", DOORS, pictures)


def test_every_kind_of_content_by_claude(lab: Lab, pictures: Path) -> None:
    questions = {f"%%claude --new\nGive me: {kind}": SHOWN[kind] for kind in SHOWN}
    questions["%%claude --new\nDo what fails."] = "No such layer: roads_2"
    run_cells(lab, "claude", questions, pictures, opened=True)
