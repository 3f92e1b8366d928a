"""The conversation as the Messages API takes it, valid after every kind of stop.

The rules (https://platform.claude.com/docs/en/api/messages): messages alternate, every
`tool_use` is answered by a `tool_result` in the very next user message, text blocks
hold more than white space.
"""

import asyncio
import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_notebook.agent.pictures import picture_block

Block = dict[str, Any]

INTERRUPTED = "[interrupted by the user]"


@dataclass
class Conversation:
    """What was said so far. Lives from cell to cell until `--new`."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    # a line for each call's result, by the call's id
    summaries: dict[str, str] = field(default_factory=dict)
    # the tools that were called, `server.tool`, by the names that the model uses
    tool_names: dict[str, str] = field(default_factory=dict)
    model: str = ""  # what answered last
    tokens: int = 0  # of the last request and its reply
    # what to go back to when the service refuses these messages once more
    fallback: list[dict[str, Any]] | None = None
    # one question at a time
    busy: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False, compare=False)

    def ask(self, blocks: Iterable[Block]) -> None:
        """Add what the person says; after an interrupted tool call it joins the message
        with the results.
        """
        self._extend("user", blocks)

    def reply(self, blocks: Iterable[Block]) -> None:
        """Add what Claude said, as received. An empty reply is recorded as such, the
        API takes no empty message.
        """
        kept = [
            b
            for b in blocks
            if not (b.get("type") == "text" and not b.get("text", "").strip())
        ]
        self._extend("assistant", kept or [_text("(no answer)")])

    def answer(self, results: Iterable[Block]) -> None:
        """Add the results of the last reply's tool calls, in its order."""
        self._extend("user", results)

    def answer_all(self, uses: Iterable[Block], text: str) -> None:
        """Answer calls that were not run, each with the same words."""
        results = [tool_result(use["id"], text, error=True) for use in uses]
        if results:
            self.answer(results)

    def calls(self) -> list[Block]:
        """All tool calls so far."""
        return [b for m in self.messages for b in tool_uses(m["content"])]

    def open_calls(self) -> list[Block]:
        """The tool calls at the end that have no result."""
        if not self.messages or self.messages[-1]["role"] != "assistant":
            return []
        return tool_uses(self.messages[-1]["content"])

    def interrupt(self, partial: str) -> None:
        """End a reply that the person stopped: finished text stays, half a tool call never does."""
        self.reply([_text(f"{partial.rstrip()} {INTERRUPTED}".strip())])

    def rewind(self, length: int) -> None:
        """Forget everything after the first `length` messages: the cell failed before
        anything was answered.
        """
        del self.messages[length:]

    def snapshot(self) -> list[dict[str, Any]]:
        """A deep copy to put back with `restore`."""
        return copy.deepcopy(self.messages)

    def restore(self, messages: list[dict[str, Any]]) -> None:
        """Go back to a snapshot."""
        self.messages = messages

    def fork(self) -> "Conversation":
        """A conversation that starts where this one is."""
        return Conversation(
            self.snapshot(),
            dict(self.summaries),
            dict(self.tool_names),
            self.model,
            self.tokens,
        )

    def clear(self) -> None:
        """Start anew."""
        self.messages, self.summaries, self.model, self.tokens = [], {}, "", 0
        self.tool_names, self.fallback = {}, None

    def _extend(self, role: str, blocks: Iterable[Block]) -> None:
        added = list(blocks)
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"].extend(added)
        else:
            self.messages.append({"role": role, "content": added})


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def tool_uses(blocks: Iterable[Block]) -> list[Block]:
    """The tool calls among a reply's blocks."""
    return [b for b in blocks if b.get("type") == "tool_use"]


def tool_result(
    call_id: str,
    text: str,
    *,
    error: bool = False,
    images: Iterable[tuple[str, str]] = (),
) -> Block:
    """A `tool_result` block with text and images of (mime type, base64)."""
    content: list[Block] = [_text(text if text.strip() else "(empty result)")]
    content += [picture_block(kind, data) for kind, data in images]
    block: Block = {"type": "tool_result", "tool_use_id": call_id, "content": content}
    if error:
        block["is_error"] = True

    return block


def transcript(
    messages: Iterable[dict[str, Any]], tool_names: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """The conversation as pieces {turn, role, kind, text} for `%claude_history`; a turn
    may have several. `tool_names`: what the person calls the tools.
    """
    names = tool_names or {}
    return [
        {
            "turn": turn,
            "role": message["role"],
            "kind": block["type"],
            "text": _readable(block, names),
        }
        for turn, message in enumerate(messages, 1)
        for block in message["content"]
        if block["type"] not in ("thinking", "redacted_thinking")
    ]


def _readable(block: Block, names: Mapping[str, str]) -> str:
    if block["type"] == "text":
        return block["text"]

    if block["type"] == "tool_use":
        arguments = ", ".join(f"{k}={v!r}" for k, v in block["input"].items())
        name = block["name"]
        return f"{names.get(name, name.replace('__', '.', 1))}({arguments})"

    if block["type"] == "tool_result":
        return "\n".join(
            part.get("text", f"[{part['type']}]") for part in block["content"]
        )

    return f"[{block['type']}]"
