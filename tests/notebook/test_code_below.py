"""`%%claude --code`: the code of the answer is put below, not run; and what day it is."""

import datetime
import sys
from pathlib import Path
from unittest import mock
from zoneinfo import ZoneInfo

import pytest

from mcp_notebook.agent.request import say_day
from mcp_notebook.events import Note
from mcp_notebook.notebook.cell import CellRun, code_blocks, code_in
from mcp_notebook.notebook.current import PlainShell
from mcp_notebook.notebook.options import AskOptions
from tests.fake_messages import FakeMessages, Reply, text, use
from tests.notebook.scripted import notebook

FENCE = "`" * 3
FIXED = "total = orders['n'].sum()\nprint(total)"
ANSWERS = {
    f"Use this.\n\n{FENCE}python\n{FIXED}\n{FENCE}\nDone.": FIXED,
    f"{FENCE}\nx = 1\n{FENCE}\nand\n{FENCE}py\ny = 2\n{FENCE}": "x = 1\n\ny = 2",
    f"{FENCE}text\nKeyError\n{FENCE}\n{FENCE}bash\nls\n{FENCE}": "",
    f"~~~~python\ns = '''\n{FENCE}\n'''\n~~~~": f"s = '''\n{FENCE}\n'''",
    f"{FENCE}python\nx = 1\n{FENCE}\n{FENCE}\n%%mcp_sql shop\nselect 1\n{FENCE}": (
        "%%mcp_sql shop\nselect 1"
    ),
    f"{FENCE}python\nhalf = ": "half = ",
    "Nothing to do.": "",
    "": "",
}


@pytest.mark.parametrize(("answer", "code"), ANSWERS.items())
def test_the_code_of_an_answer(answer: str, code: str) -> None:
    assert code_in(answer) == code


OFFERED = {
    f"{FENCE}python\nx = 1\n{FENCE}\nand\n{FENCE}py\ny = 2\n{FENCE}": [
        ("x = 1", "x = 1"),
        ("y = 2", "y = 2"),
    ],
    f"{FENCE}sql\nselect 1\n{FENCE}": [],
    # on the page a tag is no tag; the code is the model's own
    f"{FENCE}python\ns = '<b>'\n{FENCE}": [("s = '< b>'", "s = '<b>'")],
    # what turns the reading around is seen, and is what the cell gets
    f"{FENCE}\na = 1 # \u202e x\n{FENCE}": [("a = 1 # \\u202e x", "a = 1 # \\u202e x")],
    "none": [],
}


@pytest.mark.parametrize(("answer", "blocks"), OFFERED.items())
def test_each_block_of_an_answer_is_offered_as_it_is_seen(
    answer: str, blocks: list[tuple[str, str]]
) -> None:
    assert code_blocks(answer) == blocks


def ask(folder: Path, answer: str, *, places: bool) -> tuple[list, list[str], str]:
    """The cells that were made, the notes, and the request's last words."""
    look = use("notebook__query", {"sql": "select count(*) as n from orders"})
    first = Reply([text(f"{FENCE}python\nnot_this = 1\n{FENCE}"), look])
    made = mock.Mock()
    with (
        FakeMessages([first, Reply([text(answer)])]) as api,
        notebook(
            folder, {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "k"}
        ) as state,
        mock.patch.object(PlainShell, "set_next_input", made, create=True)
        if places
        else mock.patch.object(PlainShell, "kernel", None, create=True),
    ):
        api.api_key = "k"
        run = CellRun(state, AskOptions("fix this: @error", code=True))
        run.in_blocking_cell()
        sent = api.requests[0]["messages"][0]["content"]

    said = "\n".join(block["text"] for block in sent)
    return made.call_args_list, [e.text for e in run.seen if isinstance(e, Note)], said


@pytest.fixture
def error(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = KeyError("N")
    monkeypatch.setattr(sys, "last_value", failed, raising=False)


@pytest.mark.usefixtures("error")
def test_a_cell_that_failed_gets_a_new_one_below(tmp_path: Path) -> None:
    answer = f"The column is `n`.\n{FENCE}python\n{FIXED}\n{FENCE}"
    made, notes, said = ask(tmp_path, answer, places=True)
    assert made == [mock.call(FIXED, replace=False)]
    assert notes[-1] == "The code is in the cell below; it has not run."
    assert "KeyError" in said
    assert "Answer with one code cell" in said


@pytest.mark.usefixtures("error")
def test_where_no_cell_can_be_made_it_says_so(tmp_path: Path) -> None:
    made, notes, _ = ask(tmp_path, f"{FENCE}python\n{FIXED}\n{FENCE}", places=False)
    assert not made
    assert notes[-1] == "No cell can be made here: copy the code above into one."


@pytest.mark.usefixtures("error")
def test_an_answer_without_code_says_so(tmp_path: Path) -> None:
    made, notes, _ = ask(tmp_path, "I do not know.", places=True)
    assert not made
    assert notes[-1] == "No code came back, so no cell is put below."


@pytest.mark.parametrize(
    ("zone", "ending"),
    [
        ("UTC", "14:05 UTC."),
        ("Europe/Berlin", "14:05 CET (UTC+01:00)."),
        ("Asia/Kolkata", "14:05 IST (UTC+05:30)."),
        ("America/Sao_Paulo", "14:05 UTC-03:00."),
    ],
)
def test_the_day_is_said_as_a_person_says_it(zone: str, ending: str) -> None:
    now = datetime.datetime(2026, 11, 30, 14, 5, tzinfo=ZoneInfo(zone))
    assert say_day(now) == f"Today is Monday, 30 November 2026 (2026-11-30), {ending}"
