"""One request to a live connection, with every way it can fail sorted into three: lost,
gone, or said no.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from mcp import MCPError
from mcp.types import CallToolResult, TextContent
from pydantic import ValidationError

from mcp_notebook.config import mask
from mcp_notebook.errors import SessionError
from mcp_notebook.sessions.connection import Connection
from mcp_notebook.sessions.reply_repair.tap import UNREADABLE, CallRecord, current_call
from mcp_notebook.sessions.transports.http import REFUSED
from mcp_notebook.sessions.url_elicitation import PagesNeeded, pages_in

GOES_ON = " The session goes on."
CLOSED, TIMED_OUT, INVALID = -32000, -32001, -32600


class ConnectionLost(SessionError):
    """The connection ended under the request, which may have run."""


class SessionGone(SessionError):
    """The server does not know our session any more; the request did not run."""


async def call_once(
    name: str,
    connection: Connection,
    tool: str,
    arguments: dict[str, Any],
    deadline: float,
    on_progress: Callable[[float | None, str], None] | None,
) -> tuple[CallToolResult, CallRecord]:
    """The result of one tools/call and what the tap noted about it.

    A JSON-RPC error that the server itself sent is a result with `is_error`: it is
    Claude's to mend.
    """
    record = CallRecord()
    token = current_call.set(record)
    progress = _progress(on_progress) if on_progress is not None else None
    try:
        result = await connection.client.call_tool(
            tool, arguments, read_timeout_seconds=deadline, progress_callback=progress
        )
    except MCPError as error:
        _sort(name, connection, error, record)
        if pages := pages_in(error):
            raise PagesNeeded(error.message, pages) from None
        result = CallToolResult(
            content=[TextContent(type="text", text=error.message)], is_error=True
        )
    except ValidationError as error:
        raise SessionError(_not_a_result(name, error)) from None
    finally:
        current_call.reset(token)
    return result, record


async def guarded(name: str, connection: Connection, request: Awaitable[Any]) -> Any:
    """Another request; what the server says no to is a SessionError with its words."""
    try:
        return await request
    except MCPError as error:
        _sort(name, connection, error, None)
        raise SessionError(f"server {name!r} said: {error.message}") from None
    except ValidationError as error:
        raise SessionError(_not_a_result(name, error)) from None


def _sort(
    name: str, connection: Connection, error: MCPError, record: CallRecord | None
) -> None:
    """Raise what is not the server's own answer."""
    if error.code == UNREADABLE:
        raise SessionError(f"server {name!r} {error.message}.{GOES_ON}") from None
    if _is_session_gone(connection, error):
        connection.trouble.session_lost = False
        raise SessionGone(
            f"server {name!r} does not know our session any more."
        ) from None
    if error.code == REFUSED:
        raise SessionError(
            f"server {name!r} cannot be reached: {error.message}."
        ) from None
    if error.code == CLOSED and (
        connection.closed.is_set() or connection.tap.closed.is_set() or _is_cut(error)
    ):
        raise ConnectionLost(f"server {name!r} closed its connection.") from None
    if error.code == TIMED_OUT and error.message.endswith("timed out"):
        raise TimeoutError from None
    if connection.attempt.transport == "http" and (wrong := _no_reply(error.message)):
        raise SessionError(f"server {name!r} {wrong}.{GOES_ON}") from None


def _no_reply(message: str) -> str:
    """What came over HTTP in place of a reply, from the words of
    mcp.client.streamable_http; else an empty string.
    """
    if message.startswith("Failed to parse"):
        reason = (
            "it is not valid JSON"
            if "Invalid JSON" in message
            else "it is not valid JSON-RPC"
        )
        if "validation error" not in message:  # ours: see bodies
            reason = _short(message.partition(": ")[2])
        return f"sent a reply that cannot be read ({reason})"
    if message.startswith("SSE stream failed"):
        return f"sent a reply that cannot be read ({_short(message)})"
    if message.startswith("Unexpected content type"):
        kind = message.partition(":")[2].strip()[:60] or "nothing"
        return f"answered with {kind} in place of a result; a sign-in page or a proxy may stand before it"
    if message.startswith("server answered a request with 202"):
        return "took the request and gave no answer to it (HTTP 202)"
    if message.startswith("Redirect to "):
        place = mask(message.removeprefix("Redirect to ").split(" ")[0])
        return f"sends us on to {place}, where nothing was sent; connect to that address if it is right"
    return ""


def _is_cut(error: MCPError) -> bool:
    # Messages of mcp.client.streamable_http for a reply that will not come.
    return error.message == "Connection closed" or error.message.startswith(
        "SSE stream ended"
    )


def _is_session_gone(connection: Connection, error: MCPError) -> bool:
    if connection.attempt.transport != "http":
        return False
    return connection.trouble.session_lost or (
        error.code == INVALID and error.message.startswith("Session ")
    )


def _not_a_result(name: str, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[
        0
    ]
    place = ".".join(str(part) for part in first["loc"]) or "the result"
    why = f"{place}: {first['msg']}"
    return f"server {name!r} sent a reply that is not a result of its kind ({why}).{GOES_ON}"


def _progress(report: Callable[[float | None, str], None]) -> Any:
    async def callback(
        progress: float, total: float | None, message: str | None
    ) -> None:
        fraction = min(1.0, max(0.0, progress / total)) if total else None
        report(fraction, message or ("" if total else f"{progress:g}"))

    return callback


def _short(text: str) -> str:
    return " ".join(text.split())[:160]


class Clock:
    """The running limits of one session."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """`asyncio.timeout(seconds)` whose clock `stopped` can hold; raises TimeoutError."""
        async with asyncio.timeout(seconds) as limit:
            self._limits.add(limit)
            try:
                yield
            finally:
                self._limits.discard(limit)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Hold every running limit, and let each go on with the time it had left."""
        loop = asyncio.get_running_loop()
        held = [
            (limit, at - loop.time())
            for limit in self._limits
            if (at := limit.when()) is not None
        ]
        for limit, _ in held:
            limit.reschedule(None)
        try:
            yield
        finally:
            for limit, left in held:
                if limit in self._limits and not limit.expired():
                    limit.reschedule(loop.time() + left)


PAGES = 100
ITEMS = 5000


async def all_pages(
    fetch: Callable[[str | None], Awaitable[Any]], field: str
) -> tuple[list[Any], str]:
    """Items of every page and a note when the listing was cut (an empty one otherwise)."""
    items: list[Any] = []
    seen: set[str] = set()
    cursor: str | None = None
    for _ in range(PAGES):
        page = await fetch(cursor)
        items += getattr(page, field)
        cursor = page.next_cursor
        if not cursor:
            return items, ""
        if cursor in seen or len(items) >= ITEMS:
            break
        seen.add(cursor)
    return (
        items[:ITEMS],
        f"the listing of {field.replace('_', ' ')} does not end; it was cut at {len(items[:ITEMS])}",
    )
