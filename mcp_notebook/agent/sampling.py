"""A turn of the person's model that a server asked for (MCP's `sampling/createMessage`).

https://modelcontextprotocol.io/specification/2025-11-25/client/sampling. The server
gets the reply as text; it gets neither tools nor anything of the conversation.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any

from mcp_notebook.agent.backends import Backend
from mcp_notebook.agent.run import ModelTurn
from mcp_notebook.errors import BackendError
from mcp_notebook.events import Usage

_REASONS = {
    "end_turn": "endTurn",
    "max_tokens": "maxTokens",
    "stop_sequence": "stopSequence",
}


async def answer_sampling(
    backend: Backend, params: Mapping[str, Any], *, max_tokens: int
) -> tuple[dict[str, Any], Usage]:
    """The reply as a CreateMessageResult's JSON, and what it took; raises BackendError."""
    # slow, and the loop has other things to do
    await asyncio.to_thread(importlib.import_module, "anthropic")
    wanted = int(params.get("maxTokens") or max_tokens)
    request: dict[str, Any] = {
        "model": backend.model,
        "max_tokens": max(1, min(wanted, max_tokens)),
        "messages": [_api_message(message) for message in params["messages"]],
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


def _api_message(message: Mapping[str, Any]) -> dict[str, Any]:
    blocks = [_api_block(block) for block in _blocks_of(message)]
    return {"role": message["role"], "content": blocks}


def _blocks_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    # One block until the revision of 2025-11-25, one or a list since.
    content = message["content"]
    if isinstance(content, list):
        return content
    return [content]


def _api_block(content: Mapping[str, Any]) -> dict[str, Any]:
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


def request_text(params: Mapping[str, Any]) -> str:
    """The whole request as the person is shown it."""
    lines = []
    if params.get("systemPrompt"):
        lines.append(f"[system] {params['systemPrompt']}")

    for message in params["messages"]:
        for block in _blocks_of(message):
            kind = block.get("type")
            if kind == "text":
                words = block["text"]
            else:
                words = f"({kind})"

            lines.append(f"[{message['role']}] {words}")

    lines.append(f"(at most {params.get('maxTokens', '?')} tokens)")
    return "\n".join(lines)
