"""`%%claude --dry-run`: what would be sent, how many tokens it has and what it would
cost. Asks no model for words.
"""

import json
from typing import Any

from mcp_notebook.agent.conversation import Block, Conversation
from mcp_notebook.agent.prices import estimate
from mcp_notebook.agent.request import Request

_COUNTED = ("model", "system", "messages", "tools", "tool_choice")


async def describe(
    request: Request,
    conversation: Conversation,
    prompt: list[Block],
    tools: list[Block],
) -> str:
    """A text for the person; the conversation stays as it is."""
    trial = conversation.fork()
    trial.ask(prompt)
    body = request.build(trial, tools, final=False)
    tokens, how = await _count(request.backend, body)
    names = ", ".join(tool["name"] for tool in tools) or "none"
    lines = [
        f"To {request.backend.address}, model {body['model']} (nothing was sent to be answered)",
        f"System prompt: {len(request.system):,} characters",
        f"Tools ({len(tools)}): {names}",
        f"Conversation so far: {len(conversation.messages)} messages",
        "",
        *(block.get("text", f"[{block['type']}]") for block in prompt),
        "",
        f"{tokens:,} tokens in ({how}), at most {request.max_tokens:,} out a turn",
        _cost(request, tokens),
    ]
    return "\n".join(lines)


async def _count(backend: Any, body: dict[str, Any]) -> tuple[int, str]:
    import anthropic

    try:
        counted = await backend.client.messages.count_tokens(
            **{k: v for k, v in body.items() if k in _COUNTED}
        )
        return counted.input_tokens, "counted by the service"
    except (anthropic.AnthropicError, AttributeError):
        # recorded turns and some servers cannot count
        return len(json.dumps(body, default=str)) // 4, "estimated from the length"


def _cost(request: Request, tokens: int) -> str:
    if request.backend.free:
        return "Nothing is paid for a turn."
    least, most = (
        estimate(request.backend.model, tokens, out) for out in (0, request.max_tokens)
    )
    if least is None or most is None:
        return f"No price is known for {request.backend.model!r}."
    return f"${least:.4f} to ${most:.4f} for the first turn; each tool call adds a turn"
