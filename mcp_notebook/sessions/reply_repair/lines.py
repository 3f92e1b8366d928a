"""Lines of a server's stdout: split in linear time with a cap, and what a broken one
still tells.

A line that is meant as JSON-RPC and is not one answers somebody: whom, as far as that
can be read, and what is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# bytes kept of both ends of a line that is too long: its id stands in one of them
EDGE = 4096
MOST = 1_000_000  # bytes of a line that is looked at twice
DEEPEST = 120  # opening brackets of one kind, above which the SDK's parser may give up

ID = re.compile(rb'"id"\s*:\s*(-?\d{1,15}|"(?:[^"\\]|\\.){0,64}")')
LAST_ID = re.compile(ID.pattern + rb'\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\]?\s*$')
BODY = re.compile(rb'"(?:result|error|params)"\s*:')
# Some servers print Python's repr of a reply.
# Escapes of JSON: a whole pair of UTF-16, half of one, or any other (`\\\\` among them).
_ESCAPE = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
INTERNAL_ERROR = -32603  # of JSON-RPC: the code of an error whose own is no number
PROTOCOL_MARKS = (b'"jsonrpc"', b"'jsonrpc'")


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


def find_ids(head: bytes, tail: bytes) -> Iterator[int | str]:
    """The ids that the top level of a broken line names, before its body or at its very end."""
    for found in (*ID.findall(_cut_before_body(head)), *LAST_ID.findall(tail)):
        if found.startswith(b'"'):
            yield found[1:-1].decode("utf-8", "replace")
        else:
            yield int(found)


def is_asking(line: bytes) -> bool:
    """Whether it is a notification or a request: no call of ours waits for it."""
    return b'"method"' in _cut_before_body(line)


def is_like_a_message(line: bytes) -> bool:
    """Whether a line that is no message was meant to be one."""
    # A NUL is what UTF-16 looks like.
    if b"\0" in line[:100]:
        return True

    # Servers print banners and logs on stdout, some of them as JSON: only what names
    # the protocol counts as a reply.
    ends = (line[:4096], line[-512:])
    return any(mark in end for end in ends for mark in PROTOCOL_MARKS)


def reply_without_version(line: bytes) -> dict[str, Any] | None:
    """A reply that lacks nothing but the "jsonrpc" of the protocol, else None."""
    start = line[:4096]
    if not start.startswith(b"{") or b'"jsonrpc"' in start:
        return None
    if not BODY.search(start) or len(line) > MOST:
        return None

    try:
        reply = json.loads(line)
    except (ValueError, RecursionError):
        return None

    if "jsonrpc" in reply or not isinstance(reply.get("id"), int | str):
        return None
    if "result" in reply or "error" in reply:
        return reply

    return None


def mend_halves(text: bytes) -> bytes:
    """JSON with U+FFFD for each half of a UTF-16 pair: what a cut emoji leaves, and what
    strict parsers refuse the whole text for.
    """
    if not _HALF.search(text):
        return text

    return _ESCAPE.sub(lambda m: b"\\ufffd" if m[2] else m[0], text)


def mend_error(line: bytes) -> dict[str, Any] | None:
    """A reply whose error is one in all but its form, in the protocol's; else None.

    Servers give codes that are words, errors that are a bare text, and a null beside
    the result.
    """
    if len(line) > MOST or b'"error"' not in line:
        return None

    try:
        reply = json.loads(line)
    except (ValueError, RecursionError):
        return None

    if not isinstance(reply, dict) or "error" not in reply or "method" in reply:
        return None

    error = reply.pop("error")
    if error is None and "result" in reply:
        return reply
    if "result" in reply and reply["result"] is None:
        del reply["result"]

    return {**reply, "jsonrpc": "2.0", "error": _formed_error(error)}


def _formed_error(error: Any) -> dict[str, Any]:
    if not isinstance(error, dict):
        return {"code": INTERNAL_ERROR, "message": str(error or "the call failed")}

    formed: dict[str, Any] = {"code": INTERNAL_ERROR, "message": "the call failed"}
    if type(error.get("code")) is int:
        formed["code"] = error["code"]
    if isinstance(error.get("message"), str):
        formed["message"] = error["message"]
    else:  # what was said in fields of its own
        formed["data"] = {k: v for k, v in error.items() if k != "code"}

    return {**formed, **{k: v for k, v in error.items() if k == "data"}}


def why_unreadable(line: bytes) -> str:
    """A few words on why a line is no JSON-RPC message, without its content."""
    if line.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark"
    if b"\0" in line[:100]:
        return "it is not UTF-8"
    if line.lstrip()[:1] == b"[":
        return "it is a batch, which the protocol no longer has"
    if not _is_utf8(line):
        return "it is not UTF-8"

    brackets = max(line.count(bracket, 0, 1 << 20) for bracket in (b"{", b"["))
    if brackets > DEEPEST:
        return "it is nested too deeply or is not valid JSON-RPC"

    return "it is not valid JSON-RPC"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _cut_before_body(line: bytes) -> bytes:
    # Ids inside a result, an error or arguments are a server's data and name no request.
    start = line[:4096]
    body = BODY.search(start)
    if body:
        return start[: body.start()]
    return start
