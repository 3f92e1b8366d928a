"""What goes wrong with the model's service is tried again, or told in one line; the
conversation stays whole.
"""

import os

import pytest

from mcp_notebook.agent import run
from mcp_notebook.agent.conversation import Conversation, tool_result, trim_results
from mcp_notebook.errors import BackendError, ContextFull, SessionError
from mcp_notebook.events import Note, Stop, ToolResult
from tests.agent.bench import Bench, shop
from tests.fake_messages import FakeMessages, Fault, Reply, text, thinking, use

ASK = Reply([use("shop__query")])
DONE = Reply([text("Eight.")])


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(run, "PAUSE", 0.0)


def notes(events):
    return [e.text for e in events if isinstance(e, Note)]


@pytest.mark.parametrize("status", [429, 529, 500, 504, 0])
async def test_a_busy_service_is_asked_again_and_the_cell_says_so(status):
    with FakeMessages([Fault(status), DONE]) as api:
        bench = Bench(api, shop())
        events = await bench.events()
    assert any("Trying again" in n for n in notes(events))
    assert bench.conversation.messages[-1]["content"] == [text("Eight.")]


async def test_a_wait_that_is_too_long_is_told_instead_of_waited_for():
    script = [Fault(429, "slow down", retry_after=3600)]
    with FakeMessages(script) as api, pytest.raises(BackendError, match="wait 3600 s"):
        await Bench(api, shop()).events()
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refused the credentials"),
        (404, "does not know the model"),
        (400, "refused the req"),
    ],
)
async def test_what_cannot_pass_is_not_tried_again(status, words):
    with (
        FakeMessages([Fault(status, "no")]) as api,
        pytest.raises(BackendError, match=words),
    ):
        await Bench(api, shop()).events()
    assert len(api.requests) == 1


async def test_three_cut_streams_end_the_cell_with_one_sentence():
    cut = Reply([text("one two three four")], breaks="cut", after=4)
    with FakeMessages([cut, cut, cut]) as api:
        bench = Bench(api, shop())
        with pytest.raises(BackendError, match="three times"):
            await bench.events()
    assert bench.conversation.messages == []


async def test_an_error_in_the_stream_after_a_call_keeps_the_call():
    broken = Reply([text("one two")], breaks="error", after=4)
    with FakeMessages([ASK, broken, broken, broken]) as api:
        bench = Bench(api, shop())
        with pytest.raises(BackendError, match="busy"):
            await bench.events()
    assert len(bench.conversation.messages) == 4
    assert bench.is_valid()


async def test_a_conversation_that_no_longer_fits_loses_its_old_results_and_goes_on():
    long = "Lorem ipsum dolor sit. " * 1000
    script = [
        Reply([use("shop__page")]),
        DONE,
        Reply([use("shop__query")]),
        Fault(400, "prompt is too long"),
        DONE,
    ]
    with FakeMessages(script) as api:
        bench = Bench(api, shop(page=lambda sql="": long))
        await bench.events()
        events = await bench.events("And now?")
        sent = api.requests[-1]["messages"]
    assert any("taken out" in n for n in notes(events))
    assert "shop.page" in sent[2]["content"][0]["content"][0]["text"]
    assert len(sent[2]["content"][0]["content"][0]["text"]) < 200
    assert bench.is_valid()


async def test_when_nothing_can_be_trimmed_the_person_is_told_to_start_anew():
    with (
        FakeMessages([Fault(413, "request too large")]) as api,
        pytest.raises(ContextFull, match="--new"),
    ):
        await Bench(api, shop()).events()


async def test_a_full_window_in_the_reply_is_told():
    with FakeMessages(
        [Reply([text("So")], stop_reason="model_context_window_exceeded")]
    ) as api:
        events = await Bench(api, shop()).events()
    assert "--new" in next(e.message for e in events if isinstance(e, Stop))


async def test_thinking_goes_back_as_it_came():
    with FakeMessages(
        [Reply([thinking("hm, a table"), use("shop__query")]), DONE]
    ) as api:
        bench = Bench(api, shop())
        await bench.events()
    assert api.refused == []
    assert bench.conversation.messages[1]["content"][0]["signature"]


async def test_a_lost_server_is_told_without_its_stderr():
    def lost(sql=""):
        raise SessionError(
            "server 'shop' stopped.", detail="Traceback: key=sk-abcdefghijklmnopqrstu"
        )

    with FakeMessages([Reply([use("shop__lost")]), DONE]) as api:
        events = await Bench(api, shop(lost=lost)).events()
    result = next(e for e in events if isinstance(e, ToolResult))
    assert result.shown == "server 'shop' stopped."


async def test_an_error_of_a_server_that_quotes_the_environment_is_masked(monkeypatch):
    monkeypatch.setitem(os.environ, "SHOP_DB_PASSWORD", "correct-horse-battery")

    def failing(sql=""):
        from mcp.types import CallToolResult, TextContent

        said = "cannot log in with correct-horse-battery"
        return CallToolResult(
            content=[TextContent(type="text", text=said)], is_error=True
        )

    with FakeMessages([Reply([use("shop__failing")]), DONE]) as api:
        events = await Bench(api, shop(failing=failing)).events()
        sent = str(api.requests)
    result = next(e for e in events if isinstance(e, ToolResult))
    assert result.outcome == "error"
    assert "horse" not in sent + str(result) + str(result.reading.error)


async def test_secret_columns_reach_the_notebook_but_neither_the_model_nor_the_card():
    rows = (
        '[{"user": "ann", "password": "hush-1"}, {"user": "bob", "password": "hush-2"}]'
    )
    with FakeMessages([Reply([use("shop__users")]), DONE]) as api:
        bench = Bench(api, shop(users=lambda sql="": rows))
        events = await bench.events()
        sent = str(api.requests)
    result = next(e for e in events if isinstance(e, ToolResult))
    assert (
        "hush"
        not in sent
        + str(result.reading.tables[0].data.to_pylist())
        + result.reading.text
    )
    assert bench.tables["t1"].data.to_pylist()[0]["password"] == "hush-1"


async def test_a_secret_argument_is_sent_to_the_tool_only():
    got = []
    login = shop(login=lambda **arguments: got.append(arguments) or "welcome")
    with FakeMessages(
        [Reply([use("shop__login", {"user": "ann", "password": "hush-hush"})]), DONE]
    ) as api:
        events = await Bench(api, login).events()
        sent = str(api.requests)
    assert got == [{"user": "ann", "password": "hush-hush"}]
    assert "hush-hush" not in sent + str(events)


def test_trimming_leaves_short_results_and_the_latest_message_alone():
    conversation = Conversation()
    for n, size in enumerate((9_000, 20, 9_000)):
        conversation.ask([text("q")])
        conversation.reply([use("shop__query", id=f"c{n}")])
        conversation.answer([tool_result(f"c{n}", "x" * size)])
        conversation.summaries[f"c{n}"] = f"[summary {n}]"
        conversation.reply([text("a")]) if n < 2 else None
    assert trim_results(conversation, keep=1) > 8_000
    texts = [
        m["content"][0]["content"][0]["text"]
        for m in conversation.messages
        if "tool_use_id" in m["content"][0]
    ]
    assert texts == ["[summary 0]", "x" * 20, "x" * 9_000]
    assert trim_results(conversation, keep=1) == 0
