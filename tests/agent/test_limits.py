"""Where a cell stops, and what is not run twice."""

import pytest
from mcp.types import CallToolResult, TextContent

from mcp_notebook.agent.caller import REPEATED, kind_of_failure
from mcp_notebook.errors import BudgetError
from mcp_notebook.events import Footer, Note, Stop, ToolResult
from mcp_notebook.policy import Budget, Limits, Rules, Spent
from tests.agent.bench import Bench, shop
from tests.fake_messages import FakeMessages, Reply, server_use, text, use
from tests.toy import ToySession


def results(events):
    return [e for e in events if isinstance(e, ToolResult)]


def stop(events):
    return next(e for e in events if isinstance(e, Stop))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(iterations=1), "1 model turn"),
        (Limits(calls=1), "1 tool call"),
        (Limits(tokens=1), "1 tokens"),
        (Limits(rows=1), "1 row shown to the model"),
        (Limits(bytes=120), "120 bytes shown to the model"),
        (Limits(dollars=0.000001), "$1e-06"),
    ],
)
async def test_the_limit_that_ended_the_cell_is_named_to_claude_and_to_the_person(
    limits, words
):
    script = [
        Reply([use("shop__query")], model="claude-sonnet-5-5"),
        Reply([text("So far: two rows.")]),
    ]
    with FakeMessages(script) as api:
        bench = Bench(api, shop(), limits=limits)
        events = await bench.events()
        last = api.requests[-1]
    assert words in stop(events).message
    assert words in last["messages"][-1]["content"][-1]["text"]
    assert last["tool_choice"] == {"type": "none"}
    assert bench.is_valid()


async def test_calls_beyond_the_limit_are_answered_but_not_run():
    session = shop()
    calls = [use("shop__query", {"sql": f"select {n}"}, id=f"c{n}") for n in range(4)]
    with FakeMessages([Reply(calls), Reply([text("done")])]) as api:
        bench = Bench(api, session, limits=Limits(calls=2))
        events = await bench.events()
    assert len(session.called) == len(results(events)) == 2
    assert any(isinstance(e, Note) and "2 of 4 calls" in e.text for e in events)
    assert bench.is_valid()


async def test_a_used_up_notebook_budget_refuses_to_start():
    total = Spent(turns=3)
    with FakeMessages([]) as api:
        bench = Bench(
            api,
            shop(),
            budget=Budget(Limits(), Limits(iterations=3, calls=0, seconds=0), total),
        )
        with pytest.raises(BudgetError, match="3 model turns"):
            await bench.events()
    assert api.requests == []
    assert bench.conversation.messages == []


async def test_a_paused_turn_at_the_limit_says_so():
    paused = Reply(
        [text("Searching."), server_use("web_search", {"query": "x"})],
        stop_reason="pause_turn",
    )
    with FakeMessages([paused]) as api:
        events = await Bench(api, shop(), limits=Limits(iterations=1)).events()
    assert stop(events).reason == "limit"


async def test_the_same_call_in_two_turns_runs_once_and_says_so():
    session = shop()
    same = {"sql": "select 1"}
    script = [
        Reply([use("shop__query", same)]),
        Reply([use("shop__query", same)]),
        Reply([text("ok")]),
    ]
    with FakeMessages(script) as api:
        events = await Bench(api, session).events()
        told = api.requests[2]["messages"][-1]["content"][0]["content"][0]["text"]
    assert len(session.called) == 1
    assert told.startswith(REPEATED)
    assert results(events)[1].names == results(events)[0].names
    assert next(e for e in events if isinstance(e, Footer)).calls == 2


async def test_twins_in_one_reply_share_one_run():
    session = shop()
    twins = [
        use("shop__query", {"sql": "a"}, id="x"),
        use("shop__query", {"sql": "a"}, id="y"),
    ]
    with FakeMessages([Reply(twins), Reply([text("ok")])]) as api:
        events = await Bench(api, session).events()
    assert len(session.called) == 1
    assert [r.outcome for r in results(events)] == ["ok", "ok"]


