"""One way to ask: the same answer through every door, never lost and never doubled, and
the time of waiting counted once.
"""

import asyncio
import builtins
import threading
from collections.abc import Callable
from dataclasses import replace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_notebook import loop
from mcp_notebook.display.call_view import view_call
from mcp_notebook.display.questions import (
    Question,
    approval_question,
    ask_in_box,
    form_question,
    sampling_question,
    sign_in_question,
    visit_question,
)
from mcp_notebook.display.widgets import Card, QuestionForm
from mcp_notebook.events import Approval, Reply, ToolCall
from mcp_notebook.notebook import asker
from mcp_notebook.notebook.asker import Asker, CallApprovals, OpenQuestion, WaitingClock

GUARD = 20  # seconds; nothing here takes a second
SECRET = "hunter2-hunter2"
approvals = st.builds(
    Approval,
    arguments=st.just({"password": SECRET}),
    hidden=st.sampled_from([(), ("password (15 characters)",)]),
    history=st.sampled_from(["", "The tool has CHANGED"]),
    reading=st.sampled_from([(), ("query", "list_tables")]),
    lasting=st.booleans(),
)
calls = st.builds(
    lambda approval: ToolCall(
        "a", "shop", "query", {"password": "***"}, True, "It says it reads.", approval
    ),
    approvals,
)
others = st.sampled_from(
    [
        form_question("curious", "Are you there?", ()),
        visit_question("bank", "Please confirm.", "https://pay.example.org/x"),
        sampling_question("curious", "[user] why"),
        Question("It is not what it was.", prompt="Start it as it is now?"),
    ]
)
WORDS = ["y", "yes", "Y ", "a", "always", "r", "read-only", "server", "once", "n", "no"]
WORDS += ["deny", "n because it deletes", "No: use the view", "n, not now", "s", ""]
WORDS += ["nice", "open", "send", "yes please", "no\u202e", "n\nbecause", "ALWAYS"]
lines = st.sampled_from(WORDS) | st.text("ynarsobecu ,:\u202e", max_size=12)


def typing(*typed: str) -> "mock._patch[Callable[[str], str]]":
    """Whoever types these lines, and goes away."""
    left = iter(typed)

    def read(_prompt: str) -> str:
        for line in left:
            return line
        raise EOFError

    return mock.patch.object(builtins, "input", read)


