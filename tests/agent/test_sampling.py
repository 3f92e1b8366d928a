"""A turn of the model that a server asks for: its own tools, pictures, odd parts."""

import asyncio
from typing import Any

import mcp.types as types
from anthropic import AsyncAnthropic
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_notebook.agent.backends import Backend
from mcp_notebook.agent.sampling import answer_sampling, request_text
from tests.fake_messages import FakeMessages, Reply, text, use

LOOK_UP = {
    "name": "look up!",
    "description": "The price of a thing.",
    "inputSchema": {
        "type": "object",
        "properties": {"the thing": {"type": "string"}},
        "required": ["the thing"],
    },
}


def ask(params: dict[str, Any], *blocks: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The reply that the server gets, and the request that the model got.

    The model is strict: what its API would refuse, it refuses.
    """
    with FakeMessages(lambda body, n: Reply(list(blocks))) as api:

        async def turn() -> dict[str, Any]:
            client = AsyncAnthropic(
                base_url=api.url, api_key=api.api_key, max_retries=0
            )
            backend = Backend(
                client=client, kind="live", model="m", label="m", address=api.url
            )
            async with client:
                reply, _ = await answer_sampling(backend, params, max_tokens=500)
            return reply

        return asyncio.run(turn()), api.requests[-1]


def said(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


def test_a_server_is_told_the_calls_of_its_own_tools() -> None:
    question = said({"type": "text", "text": "What does tea cost?"})
    params = {
        "messages": [question],
        "maxTokens": 50,
        "tools": [LOOK_UP],
        "toolChoice": {"mode": "required"},
    }
    call = use("tool__look_up_", {"the_thing": "tea"}, id="call_1")
    reply, request = ask(params, text("I look it up."), call)
    assert request["tool_choice"] == {"type": "any"}
    (offered,) = request["tools"]
    assert list(offered["input_schema"]["properties"]) == ["the_thing"]
    result = types.CreateMessageResultWithTools.model_validate(reply)
    assert result.stop_reason == "toolUse"
    _, used = result.content
    assert (used.name, used.input) == ("look up!", {"the thing": "tea"})
    assert "server's own tools: look up!" in request_text(params)

    used_part = used.model_dump(by_alias=True, exclude_none=True)
    given = {
        "type": "tool_result",
        "toolUseId": used.id,
        "content": [],
        "structuredContent": {"price": 3},
    }
    answered = [question, said(used_part, role="assistant"), said(given)]
    reply, request = ask({**params, "messages": answered}, text("Three."))
    assert reply["content"] == {"type": "text", "text": "Three."}
    assert request["messages"][1]["content"][0]["name"] == "tool__look_up_"
    assert "3" in request["messages"][2]["content"][0]["content"][0]["text"]
    assert 'look up! with {"the thing": "tea"}' in request_text({"messages": answered})


ODD = st.text(alphabet=st.characters(), max_size=8)
PARTS = st.one_of(
    st.builds(lambda words: {"type": "text", "text": words}, ODD),
    st.builds(
        lambda kind, data: {"type": "image", "mimeType": kind, "data": data}, ODD, ODD
    ),
    st.builds(lambda data: {"type": "audio", "mimeType": "a/b", "data": data}, ODD),
    st.builds(
        lambda words: {"type": "resource", "resource": {"uri": "a:b", "text": words}},
        ODD,
    ),
    st.builds(lambda uri: {"type": "resource_link", "uri": uri, "name": "n"}, ODD),
    st.just({"type": "resource", "resource": {"uri": "a:b", "blob": "AA=="}}),
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(PARTS, min_size=1, max_size=4),
    st.lists(st.tuples(ODD.filter(str.strip), ODD), max_size=3),
)
def test_no_part_and_no_tool_of_a_server_makes_its_turn_fail(
    parts: list[dict[str, Any]], tools: list[tuple[str, str]]
) -> None:
    definitions = [
        {"name": name, "description": words, "inputSchema": {"anyOf": [True]}}
        for name, words in tools
    ]
    params = {"messages": [said(*parts)], "maxTokens": 5, "tools": definitions}
    reply, _ = ask(params, text("fine"))
    assert reply["content"]["text"] == "fine"
