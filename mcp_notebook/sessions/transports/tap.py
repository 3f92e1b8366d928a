"""Between a transport and the SDK: sizes of replies, floods of notifications, and
replies that cannot be read.

The SDK drops a reply that it cannot parse and the call waits for its timeout; here it
ends at once. The SDK starts a task for every notification, so that 20,000 of them take
many seconds; here what nobody could read is let go.
"""

import asyncio
import json
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

from mcp_notebook.sessions.transports.brokenlines import (
    ids_in,
    is_asking,
    is_like_a_message,
    reply_without_version,
    why_unreadable,
)
from mcp_notebook.sessions.transports.floods import Bucket
from mcp_notebook.sessions.transports.lines import TooLong
from mcp_notebook.sessions.transports.repair import repair_reply

UNREADABLE = -32093  # our own code for errors made here
# a request that stays open: it is never the one that a stray reply belongs to
BLOCKING = "subscriptions/listen"


@dataclass
class CallRecord:
    """What the tap notes about one call of ours, found through the context of the task
    that sends it.
    """

    received_bytes: int = 0
    failure: str = ""
    warnings: list[str] = field(default_factory=list)


current_call: ContextVar[CallRecord | None] = ContextVar(
    "mcp_notebook_call", default=None
)


@dataclass
class _Pending:
    method: str
    record: CallRecord | None


class Tap:
    """The open requests of one connection, and what came in its way."""

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
        # tool name -> why the listing's entry is not usable
        self.refused: dict[str, str] = {}
        self._noise = noise
        self._pending: dict[int | str, _Pending] = {}
        self._issued = 0
        # the line over the cap that is running has ended its call
        self._settled = False
        self._buckets: dict[str, Bucket] = {}

    def outbound(self, message: SessionMessage) -> None:
        """Note a request that goes out, or one that is given up."""
        body = message.message
        if isinstance(body, JSONRPCRequest):
            self._pending[body.id] = _Pending(body.method, current_call.get())
            if isinstance(body.id, int):
                self._issued = max(self._issued, body.id)
        elif (
            isinstance(body, JSONRPCNotification)
            and body.method == "notifications/cancelled"
        ):
            self._pending.pop((body.params or {}).get("requestId"), None)  # type: ignore[arg-type]

    def line(self, line: bytes | TooLong) -> list[SessionMessage]:
        """A line of stdout as messages for the SDK: usually one, none for noise."""
        if isinstance(line, TooLong):
            return self._too_long(line)
        if not line or line.isspace():
            return []
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except (ValueError, RecursionError):
            return self._not_a_message(line)
        return self.inbound(SessionMessage(message), len(line), line)

    def inbound(
        self, message: SessionMessage, size: int = 0, raw: bytes = b""
    ) -> list[SessionMessage]:
        """A parsed message from any transport: passed on, mended or let go."""
        self.received += 1
        body = message.message
        if isinstance(body, JSONRPCResponse | JSONRPCError):
            return self._reply(message, body, size, raw)
        if isinstance(body, JSONRPCNotification) and not self._let_through(body):
            self.dropped += 1
            return []
        return [message]

    def _reply(
        self,
        message: SessionMessage,
        body: JSONRPCResponse | JSONRPCError,
        size: int,
        raw: bytes,
    ) -> list[SessionMessage]:
        if (
            isinstance(body.id, str)
            and body.id not in self._pending
            and body.id.isascii()
            and body.id.isdigit()
        ):
            body.id = int(body.id)  # servers that write every id as text
        pending = self._pending.pop(body.id, None) if body.id is not None else None
        if pending is None:
            return self._stray(body, raw)
        if pending.record is not None:
            pending.record.received_bytes += size
        if isinstance(body, JSONRPCResponse):
            warnings = pending.record.warnings if pending.record is not None else []
            repair_reply(pending.method, body.result, self.refused, warnings)
        return [message]

    def _stray(
        self, body: JSONRPCResponse | JSONRPCError, raw: bytes
    ) -> list[SessionMessage]:
        """A reply to no open request: late ones are let go, others end the call that
        they must be meant for.
        """
        named = self._named(raw, b"")
        if isinstance(body.id, int) and 0 < body.id <= self._issued and not named:
            return []
        self.unreadable += 1
        if body.id is None and isinstance(body, JSONRPCError):
            return self._end(named, f"refused the request: {body.error.message}")
        return self._end(named, "answered with an id that nobody asked with")

    def _not_a_message(self, line: bytes) -> list[SessionMessage]:
        if (reply := reply_without_version(line)) is not None and reply.get(
            "id"
        ) in self._pending:
            return self.line(json.dumps({"jsonrpc": "2.0", **reply}).encode())
        if not is_like_a_message(line):
            return self._count_noise(line)
        self.unreadable += 1
        if is_asking(line):
            return []
        return self._end(
            self._named(line, line[-512:]),
            f"sent a reply that cannot be read ({why_unreadable(line)})",
        )

    def _too_long(self, line: TooLong) -> list[SessionMessage]:
        """Ends the call as soon as the cap is passed, or at the line's end when only
        that names the call.
        """
        if not line.ended:
            self.unreadable += 1
            self._settled = False
        if self._settled:
            return []
        named = self._named(line.head, line.tail)
        if not named and not line.ended and len(self._open()) != 1:
            return []
        self._settled = True
        size = f"{self.cap / 1e6:.0f} MB"
        return self._end(
            named,
            f"sent a reply of more than {size}, which was refused; ask for fewer rows or columns",
        )

    def _end(self, named: list[int | str], sentence: str) -> list[SessionMessage]:
        """Errors that end the named requests, or the only open one; several unnamed
        ones wait for their timeout.
        """
        ids = named or (self._open() if len(self._open()) == 1 else [])
        messages = []
        for number in ids:
            pending = self._pending.pop(number)
            if pending.record is not None:
                pending.record.failure = sentence
            error = JSONRPCError(
                jsonrpc="2.0",
                id=number,
                error=ErrorData(code=UNREADABLE, message=sentence),
            )
            messages.append(SessionMessage(error))
        return messages

    def _open(self) -> list[int | str]:
        return [
            number
            for number, pending in self._pending.items()
            if pending.method != BLOCKING
        ]

    def _named(self, head: bytes, tail: bytes) -> list[int | str]:
        """Open requests that a broken line names."""
        return list(
            dict.fromkeys(
                number for number in ids_in(head, tail) if number in self._pending
            )
        )

    def _count_noise(self, line: bytes) -> list[SessionMessage]:
        text = line[:200].decode("utf-8", "replace").strip()
        self.noise_lines += 1
        self.first_noise = self.first_noise or text
        if self.noise_lines <= 1000:
            self._noise(text)
        return []

    def _let_through(self, body: JSONRPCNotification) -> bool:
        if body.method == "notifications/cancelled" or "subscriptions" in body.method:
            return True
        bucket = self._buckets.setdefault(body.method, Bucket())
        return bucket.take()
