"""`mcp_notebook.ask` and `connect` in plain Python: values, awaited or not, failures
where they are looked at.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mcp_notebook
from mcp_notebook.errors import BackendError, ConfigError, DataError
from mcp_notebook.events import TextDelta
from mcp_notebook.notebook.ask_function import Answer
from mcp_notebook.notebook.cell import CellRun
from mcp_notebook.notebook.options import AskOptions
from tests.fake_messages import FakeMessages, Fault, Gate, Reply, text, use
from tests.notebook.scripted import notebook

GUARD = 60  # seconds; nothing here takes one
PLAIN = Path(__file__).parents[1] / "servers" / "plain.py"


class Model(FakeMessages):
    """A scripted model; tests put their replies into `replies`."""

    def __init__(self) -> None:
        self.replies: list[Reply | Fault] = []
        super().__init__(lambda body, n: self.replies.pop(0))


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with Model() as running:
        yield running


@pytest.fixture(autouse=True)
def script(model: Model, tmp_path: Path) -> Iterator[None]:
    """A script of its own for each test."""
    model.replies.clear()
    model.requests.clear()
    with notebook(
        tmp_path, {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": model.api_key}
    ):
        yield


def total() -> list[Reply]:
    query = use("notebook__query", {"sql": "select sum(n) as total from orders"})
    return [
        Reply([text("Let me look."), query]),
        Reply([text("It is **6**.")], model="claude-sonnet-5-5"),
    ]


def test_an_answer_holds_text_tables_calls_and_cost(
    model: Model, capfd: pytest.CaptureFixture[str]
) -> None:
    model.replies += total()
    answer = mcp_notebook.ask("What is the total of @orders?")
    assert answer.text == "Let me look.\n\nIt is **6**."
    assert repr(answer) == answer.text
    (name,) = answer.tables
    assert answer.tables[name]["total"].tolist() == [6]
    assert answer.value is answer.tables[name]
    assert [(c.server, c.tool, c.outcome, c.rows) for c in answer.calls] == [
        ("notebook", "query", "ok", 1)
    ]
    assert answer.cost == 0.0  # what answers on this machine costs nothing
    assert (answer.usage.turns, answer.usage.calls, answer.stop.reason) == (
        2,
        1,
        "done",
    )
    assert capfd.readouterr().out == ""


async def test_an_awaited_answer_leaves_the_loop_free(model: Model) -> None:
    gate = Gate(3)
    model.replies += [Reply([text("one two three")], gate=gate)]
    answer = mcp_notebook.ask("Count.")
    waiting = asyncio.ensure_future(_wait(answer))
    assert await asyncio.to_thread(gate.reached.wait, GUARD)
    gate.release()
    assert (await waiting).text == "one two three"
    assert await answer is answer


async def _wait(answer: Answer) -> Answer:
    return await answer


async def test_questions_of_their_own_run_side_by_side(model: Model) -> None:
    gates = [Gate(2), Gate(2)]
    model.replies += [Reply([text("a b")], gate=gate) for gate in gates]
    answers = [mcp_notebook.ask(f"Question {n}", new=True) for n in range(2)]
    for gate in gates:
        assert await asyncio.to_thread(gate.reached.wait, GUARD)
    for gate in gates:
        gate.release()
    assert [a.text for a in await asyncio.gather(*answers)] == ["a b", "a b"]
    assert [len(request["messages"]) for request in model.requests] == [1, 1]


def test_questions_of_one_conversation_wait_for_each_other(model: Model) -> None:
    model.replies += [Reply([text("one")]), Reply([text("two")])]
    answers = [mcp_notebook.ask("first"), mcp_notebook.ask("second")]
    assert [a.text for a in reversed(answers)] == ["two", "one"]
    assert [len(request["messages"]) for request in model.requests] == [1, 3]


@pytest.mark.parametrize("form", [list[int], "list[int]"])
def test_a_form_gives_a_typed_value(model: Model, form: object) -> None:
    model.replies += [Reply([text('{"value": [1, 2, 3]}')])]
    assert mcp_notebook.ask("Which n?", form=form).value == [1, 2, 3]


def test_a_form_that_was_not_met_has_no_value(model: Model) -> None:
    model.replies += [Reply([text("no")], stop_reason="refusal")]
    with pytest.raises(DataError, match="refused"):
        _ = mcp_notebook.ask("Which n?", form=list[int]).value


def test_a_failure_is_raised_at_every_look_and_the_next_question_goes_on(
    model: Model,
) -> None:
    model.replies += [Fault(400, "no such thing"), Reply([text("fine")])]
    answer = mcp_notebook.ask("Hello?")
    for _ in range(2):
        with pytest.raises(BackendError, match="no such thing"):
            _ = answer.text
    assert mcp_notebook.ask("Hello?").text == "fine"
    with pytest.raises(ConfigError, match="Python name"):
        mcp_notebook.ask("x", into="not a name")


def test_an_answer_without_a_model_says_what_to_do_and_that_there_is_none(
    tmp_path: Path,
) -> None:
    with notebook(tmp_path, {}):
        answer = mcp_notebook.ask("Hello?")
        assert repr(answer) == "<Answer: not looked at yet>"
        with pytest.raises(BackendError, match="ANTHROPIC_API_KEY"):
            _ = answer.text
        assert repr(answer) == "<Answer: there is none>"


def test_a_dry_run_needs_no_model(tmp_path: Path) -> None:
    with notebook(tmp_path, {}) as state:
        run = CellRun(
            state, AskOptions("What is in @orders?", dry_run=True), shown="none"
        )
        run.start()
        run.run_blocking()
    said = "".join(event.text for event in run.seen if isinstance(event, TextDelta))
    assert "To nobody yet" in said
    assert "orders(n int64)" in said
    assert "for the first turn" in said


async def test_a_cancelled_wait_ends_the_run(model: Model) -> None:
    gate = Gate(2)
    model.replies += [Reply([text("a b c")], gate=gate), Reply([text("again")])]
    answer = mcp_notebook.ask("Hello?")
    assert await asyncio.to_thread(gate.reached.wait, GUARD)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await answer
    with pytest.raises(DataError, match="cancelled"):
        _ = answer.text
    gate.release()
    assert (await mcp_notebook.ask("Hello?")).text == "again"


@pytest.mark.slow
def test_a_server_is_connected_called_and_closed_without_magics(model: Model) -> None:
    plain = mcp_notebook.connect(
        "plain", [sys.executable, str(PLAIN), "stdio"], allow=["echo"]
    )
    assert "echo" in plain
    assert plain.echo(text="hi") == "hi"
    model.replies += [
        Reply([use("plain__echo", {"text": "there"})]),
        Reply([text("It said there.")]),
    ]
    answer = mcp_notebook.ask("Echo there.")
    assert [c.outcome for c in answer.calls] == ["ok"]
    mcp_notebook.disconnect("plain")
    with pytest.raises(ConfigError, match=r"No \.mcp\.json"):
        mcp_notebook.connect("nobody")
