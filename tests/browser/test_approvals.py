"""A whole `%%claude` cell in JupyterLab: the state line, every answer on the card, and
no secret in the file.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab, NotebookPage, lab_with_model, write_notebook
from tests.fake_messages import FakeMessages, Gate, Reply, text, thinking, use

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SECRET = "hunter2-is-not-a-good-password"
VAULT = Path(__file__).parents[1] / "servers" / "vault.py"
SQL = (
    "select o.id, o.total, c.name from orders o join customers c on c.id = o.customer_id "
    "where c.note like '%\u202egnp%'"
)
LOAD = "%load_ext mcp_notebook"
CONNECT = f"%mcp_connect vault {sys.executable} {VAULT}"
ASK = "%%claude --new\nSign in."


class Asked:
    """A scripted model in front of a JupyterLab; `replies` are its next ones."""

    def __init__(self, lab: Lab, api: FakeMessages, replies: list[Reply]) -> None:
        self.lab, self.api, self.replies = lab, api, replies


@pytest.fixture(params=["light", "dark"], scope="module")
def asked(request: pytest.FixtureRequest, browser, tmp_path_factory) -> Iterator[Asked]:
    replies: list[Reply] = []
    folder = tmp_path_factory.mktemp("approvals")
    with lab_with_model(
        lambda body, n: replies.pop(0),
        folder,
        theme=request.param,
        size=(1100, 900),
        browser=browser,
    ) as (lab, api):
        yield Asked(lab, api, replies)


def login() -> Reply:
    return Reply(
        [text("I sign in."), use("vault__login", {"user": "ann", "password": SECRET})]
    )


def opened(page: NotebookPage) -> None:
    page.run(0)
    page.run(1)
    page.start(2)


def test_a_secret_is_seen_by_the_person_and_never_saved(
    asked: Asked, pictures: Path
) -> None:
    lab = asked.lab
    asked.replies[:] = [login(), Reply([text("I may not.")])]
    file = write_notebook(lab.folder / "secret.ipynb", [LOAD, CONNECT, ASK])
    with lab.open("secret.ipynb") as page:
        opened(page)
        card = page.output(2).locator(".mcpn .card")
        expect(card.locator("button.once")).to_be_enabled(timeout=90_000)
        expect(card).not_to_contain_text(SECRET)
        expect(card).to_contain_text("password (30 characters)")
        expect(card).to_contain_text("You have not allowed this tool before.")
        expect(card.locator("button.server")).to_have_text(
            "This server's read-only tools (2)"
        )
        page.screenshot(pictures / f"approval-secret-{lab.theme}.png", cell=2)
        card.get_by_role("button", name="Show them").click()
        expect(card).to_contain_text(SECRET)
        page.screenshot(pictures / f"approval-shown-{lab.theme}.png", cell=2)
        page.save()
        assert SECRET not in file.read_text(), "saved while the question was open"
        card.get_by_role("button", name="Hide them").click()
        expect(card).not_to_contain_text(SECRET)
        card.get_by_role("button", name="Deny with a reason…").click()
        page.page.keyboard.type("dd use the view")
        page.screenshot(pictures / f"approval-reason-{lab.theme}.png", cell=2)
        page.page.keyboard.press("Escape")
        expect(card.get_by_role("button", name="Deny with a reason…")).to_be_focused()
        page.page.keyboard.press("Enter")
        expect(card.get_by_label("Reason of the denial")).to_be_focused()
        page.page.keyboard.press("End")
        page.page.keyboard.type(" now")
        page.page.keyboard.press("Enter")
        page.wait(2)
        expect(page.output(2)).to_contain_text("I may not.")
        page.screenshot(pictures / f"approval-denied-{lab.theme}.png", cell=2)
        saved = page.save()
        assert SECRET not in file.read_text()
        assert page.errors == []
    outputs = saved["cells"][2]["outputs"]
    assert "widget-view" not in str(outputs)
    assert all(output["data"] for output in outputs)
    told = str(asked.api.requests[-1]["messages"][-1])
    assert "dd use the view now" in told
    assert SECRET not in str(asked.api.requests)


def test_the_servers_reading_tools_are_allowed_together_by_keyboard(
    asked: Asked, pictures: Path
) -> None:
    lab = asked.lab
    query = use("vault__query", {"sql": SQL})
    asked.replies[:] = [
        login(),
        Reply([query]),
        Reply([use("vault__purge", {"table": "t"})]),
        Reply([text("done")]),
    ]
    write_notebook(lab.folder / "server.ipynb", [LOAD, CONNECT, ASK])
    with lab.open("server.ipynb") as page:
        opened(page)
        button = page.output(2).locator("button.server")
        expect(button).to_be_enabled(timeout=90_000)
        button.focus()
        page.page.keyboard.press("Enter")
        last = page.output(2).locator(".mcpn .card").nth(2)
        expect(last.locator("button.deny")).to_be_enabled(timeout=90_000)
        expect(last.locator("button.server")).to_have_count(0)
        page.screenshot(pictures / f"approval-third-{lab.theme}.png", cell=2)
        last.locator("button.deny").click()
        page.wait(2)
        expect(page.output(2)).to_contain_text("signed in as ann")
        assert page.errors == []


def test_a_state_line_says_what_goes_on_and_vanishes(
    asked: Asked, pictures: Path
) -> None:
    lab = asked.lab
    early, late = Gate(0), Gate(12)
    thought = thinking("The table orders has no refunds. " * 3)
    asked.replies[:] = [
        Reply([text("First answer.")], gate=early),
        Reply([thought, text("Second answer.")], gate=late),
    ]
    write_notebook(lab.folder / "state.ipynb", [LOAD, "1", ASK, "%%claude\nAnd?"])
    with lab.open("state.ipynb") as page:
        opened(page)
        line = page.output(2).locator(".mcpn-sign .line")
        expect(line).to_contain_text("Asking claude-sonnet-5-5", timeout=90_000)
        page.screenshot(pictures / f"state-asking-{lab.theme}.png", cell=2)
        early.release()
        page.wait(2)
        expect(page.output(2).locator(".mcpn-sign")).to_have_count(0)
        page.start(3)
        line = page.output(3).locator(".mcpn-sign")
        expect(line).to_contain_text("claude-sonnet-5-5 is thinking", timeout=90_000)
        line.locator("summary").click()
        expect(line.locator("pre")).to_contain_text("The table orders has no refunds.")
        page.screenshot(pictures / f"state-thinking-{lab.theme}.png", cell=3)
        late.release()
        page.wait(3)
        assert page.errors == []
        saved = page.save()
    for cell, answer in ((2, "First answer."), (3, "Second answer.")):
        outputs = saved["cells"][cell]["outputs"]
        assert "".join(outputs[0]["data"]["text/markdown"]) == answer
        assert len(outputs) == 2
        assert "Asking" not in str(outputs)
        assert "refunds" not in str(outputs)
