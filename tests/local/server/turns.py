"""One Messages API request answered by a small model: its step, then the events of a reply.

A tool call is decoded under a JSON schema and becomes a whole `tool_use` block; an
answer streams as text.
"""

import json
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_notebook import wire
from tests.local.server.prompt import Step, calls_so_far, next_step, written

if TYPE_CHECKING:
    from tests.local.server.engine import Engine

Json = dict[str, Any]

MAX_FORM = 500  # tokens of a tool call
MAX_ANSWER = 600  # tokens of an answer
# Under greedy decoding a small model repeats the call that just failed; the seeds keep
# its way out the same each time.
STRAY = ({}, {"temperature": 0.7, "seed": 1}, {"temperature": 1.0, "seed": 2})

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
        if form is not None and ("tool" not in form or self._is_answered(form)):
            async with aclosing(self._answer(step)) as events:
                async for event in events:
                    yield event
            return
        if form is not None:
            for event in wire.block_events(0, _tool_use(form)):
                yield event
        yield wire.message_delta(stop, self.spent.usage())
        yield {"type": "message_stop"}

    def _is_answered(self, form: Json) -> bool:
        return _is_among(form, calls_so_far(self.body["messages"], failed=False))

    async def _form(self, step: Step) -> tuple[Json | None, str]:
        """The filled form and the stop reason; None when it did not fit the limit of tokens."""
        failed = calls_so_far(self.body["messages"], failed=True)
        form: Json | None = None
        for sampling in STRAY:
            form = await self._fill(step, sampling)
            if form is None:
                return None, "max_tokens"
            if not _is_among(form, failed):
                break
        return form, "tool_use"

    async def _fill(self, step: Step, sampling: Json) -> Json | None:
        schema = {
            "type": "json_schema",
            "json_schema": {"name": "step", "schema": step.form},
        }
        limit = min(self.body["max_tokens"], MAX_FORM)
        text = ""
        async for piece in self.engine.write(
            list(step.messages), max_tokens=limit, response_format=schema, **sampling
        ):
            text += piece.text
            if piece.done:
                self.spent.add(piece)
        try:
            return json.loads(text)
        except ValueError:
            return None

    async def _answer(self, step: Step) -> AsyncGenerator[Json, None]:
        stop = "end_turn"
        yield {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        }
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


def _is_among(form: Json, calls: list[Json]) -> bool:
    return any(
        call["name"] == form.get("tool") and call["input"] == form["arguments"]
        for call in calls
    )


def _tool_use(form: Json) -> Json:
    return {
        "type": "tool_use",
        "id": f"toolu_{uuid.uuid4().hex[:20]}",
        "name": form["tool"],
        "input": form["arguments"],
    }
