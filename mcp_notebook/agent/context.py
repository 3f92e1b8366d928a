"""The conversation within the model's window: old results trimmed to a line, a warning
before it is full.
"""

from collections.abc import Iterable
from typing import Any

from mcp_notebook.agent.conversation import Block, Conversation
from mcp_notebook.events import ToolResult

WORTH_IT = 4_000  # bytes: below, a trimmed result saves less than the cache it breaks
FULL = 0.8  # of the window: from here on the person is warned
_KEPT = 200  # bytes of a result that need no trimming
FOREIGN = frozenset({"thinking", "redacted_thinking", "server_tool_use"})


def summarize_result(server: str, tool: str, result: ToolResult) -> str:
    """What stands in the place of a trimmed result."""
    if server:
        call = f"{server}.{tool}"
    else:
        call = tool

    if result.reading is not None:
        tables = result.reading.tables
    else:
        tables = ()

    if result.outcome != "ok" or not result.names:
        size = len(result.shown.encode("utf-8", "replace"))
        return (
            f"[{call}: an old result of {size:,} bytes was taken out; "
            "call again if it is needed]"
        )

    shapes = []
    for name, table in zip(result.names, tables, strict=False):
        rows, columns = table.data.num_rows, table.data.num_columns
        shapes.append(f"`{name}` ({rows:,} rows × {columns} columns)")

    return (
        f"[{call}: an old result was taken out; its table stays in the notebook: "
        f"{', '.join(shapes)}]"
    )


def trim_results(conversation: Conversation, *, keep: int) -> int:
    """Put summaries in the place of results before the last `keep` messages; returns
    the bytes saved, 0 if few.
    """
    old = conversation.messages[: max(0, len(conversation.messages) - keep)]
    summaries = conversation.summaries
    blocks: list[Block] = []
    for message in old:
        blocks += [block for block in message["content"] if _is_long(block, summaries)]

    saved = sum(_size(block) - len(summaries[block["tool_use_id"]]) for block in blocks)
    if saved < WORTH_IT:
        return 0

    for block in blocks:
        summary = summaries[block["tool_use_id"]]
        block["content"] = [{"type": "text", "text": summary}]

    return saved


def trim_if_long(conversation: Conversation, threshold: int) -> int:
    """Trim the results of earlier cells when the last request was longer than
    `threshold` tokens (0: never).

    Called before a cell only: each trimming breaks the cached prefix once.
    """
    if not threshold or conversation.tokens <= threshold:
        return 0

    saved = trim_results(conversation, keep=0)
    if saved:
        conversation.tokens = 0

    return saved


def window_warning(conversation: Conversation, window: int | None) -> str:
    """A line for the person when the window is nearly full, or an empty string."""
    if not window or conversation.tokens < FULL * window:
        return ""

    share = 100 * conversation.tokens // window
    return (
        f"The conversation fills {share} % of the model's window ({window:,} tokens); "
        "%%claude --new starts afresh."
    )


def prepare_conversation(
    conversation: Conversation, threshold: int, window: int | None
) -> list[str]:
    """What is done and said of the conversation's length before a cell."""
    lines = []
    saved = trim_if_long(conversation, threshold)
    if saved:
        lines.append(
            f"Old results were taken out of the conversation ({saved:,} bytes); their "
            "tables stay."
        )

    full = window_warning(conversation, window)
    if full:
        lines.append(full)

    return lines


def without_foreign(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages without what only the model that wrote them can read: thinking, and
    its own server's tools.
    """
    kept = []
    for message in messages:
        blocks = [b for b in message["content"] if not _is_foreign(b)]
        kept.append(
            {**message, "content": blocks or [{"type": "text", "text": "(no answer)"}]}
        )

    return kept


def _is_foreign(block: Block) -> bool:
    return block["type"] in FOREIGN or (
        block["type"].endswith("_tool_result") and block["type"] != "tool_result"
    )


def _is_long(block: Block, summaries: dict[str, str]) -> bool:
    known = block.get("type") == "tool_result" and block["tool_use_id"] in summaries
    return known and _size(block) > max(_KEPT, len(summaries[block["tool_use_id"]]))


def _size(block: Block) -> int:
    return sum(
        len(part.get("text") or part.get("source", {}).get("data", ""))
        for part in block["content"]
    )
