"""The cards in a real JupyterLab: every state is drawn, buttons work, and the saved
notebook is whole.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.lab import Lab, NotebookPage, write_notebook
from tests.browser.scripted import payloads
from tests.display.conftest import ATTACKS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
IMPORT = "from tests.browser.scripted import *"
WIDGET = "application/vnd.jupyter.widget-view+json"


def cards(page: NotebookPage, cell: int) -> Locator:
    return page.output(cell).locator(".mcpn .card")


def by_keyboard(page: NotebookPage, target: Locator) -> None:
    """Focus an element the way a person without a mouse does."""
    target.focus()
    page.page.keyboard.press("Shift+Tab")
    page.page.keyboard.press("Tab")
    expect(target).to_be_focused()


def test_every_state_of_a_card_is_drawn(lab: Lab, pictures: Path) -> None:
    write_notebook(lab.folder / "states.ipynb", [IMPORT, "await play(gallery)"])
    with lab.open("states.ipynb") as page:
        page.run(0)
        page.start(1)
        states = [cards(page, 1).nth(n) for n in range(7)]
        expect(states[5]).to_contain_text("45 %")
        wanted = ["ok", "ok", "error", "denied", "ok", "running", "running"]
        assert [state.get_attribute("data-status") for state in states] == wanted
        page.screenshot(pictures / f"states-{lab.theme}.png", cell=1)
        for state in (states[0], states[1], states[4]):
            state.locator("> summary").click()
        expect(states[4].locator("img")).to_be_visible()
        page.screenshot(pictures / f"states-open-{lab.theme}.png", cell=1)
        page.interrupt()
        page.wait(1)
        expect(page.output(1).locator("details > summary b").first).to_be_visible()
        page.screenshot(pictures / f"states-frozen-{lab.theme}.png", cell=1)
        assert page.errors == []
        assert page.outside == []


def test_a_result_is_sorted_filtered_and_scrolled(
    light_lab: Lab, pictures: Path
) -> None:
    write_notebook(light_lab.folder / "table.ipynb", [IMPORT, "await play(gallery)"])
    with light_lab.open("table.ipynb") as page:
        page.run(0)
        page.start(1)
        card = cards(page, 1).first
        card.locator("> summary").click()
        rows, info = card.locator("tbody tr"), card.locator(".info")
        expect(info).to_have_text("36 rows × 6 columns")
        height = card.bounding_box()["height"]
        card.locator("th .sort").nth(3).click()
        card.locator("th .sort").nth(3).click()
        amount = rows.first.locator("td").nth(3)
        # thousands are set apart by the style alone: what is copied is the value
        expect(amount).to_have_text("90000.00")
        expect(amount.locator(".group")).to_have_text("000")
        expect(card.locator("th").nth(3)).to_have_attribute("aria-sort", "descending")
        card.locator("th .sort").nth(2).click()
        card.get_by_label("Search rows").fill("garden")
        expect(info).to_have_text("6 of 36 rows × 6 columns")
        expect(rows.last.locator("td").nth(2)).to_have_text("NULL")
        assert card.bounding_box()["height"] == pytest.approx(height, abs=1), (
            "fewer rows moved the page"
        )
        page.screenshot(pictures / "table-filtered.png", cell=1)
        page.interrupt()
        page.wait(1)


def test_a_finished_card_shows_its_whole_table_until_the_kernel_ends(
    light_lab: Lab, pictures: Path
) -> None:
    write_notebook(
        light_lab.folder / "finished.ipynb", [IMPORT, "await play(finished)"]
    )
    with light_lab.open("finished.ipynb") as page:
        page.run(0)
        page.run(1)
        expect(cards(page, 1)).to_have_count(2)
        first, card = cards(page, 1).first, cards(page, 1).last
        expect(card).to_have_attribute("open", "")
        first.locator("> summary").click()
        drawn = "Lines of by_month (12 rows) · x: month · y: revenue"
        expect(first.get_by_role("img", name=drawn)).to_be_visible()
        expect(first.get_by_role("button", name="Copy as Altair code")).to_be_visible()
        expect(first.locator("tbody tr")).to_have_count(12)  # few rows are all there
        expect(first.get_by_label("Next page")).to_have_count(0)
        # The button's own words name what it copies; where no clipboard is, they are selected.
        expect(
            first.get_by_role("button", name="Copy as a cell that runs it")
        ).to_have_text("copy as cell")
        page.screenshot(pictures / "finished-card.png", cell=1)
        looked_through(page, card)
        saved = json.dumps(page.save())
        assert "widget-view" not in saved
        assert "data:image/svg+xml;base64," in saved

        page.reload()
        expect(cards(page, 1)).to_have_count(2, timeout=30_000)
        cards(page, 1).last.locator("th .sort").first.dblclick()
        expect(cards(page, 1).last.locator("tbody td").first).to_have_text("4999")
        assert page.errors == []
    light_lab.stop_kernels()
    with light_lab.open("finished.ipynb") as page:
        expect(page.output(1).locator("details.mcpn-card")).to_have_count(2)
        expect(cards(page, 1)).to_have_count(0)
        expect(page.output(1).locator("img[alt^='Lines of by_month']")).to_have_count(1)


def looked_through(page: NotebookPage, card: Locator) -> None:
    """Sort, filter and page over rows that only the kernel has; the notebook's
    shortcuts hear nothing of it.
    """
    info, rows = card.locator(".info"), card.locator("tbody tr")
    expect(info).to_have_text(re.compile("^5,000 rows"))
    card.locator("th .sort").first.dblclick()
    expect(rows.first).to_contain_text("4999")
    card.get_by_label("Search rows").click()
    page.page.keyboard.type("ddxkind 3")
    expect(info).to_have_text(re.compile("^0 of 5,000 rows"))
    for _ in "ddx":
        page.page.keyboard.press("Home")
        page.page.keyboard.press("Delete")
    expect(info).to_have_text(re.compile("^714 of 5,000 rows"))
    card.get_by_label("Go to row").fill("700")
    page.page.keyboard.press("Enter")
    expect(card.locator("tbody tr", has_text="700")).to_contain_text("kind 3")
    assert page.page.locator(".jp-Notebook .jp-Cell").count() == 2


@pytest.mark.parametrize(
    ("choice", "key"), [("once", None), ("always", "Enter"), ("deny", "Space")]
)
def test_an_answer_frees_the_waiting_cell(
    lab: Lab, pictures: Path, choice: str, key: str | None
) -> None:
    write_notebook(lab.folder / f"{choice}.ipynb", [IMPORT, "await play(approve)"])
    with lab.open(f"{choice}.ipynb") as page:
        page.run(0)
        page.start(1)
        button = page.output(1).locator(f"button.{choice}")
        expect(button).to_be_enabled()
        page.screenshot(pictures / f"approval-{lab.theme}.png", cell=1)
        if key is None:
            button.click()
        else:
            by_keyboard(page, button)
            page.page.keyboard.press(key)
        page.wait(1, timeout=10)
        expected = "denied" if choice == "deny" else f"3 rows changed ({choice}, a)"
        expect(page.output(1)).to_contain_text(expected)
        assert page.errors == []


def test_keys_meant_for_a_card_do_not_reach_the_notebooks_shortcuts(
    light_lab: Lab,
) -> None:
    write_notebook(light_lab.folder / "keys.ipynb", [IMPORT, "await play(gallery)"])
    with light_lab.open("keys.ipynb") as page:
        page.run(0)
        page.start(1)
        card = cards(page, 1).first
        card.locator("> summary").click()
        by_keyboard(page, card.locator(".frame"))
        page.page.keyboard.type("ddxb")
        card.get_by_label("Search rows").click()
        page.page.keyboard.type("ddxb")
        expect(card.get_by_label("Search rows")).to_have_value("ddxb")
        assert page.page.locator(".jp-Notebook .jp-Cell").count() == 2
        expect(page.cell(1)).to_contain_text("await play(gallery)")
        page.interrupt()
        page.wait(1)


def test_lists_of_tools_look_right(lab: Lab, pictures: Path) -> None:
    write_notebook(lab.folder / "lists.ipynb", [IMPORT, "lists()"])
    with lab.open("lists.ipynb") as page:
        page.run(0)
        page.run(1)
        tables = page.output(1).locator("table")
        expect(tables).to_have_count(3)
        for row in tables.last.locator("tr").all():
            cells = [
                cell.locator("> *").first.bounding_box() or cell.bounding_box()
                for cell in row.locator("td").all()[1:]
            ]
            assert cells[0]["x"] + cells[0]["width"] < cells[1]["x"], (
                "one column lies over the other"
            )
        page.screenshot(pictures / f"lists-{lab.theme}.png", cell=1)


def test_the_saved_notebook_reads_whole_after_reload_and_as_html(
    lab: Lab, pictures: Path, tmp_path: Path
) -> None:
    file = write_notebook(
        lab.folder / "tour.ipynb",
        [("markdown", "# Growth"), IMPORT, "await play(tour)"],
    )
    with lab.open("tour.ipynb") as page:
        page.run(1)
        page.run(2)
        expect(page.output(2)).to_contain_text("kept out of the model")
        page.screenshot(pictures / f"tour-{lab.theme}.png", cell=2)
        saved = page.save()
    bundles = [output["data"] for output in saved["cells"][2]["outputs"]]
    assert all(WIDGET not in bundle and "text/plain" in bundle for bundle in bundles)
    assert "widgets" not in saved["metadata"]

    lab.stop_kernels()
    with lab.open("tour.ipynb") as page:
        output = page.output(2)
        # two cards with their tables, and the code of the chart
        expect(output.locator("details")).to_have_count(3 + 2)
        output.locator("details.mcpn-card > summary").nth(1).click()
        expect(output).to_contain_text("Garden & outdoor")
        assert "Error displaying widget" not in output.inner_text()
        page.screenshot(pictures / f"tour-reopened-{lab.theme}.png", cell=2)

    html = export(file, tmp_path, lab.theme)
    with lab.look_at(html) as shown:
        shown.page.locator("details.mcpn-card > summary").nth(1).click()
        expect(shown.page.locator("body")).to_contain_text("2026-10-01 09:00:05")
        shown.page.screenshot(
            path=str(pictures / f"tour-nbconvert-{lab.theme}.png"), full_page=True
        )


def test_without_any_style_the_saved_card_still_reads(
    light_lab: Lab, pictures: Path, tmp_path: Path
) -> None:
    file = write_notebook(
        light_lab.folder / "bare.ipynb", [IMPORT, "await play(tour, expanded=True)"]
    )
    with light_lab.open("bare.ipynb") as page:
        page.run(0)
        page.run(1)
        outputs = page.save()["cells"][1]["outputs"]
    html = "<hr>".join(
        "".join(output["data"].get("text/html", "")) for output in outputs
    )
    bare = re.sub(r' (?:style|class)="[^"]*"', "", html)  # what GitHub keeps
    (tmp_path / "bare.html").write_text(
        f"<!doctype html><meta charset=utf-8><body>{bare}"
    )
    with light_lab.look_at(tmp_path / "bare.html") as shown:
        expect(shown.page.locator("table").first).to_be_visible()
        shown.page.screenshot(path=str(pictures / "bare.png"), full_page=True)
    assert file.is_file()


@pytest.mark.parametrize("mode", ["widget", "static"])
def test_no_attack_runs_or_loads_anything(
    light_lab: Lab, pictures: Path, tmp_path: Path, mode: str
) -> None:
    corpus, live = ATTACKS / "html_injection.jsonl", mode == "widget"
    count, step = len(payloads(corpus)), 16
    call = f"attacks(answers, {str(corpus)!r}, slice({{}}, {{}}), hold={live})"
    cells = [
        f"await play(lambda answers: {call.format(at, at + step)}, mode={mode!r}, expanded=True)"
        for at in range(0, count, step)
    ]
    name = f"attacks-{mode}.ipynb"
    file = write_notebook(light_lab.folder / name, [IMPORT, *cells])
    with light_lab.open(name) as page:
        page.run(0)
        for cell in range(1, len(cells) + 1):
            page.start(cell)
            if live:
                page.output(cell).locator("button.deny:enabled").click(timeout=120_000)
            page.wait(cell, timeout=120)
        assert_harmless(page)
        page.page.screenshot(path=str(pictures / f"attacks-{mode}.png"))
        page.save()
    with light_lab.look_at(export(file, tmp_path, "light")) as shown:
        assert_harmless(shown)


def test_no_mixture_of_markdown_and_attacks_runs_or_loads_anything(
    light_lab: Lab, tmp_path: Path
) -> None:
    file = write_notebook(
        light_lab.folder / "mixtures.ipynb", [IMPORT, "await play(mixtures)"]
    )
    with light_lab.open("mixtures.ipynb") as page:
        page.run(0)
        page.run(1, timeout=120)
        expect(page.output(1)).to_contain_text("mixture 79")
        assert_harmless(page)
        page.save()
    with light_lab.look_at(export(file, tmp_path, "light")) as shown:
        assert_harmless(shown)


def assert_harmless(page: NotebookPage) -> None:
    """Nothing ran, nothing was asked of another place, nothing waits for a click;
    nbconvert's own scripts aside.
    """
    page.page.wait_for_load_state("networkidle")
    assert page.page.evaluate("() => window.__pwned") is None
    assert [
        url
        for url in page.outside
        if not url.startswith("https://cdnjs.cloudflare.com/")
    ] == []
    found = page.page.locator(".jp-OutputArea-output").locator(
        "script, iframe, object, embed, style, link, img:not([src^='data:image/']), a[href^='javascript' i]"
    )
    assert (
        found.evaluate_all("nodes => nodes.map(node => node.outerHTML.slice(0, 200))")
        == []
    )


def export(notebook: Path, folder: Path, theme: str) -> Path:
    """The notebook as HTML by nbconvert."""
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "html",
        f"--HTMLExporter.theme={theme}",
    ]
    subprocess.run(
        [*command, f"--output-dir={folder}", str(notebook)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder / f"{notebook.stem}.html"
