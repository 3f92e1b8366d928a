"""The loop: what it yields, where it stops, and that the conversation stays valid."""

import asyncio
from contextlib import aclosing

import pytest

from mcp_notebook.agent.conversation import INTERRUPTED
from mcp_notebook.agent.run import CANCELLED
from mcp_notebook.agent.toolset import Toolset
from mcp_notebook.display.questions import approval_question
from mcp_notebook.errors import BackendError
from mcp_notebook.events import (
    Footer,
    Note,
    Stop,
    TextDelta,
    TextDiscarded,
    ToolCall,
    ToolResult,
    ToolStarted,
    Usage,
    Working,
)
from mcp_notebook.policy import DENIED_UNATTENDED, Limits, Rules
from tests.agent.bench import GUARD, Bench, shop
from tests.fake_messages import FakeMessages, Fault, Gate, Reply, server_use, text, use
from tests.toy import ToySession


def kinds(events):
    return [type(e).__name__ for e in events if not isinstance(e, TextDelta | Working)]


async def test_a_call_becomes_a_table_and_claude_is_shown_a_preview():
    with FakeMessages(
        [
            Reply([text("Looking."), use("shop__query", {"sql": "select 1"})]),
            Reply([text("Eight.")]),
        ]
    ) as api:
        bench = Bench(api, shop())
        events = await bench.events()
        sent = api.requests[1]["messages"][-1]["content"][0]
    assert kinds(events) == [
        "Usage",
        "ToolCall",
        "ToolStarted",
        "ToolResult",
        "Usage",
        "Stop",
        "Footer",
    ]
    assert bench.tables["t1"].data.num_rows == 2
    assert sent["type"] == "tool_result"
    assert "t1" in sent["content"][0]["text"]
    assert (
        "".join(e.text for e in events if isinstance(e, TextDelta)) == "Looking.Eight."
    )
    assert bench.is_valid()


async def test_calls_of_one_reply_run_side_by_side():
    started = []
    both = asyncio.Event()

    async def wait(sql=""):
        started.append(sql)
        if len(started) == 2:
            both.set()
        await both.wait()
        return "done"

    with FakeMessages(
        [
            Reply([use("shop__wait", {"sql": "a"}), use("shop__wait", {"sql": "b"})]),
            Reply([text("ok")]),
        ]
    ) as api:
        bench = Bench(api, shop(wait=wait))
        events = await bench.events()
    assert [e.outcome for e in events if isinstance(e, ToolResult)] == ["ok", "ok"]


async def test_results_go_back_in_the_order_of_the_calls():
    first = Reply(
        [use("shop__query", id="a"), use("nope", id="b"), use("shop__query", id="c")]
    )
    with FakeMessages([first, Reply([text("ok")])]) as api:
        bench = Bench(api, shop())
        await bench.events()
        sent = api.requests[1]["messages"][-1]["content"]
    assert [b["tool_use_id"] for b in sent] == ["a", "b", "c"]
    assert "shop__query" in sent[1]["content"][0]["text"]


async def test_at_the_limit_claude_sums_up_without_tools():
    with FakeMessages(
        [Reply([use("shop__query")]), Reply([text("So far: two rows.")])]
    ) as api:
        bench = Bench(api, shop(), limits=Limits(iterations=1))
        events = await bench.events()
        last = api.requests[1]
    assert last["tool_choice"] == {"type": "none"}
    assert "sum up" in last["messages"][-1]["content"][-1]["text"]
    assert [e.reason for e in events if isinstance(e, Stop)] == ["limit"]
    assert bench.is_valid()


async def test_a_cut_stream_is_tried_again_and_its_text_taken_back():
    with FakeMessages(
        [
            Reply([text("one two three four five")], breaks="cut", after=5),
            Reply([text("whole")]),
        ]
    ) as api:
        bench = Bench(api, shop())
        events = await bench.events()
    assert any(isinstance(e, TextDiscarded) for e in events)
    assert any(isinstance(e, Note) for e in events)
    assert bench.conversation.messages[-1]["content"] == [text("whole")]


