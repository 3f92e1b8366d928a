"""Between a transport and the SDK: sizes of replies, floods of notifications, and
replies that cannot be read.

The SDK drops a reply that it cannot parse and the call waits for its timeout; here it
ends at once. A line that is meant as JSON-RPC and is not one answers somebody: whom, as
far as that can be read, and what is wrong with it.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import (
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from mcp_notebook.sessions.reply_repair.results import repair_reply

MOST = 1_000_000  # bytes of a line that is looked at twice
DEEPEST = 120  # opening brackets of one kind, above which the SDK's parser may give up

ID = re.compile(rb'"id"\s*:\s*(-?\d{1,15}|"(?:[^"\\]|\\.){0,64}")')
LAST_ID = re.compile(ID.pattern + rb'\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\]?\s*$')
BODY = re.compile(rb'"(?:result|error|params)"\s*:')
# Escapes of JSON: a whole pair of UTF-16, half of one, or any other (`\\\\` among them).
_ESCAPE = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_DIGITS = re.compile("[0-9]+")
INTERNAL_ERROR = -32603  # of JSON-RPC: the code of an error whose own is no number
# Some servers print Python's repr of a reply, hence the second form.
PROTOCOL_MARKS = (b'"jsonrpc"', b"'jsonrpc'")
# What may need mending in a call's result, and the type of each that needs none.
PLAIN = {"content": list, "isError": bool, "structuredContent": dict, "_meta": dict}
TEXT_KEYS = {"type", "text"}


@dataclass(frozen=True)
class TooLong:
    """A line over the cap. `ended` is False while it still runs: the first sign that it
    is too long.
    """

    head: bytes
    tail: bytes
    size: int
    ended: bool


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


# Floods of notifications: of each kind a burst is let through, then so many a second.
#
# The SDK starts a task for every notification, so that 20,000 of them take many
# seconds.


BURST, RATE = 50, 50  # notifications of one kind let through at once, and then a second


class NotificationLimit:
    """One token bucket for each kind of notification."""

    def __init__(self) -> None:
        self._buckets: dict[str, _TokenBucket] = {}

    def lets_through(self, method: str) -> bool:
        """Whether the SDK gets this notification; one without effects may be let go."""
        # A lost cancellation would leave a request running, and a lost notice of a
        # subscription would leave its listener waiting.
        if method == "notifications/cancelled" or "subscriptions" in method:
            return True
        return self._buckets.setdefault(method, _TokenBucket()).take_token()


class _TokenBucket:
    """BURST at once, then RATE a second."""

    def __init__(self) -> None:
        self._tokens, self._at = float(BURST), time.monotonic()

    def take_token(self) -> bool:
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE)
        self._at = now
        if self._tokens < 1:
            return False

        self._tokens -= 1
        return True


UNREADABLE = -32093  # our own code for errors made here
# a request that stays open: it is never the one that a stray reply belongs to
BLOCKING = "subscriptions/listen"
NOISE_LINES = 1000  # stray lines of one server that are handed on


@dataclass
class TappedCall:
    """What the tap notes about one call of ours, found through the context of the task
    that sends it.
    """

    received_bytes: int = 0
    failure: str = ""
    warnings: list[str] = field(default_factory=list)


current_call: ContextVar[TappedCall | None] = ContextVar(
    "mcp_notebook_call", default=None
)


@dataclass
class _OpenRequest:
    method: str
    record: TappedCall | None


def is_plain_result(result: dict[str, Any]) -> bool:
    """Whether a call's result is texts in the protocol's own form, with nothing to mend."""
    if "content" not in result:
        return False

    fits = (type(result[key]) is kind for key, kind in PLAIN.items() if key in result)
    return all(fits) and all(map(_is_plain_text, result["content"]))


def _is_plain_text(block: object) -> bool:
    if type(block) is not dict or block.keys() != TEXT_KEYS:
        return False

    return block["type"] == "text" and type(block["text"]) is str


def _is_message(body: object) -> bool:
    try:
        jsonrpc_message_adapter.validate_python(body, by_name=False)
    except ValueError:
        return False

    return True


class Tap:
    """The open requests of one connection, and what came in its way.

    `cap`: bytes of one message. `noise` gets each stray line of stdout.
    """

    def __init__(
        self, *, cap: int, noise: Callable[[str], None] = lambda line: None
    ) -> None:
        self.cap = cap
        self.closed = asyncio.Event()
        self.received = 0  # messages
        self.noise_lines = 0
        self.unreadable = 0
        self.dropped = 0
        self.first_noise = ""
        self.version = ""  # of the protocol, as the server chose it
        # tool name -> why the listing's entry is not usable
        self.refused: dict[str, str] = {}
        self._noise = noise
        self._requests: dict[int | str, _OpenRequest] = {}
        self._highest_id = 0
        # the line over the cap that is running has ended its call
        self._settled = False
        self._limit = NotificationLimit()

    def note_outbound(self, message: SessionMessage) -> None:
        """Note a request that goes out, or one that is given up."""
        body = message.message
        if isinstance(body, JSONRPCRequest):
            self._requests[body.id] = _OpenRequest(body.method, current_call.get())
            if isinstance(body.id, int):
                self._highest_id = max(self._highest_id, body.id)

            return

        is_notification = isinstance(body, JSONRPCNotification)
        if is_notification and body.method == "notifications/cancelled":
            given_up = (body.params or {}).get("requestId")
            self._requests.pop(given_up, None)  # type: ignore[arg-type]

    def take_line(self, line: bytes | TooLong) -> list[SessionMessage]:
        """A line of stdout as messages for the SDK: usually one, none for noise."""
        if isinstance(line, TooLong):
            return self._take_too_long(line)
        if not line or line.isspace():
            return []

        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except (ValueError, RecursionError):
            return self._take_broken_line(line)

        return self.take_inbound(SessionMessage(message), len(line), line)

    def take_inbound(
        self, message: SessionMessage, size: int = 0, raw: bytes = b""
    ) -> list[SessionMessage]:
        """A parsed message from any transport: passed on, mended or let go."""
        self.received += 1
        body = message.message
        if isinstance(body, JSONRPCResponse | JSONRPCError):
            return self._take_reply(message, body, size, raw)

        if isinstance(body, JSONRPCNotification):
            if not self._limit.lets_through(body.method):
                self.dropped += 1
                return []

        return [message]

    def _take_reply(
        self,
        message: SessionMessage,
        body: JSONRPCResponse | JSONRPCError,
        size: int,
        raw: bytes,
    ) -> list[SessionMessage]:
        is_number = isinstance(body.id, str) and _DIGITS.fullmatch(body.id)
        if is_number and body.id not in self._requests:
            body.id = int(body.id or 0)  # servers that write every id as text

        if body.id is None or body.id not in self._requests:
            return self._take_stray_reply(body, raw)

        request = self._requests.pop(body.id)
        # A request that is no call of ours has no record; its warnings are for nobody.
        record = request.record or TappedCall()
        record.received_bytes += size
        if isinstance(body, JSONRPCResponse):
            if request.method == "initialize":
                self.version = str(body.result.get("protocolVersion") or "")

            # Most calls are answered with texts, and a large one need not be walked twice.
            if request.method != "tools/call" or not is_plain_result(body.result):
                listing = (request.method, self.version)
                repair_reply(listing, body.result, self.refused, record.warnings)

        return [message]

    def _take_stray_reply(
        self, body: JSONRPCResponse | JSONRPCError, raw: bytes
    ) -> list[SessionMessage]:
        """A reply to no open request: late ones are let go, others end the call that
        they must be meant for.
        """
        named = self._find_named(raw, b"")
        was_issued = isinstance(body.id, int) and 0 < body.id <= self._highest_id
        if was_issued and not named:
            return []

        self.unreadable += 1
        if body.id is None and isinstance(body, JSONRPCError):
            # JSON-RPC: the id is null when the server could not read the request's.
            return self._end_calls(named, f"refused the request: {body.error.message}")

        return self._end_calls(named, "answered with an id that nobody asked with")

    def _take_broken_line(self, line: bytes) -> list[SessionMessage]:
        mended = mend_halves(line)
        if mended != line:
            return self.take_line(mended)

        error = mend_error(line)
        if error is not None and _is_message(error):
            return self.take_line(json.dumps(error).encode())

        reply = reply_without_version(line)
        if reply is not None and reply["id"] in self._requests:
            return self.take_line(json.dumps({"jsonrpc": "2.0", **reply}).encode())

        if not is_like_a_message(line):
            self._count_noise(line)
            return []

        self.unreadable += 1
        if is_asking(line):
            return []

        named = self._find_named(line, line[-512:])
        reason = why_unreadable(line)
        return self._end_calls(named, f"sent a reply that cannot be read ({reason})")

    def _take_too_long(self, line: TooLong) -> list[SessionMessage]:
        """Ends the call as soon as the cap is passed, or at the line's end when only
        that names the call.
        """
        if not line.ended:
            self.unreadable += 1
            self._settled = False

        if self._settled:
            return []

        named = self._find_named(line.head, line.tail)
        if not named and not line.ended and len(self._requests_waiting()) != 1:
            return []

        self._settled = True
        return self._end_calls(
            named,
            f"sent a reply of more than {self.cap / 1e6:.0f} MB, which was refused; "
            "ask for fewer rows or columns, or raise MCPNotebook.max_reply and connect again",
        )

    def _end_calls(self, named: list[int | str], sentence: str) -> list[SessionMessage]:
        """Errors that end the named requests, or the only open one; several unnamed
        ones wait for their timeout.
        """
        waiting = self._requests_waiting()
        if not named and len(waiting) == 1:
            named = waiting

        messages = []
        for number in named:
            request = self._requests.pop(number)
            if request.record is not None:
                request.record.failure = sentence

            data = ErrorData(code=UNREADABLE, message=sentence)
            error = JSONRPCError(jsonrpc="2.0", id=number, error=data)
            messages.append(SessionMessage(error))

        return messages

    def _requests_waiting(self) -> list[int | str]:
        requests = self._requests.items()
        return [number for number, request in requests if request.method != BLOCKING]

    def _find_named(self, head: bytes, tail: bytes) -> list[int | str]:
        """Open requests that a broken line names, each once."""
        named = dict.fromkeys(find_ids(head, tail))
        return [number for number in named if number in self._requests]

    def _count_noise(self, line: bytes) -> None:
        text = line[:200].decode("utf-8", "replace").strip()
        self.noise_lines += 1
        self.first_noise = self.first_noise or text
        if self.noise_lines <= NOISE_LINES:
            self._noise(text)


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
            except BaseException:  # however the stream ended, who waits for it is told
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
