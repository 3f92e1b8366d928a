"""Bytes into lines in linear time, with a cap: what passes the cap is let go, not kept."""

from collections.abc import Iterator
from dataclasses import dataclass

# bytes kept of both ends of a line that is too long: its id stands in one of them
EDGE = 4096


@dataclass(frozen=True)
class TooLong:
    """A line over the cap. `ended` is False while it still runs: the first sign that it
    is too long.
    """

    head: bytes
    tail: bytes
    size: int
    ended: bool


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
            yield self._end()
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
        self._head = (
            self._parts[0][:EDGE]
            if len(self._parts[0]) >= EDGE
            else b"".join(self._parts)[:EDGE]
        )
        self._tail = piece[-EDGE:]
        self._parts = []
        yield TooLong(self._head, b"", self._size, ended=False)

    def _end(self) -> bytes | TooLong:
        line: bytes | TooLong
        if self._over:
            line = TooLong(self._head, self._tail, self._size, ended=True)
        else:
            line = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._size, self._over = [], 0, False
        return line