@pytest.mark.parametrize("breaks", ["error", "reset"])
async def test_a_stream_that_breaks_is_tried_again(breaks):
    with FakeMessages(
        [
            Reply([text("one two three four")], breaks=breaks, after=4),
            Reply([text("whole")]),
        ]
    ) as api:
        bench = Bench(api, shop())
        await bench.events()
    assert bench.conversation.messages[-1]["content"] == [text("whole")]


async def test_a_refused_request_is_one_sentence_and_leaves_the_conversation_as_it_was():
    with FakeMessages([Fault(529)]) as api:
        bench = Bench(api, shop())
        with pytest.raises(BackendError, match="busy"):
            await bench.events()
    assert bench.conversation.messages == []


async def test_a_failure_after_a_call_keeps_what_was_found():
    with FakeMessages([Reply([use("shop__query")]), Fault(400, "bad")]) as api:
        bench = Bench(api, shop())
        with pytest.raises(BackendError, match="bad"):
            await bench.events()
    assert len(bench.conversation.messages) == 4
    assert bench.is_valid()


async def test_a_call_cut_by_the_token_limit_never_runs_but_is_answered():
    session = shop()
    with FakeMessages(
        [Reply([use("shop__query")], stop_reason="max_tokens", half_tool=True)]
    ) as api:
        bench = Bench(api, session)
        events = await bench.events()
    assert session.called == []
    assert bench.is_valid()
    assert "token limit" in next(e.message for e in events if isinstance(e, Stop))


async def test_pause_turn_goes_on():
    with FakeMessages(
        [
            Reply(
                [text("Searching."), server_use("web_search", {"query": "x"})],
                stop_reason="pause_turn",
            ),
            Reply([text("done")]),
        ]
    ) as api:
        events = await Bench(api, shop()).events()
    assert [e.reason for e in events if isinstance(e, Stop)] == ["done"]


async def test_a_refusal_is_told():
    with FakeMessages([Reply([text("No.")], stop_reason="refusal")]) as api:
        events = await Bench(api, shop()).events()
    assert [e.reason for e in events if isinstance(e, Stop)] == ["refused"]


class Seen(list):
    """The events so far; `until` waits for one of a kind."""

    def __init__(self):
        super().__init__()
        self._news = asyncio.Event()

    async def collect(self, bench):
        async with aclosing(bench.stream()) as stream:
            async for event in stream:
                self.append(event)
                self._news.set()

    async def until(self, kind):
        async with asyncio.timeout(GUARD):
            while not any(isinstance(e, kind) for e in self):
                self._news.clear()
                await self._news.wait()


async def test_an_interrupt_in_the_middle_of_the_answer_keeps_its_text():
    gate = Gate(after=6)
    with FakeMessages(
        [
            Reply([text("one two three four five six seven")], gate=gate),
            Reply([text("ok")]),
        ]
    ) as api:
        bench = Bench(api, shop())
        events = Seen()
        task = asyncio.create_task(events.collect(bench))
        await asyncio.to_thread(gate.reached.wait, GUARD)
        await events.until(TextDelta)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bench.conversation.messages[-1]["content"][0]["text"].endswith(
            INTERRUPTED
        )
        assert bench.is_valid()
        await bench.events("Go on.")


async def test_an_interrupt_during_a_call_keeps_the_finished_ones():
    running = asyncio.Event()

    async def slow(sql=""):
        running.set()
        await asyncio.Event().wait()

    with FakeMessages(
        [
            Reply([use("shop__query", id="a"), use("shop__slow", id="b")]),
            Reply([text("ok")]),
        ]
    ) as api:
        bench = Bench(api, shop(slow=slow))
        events = Seen()
        task = asyncio.create_task(events.collect(bench))
        await running.wait()
        await events.until(ToolResult)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answers = bench.conversation.messages[-1]["content"]
        assert ["is_error" in a for a in answers] == [False, True]
        assert answers[1]["content"][0]["text"] == CANCELLED
        assert bench.is_valid()
        await bench.events("Go on.")


