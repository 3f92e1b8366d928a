"""What makes two requests ask the same: the key under which a turn is recorded and found again.

In the key: what the person and the model said, and the calls the model made. Not in it:
ids of calls, thinking, cache marks, limits, the model's name (recorded apart). Tool
results, and the blocks that list the notebook's tables, are hashed apart: a difference
there is drift. So are the system prompt and the tools: a newer version of either must
not make a notebook's recorded answers unreachable, only say so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_notebook.secrets import mask

Json = dict[str, Any]

# How the blocks begin that the notebook adds to the person's words (agent/request.py);
# they may change with the data.
STATE_OPENINGS = (
    "Tables of the notebook named above",
    "Named in the question",
    "Today is",
)
CLOCK = "Today is"  # it differs at every replay, which is no drift
_VOLATILE = ("cache_control", "caller", "citations", "toolset_name")


@dataclass(frozen=True)
class Evidence:
    """A tool's result, which the model's next words rest on."""

    call: str  # e.g. 'shop__query_database(sql="select 1")'
    text: str
    error: bool = False
    call_id: str = field(default="", compare=False)

    @property
    def digest(self) -> str:
        """Hash of the text and of whether it is an error."""
        return digest([self.text, self.error])


@dataclass(frozen=True, eq=False)
class LiveTable:
    """A table that a call of this kernel gave: in Arrow, with its masked and secret
    columns, and what it was called. `key` is that of the call among recorded ones.
    """

    name: str
    data: Any
    hidden: frozenset[str] = frozenset()
    key: str = ""


@dataclass(frozen=True)
class Setup:
    """What a request brings beside the conversation, hashed; `tools` and `descriptions`
    are {tool: hash}.
    """

    system: str
    tables: str  # the schemas of the tables that the prompts name
    tools: Mapping[str, str]
    descriptions: Mapping[str, str]


@dataclass(frozen=True)
class TurnFingerprint:
    """A request as the replay sees it."""

    key: str
    setup: Setup
    prompts: tuple[str, ...]  # what the person said so far, each opening a cell
    prompt: str  # what the person said last
    evidence: tuple[Evidence, ...]  # of the whole conversation, in order
    news: int  # how many of them, at the end, came with the last message


def fingerprint(body: Json) -> TurnFingerprint:
    """Take a request's body apart; secrets are masked before anything is hashed, as
    they are before it is recorded.
    """
    turns = list(_merge_messages(body.get("messages") or ()))
    ids: dict[str, str] = {}
    calls: dict[str, str] = {}
    stable: list[Json] = []
    evidence: list[Evidence] = []
    news = 0
    for role, blocks in turns:
        kept, found = _split(blocks, _state_blocks(role, blocks), ids, calls)
        stable.append({"role": role, "content": kept})
        evidence += found
        news = len(found)

    form = (body.get("output_config") or {}).get("format")
    state = [
        _part_text(b) for role, blocks in turns for b in _state_blocks(role, blocks)
    ]
    tables = [words for words in state if not words.startswith(CLOCK)]
    opened = [
        _said(blocks)
        for role, blocks in turns
        if role == "user" and not _has_results(blocks)
    ]
    said = [
        text for role, blocks in turns if role == "user" and (text := _said(blocks))
    ]
    return TurnFingerprint(
        key=digest([stable, form]),
        setup=_setup(body, tables),
        prompts=tuple(opened),
        prompt=said[-1] if said else "",
        evidence=tuple(evidence),
        news=news,
    )


def other_places(body: Json) -> Iterator[Json]:
    """The same question after fewer of the cells before it: as a cell that is run again,
    or out of order, may have been recorded. The fewest missing cells come first.
    """
    messages = [
        {"role": role, "content": blocks}
        for role, blocks in _merge_messages(body.get("messages") or ())
    ]
    starts = [
        at
        for at, message in enumerate(messages)
        if message["role"] == "user" and not _has_results(message["content"])
    ]
    if not starts:
        return

    own = messages[starts[-1] :]
    for start in reversed(starts[:-1]):
        yield {**body, "messages": [*messages[:start], *own]}


def digest(value: object) -> str:
    """The first 16 hex digits of the sha256 of masked, canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(mask(text).encode("utf-8", "replace")).hexdigest()[:16]


