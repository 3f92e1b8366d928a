"""The SDK's streams of messages (the protocols of mcp.shared._stream_protocols): what
each can do beside its own reading or writing, and a pair with a tap in between.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import anyio
from mcp.shared.message import SessionMessage

from mcp_notebook.sessions.reply_repair.tap import Tap


class Stream:
    """A context that closes at its end; `aclose` is for streams that own something."""

    async def aclose(self) -> None:
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


class Reader(Stream, ABC):
    """Iterates over what it receives until the stream ends."""

    @abstractmethod
    async def receive(self) -> SessionMessage | Exception:
        """The next message; raises anyio.EndOfStream."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class TappedRead(Reader):
    """An SDK read stream with the tap in front of it."""

    def __init__(self, inner: Any, tap: Tap) -> None:
        self._inner, self._tap = inner, tap
        self._ready: list[SessionMessage | Exception] = []

    @property
    def last_context(self) -> Any:
        # The SDK runs what it does for a message in the context of who sent it.
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        # The tap may keep a message, or make several of one.
        while not self._ready:
            try:
                item = await self._inner.receive()
            except BaseException:
                self._tap.closed.set()
                raise

            if isinstance(item, Exception):
                return item

            self._ready = list(self._tap.take_inbound(item))

        return self._ready.pop(0)

    async def aclose(self) -> None:
        await self._inner.aclose()


class TappedWrite(Stream):
    """An SDK write stream that shows the tap what goes out."""

    def __init__(self, inner: Any, tap: Tap) -> None:
        self._inner, self._tap = inner, tap

    async def send(self, item: SessionMessage, /) -> None:
        self._tap.note_outbound(item)
        await self._inner.send(item)

    async def aclose(self) -> None:
        await self._inner.aclose()
