"""`ask_person`: a choice that the data cannot settle goes to the person of the cell, once,
and is recorded, replayed and frozen with the turns that rest on it.
"""

import builtins
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_notebook.agent.caller import NOBODY_THERE, NOT_CHOSEN
from mcp_notebook.agent.toolset import ASK_NAME, MOST_OPTIONS, PersonQuestion
from mcp_notebook.display.form_fields import check_fields
from mcp_notebook.display.questions import choice_question
from mcp_notebook.errors import Stopped
from mcp_notebook.events import Note, Stop, ToolResult
from mcp_notebook.notebook import cell
from mcp_notebook.notebook.cell import CellRun
from mcp_notebook.notebook.freeze_cells import Freeze, freeze
from mcp_notebook.notebook.options import AskOptions
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.replay.sidecar import sum_of
from tests.fake_messages import FakeMessages, Reply, text, use
from tests.notebook.scripted import notebook

ASKED = {"question": "Which year?", "options": ["2025", "2026"]}


class Model(FakeMessages):
    """Asks for a year, counts, and tells what it was told."""

    def __init__(self, given: dict | None = None) -> None:
        self.given = ASKED if given is None else given
        super().__init__(self.next)

    def next(self, body: dict, _number: int) -> Reply:
        last = body["messages"][-1]["content"]
        results = [b for b in last if b["type"] == "tool_result"]
        if not results:
            return Reply([use(ASK_NAME, self.given)])

        told = results[0]["content"][0]["text"]
        if told.startswith("The person"):
            sql = "select sum(n) as total from orders"
            return Reply([use("notebook__query", {"sql": sql})])
        return Reply([text("done")])


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as running:
        yield running


def environ(model: Model) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": model.api_key}


def ask(
    state: Notebook, typed: Sequence[str] | None, prompt: str = "How many orders?"
) -> CellRun:
    """A cell whose person types these lines; None: nobody is there."""
    left = iter(typed or ())

    def read(_prompt: str = "") -> str:
        for line in left:
            return line
        raise EOFError

    with (
        mock.patch.object(cell, "is_attended", return_value=typed is not None),
        mock.patch.object(builtins, "input", read),
    ):
        run = CellRun(state, AskOptions(prompt))
        run.in_blocking_cell()

    return run


def results(run: CellRun) -> list[str]:
    return [event.shown for event in run.seen if isinstance(event, ToolResult)]


def tools(model: Model) -> list[list[str]]:
    return [[tool["name"] for tool in body["tools"]] for body in model.requests]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["2026", ""], "The person answered: 2026"),
        (["", "both years"], "The person answered: both years"),
        (["1999", "2025", "gross"], "The person answered: 2025 gross"),
        (["/"], NOT_CHOSEN),
        (["", ""], NOT_CHOSEN),
        ([], NOT_CHOSEN),
    ],
)
def test_what_the_person_says_is_what_the_model_is_told(
    model: Model, tmp_path: Path, typed: list[str], told: str
) -> None:
    with notebook(tmp_path, environ(model)) as state:
        run = ask(state, typed)
    assert results(run)[0] == told
    assert all(ASK_NAME in names for names in tools(model))
    assert [e.reason for e in run.seen if isinstance(e, Stop)] == ["done"]


def test_where_nobody_is_there_the_tool_is_not(model: Model, tmp_path: Path) -> None:
    with notebook(tmp_path, environ(model)) as state:
        run = ask(state, None)
    assert not any(ASK_NAME in names for names in tools(model))
    # a model that calls it all the same gets an answer
    assert results(run)[0].startswith("There is no tool")


def test_a_rule_takes_the_tool_away(model: Model, tmp_path: Path) -> None:
    with notebook(tmp_path, environ(model)) as state:
        state.settings.deny = ["notebook.ask_person"]
        try:
            ask(state, ["2026", ""])
        finally:
            state.settings.deny = []
    assert not any(ASK_NAME in names for names in tools(model))


def test_the_answer_is_recorded_and_answers_the_replay_with_and_without_a_person(
    model: Model, tmp_path: Path
) -> None:
    file = tmp_path / "years.claude.json"
    with notebook(tmp_path, environ(model)) as state:
        state.recording = file
        ask(state, ["2026", ""])
    assert "The person answered: 2026" in file.read_text()

    for typed in (None, ["2025", "never read"]):
        with notebook(tmp_path, {}) as state:
            state.settings.replay_file = str(file)
            try:
                run = ask(state, typed)
            finally:
                state.settings.replay_file = ""
        assert results(run)[0] == "The person answered: 2026"
        notes = [event.text for event in run.seen if isinstance(event, Note)]
        assert notes == ["Not asked again: The person answered: 2026 (recorded)"]


def test_a_replay_without_a_recorded_answer_and_without_a_person_says_so(
    model: Model, tmp_path: Path
) -> None:
    file = tmp_path / "years.claude.json"
    with notebook(tmp_path, environ(model)) as state:
        state.recording = file
        ask(state, ["2026", ""])
    content = json.loads(file.read_text())
    for turn in content["turns"]:
        turn["results"] = [r for r in turn["results"] if "ask_person" not in r["call"]]
        turn["sum"] = sum_of(turn)
    file.write_text(json.dumps(content))
    with notebook(tmp_path, {}) as state:
        state.settings.replay_file = str(file)
        try:
            run = ask(state, None)
        finally:
            state.settings.replay_file = ""
    assert results(run)[0] == NOBODY_THERE


@pytest.mark.parametrize(
    "given", [{}, {"question": " "}, {"question": "?", "options": 3}]
)
def test_a_call_that_is_no_question_is_told_to_the_model(
    tmp_path: Path, given: dict
) -> None:
    with Model(given) as model, notebook(tmp_path, environ(model)) as state:
        run = ask(state, ["x"])
    assert results(run)[0].startswith("ask_person takes")


def test_an_interrupt_ends_the_question(model: Model, tmp_path: Path) -> None:
    def interrupt(_prompt: str = "") -> str:
        raise KeyboardInterrupt

    with (
        notebook(tmp_path, environ(model)) as state,
        mock.patch.object(cell, "is_attended", return_value=True),
        mock.patch.object(builtins, "input", interrupt),
    ):
        with pytest.raises(Stopped):
            CellRun(state, AskOptions("How many?")).in_blocking_cell()

        assert not state.conversation.open_calls()
        assert not [t for t in threading.enumerate() if "ask" in t.name]


def test_frozen_code_says_what_was_chosen(model: Model, tmp_path: Path) -> None:
    with notebook(tmp_path, environ(model)) as state:
        ask(state, ["2026", ""])
        frozen = freeze(state, Freeze())
    source = frozen.source
    assert (
        "# You were asked on the way: Which year? The person answered: 2026" in source
    )
    assert "select sum(n) as total" in source.lower()
    compile(source, "frozen", "exec")


words = st.text(max_size=30)
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | words, st.lists, max_leaves=5
)


@given(st.dictionaries(st.sampled_from(["question", "options", "free_text", "x"]), odd))
def test_any_arguments_are_a_question_that_can_be_answered_or_a_sentence(
    arguments: dict,
) -> None:
    wrong = ""
    try:
        read = PersonQuestion.from_call(arguments)
    except ValueError as error:
        wrong, read = str(error), PersonQuestion("?")

    assert wrong in ("", wrong.rstrip(".") + ".")
    asked = choice_question(read.question, read.options, free=read.free)
    assert 1 <= len(asked.fields) <= 2
    assert len(read.options) <= MOST_OPTIONS
    for option in read.options:
        typed = {"your choice": option}
        assert check_fields(asked.fields, typed) == (typed, {})
