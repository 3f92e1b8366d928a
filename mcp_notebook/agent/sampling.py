"""A turn of the person's model that a server asked for (MCP's `sampling/createMessage`).

https://modelcontextprotocol.io/specification/2025-11-25/client/sampling. The server
gets the reply, and calls of the tools that it offered itself; it gets neither the
person's tools nor anything of the conversation.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mcp_notebook.agent.backends import Backend
from mcp_notebook.agent.pictures import picture_block
from mcp_notebook.agent.request import admit, admit_reply
from mcp_notebook.agent.run import ModelTurn
from mcp_notebook.agent.toolset import (
    FORBIDDEN_IN_NAME,
    OfferedTool,
    api_name,
    offer,
)
from mcp_notebook.events import Usage
from mcp_notebook.sessions.tools import ToolInfo, fingerprint

VALID_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_REASONS = {
    "end_turn": "endTurn",
    "max_tokens": "maxTokens",
    "stop_sequence": "stopSequence",
    "tool_use": "toolUse",
}
# MCP's modes of `toolChoice`, as the API calls them
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


class ServersTools:
    """The tools that a server offers for its own turn: the API's names for them, and back."""

    def __init__(self, tools: Sequence[Mapping[str, Any]]) -> None:
        self._own: dict[str, str] = {}
        self._offered: dict[str, OfferedTool] = {}
        for definition in tools:
            own = definition["name"]
            name = own
            if not VALID_NAME.fullmatch(own) or own in self._own:
                name = api_name("tool", own, self._own)

            self._own[name] = own
            self._offered[name] = offer(_tool_info(definition))

    def definitions(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "description": tool.description,
                "input_schema": tool.input_schema,
            }
            for name, tool in self._offered.items()
        ]

    def api_name(self, own: str) -> str:
        """How the API calls a tool; one that is not offered any more keeps a valid name."""
        known = {mine: name for name, mine in self._own.items()}
        return known.get(own) or FORBIDDEN_IN_NAME.sub("_", own) or "unnamed"

    def call_of(self, block: Mapping[str, Any]) -> dict[str, Any]:
        """A model's call as the server made the tool."""
        name, given = block["name"], block["input"]
        if name in self._offered:
            given, _ = self._offered[name].take_arguments(given)

        own = self._own.get(name, name)
        return {"type": "tool_use", "id": block["id"], "name": own, "input": given}


def _tool_info(definition: Mapping[str, Any]) -> ToolInfo:
    return ToolInfo(
        server="",
        name=definition["name"],
        title=definition.get("title") or "",
        description=definition.get("description") or "",
        input_schema=definition.get("inputSchema") or {},
        output_schema=None,
        annotations={},
        fingerprint=fingerprint(definition),
    )


async def answer_sampling(
    backend: Backend, params: Mapping[str, Any], *, max_tokens: int
) -> tuple[dict[str, Any], Usage]:
    """The reply as a CreateMessageResult's JSON, and what it took; raises BackendError."""
    # slow, and the loop has other things to do
    await asyncio.to_thread(importlib.import_module, "anthropic")
    tools = ServersTools(params.get("tools") or ())
    request = _request_of(backend, params, tools, max_tokens)
    turn = ModelTurn(backend, lambda: request)
    async for _ in turn.events():
        pass

    assert turn.usage is not None
    blocks = admit_reply(turn.blocks, ())
    calls = [tools.call_of(block) for block in blocks if block["type"] == "tool_use"]
    text = {
        "type": "text",
        "text": "".join(block.get("text", "") for block in blocks),
    }
    content: Any = text
    if calls:
        content = [text, *calls] if text["text"] else calls

    return {
        "role": "assistant",
        "content": content,
        "model": turn.usage.model,
        "stopReason": _REASONS.get(turn.stop_reason, turn.stop_reason),
    }, turn.usage


def _request_of(
    backend: Backend, params: Mapping[str, Any], tools: ServersTools, max_tokens: int
) -> dict[str, Any]:
    """The request, through the same gate as a person's question."""
    wanted = int(params.get("maxTokens") or max_tokens)
    request = admit(
        {
            "model": backend.model,
            "max_tokens": max(1, min(wanted, max_tokens)),
            "system": params.get("systemPrompt") or "",
            "messages": [_api_message(each, tools) for each in params["messages"]],
        }
    )
    if not request["system"]:
        del request["system"]

    if params.get("stopSequences"):
        request["stop_sequences"] = params["stopSequences"]

    definitions = tools.definitions()
    if definitions:
        request["tools"] = definitions
        mode = str((params.get("toolChoice") or {}).get("mode"))
        request["tool_choice"] = {"type": _CHOICES.get(mode, "auto")}

    return request


def _api_message(message: Mapping[str, Any], tools: ServersTools) -> dict[str, Any]:
    blocks = [_api_block(block, tools) for block in _blocks_of(message)]
    return {"role": message["role"], "content": blocks}


def _blocks_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    # One block until the revision of 2025-11-25, one or a list since.
    content = message["content"]
    if isinstance(content, list):
        return content
    return [content]


def _api_block(content: Mapping[str, Any], tools: ServersTools) -> dict[str, Any]:
    kind = content.get("type")
    if kind == "tool_use":
        return {
            "type": "tool_use",
            "id": _call_id(content["id"]),
            "name": tools.api_name(content["name"]),
            "input": content.get("input") or {},
        }

    if kind == "tool_result":
        parts = [_plain_block(part) for part in content.get("content") or ()]
        if not parts and content.get("structuredContent") is not None:
            written = json.dumps(content["structuredContent"], ensure_ascii=False)
            parts = [{"type": "text", "text": written}]

        return {
            "type": "tool_result",
            "tool_use_id": _call_id(content["toolUseId"]),
            "content": parts,
            "is_error": bool(content.get("isError")),
        }

    return _plain_block(content)


def _plain_block(content: Mapping[str, Any]) -> dict[str, Any]:
    """A part that is no call: what a model does not take is a line that says what came."""
    kind = content.get("type")
    if kind == "text":
        return {"type": "text", "text": content["text"]}
    if kind == "image":
        return picture_block(content.get("mimeType") or "", content.get("data") or "")
    if kind == "resource" and "text" in content["resource"]:
        return {"type": "text", "text": content["resource"]["text"]}
    if kind in ("resource", "resource_link"):
        uri = content.get("resource", content).get("uri")
        return {"type": "text", "text": f"[{kind}: {uri}]"}

    return {"type": "text", "text": f"[{kind}, which the model does not take]"}


def _call_id(text: str) -> str:
    return FORBIDDEN_IN_NAME.sub("_", text) or "call"


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
            elif kind == "tool_use":
                words = f"(calls {block['name']} with {json.dumps(block.get('input'))})"
            elif kind == "tool_result":
                words = f"(the tool gave {json.dumps(block.get('content'))})"
            else:
                words = f"({kind})"

            lines.append(f"[{message['role']}] {words}")

    names = [tool["name"] for tool in params.get("tools") or ()]
    if names:
        lines.append(f"(it may ask for the server's own tools: {', '.join(names)})")

    lines.append(f"(at most {params.get('maxTokens', '?')} tokens)")
    return "\n".join(lines)
