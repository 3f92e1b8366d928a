"""A whole `%%claude` cell in JupyterLab in which the server asks back: its form, its
progress, what is saved of it.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from mcp_notebook.agent.toolset import ASK_NAME
from tests.browser.lab import Lab, NotebookPage, lab_with_model, write_notebook
from tests.fake_messages import Reply, text, use

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CURIOUS = Path(__file__).parents[1] / "servers" / "curious.py"
WHICH_YEAR = {
    "question": "Which year do you mean?",
    "options": ["2025", "2026"],
}
CODE = "total = sum([1, 2, 3])\ntotal"
CONNECT = f"%load_ext mcp_notebook\n%mcp_connect curious --legacy --allow '*' {sys.executable} {CURIOUS}"


@pytest.fixture(scope="module", params=["light", "dark"])
def lab(
    request: pytest.FixtureRequest,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """A JupyterLab whose kernels ask a scripted model: it calls the tool that the
    question names, then answers.
    """

    def script(body: dict, _number: int) -> Reply:
        last = body["messages"][-1]["content"]
        if isinstance(last, list) and any(
            block.get("type") == "tool_result" for block in last
        ):
            return Reply([text("That is settled.")])
        if "year" in json.dumps(last):
            return Reply([use(ASK_NAME, WHICH_YEAR)])
        if "code" in json.dumps(last):
            return Reply([text(f"This adds them up:\n\n```python\n{CODE}\n```\n")])
        return Reply(
            [use(f"curious__{'login' if 'login' in json.dumps(last) else 'order'}")]
        )

    with lab_with_model(
        script,
        tmp_path_factory.mktemp("notebooks"),
        theme=request.param,
        size=(1100, 900),
        browser=browser,
    ) as (running, api):
        running.api = api  # type: ignore[attr-defined]
        yield running


def test_a_form_is_filled_in_while_the_call_runs(lab: Lab, pictures: Path) -> None:
    write_notebook(
        lab.folder / "order.ipynb", [CONNECT, "%%claude\nOrder something to eat."]
    )
    with lab.open("order.ipynb") as page:
        page.run(0, timeout=90)
        page.start(1)
        output = page.output(1)
        form = output.locator(".ask-card")
        expect(form).to_contain_text("The server curious asks you", timeout=60_000)
        # The call's card stands above with how far the server says it is.
        card = output.locator(".mcpn .progress").first
        expect(card).to_have_attribute("style", "width: 30%;")
        expect(output.locator(".mcpn").first).to_contain_text("waiting for your order")
        form.get_by_label("Your name").click()
        page.page.keyboard.type("Ada Lovelace-Secret")
        form.get_by_label("Size").select_option("m")
        form.get_by_label("milk").click()
        page.screenshot(pictures / f"claude-asks-{lab.theme}.png", cell=1)
        form.get_by_role("button", name="Send").click()
        page.wait(1)
        expect(output).to_contain_text("That is settled.")
        expect(output).to_contain_text("sent: name, pieces, size, extras")
        expect(form).to_have_count(0)
        page.screenshot(pictures / f"claude-asked-{lab.theme}.png", cell=1)
        assert page.errors == []
        assert_saved_without(page, "widget-view", "ask-card")
    answer = next(
        b
        for m in _sent(lab)[-1]["messages"]
        for b in m["content"]
        if b["type"] == "tool_result"
    )
    # What the person typed went to the server, whose own answer repeats it here.
    assert (
        "{'name': 'Ada Lovelace-Secret', 'pieces': 1, 'size': 'm', 'extras': ['milk']"
        in json.dumps(answer)
    )


def test_a_choice_of_the_person_is_a_form_in_the_cell(lab: Lab, pictures: Path) -> None:
    write_notebook(
        lab.folder / "year.ipynb",
        ["%load_ext mcp_notebook", "%%claude\nRevenue of the year."],
    )
    with lab.open("year.ipynb") as page:
        page.run(0, timeout=90)
        page.start(1)
        form = page.output(1).locator(".ask-card")
        expect(form).to_contain_text("Which year do you mean?", timeout=60_000)
        page.screenshot(pictures / f"claude-asks-person-{lab.theme}.png", cell=1)
        form.get_by_label("Your choice").select_option("2026")
        form.get_by_role("button", name="Answer").click()
        page.wait(1)
        expect(page.output(1)).to_contain_text("That is settled.")
        expect(form).to_have_count(0)
        page.screenshot(pictures / f"claude-asked-person-{lab.theme}.png", cell=1)
        assert page.errors == []
        saved = json.dumps(page.save())
        assert "Claude asks you" in saved
        assert "widget-view" not in saved


def test_the_code_of_an_answer_stands_in_a_cell_below_and_has_not_run(
    lab: Lab, pictures: Path
) -> None:
    write_notebook(
        lab.folder / "code.ipynb",
        ["%load_ext mcp_notebook", "%%claude --code\nWrite code that adds up."],
    )
    with lab.open("code.ipynb") as page:
        page.run(0, timeout=90)
        page.run(1)
        below = page.page.locator(".jp-Notebook .jp-Cell").nth(2)
        expect(below).to_contain_text("total = sum([1, 2, 3])")
        expect(below.locator(".jp-OutputArea-output")).to_have_count(0)
        page.screenshot(pictures / f"claude-code-{lab.theme}.png")
        page.run(2)
        expect(page.output(2)).to_contain_text("6")
        assert page.errors == []


def test_a_block_of_code_is_put_into_a_cell_by_a_click(
    lab: Lab, pictures: Path
) -> None:
    write_notebook(
        lab.folder / "copied.ipynb",
        ["%load_ext mcp_notebook", "%%claude\nWrite code that adds up.", "x = 1"],
    )
    with lab.open("copied.ipynb") as page:
        page.run(0, timeout=90)
        page.run(1)
        press = page.output(1).locator("button.mcpn-code")
        expect(press).to_have_text("copy as cell")
        page.screenshot(pictures / f"claude-code-block-{lab.theme}.png", cell=1)
        press.click()
        expect(press).to_have_text("in the cell below")
        cells = page.page.locator(".jp-Notebook .jp-Cell")
        expect(cells).to_have_count(4)
        expect(cells.nth(2)).to_contain_text("total = sum([1, 2, 3])")
        expect(cells.nth(2).locator(".jp-OutputArea-output")).to_have_count(0)
        page.screenshot(pictures / f"claude-code-copied-{lab.theme}.png")
        # again: one button, for the answer of now
        page.run(1)
        expect(press).to_have_count(1)
        saved = json.dumps(page.save())
        assert "copy as cell" not in saved
        assert "widget-view" not in saved
        assert page.errors == []


def test_a_form_for_a_secret_says_so_and_keeps_nothing(
    lab: Lab, pictures: Path
) -> None:
    write_notebook(lab.folder / "login.ipynb", [CONNECT, "%%claude\nDo the login."])
    with lab.open("login.ipynb") as page:
        page.run(0, timeout=90)
        page.start(1)
        form = page.output(1).locator(".ask-card")
        expect(form).to_contain_text("must not do that in a form", timeout=60_000)
        field = form.get_by_label("Your API key")
        expect(field).to_have_attribute("type", "password")
        field.fill("hunter2-hunter2")
        page.screenshot(pictures / f"claude-asks-secret-{lab.theme}.png", cell=1)
        form.get_by_role("button", name="Send").click()
        page.wait(1)
        expect(page.output(1)).to_contain_text("That is settled.")
        assert page.errors == []
        assert_saved_without(page, "hunter2", "widget-view")


def assert_saved_without(page: NotebookPage, *words: str) -> None:
    saved = json.dumps(page.save())
    assert "The server curious asks you" in saved
    assert [word for word in words if word in saved] == []


def _sent(lab: Lab) -> list[dict]:
    return lab.api.requests  # type: ignore[attr-defined]
