"""The fake Messages API, seen through the real SDK."""

from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import APIStatusError

from tests.fake_messages import (
    FakeMessages,
    Fault,
    Gate,
    Reply,
    server_use,
    text,
    thinking,
    use,
)
from tests.message_rules import refusal

TOOL = {
    "name": "shop__query",
    "description": "Run SQL",
    "input_schema": {"type": "object", "properties": {"sql": {}}},
}
QUESTION = {"role": "user", "content": "How many orders?"}


def body(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "model": "claude-test",
        "max_tokens": 100,
        "tools": [TOOL],
        "messages": list(messages or [QUESTION]),
        **more,
    }


async def finish(client: Any, **request: Any) -> Any:
    async with client, client.messages.stream(**request) as stream:
        return await stream.get_final_message()


async def test_every_kind_of_block_arrives_whole():
    blocks = [
        thinking("Let me see."),
        text("I look it up. "),
        use("shop__query", {"sql": "select count(*) from orders"}),
    ]
    blocks.insert(2, server_use("web_search", {"query": "orders"}))
    with FakeMessages([Reply(blocks)]) as api:
        message = await finish(api.client(), **body())
    assert [b.type for b in message.content] == [
        "thinking",
        "text",
        "server_tool_use",
        "tool_use",
    ]
    assert message.content[0].signature.startswith("sig-")
    assert message.content[3].input == {"sql": "select count(*) from orders"}
    assert message.stop_reason == "tool_use"
    assert message.usage.input_tokens > 0
    assert message.usage.cache_read_input_tokens == 0


async def test_a_conversation_with_thinking_and_a_tool_is_accepted():
    def script(request: dict[str, Any], n: int) -> Reply:
        return (
            Reply([thinking("Hm."), use("shop__query")])
            if n == 0
            else Reply([text("300")])
        )

    with FakeMessages(script) as api:
        first = await finish(api.client(), **body())
        content = [
            b.model_dump(exclude_none=True, exclude={"parsed_output"})
            for b in first.content
        ]
        result = {
            "type": "tool_result",
            "tool_use_id": first.content[1].id,
            "content": "300",
        }
        history = [
            QUESTION,
            {"role": "assistant", "content": content},
            {"role": "user", "content": [result]},
        ]
        second = await finish(api.client(), **body(*history))
    assert second.content[0].text == "300"
    assert api.refused == []
    assert len(api.requests) == 2


async def test_changed_thinking_is_refused():
    history = [
        QUESTION,
        {"role": "assistant", "content": [{**thinking("a"), "thinking": "b"}]},
        QUESTION,
    ]
    with (
        FakeMessages([]) as api,
        pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"),
    ):
        await finish(api.client(), **body(*history))


async def test_without_streaming_and_counting():
    with FakeMessages([Reply([text("hi")])]) as api:
        async with api.client() as client:
            message = await client.messages.create(**body())
            count = await client.messages.count_tokens(
                model="claude-test", messages=[QUESTION]
            )
    assert message.content[0].text == "hi"
    assert message._request_id.startswith("req_")
    assert count.input_tokens > 0


async def test_a_wrong_key_is_refused():
    with (
        FakeMessages([Reply([text("hi")])]) as api,
        pytest.raises(anthropic.AuthenticationError),
    ):
        await finish(api.client(api_key="other"), **body())


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, anthropic.RateLimitError), (529, anthropic.InternalServerError)],
)
async def test_a_status_fault_is_raised_or_retried(status: int, error: type[Exception]):
    with FakeMessages([status, status, Reply([text("at last")])]) as api:
        with pytest.raises(error):
            await finish(api.client(max_retries=0), **body())
        message = await finish(api.client(max_retries=1), **body())
    assert message.content[0].text == "at last"


async def test_a_cut_stream_ends_without_a_stop_reason():
    with FakeMessages(
        [Reply([text("one two three four")], breaks="cut", after=5)]
    ) as api:
        message = await finish(api.client(), **body())
    assert message.stop_reason is None
    assert message.content[0].text == "one two "


async def test_a_reset_is_a_connection_error():
    with FakeMessages(
        [Reply([text("one two three")], breaks="reset", after=4), Fault(0)]
    ) as api:
        with pytest.raises((anthropic.APIConnectionError, httpx2.TransportError)):
            await finish(api.client(max_retries=0), **body())
        with pytest.raises(anthropic.APIConnectionError):
            await finish(api.client(max_retries=0), **body())


