"""A small tool loop over the ordinary SDK, for the tests of recording and replay."""

from collections.abc import Callable
from typing import Any

import anthropic
import httpx2

TOOL = {
    "name": "shop__query",
    "description": "Run SQL",
    "input_schema": {"type": "object", "properties": {"sql": {"type": "string"}}},
}
SYSTEM = "You answer questions."


async def ask(
    transport: httpx2.AsyncBaseTransport,
    *prompts: str,
    url: str = "http://replay.invalid",
    result: Callable[[dict[str, Any]], str] = lambda arguments: "rows: 300",
    **request: Any,
) -> list[Any]:
    """Ask prompt after prompt in one conversation, answering every tool call with
    `result`; the final messages.
    """
    messages: list[dict[str, Any]] = []
    finals = []
    http = anthropic.DefaultAsyncHttpxClient(transport=transport)
    async with anthropic.AsyncAnthropic(
        base_url=url, api_key="test-key", http_client=http
    ) as client:
        for prompt in prompts:
            messages.append(
                {"role": "user", "content": [{"type": "text", "text": prompt}]}
            )
            finals.append(
                await _finish(
                    client,
                    messages,
                    result,
                    {"tools": [TOOL], "system": SYSTEM, **request},
                )
            )
    return finals


async def _finish(
    client: Any,
    messages: list[Any],
    result: Callable[..., str],
    request: dict[str, Any],
) -> Any:
    while True:
        async with client.messages.stream(
            model="claude-test", max_tokens=99, messages=messages, **request
        ) as stream:
            message = await stream.get_final_message()
        content = [
            b.model_dump(exclude_none=True, exclude={"parsed_output"})
            for b in message.content
        ]
        messages.append({"role": "assistant", "content": content})
        calls = [b for b in message.content if b.type == "tool_use"]
        if not calls:
            return message
        answers = [
            {"type": "tool_result", "tool_use_id": c.id, "content": result(c.input)}
            for c in calls
        ]
        messages.append({"role": "user", "content": answers})


def words(message: Any) -> str:
    """The text of a message."""
    return "".join(block.text for block in message.content if block.type == "text")
