"""The request of a cell to the Messages API: what stays the same over its turns, where
it is cached, and what `--dry-run` says of it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anthropic

from mcp_notebook.agent.backends import Backend
from mcp_notebook.agent.border import admit
from mcp_notebook.agent.conversation import Block, Conversation
from mcp_notebook.agent.prices import estimate_dollars
from mcp_notebook.agent.sealing import seal_request
from mcp_notebook.secrets import hide
from mcp_notebook.veil import NO_VEIL, Veil

MARK = {"type": "ephemeral"}
# A cached prefix is found at most 20 blocks before a breakpoint; a turn with many calls
# adds more than that.
LOOKBACK = 15
# What the service counts the tokens of.
_COUNTED = ("model", "system", "messages", "tools", "tool_choice")


@dataclass(frozen=True)
class Request:
    """What stays the same over the turns of one cell."""

    backend: Backend
    system: str
    max_tokens: int = 16_000
    effort: str = ""
    schema: dict[str, Any] | None = None  # of the answer, for structured output
    # what the model is told of an answer that is not right
    problem: Callable[[str], str] = lambda text: ""
    # tools; more of them are searched for instead of sent, where Claude itself answers
    search_above: int = 30
    veil: Veil = NO_VEIL

    def build(
        self, conversation: Conversation, tools: list[Block], *, final: bool
    ) -> dict[str, Any]:
        """The arguments of `messages.stream`, without what must not leave."""
        return seal_request(self._body(conversation, tools, final=final), self.veil)

    def _body(
        self, conversation: Conversation, tools: list[Block], *, final: bool
    ) -> dict[str, Any]:
        system: Block = {"type": "text", "text": self.system}
        request: dict[str, Any] = {
            "model": self.backend.model,
            "max_tokens": self.max_tokens,
            "system": [system],
            "messages": conversation.messages,
        }
        if tools:
            request["tools"] = tools

        if final and tools:
            request["tool_choice"] = {"type": "none"}

        config: dict[str, Any] = {"effort": self.effort} if self.effort else {}
        if self.schema is not None:
            config["format"] = {"type": "json_schema", "schema": self.schema}

        if config:
            request["output_config"] = config

        if self.backend.caches:
            # One breakpoint after tools and system, one that moves with the last message.
            system["cache_control"] = MARK
            request["messages"] = _mark_previous_end(conversation.messages)
            if self.backend.marks_itself:
                request["cache_control"] = MARK
            else:
                request["messages"] = _mark_end(request["messages"])

        return admit(request)


def _mark_previous_end(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with a breakpoint where the request before this one ended, when that
    is far back.
    """
    if len(messages) < 3 or sum(len(m["content"]) for m in messages[-2:]) <= LOOKBACK:
        return messages

    before = messages[-3]
    last = {**before["content"][-1], "cache_control": MARK}
    return [
        *messages[:-3],
        {**before, "content": [*before["content"][:-1], last]},
        *messages[-2:],
    ]


def _mark_end(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with a breakpoint at their end, for services that do not move one by
    themselves.
    """
    last = messages[-1]
    block = {**last["content"][-1], "cache_control": MARK}
    return [*messages[:-1], {**last, "content": [*last["content"][:-1], block]}]


async def describe_request(
    request: Request,
    conversation: Conversation,
    prompt: list[Block],
    tools: list[Block],
) -> str:
    """A text for the person; the conversation stays as it is."""
    trial = conversation.fork()
    trial.ask(prompt)
    body = request.build(trial, tools, final=False)
    tokens, how = await _count_tokens(request.backend, body)
    names = ", ".join(tool["name"] for tool in tools) or "none"
    lines = [
        f"To {request.backend.address}, model {body['model']} "
        "(nothing was sent to be answered)",
        f"System prompt: {len(request.system):,} characters",
        f"Tools ({len(tools)}): {names}",
        f"Conversation so far: {len(conversation.messages)} messages",
        "",
        *(hide(block.get("text", f"[{block['type']}]")) for block in prompt),
        "",
        f"{tokens:,} tokens in ({how}), at most {request.max_tokens:,} out a turn",
        _cost_line(request, tokens),
    ]
    return "\n".join(lines)


async def _count_tokens(backend: Any, body: dict[str, Any]) -> tuple[int, str]:

    try:
        counted_parts = {key: body[key] for key in _COUNTED if key in body}
        counted = await backend.client.messages.count_tokens(**counted_parts)
        return counted.input_tokens, "counted by the service"
    except (anthropic.AnthropicError, AttributeError):
        # recorded turns and some servers cannot count
        return len(json.dumps(body, default=str)) // 4, "estimated from the length"


def _cost_line(request: Request, tokens: int) -> str:
    if request.backend.free:
        return "Nothing is paid for a turn."

    model = request.backend.model
    least = estimate_dollars(model, tokens, 0)
    most = estimate_dollars(model, tokens, request.max_tokens)
    if least is None or most is None:
        return f"No price is known for {model!r}."

    return f"${least:.4f} to ${most:.4f} for the first turn; each tool call adds a turn"
