"""The request of a cell to the Messages API: what stays the same over its turns, and
where it is cached.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_notebook.agent.conversation import Block, Conversation

if TYPE_CHECKING:
    from mcp_notebook.agent.backends import Backend

MARK = {"type": "ephemeral"}
# A cached prefix is found at most 20 blocks before a breakpoint; a turn with many calls
# adds more than that.
LOOKBACK = 15


@dataclass(frozen=True)
class Request:
    """What stays the same over the turns of one cell."""

    backend: "Backend"
    system: str
    max_tokens: int = 4096
    effort: str = ""
    schema: dict[str, Any] | None = None  # of the answer, for structured output
    # what the model is told of an answer that is not right
    problem: Callable[[str], str] = lambda text: ""
    # tools; more of them are searched for instead of sent, where Claude itself answers
    search_above: int = 30

    def build(
        self, conversation: Conversation, tools: list[Block], *, final: bool
    ) -> dict[str, Any]:
        """The arguments of `messages.stream`."""
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
            request["messages"] = _marked(conversation.messages)
            if self.backend.marks_itself:
                request["cache_control"] = MARK
            else:
                request["messages"] = _last_marked(request["messages"])
        return request


def _marked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
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


def _last_marked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with a breakpoint at their end, for services that do not move one by
    themselves.
    """
    last = messages[-1]
    block = {**last["content"][-1], "cache_control": MARK}
    return [*messages[:-1], {**last, "content": [*last["content"][:-1], block]}]
