"""A notebook of twelve `%%claude` cells as a person works with it in JupyterLab: run in
order, twice, out of order, one edited, the kernel restarted, and without a key.

The scripted model says how many questions it was shown, so that each answer tells what
history its cell had.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.lab import Lab, NotebookPage, write_notebook
from tests.fake_messages import FakeMessages, Reply, text

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CELLS = 12
LOAD = "%load_ext mcp_notebook\n%claude_record on"
WITHOUT = "%load_ext mcp_notebook"
_QUESTION = re.compile(r"Question \w+\?")


def _ask(number: int, word: str = "") -> str:
    return f"%%claude\nQuestion n{number}{word}?"


def questions_of(body: dict) -> list[str]:
    """The questions that a request shows, in their order."""
    found = []
    for message in body["messages"]:
        if message["role"] == "user":
            for block in message["content"]:
                found += _QUESTION.findall(block.get("text", ""))

    return found


def _answer(body: dict, _number: int) -> Reply:
    asked = questions_of(body)
    return Reply([text(f"Answer to {asked[-1]} after {len(asked) - 1} others.")])


@pytest.fixture(scope="module")
def labs(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Lab, Lab, FakeMessages]]:
    """A JupyterLab with a model, one without, over the same folder."""
    folder = tmp_path_factory.mktemp("notebooks")
    own = {"MCP_NOTEBOOK_CONFIG_DIR": str(tmp_path_factory.mktemp("config"))}
    with FakeMessages(_answer) as api:
        key = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": api.api_key}
        nobody = {"ANTHROPIC_BASE_URL": "", "ANTHROPIC_API_KEY": ""}
        size = (1100, 900)
        with (
            Lab(folder, size=size, browser=browser, environment=own | key) as live,
            Lab(folder, size=size, browser=browser, environment=own | nobody) as alone,
        ):
            yield live, alone, api


def _edit(page: NotebookPage, cell: int, source: str) -> None:
    page.page.evaluate(
        """([index, source]) => {
          const notebook = jupyterapp.shell.currentWidget.content;
          notebook.widgets[index].model.sharedModel.setSource(source);
        }""",
        [cell, source],
    )


def _says(page: NotebookPage, cell: int, answer: str) -> None:
    expect(page.output(cell)).to_contain_text(answer)


def test_the_history_is_what_the_cells_say_and_replay_answers_all(
    labs: tuple[Lab, Lab, FakeMessages], pictures: Path
) -> None:
    live, alone, api = labs
    cells = [LOAD, *(_ask(n) for n in range(1, CELLS + 1)), "%claude_history"]
    write_notebook(live.folder / "twelve.ipynb", cells)
    with live.open("twelve.ipynb") as page:
        page.run(0, timeout=90)
        # In order, and each twice: its own turn is replaced, nothing is said double.
        for number in range(1, CELLS + 1):
            for _ in range(2):
                page.run(number)
                asked = questions_of(api.requests[-1])
                assert asked == [f"Question n{n}?" for n in range(1, number + 1)]
                _says(page, number, f"Question n{number}? after {number - 1} others")

        page.run(CELLS + 1)
        expect(page.output(CELLS + 1)).to_contain_text("Question n12?")

        # One is edited: it goes on from what it went on from, and those after it are stale.
        _edit(page, 5, _ask(5, "edited"))
        page.run(5)
        asked = questions_of(api.requests[-1])
        assert asked == [
            *(f"Question n{n}?" for n in range(1, 5)),
            "Question n5edited?",
        ]
        page.run(CELLS + 1)
        expect(page.output(CELLS + 1)).to_contain_text("stale: Question n6?")
        page.screenshot(pictures / "stale-history.png", cell=CELLS + 1)
        page.screenshot(pictures / "stale-answer.png", cell=5)
        page.save()

        # Out of order: each goes on from what ran before it when it ran first.
        order = list(range(1, CELLS + 1))
        random.Random(7).shuffle(order)
        for number in order:
            page.run(number)
            asked = questions_of(api.requests[-1])
            assert asked[-1].startswith(f"Question n{number}")
            assert len(asked) == number
        page.save()

    live.stop_kernels()
    asked_before = len(api.requests)
    with alone.open("twelve.ipynb") as page:
        _edit(page, 0, WITHOUT)
        page.run(0, timeout=90)
        for number in range(1, CELLS + 1):
            page.run(number)
            word = "edited" if number == 5 else ""
            _says(page, number, f"Answer to Question n{number}{word}?")

        # A restarted kernel, the cells in another order, and one of them twice.
        page.restart_kernel()
        page.run(0, timeout=90)
        for number in [*order, order[0]]:
            page.run(number)
            word = "edited" if number == 5 else ""
            _says(page, number, f"Answer to Question n{number}{word}?")
            expect(page.output(number)).not_to_contain_text("ReplayMiss")
        page.screenshot(pictures / "replayed-out-of-order.png", cell=order[-1])
    assert len(api.requests) == asked_before
