"""Servers' questions as forms in a real JupyterLab: filled in, checked, declined, interrupted."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]
IMPORT = "from tests.browser.questions import *"


def test_a_form_is_filled_in_while_the_cell_waits(lab: Lab, pictures: Path) -> None:
    write_notebook(lab.folder / "form.ipynb", [IMPORT, "await ask('form')"])
    with lab.open("form.ipynb") as page:
        page.run(0)
        page.start(1)
        form = page.output(1).locator(".ask-card")
        form.get_by_label("Your name").fill("A")
        form.get_by_role("button", name="Send").click()
        expect(form.locator(".wrong").first).to_have_text("At least 2 characters.")
        page.screenshot(pictures / f"form-{lab.theme}.png", cell=1)
        form.get_by_label("Your name").fill("Ada")
        form.get_by_label("Size").select_option("m")
        form.get_by_label("milk").check()
        form.get_by_label("As a gift").check()
        form.get_by_label("Pieces").press("Enter")
        page.wait(1)
        output = page.output(1)
        expect(output).to_contain_text("sent: name, pieces, size, extras, gift")
        expect(output).to_contain_text(
            "'name': 'Ada', 'pieces': 1, 'size': 'm', 'extras': ['milk'], 'gift': True"
        )
        expect(output.locator(".ask-card")).to_have_count(0)
        page.screenshot(pictures / f"form-after-{lab.theme}.png", cell=1)
        assert page.errors == []
        assert "widget-view" not in str(page.save()["cells"][1]["outputs"])


def test_a_page_a_turn_and_a_sign_in_are_consented_to(lab: Lab, pictures: Path) -> None:
    kinds = ["link", "choice", "sign-in"]
    write_notebook(
        lab.folder / "consent.ipynb",
        [IMPORT, *(f"await ask({kind!r})" for kind in kinds)],
    )
    with lab.open("consent.ipynb") as page:
        page.run(0)
        for cell, kind in enumerate(kinds, start=1):
            page.start(cell)
            form = page.output(cell).locator(".ask-card")
            expect(form).to_be_visible()
            page.screenshot(pictures / f"ask-{kind}-{lab.theme}.png", cell=cell)
            form.get_by_role("button", name="Decline").click()
            page.wait(cell)
            expect(page.output(cell)).to_contain_text("declined")
        assert page.errors == []
        assert page.outside == []


def test_an_interrupt_takes_the_form_away(light_lab: Lab) -> None:
    write_notebook(light_lab.folder / "stopped.ipynb", [IMPORT, "await ask('form')"])
    with light_lab.open("stopped.ipynb") as page:
        page.run(0)
        page.start(1)
        expect(page.output(1).locator(".ask-card")).to_be_visible()
        page.interrupt()
        page.wait(1)
        expect(page.output(1).locator(".ask-card")).to_have_count(0)
        expect(page.output(1)).to_contain_text("The server curious asks you")
