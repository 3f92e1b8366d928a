"""The border with the Messages API: what may pass it, and what is done when the service
refuses a request after all.

Every request goes out through `admit`, every reply comes in through `admit_reply`; what
a server, a model or a person wrote cannot make the service refuse the conversation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_notebook.agent.conversation import Block, Conversation, without_foreign
from mcp_notebook.agent.pictures import limit_pictures, parts_of, replace_parts
from mcp_notebook.agent.toolset import Toolset
from mcp_notebook.json_schema import sendable

_FORBIDDEN_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")
MAX_TOOL_NAME = 128
# The path with which the service names what it refuses:
# `tools.3.custom.input_schema`, `messages.4.content.0.tool_result.content.1.image...`
_TOOL_PATH = re.compile(r"\btools[.\[](\d+)")
_MESSAGE_PATH = re.compile(
    r"\bmessages[.\[](\d+)\]?\.content[.\[](\d+)(?:\]?\.(?:\w+\.)?content[.\[](\d+))?"
)
_OF_PICTURES = re.compile(r"\bimages?\b|media.type", re.IGNORECASE)
_OF_THINKING = re.compile(r"\bthinking\b|\bsignature\b", re.IGNORECASE)
_QUOTED = re.compile(r"['\"`]([a-zA-Z0-9_-]{1,128})['\"`]")
MOST_TAKEN_OUT = 12  # of one request: then it is not single things that are wrong
_SAID = 200  # characters of the service's words in a note


def admit(request: dict[str, Any]) -> dict[str, Any]:
    """The request with texts that are Unicode, no empty text and no more pictures than
    the service takes. Tools are made valid where they are made.
    """
    messages = limit_pictures(request["messages"])
    if any(_is_blank(part) for part in _all_parts(messages)):
        messages = replace_parts(messages, _fill_blank)

    return {
        **request,
        "system": sendable(request["system"]),
        "messages": sendable(messages),
    }


def admit_reply(blocks: Sequence[Block], known: Sequence[Block]) -> list[Block]:
    """A model's blocks as they may go back: ids of calls unique among those `known` and
    in the API's alphabet, names of tools as well, arguments an object.

    Local models number their calls anew in each turn, and write names of their own.
    """
    ids = {block["id"] for block in known}
    admitted: list[Block] = []
    for block in blocks:
        kind = block.get("type")
        if kind == "tool_use":
            block = _admit_call(block, ids)
            ids.add(block["id"])
        elif kind in ("thinking", "redacted_thinking") and sendable(block) is not block:
            # Its signature would not fit the mended text, so it cannot go back.
            continue

        admitted.append(sendable(block))

    return admitted


def _admit_call(block: Block, ids: set[str]) -> Block:
    call_id = _FORBIDDEN_IN_NAME.sub("_", str(block.get("id") or "")) or "call"
    free, number = call_id, 2
    while free in ids:
        free, number = f"{call_id}_{number}", number + 1

    name = _FORBIDDEN_IN_NAME.sub("_", str(block.get("name") or "")) or "unnamed"
    given = block.get("input")
    return {
        **block,
        "id": free,
        "name": name[:MAX_TOOL_NAME],
        "input": given if isinstance(given, dict) else {},
    }


def _all_parts(messages: list[dict[str, Any]]) -> list[Block]:
    return [
        part
        for message in messages
        for block in message["content"]
        for part in parts_of(block)
    ]


def _is_blank(part: Block) -> bool:
    return part.get("type") == "text" and not part.get("text", "").strip()


def _fill_blank(part: Block) -> Block:
    if _is_blank(part):
        return {**part, "text": "(empty)"}
    return part


@dataclass(frozen=True)
class Recovery:
    """Takes out of a conversation and its tools what the service refused."""

    conversation: Conversation
    tools: list[Block]  # of the request; what is refused is removed
    toolset: Toolset

    def take_out(self, said: str) -> str:
        """Take out what the service's words name, and return a note for the person; an
        empty one when nothing was found that can go.
        """
        words = " ".join(said.split())[:_SAID]
        index = _find_tool(said, self.tools)
        if index is not None:
            return self._take_tool(index, words)

        place = _MESSAGE_PATH.search(said)
        if place is not None:
            return self._take_part(*place.groups(), words=words)

        if _OF_PICTURES.search(said):
            return self._replace(_without_picture, f"the pictures ({words})")
        if _OF_THINKING.search(said):
            return self._take_thinking(words)

        return self._go_back(words)

    def _go_back(self, words: str) -> str:
        """Leave out the turns after which the service began to refuse the conversation."""
        conversation = self.conversation
        kept, question = conversation.fallback, conversation.messages[-1]
        if kept is None or question["role"] != "user" or _answers(question):
            return ""

        conversation.fallback = None
        if len(kept) + 1 >= len(conversation.messages):
            return ""

        conversation.messages = [*kept, question]
        return f"The turns that the service refuses were left out: {words}."

    def _take_tool(self, index: int, words: str) -> str:
        name = self.tools.pop(index).get("name", "")
        found = self.toolset.find(name)
        if found is not None:
            session, tool = found
            session.left_out[tool.name] = words

        return (
            f"The tool {self.toolset.own_name(name)} was left out: the model's service "
            f"does not take it ({words})."
        )

    def _take_part(self, message: str, block: str, part: str | None, words: str) -> str:
        messages = self.conversation.messages
        try:
            content = messages[int(message)]["content"]
            refused = content[int(block)]
        except IndexError:
            return ""

        is_question = int(message) == len(messages) - 1 and refused["type"] == "text"
        if is_question:
            return ""

        if refused["type"] in ("thinking", "redacted_thinking"):
            return self._take_thinking(words)

        changed = _without(refused, part, words)
        if changed == refused:
            return ""

        content[int(block)] = changed
        return f"A part of the conversation was left out: {words}."

    def _take_thinking(self, words: str) -> str:
        kept = without_foreign(self.conversation.messages)
        if kept == self.conversation.messages:
            return ""

        self.conversation.messages = kept
        return f"The model's thinking was left out of the conversation: {words}."

    def _replace(self, change: Callable[[Block], Block], what: str) -> str:
        messages = replace_parts(self.conversation.messages, change)
        if messages == self.conversation.messages:
            return ""

        self.conversation.messages = messages
        return f"Left out of the conversation: {what}."


def _answers(message: dict[str, Any]) -> bool:
    return any(block["type"] == "tool_result" for block in message["content"])


def _find_tool(said: str, tools: list[Block]) -> int | None:
    """Which tool the words are about: by its place, else by its name in quotes."""
    place = _TOOL_PATH.search(said)
    if place is not None and int(place[1]) < len(tools):
        return int(place[1])

    names = [tool.get("name") for tool in tools]
    if "tool" not in said.lower() or _MESSAGE_PATH.search(said):
        return None

    quoted = [name for name in _QUOTED.findall(said) if name in names]
    return names.index(quoted[0]) if quoted else None


def _without(block: Block, part: str | None, words: str) -> Block:
    """A block, or a part of it, as a text that says that it was refused; a call and its
    result stay a pair.
    """
    note = {"type": "text", "text": f"[left out: the service refused it ({words})]"}
    if block["type"] == "tool_use":
        return {**block, "input": {}}
    if block["type"] != "tool_result":
        return note

    content = block.get("content")
    if part is None or not isinstance(content, list) or int(part) >= len(content):
        return {**block, "content": [note]}

    return {
        **block,
        "content": [*content[: int(part)], note, *content[int(part) + 1 :]],
    }


def _without_picture(part: Block) -> Block:
    if part.get("type") == "image":
        return {"type": "text", "text": "[a picture, left out: the service refused it]"}
    return part