def _merge_messages(messages: Any) -> Iterator[tuple[str, list[Json]]]:
    # The API takes consecutive messages of one role as one, so they are one here.
    role, blocks = "", []
    for message in messages:
        if message["role"] != role and blocks:
            yield role, blocks
            blocks = []

        role, blocks = message["role"], blocks + _blocks(message["content"])

    if blocks:
        yield role, blocks


def _blocks(content: str | list[Json]) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content)


def _split(
    blocks: list[Json], state: list[Json], ids: dict[str, str], calls: dict[str, str]
) -> tuple[list[Json], list[Evidence]]:
    """One turn as (what goes into the key, what is compared apart)."""
    kept: list[Json] = []
    found: list[Evidence] = []
    for block in blocks:
        kind = block["type"]
        if any(block is s for s in state):
            continue

        if kind in ("tool_use", "server_tool_use"):
            ids[block["id"]] = f"#{len(ids) + 1}"
            calls[block["id"]] = call_text(block["name"], block["input"] or {})
            kept.append(
                {
                    "type": kind,
                    "id": ids[block["id"]],
                    "name": block["name"],
                    "input": block["input"],
                }
            )
        elif "tool_use_id" in block:
            kept.append(
                {"type": kind, "tool_use_id": ids.get(block["tool_use_id"], "?")}
            )
            if kind == "tool_result":
                call = calls.get(block["tool_use_id"], "a tool call")
                is_error = bool(block.get("is_error"))
                found.append(
                    Evidence(call, _result_text(block), is_error, block["tool_use_id"])
                )
        elif kind not in ("thinking", "redacted_thinking"):
            kept.append(_stable(block))

    return kept, found


def _stable(block: Json) -> Json:
    kept = {
        name: value
        for name, value in block.items()
        if name not in _VOLATILE and value is not None
    }
    if block["type"] == "text":
        return {**kept, "text": block["text"].strip()}

    return kept


def _state_blocks(role: str, blocks: list[Json]) -> list[Json]:
    """The notebook's own additions: never the first text, which is the person's."""
    if role != "user":
        return []

    texts = [b for b in blocks if b["type"] == "text"]
    told = [b for b in texts[1:] if b["text"].startswith(STATE_OPENINGS)]
    # a figure is drawn anew, and its bytes differ
    return told + [b for b in blocks if b["type"] in ("image", "document")]


def _said(blocks: list[Json]) -> str:
    state = _state_blocks("user", blocks)
    texts = [
        b["text"]
        for b in blocks
        if b["type"] == "text" and not any(b is s for s in state)
    ]
    return mask("\n".join(texts).strip())


def _has_results(blocks: list[Json]) -> bool:
    return any(block["type"] == "tool_result" for block in blocks)


def call_text(name: str, given: Mapping[str, Any]) -> str:
    """A call as evidence names it."""
    arguments = ", ".join(
        f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in given.items()
    )
    return mask(f"{name}({arguments})")


def _result_text(block: Json) -> str:
    parts = _blocks(block.get("content") or "")
    return "\n".join(_part_text(part) for part in parts)


def _part_text(part: Json) -> str:
    if part["type"] == "text":
        return part["text"]
    return f"[{part['type']} {digest(_stable(part))}]"


def _setup(body: Json, tables: list[str]) -> Setup:
    tools = [tool for tool in body.get("tools") or () if tool.get("name")]
    system = body.get("system") or ""
    if isinstance(system, str):
        words = system
    else:
        words = "\n".join(block["text"] for block in system)

    return Setup(
        system=digest(words),
        tables=digest(tables),
        tools={tool["name"]: digest(tool.get("input_schema")) for tool in tools},
        descriptions={tool["name"]: digest(tool.get("description")) for tool in tools},
    )
