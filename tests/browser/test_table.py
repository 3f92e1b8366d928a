"""The live table in a real JupyterLab: one Lab and one kernel for everything that is done
with a table of a million rows, a wide one and the person's own.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.lab import Lab, NotebookPage, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MAKE = """
%load_ext mcp_notebook
import numpy as np, pandas as pd, pyarrow as pa
dice, n = np.random.default_rng(1), 1_000_000
states = np.array(["paid", "open", "cancelled", "refunded"])
big = pa.table({
    "id": np.arange(n), "status": states[dice.choice(4, n, p=[.6, .2, .15, .05])],
    **{f"amount_{i}": np.round(dice.gamma(2, 50, n), 2) for i in range(16)},
    "code": dice.integers(0, 10**6, n), "flag": dice.random(n) > .4,
})
wide = pd.DataFrame(dice.normal(size=(5000, 300)).round(3)).rename(columns=lambda n: f"column_{n}")
eleven = pa.table({
    "name": ["<img src=x onerror='window.__pwned=1'>"] + ["a" * 500] * 10,
    "data": [{"deep": [{"x": "<b>"}]}] * 11,
})
orders = pd.DataFrame({"id": range(40), "status": ["paid", "open"] * 20})
%mcp_share orders
"""
CELLS = [
    MAKE,
    "%mcp_show big",
    "%mcp_show wide",
    "%mcp_show eleven",
    "%%mcp_sql notebook\nselect status, count(*) as n from orders group by all",
    "view = %mcp_show orders\nview",
    "print(view.sql)",
]
# What the page did: long tasks, and bytes that came by the kernel's socket.
WATCH = """() => {
  window.__long = [];
  new PerformanceObserver((list) => window.__long.push(...list.getEntries().map((e) => e.duration)))
    .observe({ type: "longtask" });
}"""
LONGEST = "() => Math.max(0, ...window.__long.splice(0))"


@pytest.fixture(scope="module")
def shown(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NotebookPage]:
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(folder / "tables.ipynb", CELLS)
    with (
        Lab(folder, size=(1100, 900), browser=browser) as lab,
        lab.open("tables.ipynb") as page,
    ):
        page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        for cell in range(6):
            page.run(cell, 120)
        yield page


def grid(page: NotebookPage, cell: int) -> Locator:
    return page.output(cell).locator(".mcpn .table")


def test_a_million_rows_scroll_and_are_filtered_by_a_click(
    shown: NotebookPage, pictures: Path
) -> None:
    page, table = shown, grid(shown, 1)
    info, frame = table.locator(".info"), table.locator(".frame")
    expect(info).to_have_text("1,000,000 rows × 20 columns")
    expect(table.locator("th").first).to_contain_text("distinct", timeout=30_000)
    page.page.evaluate(WATCH)
    for step in range(10):
        frame.evaluate(
            "(node, part) => { node.scrollTop = node.scrollHeight * part; }", step / 10
        )
        time.sleep(0.3)
    expect(table.locator("tbody .waits")).to_have_count(0, timeout=20_000)
    print("longest task while scrolling, ms:", page.page.evaluate(LONGEST))
    table.get_by_label("Go to row").fill("500,000")
    page.page.keyboard.press("Enter")
    row = table.locator("tbody tr", has=page.page.get_by_text("500,000", exact=True))
    expect(row.locator("td").first).to_have_text("499999")
    expect(frame).to_be_focused()

    bar = table.locator(".bars .column[aria-label^='status: open']")
    said = bar.get_attribute("aria-label") or ""
    rows = re.search("([0-9,]+) rows", said)
    assert rows is not None
    bar.click()
    expect(info).to_have_text(
        f"{rows[1]} of 1,000,000 rows × 20 columns", timeout=20_000
    )
    expect(table.locator("tbody td").nth(1)).to_have_text("open")
    page.screenshot(pictures / "table-million.png", cell=1)
    page.page.keyboard.press("Escape")
    expect(info).to_have_text("1,000,000 rows × 20 columns")


def test_the_keyboard_reaches_everything(shown: NotebookPage, pictures: Path) -> None:
    page, table = shown, grid(shown, 2)
    frame, keys = table.locator(".frame"), page.page.keyboard
    expect(table.locator(".info")).to_have_text("5,000 rows × 300 columns")
    frame.focus()
    keys.press("End")
    expect(table.locator("thead th").last).to_contain_text("column_299")
    keys.press("Control+End")
    expect(table.locator("tbody th").last).to_have_text("5,000")
    here = frame.get_attribute("aria-activedescendant")
    assert here is not None
    assert here.endswith("-4999-299")
    expect(table.locator(".here")).to_have_text(re.compile("[0-9]"))
    expect(table.locator(".here")).to_have_attribute("role", "gridcell")
    keys.press("Enter")
    expect(table.get_by_role("dialog")).to_contain_text("row 5,000")
    keys.press("Escape")
    expect(frame).to_be_focused()
    keys.press("/")
    keys.type("column_17")
    expect(table.locator(".column-name").first).to_have_text("column_17")
    table.locator(".column-name").first.click()
    expect(table.locator("th", has_text="column_17").first).to_be_visible()
    page.screenshot(pictures / "table-wide.png", cell=2)
    frame.focus()
    keys.press("Escape")
    expect(table.locator(".info")).to_have_text("5,000 rows × 300 columns")
    assert page.page.locator(".jp-Notebook .jp-Cell").count() == len(CELLS)


def test_a_hostile_cell_is_text_and_is_read_whole(
    shown: NotebookPage, pictures: Path
) -> None:
    page, table = shown, grid(shown, 3)
    expect(table.locator(".info")).to_have_text("11 rows × 2 columns")
    table.locator("tbody td").nth(2).dblclick()
    expect(table.get_by_role("dialog").locator("pre")).to_have_text("a" * 500)
    page.page.keyboard.press("Escape")
    table.locator("tbody td").nth(1).dblclick()
    expect(table.get_by_role("dialog").locator("details")).to_have_count(3)
    page.page.screenshot(path=str(pictures / "table-reader.png"))
    page.page.keyboard.press("Escape")
    assert page.page.evaluate("() => window.__pwned") is None
    assert table.locator("img").count() == 0


def test_what_is_seen_is_code_and_the_next_questions_table(
    shown: NotebookPage, pictures: Path
) -> None:
    page, table = shown, grid(shown, 5)
    expect(grid(page, 4).locator(".info")).to_have_text("2 rows × 2 columns")
    table.locator("th .sort", has_text="id").click()
    table.locator("th .sort", has_text="id").click()
    table.locator(".bars .column[aria-label^='status: paid']").click()
    expect(table.locator(".info")).to_have_text("20 of 40 rows × 2 columns")
    table.get_by_text("Take").click()
    page.page.get_by_text("as SQL cell").click()
    code = "SELECT * FROM orders\nWHERE status = 'paid'\nORDER BY id DESC NULLS LAST"
    expect(table.get_by_role("dialog").locator("pre")).to_have_text(
        f"%%mcp_sql notebook\n{code}"
    )
    page.page.keyboard.press("Escape")
    page.run(6)
    expect(page.output(6)).to_contain_text("ORDER BY id DESC NULLS LAST")
    table.get_by_text("Take").click()
    with page.page.expect_download() as download:
        page.page.get_by_text("CSV", exact=True).click()
    assert Path(download.value.path()).read_text().split()[:2] == [
        '"id","status"',
        '38,"paid"',
    ]
    table.get_by_text("Take").click()
    page.page.get_by_text("Tell Claude").click()
    expect(table).to_contain_text("Your next question tells Claude of @orders_view")
    page.screenshot(pictures / "table-told.png", cell=5)
    saved = page.save()["cells"][1]["outputs"][0]["data"]
    html = "".join(saved["text/html"])
    assert "distinct" in html
    assert "<script" not in html
    assert page.errors == []
