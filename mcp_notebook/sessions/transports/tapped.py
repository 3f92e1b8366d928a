"""The SDK's streams with the tap in between (the protocols of mcp.shared._stream_protocols)."""

from typing import Any

from mcp.shared.message import SessionMessage

from mcp_notebook.sessions.transports.streams import Reader, Stream
from mcp_notebook.sessions.transports.tap import Tap


class TappedRead(Reader):
    """An SDK read stream with the tap in front of it."""

    def __init__(self, inner: Any, tap: Tap) -> None:
        self._inner, self._tap = inner, tap
        self._ready: list[SessionMessage | Exception] = []

    @property
    def last_context(self) -> Any:
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        while not self._ready:
            try:
                item = await self._inner.receive()
            except BaseException:
                self._tap.closed.set()
                raise
            self._ready = (
                [item] if isinstance(item, Exception) else list(self._tap.inbound(item))
            )
        return self._ready.pop(0)

    async def aclose(self) -> None:
        await self._inner.aclose()


class TappedWrite(Stream):
    """An SDK write stream that shows the tap what goes out."""

    def __init__(self, inner: Any, tap: Tap) -> None:
        self._inner, self._tap = inner, tap

    async def send(self, item: SessionMessage, /) -> None:
        self._tap.outbound(item)
        await self._inner.send(item)

    async def aclose(self) -> None:
        await self._inner.aclose()
