"""The Messages API's streaming format: a message as its server-sent events, and back.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming. A message is
the JSON of a non-streamed reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]

_WORDS = re.compile(r"\s*\S+\s*")
_JSON_PIECE = 24  # characters of a tool's arguments in one event
_DELTAS = {  # delta type -> (its field, the block's field that it extends)
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
}


def events(message: Json) -> Iterator[Json]:
    """The events of a whole message, text in small pieces."""
    usage = message.get("usage") or {}
    yield message_start(message)
    for index, block in enumerate(message.get("content") or ()):
        yield from block_events(index, block)

    yield message_delta(
        message.get("stop_reason") or "end_turn", usage, message.get("stop_sequence")
    )
    yield {"type": "message_stop"}


def message_start(message: Json) -> Json:
    """The first event: the message without content."""
    usage = {"input_tokens": 0, **(message.get("usage") or {}), "output_tokens": 1}
    empty = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    return {"type": "message_start", "message": empty}


def message_delta(
    stop_reason: str, usage: Json, stop_sequence: str | None = None
) -> Json:
    """The last event but one: why the message ends, and its usage."""
    delta = {"stop_reason": stop_reason, "stop_sequence": stop_sequence}
    return {
        "type": "message_delta",
        "delta": delta,
        "usage": {"output_tokens": 0, **usage},
    }


def block_events(index: int, block: Json) -> Iterator[Json]:
    """One content block: start, deltas, stop."""
    empty, deltas = _pieces(block)
    yield {"type": "content_block_start", "index": index, "content_block": empty}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def encode(event: Json) -> bytes:
    """An event as server-sent bytes."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode(
        errors="backslashreplace"
    )


def decode(stream: bytes) -> Iterator[Json]:
    """The events in the bytes of a stream; a half line at its end is left out."""
    for line in stream.split(b"\n"):
        if line.startswith(b"data:"):
            try:
                yield json.loads(line[5:])
            except ValueError:
                return


def assemble(stream: Iterable[Json]) -> Json | None:
    """The message that events make up, or None when the stream did not come to its end."""
    message: Json = {}
    arguments: dict[int, str] = {}
    for event in stream:
        kind = event.get("type")
        if kind == "message_start":
            message = dict(event["message"])
        elif kind == "error":
            return None
        elif kind == "content_block_start":
            message["content"] = [*message["content"], dict(event["content_block"])]
        elif kind == "content_block_delta":
            _extend(
                message["content"][event["index"]],
                event["index"],
                event["delta"],
                arguments,
            )
        elif kind == "message_delta":
            message |= event["delta"]
            message["usage"] = {
                **(message.get("usage") or {}),
                **(event.get("usage") or {}),
            }
        elif kind == "message_stop":
            if message.get("stop_reason"):
                return _with_inputs(message, arguments)
            return None

    return None


def _extend(block: Json, index: int, delta: Json, arguments: dict[int, str]) -> None:
    kind = delta.get("type")
    if kind == "input_json_delta":
        arguments[index] = arguments.get(index, "") + delta["partial_json"]
    elif kind in _DELTAS:
        source, target = _DELTAS[kind]
        block[target] = block.get(target, "") + delta[source]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]


def _with_inputs(message: Json, arguments: dict[int, str]) -> Json | None:
    for index, text in arguments.items():
        try:
            message["content"][index]["input"] = json.loads(text or "{}")
        except ValueError:  # cut by max_tokens in the middle of a call
            return None
    return message


def _pieces(block: Json) -> tuple[Json, list[Json]]:
    """The block as it starts, and the deltas that fill it."""
    kind = block.get("type")
    if kind == "text":
        return {**block, "text": ""}, [
            {"type": "text_delta", "text": w} for w in words(block["text"])
        ]

    if kind == "thinking":
        deltas = [
            {"type": "thinking_delta", "thinking": w} for w in words(block["thinking"])
        ]
        deltas.append(
            {"type": "signature_delta", "signature": block.get("signature", "")}
        )
        return {**block, "thinking": "", "signature": ""}, deltas

    if kind in ("tool_use", "server_tool_use"):
        whole = json.dumps(block.get("input") or {}, ensure_ascii=False)
        parts = [whole[i : i + _JSON_PIECE] for i in range(0, len(whole), _JSON_PIECE)]
        return {**block, "input": {}}, [
            {"type": "input_json_delta", "partial_json": part} for part in parts
        ]

    return block, []


def words(text: str) -> list[str]:
    """The text in pieces of one word with its white space; joined they are the text."""
    return _WORDS.findall(text) or ([text] if text else [])