async def test_a_call_waits_for_the_persons_answer():
    session = ToySession("web", {"fetch": lambda sql="": "page"}, trusted=False)
    with FakeMessages(
        [Reply([use("web__fetch", {"sql": "x\u202ey"}, id="a")]), Reply([text("ok")])]
    ) as api:
        bench = Bench(api, session)
        async with asyncio.timeout(GUARD), aclosing(bench.stream()) as stream:
            seen = []
            async for event in stream:
                seen.append(event)
                if isinstance(event, ToolCall):
                    assert event.needs_approval
                    assert "\\u202e" in approval_question(event).text
                    assert session.called == []
                    bench.answer("a", "always")
    assert any(isinstance(e, ToolStarted) for e in seen)
    assert [g.tool for g in bench.caller.grants] == ["fetch"]


async def test_a_denial_reaches_claude_with_its_reason():
    session = ToySession("web", {"fetch": lambda sql="": "page"}, trusted=False)
    with FakeMessages([Reply([use("web__fetch", id="a")]), Reply([text("ok")])]) as api:
        bench = Bench(api, session)
        async with asyncio.timeout(GUARD), aclosing(bench.stream()) as stream:
            async for event in stream:
                if isinstance(event, ToolCall):
                    bench.answer("a", "deny", "use the cache")
        told = api.requests[1]["messages"][-1]["content"][0]["content"][0]["text"]
    assert "use the cache" in told
    assert session.called == []


async def test_without_anyone_to_ask_the_call_is_denied():
    session = ToySession("web", {"fetch": lambda sql="": "page"}, trusted=False)
    with FakeMessages([Reply([use("web__fetch")]), Reply([text("ok")])]) as api:
        events = await Bench(api, session, rules=Rules(attended=False)).events()
    result = next(e for e in events if isinstance(e, ToolResult))
    assert (result.outcome, result.shown) == ("denied", DENIED_UNATTENDED)


async def test_a_failing_tool_is_an_error_for_claude_without_a_traceback():
    def broken(sql=""):
        raise ValueError("secret path /home/u/.pgpass")

    with FakeMessages([Reply([use("shop__broken")]), Reply([text("ok")])]) as api:
        events = await Bench(api, shop(broken=broken)).events()
    result = next(e for e in events if isinstance(e, ToolResult))
    assert result.outcome == "error"
    assert "pgpass" not in result.shown


async def test_long_text_is_capped_and_says_so():
    with FakeMessages([Reply([use("shop__page")]), Reply([text("ok")])]) as api:
        events = await Bench(
            api, shop(page=lambda sql="": "Lorem ipsum dolor. " * 10_000)
        ).events()
    result = next(e for e in events if isinstance(e, ToolResult))
    assert len(result.shown) < 51_000
    assert "190,000 bytes" in result.shown


async def test_the_footer_adds_up():
    with FakeMessages([Reply([use("shop__query")]), Reply([text("ok")])]) as api:
        events = await Bench(api, shop()).events()
    footer = events[-1]
    assert isinstance(footer, Footer)
    usages = [e for e in events if isinstance(e, Usage)]
    assert footer.turns == len(usages) == 2
    assert footer.output_tokens == sum(u.output for u in usages)
    assert footer.calls == 1


async def test_the_cached_prefix_is_read_again_in_the_second_turn():
    with FakeMessages([Reply([use("shop__query")]), Reply([text("ok")])]) as api:
        events = await Bench(api, shop()).events()
    assert [e.cache_read > 0 for e in events if isinstance(e, Usage)][-1]


def test_tool_names_fit_the_api_and_stay_apart():
    sessions = [
        ToySession("db", {"db.query": str, "db_query": str}),
        ToySession("x" * 60, {"y" * 120: str}),
    ]
    names = list(Toolset.of(sessions).by_name)
    assert len(set(names)) == 3
    assert all(len(n) <= 128 and "." not in n for n in names)