@pytest.fixture(autouse=True)
def paper(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """What is shown in cells."""
    shown = mock.Mock()
    monkeypatch.setattr(asker, "display", shown)
    return shown


def through_the_cell(question: Question, line: str) -> Reply:
    """A server's question, asked on the loop and answered in the box of the cell that waits."""
    asker = Asker()
    with typing(line), asker.in_cell(attended=True, buttons=False):
        return loop.wait(loop.submit(asker.ask(question)), asker.pump)


def by_a_click(question: Question, line: str) -> Reply | None:
    """The same answer given on a page, where the line is one."""
    meant, replies = question.understand(line), []
    if meant is None:
        return None
    form = QuestionForm(question, replies.append)
    form._hear(None, {"answer": meant.choice, "reason": meant.reason}, None)
    return replies[0]


@given(calls.map(approval_question) | others, lines)
@settings(max_examples=150, deadline=None)
def test_a_line_means_the_same_through_every_door(
    question: Question, line: str
) -> None:
    meant = question.understand(line) or Reply("deny")
    with typing(line):
        assert ask_in_box(question) == meant
    with typing(line):
        assert Asker().ask_now(question, attended=True) == meant
    assert through_the_cell(question, line) == meant
    assert by_a_click(question, line) in (meant, None)


@given(calls, lines)
@settings(max_examples=100, deadline=None)
def test_a_call_is_answered_alike_in_the_box_and_on_its_card(
    call: ToolCall, line: str
) -> None:
    meant = approval_question(call).understand(line) or Reply("deny")
    asked = CallApprovals(Asker())

    async def opened() -> None:
        asked.open(call)

    loop.run(opened())
    with typing(line):
        asked.ask_in_box(call)
    assert loop.run(asked.wait(call.id)) == meant
    replies: list[Reply] = []
    card = Card(view_call(call), replies.append, buttons=True, expanded=False)
    card._hear(None, {"answer": meant.choice, "reason": meant.reason}, None)
    assert replies == [meant]
    assert SECRET not in repr(approval_question(call)) + approval_question(call).text


@given(calls.map(approval_question) | others)
def test_a_letter_means_the_same_in_every_question(question: Question) -> None:
    means = {"y": ("once", "send", "open"), "a": ("always",), "r": ("server",)}
    letters = [choice.letter for choice in question.choices]
    assert len(set(letters)) == len(letters)
    for choice in question.choices:
        assert choice.answer in means[choice.letter]
        assert choice.lasts == (choice.letter in "ar")
    assert question.understand("n") == Reply("deny")


def test_an_address_is_pasted_and_an_empty_line_declines() -> None:
    question = sign_in_question("tracker", "https://login.example.org/", paste=True)
    with typing("https://127.0.0.1/?code=1"):
        reply = ask_in_box(question)
    assert reply == Reply("done", values={"address": "https://127.0.0.1/?code=1"})
    assert question.outcome_of(reply) == "signed in"
    with typing(""):
        assert ask_in_box(question) == Reply("deny")


@pytest.mark.parametrize("attended", [True, False])
def test_where_nobody_is_there_every_question_is_denied(attended: bool) -> None:
    asker, question = Asker(), sampling_question("curious", "why")
    assert asker.ask_now(question, attended=False) == Reply("deny")
    assert loop.run(asker.ask(question)) == Reply("deny")
    with asker.in_cell(attended=attended, buttons=False), typing():
        asked = loop.submit(asker.ask(question))
        assert loop.wait(asked, asker.pump) == Reply("deny")


# What may happen to an open question, in any order and from any thread.
ENDS: dict[str, Callable[[OpenQuestion], bool]] = {
    "once": lambda opened: opened.answer(Reply("once")),
    "always": lambda opened: opened.answer(Reply("always")),
    "deny": lambda opened: opened.answer(Reply("deny", "too wide")),
    "leave": lambda opened: opened.answer(Reply("cancel")),
}


@given(
    st.lists(st.sampled_from(list(ENDS)), min_size=1, max_size=5),
    st.sampled_from([None, 0, 0.0005]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_together_one_reply_counts_and_the_clock_stops_once(
    ends: list[str], seconds: float | None, cancelled: bool
) -> None:
    now = [0.0]
    clock, late = WaitingClock(lambda: now[0]), WaitingClock(lambda: now[0])

    async def race() -> None:
        opened = OpenQuestion([clock])
        waiting = asyncio.create_task(opened.wait(seconds))
        await asyncio.sleep(0)
        now[0] = 2.0
        opened.count_on(late)
        now[0] = 5.0
        start, counted = threading.Barrier(len(ends)), []

        def finish(end: str) -> None:
            start.wait(GUARD)
            if ENDS[end](opened):
                counted.append(end)

        threads = [threading.Thread(target=finish, args=(end,)) for end in ends]
        for thread in threads:
            thread.start()
        if cancelled:
            waiting.cancel("it came back another way")
        done, _ = await asyncio.wait([waiting], timeout=GUARD)
        for thread in threads:
            thread.join(GUARD)
        assert done
        assert len(counted) <= 1
        assert opened.reply is not None
        if counted:
            assert opened.reply.choice in (counted[0], "cancel")
        if not waiting.cancelled():
            assert waiting.result() is opened.reply

    asyncio.run(race())
    now[0] = 99.0
    assert (clock.seconds(), late.seconds()) == (5.0, 3.0)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=8))
def test_two_questions_that_overlap_count_once(spans: list[tuple[int, int]]) -> None:
    now = [0.0]
    clock = WaitingClock(lambda: now[0])
    covered = {second for start, long in spans for second in range(start, start + long)}
    for second in range(50):
        now[0] = float(second)
        for start, long in spans:
            if start == second:
                clock.begin()
            if start + long == second:
                clock.end()
    assert clock.seconds() == len(covered)


def test_a_runs_clock_counts_its_calls_and_the_servers_questions_of_the_time() -> None:
    asker, now = Asker(), [0.0]
    call = ToolCall("a", "shop", "query", {}, True)

    async def play() -> tuple[float, float]:
        with asker.in_cell(attended=True, buttons=True):
            early = CallApprovals(asker)
            asked = asyncio.create_task(asker.ask(sampling_question("s", "why")))
            await asyncio.sleep(0)
            now[0] = 3.0
            late = CallApprovals(asker)
            early.open(call)
            now[0] = 5.0
            early.answer("a", Reply("once"))
            now[0] = 9.0
        await asked
        now[0] = 50.0
        return early.clock.seconds(), late.clock.seconds()

    with mock.patch.object(WaitingClock.__init__, "__defaults__", (lambda: now[0],)):
        assert loop.run(play()) == (9.0, 6.0)


@pytest.mark.parametrize("ending", ["first", "second"])
def test_a_cell_that_ends_takes_no_question_from_one_that_still_waits(
    ending: str,
) -> None:
    asker = Asker()
    cells = {}
    for name in ("first", "second"):
        cells[name] = asker.in_cell(attended=True, buttons=False)
        cells[name].__enter__()
    asked = loop.submit(asker.ask(form_question("s", "m", (), 5.0)))
    cells.pop(ending).__exit__(None, None, None)
    with typing("y"):
        assert loop.wait(asked, asker.pump) == Reply("send")
    asked = loop.submit(asker.ask(form_question("s", "m", (), 5.0)))
    cells.popitem()[1].__exit__(None, None, None)
    assert loop.wait(asked).choice in ("cancel", "deny")


def test_a_question_that_nobody_answers_in_time_says_so(paper: mock.Mock) -> None:
    asker = Asker()
    question = replace(visit_question("s", "m", "https://x.example/"), seconds=0.05)
    with asker.in_cell(attended=True, buttons=True):
        reply = loop.wait(loop.submit(asker.ask(question)), asker.pump)
        asker.pump()
    assert reply == Reply("cancel", "not answered within 0.05 s")
    assert "not answered within" in str(paper.return_value.update.call_args)
