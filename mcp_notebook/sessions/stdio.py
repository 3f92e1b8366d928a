"""Our stdio transport: reads in linear time with a cap, and a line that cannot be read
ends its own call only.

The SDK's reader is quadratic in the size of a line (50 MB: 51 s) and has no cap.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

import anyio
from mcp.shared.message import SessionMessage

from mcp_notebook.sessions.process import READ_SIZE, ServerProcess
from mcp_notebook.sessions.reply_repair.tap import Reader, Stream, Tap, TooLong

# bytes kept of both ends of a line that is too long: its id stands in one of them
EDGE = 4096
TURN = 20  # messages of one piece after which the loop gets its turn


class StdioTransport:
    """The SDK's Transport protocol over a running process; it does not own the process."""

    def __init__(self, process: ServerProcess, tap: Tap) -> None:
        self._process, self._tap = process, tap

    async def __aenter__(self) -> tuple[LineReader, LineWriter]:
        return LineReader(self._process.stdout, self._tap), LineWriter(
            self._process.stdin, self._tap
        )

    async def __aexit__(self, *error: object) -> None:
        return None


class LineSplitter:
    """Feed it what was read; it yields whole lines without their line break.

    Each byte is looked at once and joined once, where repeated `(buffer +
    chunk).split()` is quadratic.
    """

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._parts: list[bytes] = []
        self._size = 0
        self._head = b""
        self._tail = b""
        self._over = False

    def feed(self, chunk: bytes) -> Iterator[bytes | TooLong]:
        """Lines that this chunk completes, and a TooLong as soon as one passes the cap."""
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            yield from self._add(piece)
            yield self._end_line()

        if rest:
            yield from self._add(rest)

    def _add(self, piece: bytes) -> Iterator[TooLong]:
        self._size += len(piece)
        if self._over:
            self._tail = (self._tail + piece)[-EDGE:]
            return

        self._parts.append(piece)
        if self._size <= self._cap:
            return

        self._over = True
        self._head = self._read_head()
        self._tail = piece[-EDGE:]
        self._parts = []
        yield TooLong(self._head, b"", self._size, ended=False)

    def _read_head(self) -> bytes:
        # The first piece alone is mostly enough; joining would copy up to the whole cap.
        first = self._parts[0]
        if len(first) >= EDGE:
            return first[:EDGE]
        return b"".join(self._parts)[:EDGE]

    def _end_line(self) -> bytes | TooLong:
        line: bytes | TooLong
        if self._over:
            line = TooLong(self._head, self._tail, self._size, ended=True)
        elif len(self._parts) == 1:
            line = self._parts[0]
        else:
            line = b"".join(self._parts)

        self._parts, self._size, self._over = [], 0, False
        return line


class LineReader(Reader):
    """Messages from a pipe, without a task or a queue in between."""

    def __init__(self, stdout: asyncio.StreamReader, tap: Tap) -> None:
        self._stdout, self._tap = stdout, tap
        self._splitter = LineSplitter(tap.cap)
        self._ready: deque[SessionMessage] = deque()
        self._closed = False

    async def receive(self) -> SessionMessage:
        while not self._ready:
            if self._closed:
                chunk = b""
            else:
                chunk = await self._stdout.read(READ_SIZE)

            if not chunk:
                self._tap.closed.set()
                raise anyio.EndOfStream

            for line in self._splitter.feed(chunk):
                self._ready.extend(self._tap.take_line(line))

            if len(self._ready) > TURN:
                # A flood is read in large pieces; others on the loop get their turn between them.
                await asyncio.sleep(0)

        return self._ready.popleft()

    async def aclose(self) -> None:
        self._closed = True


class LineWriter(Stream):
    """Messages to a pipe; a write is whole even when its sender is cancelled."""

    def __init__(self, stdin: asyncio.StreamWriter, tap: Tap) -> None:
        self._stdin, self._tap = stdin, tap

    async def send(self, item: SessionMessage, /) -> None:
        self._tap.note_outbound(item)
        if self._stdin.is_closing():
            raise anyio.ClosedResourceError

        self._stdin.write(
            item.message.model_dump_json(by_alias=True, exclude_unset=True).encode()
            + b"\n"
        )
        try:
            await self._stdin.drain()
        except ConnectionError as error:
            raise anyio.BrokenResourceError from error
