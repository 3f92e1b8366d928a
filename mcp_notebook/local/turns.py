"""One Messages API request answered by a small model: its step, then the events of a reply.

A tool call is decoded under a JSON schema and becomes a whole `tool_use` block; an answer streams as text.
"""

import json
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_notebook import wire
from mcp_notebook.local.prompt import Step, next_step, succeeded_calls, written

if TYPE_CHECKING:
    from mcp_notebook.local.engine import Engine

Json = dict[str, Any]

MAX_FORM = 500  # tokens of a tool call
MAX_ANSWER = 600  # tokens of an answer
# A model that failed twice in a row repeats itself under greedy decoding; the seed keeps its way out the same.
STRAY = {"temperature": 0.7, "top_p": 0.9}
STRAY_AFTER = 2

_STOPS = {"stop": "end_turn", "length": "max_tokens"}


@dataclass
class _Spent:
    """Tokens over the steps of one request: the prompt of the last step, all that was written."""

    prompt: int = 0
    cached: int = 0
    written: int = 0

    def add(self, piece: Any) -> None:
        self.prompt, self.cached = piece.prompt_tokens, piece.cached_tokens
        self.written += piece.written_tokens

    def usage(self) -> Json:
        return {
            "input_tokens": self.prompt - self.cached,
            "cache_read_input_tokens": self.cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": self.written,
        }


@dataclass
class Turn:
    """One reply in the making."""

    engine: "Engine"
    body: Json
    spent: _Spent = field(default_factory=_Spent)

    async def events(self) -> AsyncGenerator[Json, None]:
        """The reply as events of the Messages API; raises BackendError when llama.cpp fails."""
        step = next_step(self.body)
        message = {
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": self.body["model"],
            "usage": {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
        }
        yield wire.message_start(message)
        form, stop = await self._form(step) if step.form else ({}, "")
        if form is not None and ("tool" not in form or _repeats(self.body, form)):
            async with aclosing(self._answer(step)) as events:
                async for event in events:
                    yield event
            return
        if form is not None:
            for event in wire.block_events(0, _tool_use(form)):
                yield event
        yield wire.message_delta(stop, self.spent.usage())
        yield {"type": "message_stop"}

    async def _form(self, step: Step) -> tuple[Json | None, str]:
        """The filled form and the stop reason; None when it did not fit the limit of tokens."""
        stray = {**STRAY, "seed": step.errors} if step.errors >= STRAY_AFTER else {}
        schema = {"type": "json_schema", "json_schema": {"name": "step", "schema": step.form}}
        text = ""
        limit = min(self.body["max_tokens"], MAX_FORM)
        async for piece in self.engine.write(list(step.messages), max_tokens=limit, response_format=schema, **stray):
            text += piece.text
            if piece.done:
                self.spent.add(piece)
        try:
            return json.loads(text), "tool_use"
        except ValueError:
            return None, "max_tokens"

    async def _answer(self, step: Step) -> AsyncGenerator[Json, None]:
        stop = "end_turn"
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        limit = min(self.body["max_tokens"], MAX_ANSWER)
        async for piece in self.engine.write(written(step), max_tokens=limit):
            if piece.text:
                delta = {"type": "text_delta", "text": piece.text}
                yield {"type": "content_block_delta", "index": 0, "delta": delta}
            if piece.done:
                self.spent.add(piece)
                stop = _STOPS.get(piece.done, "end_turn")
        yield {"type": "content_block_stop", "index": 0}
        yield wire.message_delta(stop, self.spent.usage())
        yield {"type": "message_stop"}


def _repeats(body: Json, form: Json) -> bool:
    """Whether the call was made and answered since the person spoke: its answer is there already."""
    calls = succeeded_calls(body["messages"])
    return any(call["name"] == form["tool"] and call["input"] == form["arguments"] for call in calls)


def _tool_use(form: Json) -> Json:
    return {
        "type": "tool_use",
        "id": f"toolu_{uuid.uuid4().hex[:20]}",
        "name": form["tool"],
        "input": form["arguments"],
    }