async def test_an_error_event_inside_the_stream():
    with (
        FakeMessages([Reply([text("one two")], breaks="error")]) as api,
        pytest.raises(APIStatusError) as caught,
    ):
        await finish(api.client(), **body())
    assert caught.value.type == "overloaded_error"


@pytest.mark.parametrize(
    "reason", ["max_tokens", "refusal", "pause_turn", "model_context_window_exceeded"]
)
async def test_stop_reasons_pass_through(reason: str):
    with FakeMessages([Reply([text("so far")], stop_reason=reason)]) as api:
        assert (await finish(api.client(), **body())).stop_reason == reason


async def test_a_gate_holds_the_stream_until_the_client_leaves():
    gate = Gate(after=4)
    with FakeMessages(
        [Reply([text("one two three")], gate=gate), Reply([text("next")])]
    ) as api:
        client = api.client()
        async with client.messages.stream(**body()) as stream:
            async for event in stream:
                if event.type == "text":
                    break
        assert gate.reached.is_set()
        assert (await finish(client, **body())).content[0].text == "next"
    assert api.disconnects == 1


async def test_a_repeated_prefix_is_read_from_the_cache():
    marked = [
        {"type": "text", "text": "rules " * 50, "cache_control": {"type": "ephemeral"}}
    ]
    with FakeMessages(lambda body, n: Reply([text("ok")])) as api:
        first = await finish(api.client(), **body(system=marked))
        second = await finish(
            api.client(), **body({"role": "user", "content": "Another?"}, system=marked)
        )
    assert (
        first.usage.cache_creation_input_tokens
        == second.usage.cache_read_input_tokens
        > 0
    )
    assert second.usage.cache_creation_input_tokens == 0


USE = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "t1", "name": "shop__query", "input": {}}],
}
ANSWER = {
    "role": "user",
    "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "3"}],
}
MARK = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("request_body", "problem"),
    [
        (body(), None),
        (body(QUESTION, USE, ANSWER), None),
        (
            body(
                QUESTION,
                USE,
                {
                    "role": "user",
                    "content": [*ANSWER["content"], {"type": "text", "text": "and?"}],
                },
            ),
            None,
        ),
        (body(QUESTION, USE, QUESTION), "ids were found without"),
        (body(QUESTION, USE), "must end with a user message"),
        (body(QUESTION, ANSWER), "unexpected `tool_use_id`"),
        (body(QUESTION, USE, ANSWER, USE, ANSWER), "ids must be unique"),
        (
            body(QUESTION, USE, {"role": "user", "content": ANSWER["content"] * 2}),
            "single result",
        ),
        (
            body(
                QUESTION,
                USE,
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "x"}, *ANSWER["content"]],
                },
            ),
            "first",
        ),
        (body(QUESTION, USE, ANSWER, tools=[]), "must define tools"),
        (body({"role": "user", "content": ""}), "non-empty"),
        (body({"role": "user", "content": []}), "non-empty content"),
        (body({"role": "user", "content": " \n"}), "non-whitespace"),
        (body({"role": "system", "content": "x"}), "Unexpected role"),
        (
            body({"role": "assistant", "content": "x"}, QUESTION),
            'first message must use the "user" role',
        ),
        (body(tools=[{**TOOL, "name": "a.b"}]), "pattern"),
        (body(tools=[TOOL, TOOL]), "must be unique"),
        (body(tools=[{**TOOL, "input_schema": {}}]), "Input should be 'object'"),
        (
            body(tools=[{**TOOL, "input_schema": {"type": "object", "anyOf": []}}]),
            "top level",
        ),
        (
            body(tool_choice={"type": "tool", "name": "none"}),
            "not found in provided tools",
        ),
        (body(tool_choice={"type": "sometimes"}), "expected tags"),
        (body(tools=[], tool_choice={"type": "auto"}), "while providing tools"),
        (
            body(system=[{"type": "text", "text": "a", **MARK}] * 4, **MARK),
            "maximum of 4",
        ),
        (body(temperature=0), "not supported"),
        (body(thread={"type": "create"}), "Extra inputs"),
        ({"messages": [QUESTION], "max_tokens": 1}, "model: Field required"),
        ({"messages": [QUESTION], "model": "m"}, "max_tokens: Field required"),
    ],
)
def test_the_rules_of_the_api(request_body: dict[str, Any], problem: str | None):
    found = refusal(request_body)
    assert found is None if problem is None else problem in (found or ""), found
