"""Between a transport and the SDK: sizes of replies, floods of notifications, and
replies that cannot be read.

The SDK drops a reply that it cannot parse and the call waits for its timeout; here it
ends at once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from mcp.shared.message import SessionMessage
from mcp.types import (
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from mcp_notebook.sessions.reply_repair.lines import (
    TooLong,
    find_ids,
    is_asking,
    is_like_a_message,
    mend_error,
    mend_halves,
    reply_without_version,
    why_unreadable,
)
from mcp_notebook.sessions.reply_repair.results import repair_reply

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
        if isinstance(body.id, str) and body.id not in self._requests:
            if body.id.isascii() and body.id.isdigit():
                body.id = int(body.id)  # servers that write every id as text

        if body.id is None or body.id not in self._requests:
            return self._take_stray_reply(body, raw)

        request = self._requests.pop(body.id)
        # A request that is no call of ours has no record; its warnings are for nobody.
        record = request.record or TappedCall()
        record.received_bytes += size
        if isinstance(body, JSONRPCResponse):
            if request.method == "initialize":
                self.version = str(body.result.get("protocolVersion") or "")

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
            "ask for fewer rows or columns",
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
