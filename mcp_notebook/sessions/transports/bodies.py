"""Bodies of HTTP replies within bounds: unpacked piece by piece, and refused past a cap.

httpx unpacks a piece whole, however large it becomes: 200 KB of gzip are 200 MB of
memory before anyone can count.
"""

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2

ENCODINGS = "gzip, deflate"  # what is asked for, and what can be unpacked within bounds
PIECE = 256 * 1024  # bytes that are unpacked at once
# zlib's window bits: with its own header or gzip's, told apart by themselves.
ANY_HEADER = 32 + zlib.MAX_WBITS


def bounded(response: httpx2.Response, cap: int) -> None:
    """Give a reply a body that ends in a StreamError when it breaks, cannot be unpacked
    or passes the cap.

    An event stream may be as long as it likes: its events have their own bound.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    endless = response.headers.get("content-type", "").startswith("text/event-stream")
    response.stream = _Body(response.stream, None if endless else cap, encoding)
    if encoding:
        del response.headers["content-encoding"]
        response.headers.pop("content-length", None)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, inner: Any, cap: int | None, encoding: str) -> None:
        self._inner, self._cap, self._encoding = inner, cap, encoding

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, unpack = 0, _unpacker(self._encoding)
        try:
            async for chunk in self._inner:
                for piece in unpack(chunk):
                    size += len(piece)
                    if self._cap is not None and size > self._cap:
                        raise httpx2.StreamError(
                            f"the reply is larger than {self._cap / 1e6:.0f} MB"
                        )
                    yield piece
        except httpx2.TransportError as error:
            raise httpx2.StreamError(
                "the connection broke in the middle of the reply"
            ) from error
        except zlib.error:
            raise httpx2.StreamError(
                f"the reply is not packed with {self._encoding}, as it says"
            ) from None

    async def aclose(self) -> None:
        await self._inner.aclose()


def _unpacker(encoding: str) -> Any:
    if encoding in ("", "identity"):
        return lambda chunk: (chunk,)
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise httpx2.StreamError(
            f"the reply is packed with {encoding[:40]}, which was not asked for"
        )
    packed = zlib.decompressobj(ANY_HEADER)

    def unpack(chunk: bytes) -> Iterator[bytes]:
        while chunk:
            piece = packed.decompress(chunk, PIECE)
            if piece:
                yield piece
            chunk = packed.unconsumed_tail

    return unpack
