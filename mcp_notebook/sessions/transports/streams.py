"""What every stream of messages can do beside its own reading or writing
(mcp.shared._stream_protocols).
"""

from abc import ABC, abstractmethod
from typing import Self

import anyio
from mcp.shared.message import SessionMessage


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
