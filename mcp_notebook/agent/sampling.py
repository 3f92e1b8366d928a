"""A turn of the person's model that a server asked for (MCP's `sampling/createMessage`).

https://modelcontextprotocol.io/specification/2025-11-25/client/sampling. The server
gets the reply as text; it gets neither tools nor anything of the conversation.
"""

import asyncio
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcp_notebook.agent.turn import ModelTurn
from mcp_notebook.errors import BackendError
from mcp_notebook.events import Usage

if TYPE_CHECKING:
    from mcp_notebook.agent.backends import Backend

_REASONS = {
    "end_turn": "endTurn",
    "max_tokens": "maxTokens",
    "stop_sequence": "stopSequence",
}


async def answer(
    backend: "Backend", params: Mapping[str, Any], *, max_tokens: int
) -> tuple[dict[str, Any], Usage]:
    """The reply as a CreateMessageResult's JSON, and what it took; raises BackendError."""
    # slow, and the loop has other things to do
    await asyncio.to_thread(importlib.import_module, "anthropic")
    request: dict[str, Any] = {
        "model": backend.model,
        "max_tokens": max(
            1, min(int(params.get("maxTokens") or max_tokens), max_tokens)
        ),
        "messages": [
            {"role": m["role"], "content": _content(m["content"])}
            for m in params["messages"]
        ],
    }
    if params.get("systemPrompt"):
        request["system"] = params["systemPrompt"]
    if params.get("stopSequences"):
        request["stop_sequences"] = params["stopSequences"]
    turn = ModelTurn(backend, lambda: request)
    async for _ in turn.events():
        pass
    assert turn.usage is not None
    text = "".join(block.get("text", "") for block in turn.blocks)
    return {
        "role": "assistant",
        "content": {"type": "text", "text": text},
        "model": turn.usage.model,
        "stopReason": _REASONS.get(turn.stop_reason, turn.stop_reason),
    }, turn.usage


def _content(content: Any) -> list[dict[str, Any]]:
    return [
        _block(one) for one in (content if isinstance(content, list) else [content])
    ]


def _block(content: Mapping[str, Any]) -> dict[str, Any]:
    if content.get("type") == "text":
        return {"type": "text", "text": content["text"]}
    if content.get("type") == "image":
        source = {
            "type": "base64",
            "media_type": content["mimeType"],
            "data": content["data"],
        }
        return {"type": "image", "source": source}
    raise BackendError(
        f"A server's request holds {content.get('type')}, which the model does not take."
    )


def in_words(params: Mapping[str, Any]) -> str:
    """The whole request as the person is shown it."""
    parts = [f"[system] {params['systemPrompt']}"] if params.get("systemPrompt") else []
    for message in params["messages"]:
        content = message["content"]
        for one in content if isinstance(content, list) else [content]:
            said = one["text"] if one.get("type") == "text" else f"({one.get('type')})"
            parts.append(f"[{message['role']}] {said}")
    return "\n".join([*parts, f"(at most {params.get('maxTokens', '?')} tokens)"])
