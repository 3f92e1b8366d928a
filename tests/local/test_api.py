"""The local Messages API as the real SDK sees it, with an engine that needs no model."""

import json
from typing import Any, cast

import anthropic
import httpx2
import pytest

from mcp_notebook.errors import BackendError
from mcp_notebook.replay.transports import RecordTransport, ReplayTransport
from tests.local.fake_engine import FakeEngine
from tests.local.server.api import LocalApi
from tests.local.test_prompt import LIST, QUERY, called, user

CALL = json.dumps({"tool": "shop__query", "arguments": {"sql": "select 1"}})


def listed(result: str) -> tuple[dict[str, Any], dict[str, Any]]:
    use, answer = called("t1", result)
    use["content"][0] |= {"name": "shop__list", "input": {}}
    return use, answer


def client(
    engine: Any, *, key: str = "secret", transport: Any = None
) -> anthropic.AsyncAnthropic:
    app = LocalApi(engine, api_key="secret", label="tiny · test").app
    http = anthropic.DefaultAsyncHttpxClient(
        transport=transport or httpx2.ASGITransport(app=app)
    )
    return anthropic.AsyncAnthropic(
        base_url="http://local", api_key=key, http_client=http, max_retries=0
    )


def request(*messages: Any, **more: Any) -> dict[str, Any]:
    return {
        "model": "local",
        "max_tokens": 300,
        "tools": [QUERY],
        "messages": list(messages),
        **more,
    }


async def ask(engine: Any, body: dict[str, Any], **options: Any) -> Any:
    async with client(engine, **options) as api, api.messages.stream(**body) as stream:
        return await stream.get_final_message()


async def test_a_filled_form_is_a_tool_call():
    engine = FakeEngine(CALL)
    message = await ask(engine, request(user("How many?")))
    assert message.stop_reason == "tool_use"
    assert (message.content[0].name, message.content[0].input) == (
        "shop__query",
        {"sql": "select 1"},
    )
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (
        60,
        40,
    )
    assert (
        engine.asked[0]["response_format"]["json_schema"]["schema"]["properties"][
            "tool"
        ]["const"]
        == "shop__query"
    )


async def test_an_answer_is_written_as_free_text():
    engine = FakeEngine('{"next": "answer"}', "There are **3**.")
    message = await ask(engine, request(user("How many?"), *listed("3")))
    assert (message.stop_reason, message.content[0].text) == (
        "end_turn",
        "There are **3**.",
    )
    assert message.usage.output_tokens == len('{"next": "answer"}') + len(
        "There are **3**."
    )
    assert "response_format" not in engine.asked[1]


async def test_a_call_that_was_answered_already_becomes_the_answer():
    engine = FakeEngine(
        json.dumps({"tool": "shop__list", "arguments": {}}), "There are **3**."
    )
    message = await ask(
        engine, request(user("How many?"), *listed("3"), tools=[LIST, QUERY])
    )
    assert message.content[0].text == "There are **3**."


async def test_without_tools_there_is_no_form():
    engine = FakeEngine("Hello.")
    assert (await ask(engine, request(user("Hi"), tools=[]))).content[
        0
    ].text == "Hello."
    assert len(engine.asked) == 1


async def test_a_form_that_did_not_end_is_max_tokens_and_no_call():
    message = await ask(
        FakeEngine(CALL[:30], done="length"), request(user("How many?"))
    )
    assert message.stop_reason == "max_tokens"
    assert message.content == []


async def test_a_call_that_failed_before_is_written_anew_with_a_seed():
    failed = json.dumps({"tool": "shop__query", "arguments": {"sql": "select t1"}})
    engine = FakeEngine(failed, failed, CALL)
    message = await ask(
        engine, request(user("How many?"), *called("t1", "no", error=True))
    )
    assert message.content[0].input == {"sql": "select 1"}
    assert [asked.get("seed") for asked in engine.asked] == [None, 1, 2]
    assert engine.asked[2]["temperature"] > engine.asked[1]["temperature"] > 0


async def test_without_streaming_and_counting():
    async with client(FakeEngine("Hello.", "Hello.")) as api:
        message = await api.messages.create(**request(user("Hi"), tools=[]))
        count = await api.messages.count_tokens(
            model="local", messages=[{"role": "user", "content": "Hi"}]
        )
    assert message.content[0].text == "Hello."
    assert count.input_tokens > 0


async def test_replies_and_the_list_name_the_model_itself():
    async with client(FakeEngine("Hello.")) as api:
        message = await api.messages.create(
            **{**request(user("Hi"), tools=[]), "model": "claude-sonnet-5-5"}
        )
        models = await api.models.list()
    assert message.model == "tiny"
    assert [(m.id, m.display_name) for m in models.data] == [("tiny", "tiny · test")]


async def test_the_key_is_needed_and_no_other_origin_is_let_in():
    with pytest.raises(anthropic.AuthenticationError):
        await ask(FakeEngine("Hello."), request(user("Hi")), key="wrong")
    app = LocalApi(cast(Any, FakeEngine()), api_key="secret", label="x").app
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://local"
    ) as http:
        preflight = await http.options(
            "/v1/messages", headers={"origin": "http://evil.example"}
        )
    assert preflight.status_code == 405
    assert "access-control-allow-origin" not in preflight.headers


async def test_failures_of_the_engine_are_errors_of_the_api():
    with pytest.raises(anthropic.APIStatusError, match="context"):
        await ask(
            FakeEngine(BackendError("llama.cpp refused the request: context")),
            request(user("Hi")),
        )
    with pytest.raises(anthropic.APIStatusError, match="see its log"):
        await ask(FakeEngine(RuntimeError("secret path")), request(user("Hi")))


async def test_an_invalid_request_is_refused():
    with pytest.raises(anthropic.BadRequestError, match="at least one message"):
        await ask(FakeEngine(), request())


async def test_a_recording_names_the_model_that_answered(tmp_path: Any):
    app = LocalApi(
        cast(Any, FakeEngine("Hello.")), api_key="secret", label="tiny · llama.cpp"
    ).app
    path = tmp_path / "x.claude.json"
    recorder = RecordTransport(path, httpx2.ASGITransport(app=app))
    await ask(None, request(user("Hi"), tools=[]), transport=recorder)
    assert "tiny · llama.cpp" in ReplayTransport(path).recording_label
