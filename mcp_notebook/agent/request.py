"""The request of a cell to the Messages API: what stays the same over its turns, and where it is cached."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_notebook.agent.conversation import Block, Conversation

if TYPE_CHECKING:
    from mcp_notebook.agent.backends import Backend


@dataclass(frozen=True)
class Request:
    """What stays the same over the turns of one cell."""

    backend: "Backend"
    system: str
    max_tokens: int = 4096
    effort: str = ""

    def build(self, conversation: Conversation, tools: list[Block], *, final: bool) -> dict[str, Any]:
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
        if self.effort:
            request["output_config"] = {"effort": self.effort}
        if self.backend.caches:
            # One breakpoint after tools and system, one that moves with the last message.
            system["cache_control"] = {"type": "ephemeral"}
            request["cache_control"] = {"type": "ephemeral"}
        return request