async def test_asked_for_a_third_time_the_call_runs():
    session = shop()
    same = [Reply([use("shop__query", {"sql": "a"})]) for _ in range(3)]
    with FakeMessages([*same, Reply([text("ok")])]) as api:
        await Bench(api, session).events()
    assert len(session.called) == 2


async def test_a_failed_call_runs_again():
    tries = []

    def flaky(sql=""):
        tries.append(sql)
        if len(tries) == 1:
            raise ValueError("not yet")
        return "fine"

    same = [Reply([use("shop__flaky", {"sql": "a"})]) for _ in range(2)]
    with FakeMessages([*same, Reply([text("ok")])]) as api:
        events = await Bench(api, shop(flaky=flaky)).events()
    assert [r.outcome for r in results(events)] == ["error", "ok"]


async def test_after_a_call_that_may_change_things_earlier_answers_are_stale():
    read, write = (
        shop(),
        ToySession("web", {"post": lambda sql="": "posted"}, trusted=False),
    )
    script = [
        Reply([use("shop__query")]),
        Reply([use("web__post")]),
        Reply([use("shop__query")]),
        Reply([text("ok")]),
    ]
    with FakeMessages(script) as api:
        await Bench(api, read, write, rules=Rules(allow=("web.*",))).events()
    assert len(read.called) == 2


async def test_the_next_cell_runs_the_call_again():
    session = shop()
    script = [Reply([use("shop__query")]), Reply([text("ok")])]
    with FakeMessages([*script, *script]) as api:
        await Bench(api, session).events()
        await Bench(api, session).events()
    assert len(session.called) == 2


COLUMNS = ["customer_id", "'city'", "o.total", "day_3"]
WRONG = "no such column: {}. Did you mean x?"
OTHER = "near {}: syntax error"


@pytest.mark.parametrize(
    ("failures", "turns"),
    [
        # each letter a turn: w wrong column, o another failure, k ok, p wrong thrice at once
        ("www", 4),
        ("wow", 4),  # another failure between is another kind
        ("woww", 5),
        ("wkww", 5),  # it worked once: not yet three
        ("wkwww", 6),
        ("ppp", 4),
        ("pw", 3),
    ],
)
async def test_three_failures_of_one_kind_end_the_trying(failures, turns):
    """In turns: the answers to one turn's calls count as one."""
    number = iter(range(100))

    def answer(sql=""):
        kind = sql[0]
        words = WRONG if kind in "wp" else OTHER
        text = words.format(COLUMNS[next(number) % 4])
        content = [TextContent(type="text", text=text if kind != "k" else "fine")]
        return CallToolResult(content=content, is_error=kind != "k")

    def reply(body, turn):
        if "tool_choice" in body or turn >= len(failures):
            return Reply([text("What I found.")])
        kind = failures[turn]
        count = 3 if kind == "p" else 1
        return Reply(
            [use("shop__query", {"sql": f"{kind}{turn}{n}"}) for n in range(count)]
        )

    session = shop(query=answer)
    with FakeMessages(reply) as api:
        bench = Bench(api, session)
        events = await bench.events()
        last = api.requests[-1]
    assert len(api.requests) == turns
    assert bench.is_valid()
    ends = failures in ("www", "woww", "wkwww", "ppp")
    assert ("tool_choice" in last) == ends
    if ends:
        said = last["messages"][-1]["content"][-1]["text"]
        assert "shop.query failed in the same way in 3 turns" in said
        assert "do not offer to try again" in said
        assert "no such column" not in said  # a server's words stay in its results
        assert "failed in the same way in 3 turns" in stop(events).message


@pytest.mark.parametrize("column", COLUMNS)
def test_a_kind_of_failure_is_its_words_without_the_values(column):
    kinds = {kind_of_failure(WRONG.format(column)), kind_of_failure(WRONG.format("z"))}
    assert kinds == {"no such column"}
    assert kind_of_failure("Error: 'a' of 17 is 3.5") == "Error: … of … is …"
    assert kind_of_failure("") == "failed"
