"""One turn of the model: a streamed request with its retries.

Facts that shape it (anthropic 2.12): a stream that is closed cleanly in the middle
raises nothing and leaves `stop_reason` None; an `error` event inside a 200 stream
raises a bare `APIStatusError` when the SDK's own retries are over; assistant blocks go
back to the API as they came, thinking and its signature included.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Literal

import anthropic
import httpx2

from mcp_notebook.agent.backends import Backend
from mcp_notebook.agent.failures import (
    LONGEST_WAIT,
    explain_failure,
    is_transient,
    raise_for_credentials,
    requested_wait,
    retry_reason,
)
from mcp_notebook.agent.prices import usage_of
from mcp_notebook.errors import BackendError
from mcp_notebook.events import (
    Note,
    TextDelta,
    TextDiscarded,
    ThinkingDelta,
    Usage,
    Working,
)

ATTEMPTS = 3
PAUSE = 0.5  # seconds before the second attempt, doubled for the third

StreamEvent = Working | ThinkingDelta | TextDelta | TextDiscarded | Note


# Blocks that give nothing to read while they come.
_SILENT: dict[str, Literal["thinking", "writing"]] = {
    "thinking": "thinking",
    "redacted_thinking": "thinking",
    "tool_use": "writing",
    "server_tool_use": "writing",
}


class ModelTurn:
    """One request to the model; lives until its reply is whole. `build` makes the
    request anew for each attempt, `own_name` says what the person calls a tool.

    After `events()` is exhausted `blocks`, `stop_reason` and `usage` are set. When it
    is cancelled `partial` is the text that arrived.
    """

    def __init__(
        self,
        backend: Backend,
        build: Callable[[], dict[str, Any]],
        own_name: Callable[[str], str] = lambda name: name,
    ) -> None:
        self._backend = backend
        self._build = build
        self._own_name = own_name
        self.blocks: list[dict[str, Any]] = []
        self.stop_reason = ""
        self.usage: Usage | None = None
        self.partial = ""

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """Stream the reply, trying again when it was cut. Raises BackendError in one
        clear sentence.
        """

        for attempt in range(1, ATTEMPTS + 1):
            started = time.monotonic()
            wait = PAUSE * 2 ** (attempt - 1)
            try:
                async with aclosing(self._stream_once()) as deltas:
                    async for delta in deltas:
                        yield delta
            except (
                anthropic.AnthropicError,
                httpx2.TransportError,
                TypeError,
            ) as error:
                asked = requested_wait(error)
                if asked is not None:
                    wait = asked

                hopeless = attempt == ATTEMPTS or not is_transient(error)
                if hopeless or wait > LONGEST_WAIT:
                    raise explain_failure(error, self._backend) from error

                reason = retry_reason(error, self.partial)
            except Exception as error:
                # boundary: each cloud's package has exceptions of its own for
                # credentials
                raise_for_credentials(error, self._backend)
                raise
            else:
                if self.stop_reason:
                    self._count_usage(time.monotonic() - started)
                    return

                # A stream that is closed cleanly in the middle raises nothing.
                reason = "the reply was cut off"

            if self.partial:
                yield TextDiscarded(reason)
                self.partial = ""

            if wait >= 1:
                soon = f" in {wait:.0f} s"
            else:
                soon = ""

            yield Note(f"Trying again{soon}: {reason}.")
            await asyncio.sleep(wait)

        raise BackendError(
            "The model's reply was cut off three times; run the cell again."
        )

    def _count_usage(self, seconds: float) -> None:
        self.usage = usage_of(
            self._message, self._request_id, seconds, free=self._backend.free
        )

    async def _stream_once(self) -> AsyncGenerator[StreamEvent, None]:
        self.partial, self.blocks, self.stop_reason = "", [], ""
        yield Working("asking", self._backend.name)
        async with self._backend.client.messages.stream(**self._build()) as stream:
            async for event in stream:
                if event.type == "text":
                    self.partial += event.text
                    yield TextDelta(event.text)
                elif event.type == "thinking":
                    yield ThinkingDelta(event.thinking)
                elif event.type == "content_block_start":
                    block = event.content_block
                    if block.type in _SILENT:
                        subject = self._own_name(getattr(block, "name", ""))
                        yield Working(_SILENT[block.type], subject)

            message = stream.current_message_snapshot
            self._request_id = stream.request_id or ""

        self._message = message
        self.stop_reason = message.stop_reason or ""
        self.blocks = [
            b.model_dump(mode="json", exclude={"parsed_output"}, exclude_none=True)
            for b in message.content
        ]
