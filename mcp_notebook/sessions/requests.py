"""One request to a live connection: its time limit, its pages, and every way it can
fail, sorted into three: lost, gone, or said no.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from mcp import MCPError
from mcp.shared.exceptions import UrlElicitationRequiredError
from mcp.types import (
    URL_ELICITATION_REQUIRED,
    CallToolResult,
    CompleteResult,
    GetPromptResult,
    PromptReference,
    ReadResourceResult,
    ResourceTemplateReference,
    TextContent,
)
from pydantic import ValidationError

from mcp_notebook.config import mask
from mcp_notebook.errors import SessionError
from mcp_notebook.sessions.connection import Connection
from mcp_notebook.sessions.http import REFUSED, SESSION_GONE
from mcp_notebook.sessions.reply_repair.tap import UNREADABLE, TappedCall, current_call

# Pages that a server wants visited before it runs a call (error -32042 of protocol
# 2025-11-25).
#
# The person consents to each page once; the call, which did not run, is then tried
# again until the server takes it.
# https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation
# (URL elicitation required error)


# seconds before the call is tried again, unless the server says earlier that the page
# is done
AGAIN = 3.0
LIMIT = 300.0  # seconds that the person has for the pages
Elicit = Callable[[Any, Any], Awaitable[Any]]


class PagesNeeded(SessionError):
    """The call did not run: these pages (ElicitRequestURLParams) come first."""

    def __init__(self, message: str, pages: list[Any]) -> None:
        super().__init__(message)
        self.pages = pages


def find_pages(error: MCPError) -> list[Any]:
    """The pages that an error asks for, none when it is another error or names no page."""
    if error.code != URL_ELICITATION_REQUIRED:
        return []

    try:
        return list(UrlElicitationRequiredError.from_error(error.error).elicitations)
    except (ValidationError, ValueError, TypeError, AttributeError):
        return []


class PageVisits:
    """The pages of one call. `elicit`: the callback for questions; `done`: set when the
    server says a page is done.
    """

    def __init__(self, elicit: Elicit, done: asyncio.Event) -> None:
        self._elicit, self._done = elicit, done
        self._seen: set[str] = set()
        self._until = 0.0

    async def visit_pages(self, needed: PagesNeeded) -> bool:
        """Ask for consent to new pages and wait a moment for the old ones; whether to
        try the call again (False: declined, or it took too long).
        """
        now = asyncio.get_running_loop().time
        for page in needed.pages:
            if page.elicitation_id in self._seen:
                continue

            self._seen.add(page.elicitation_id)
            self._done.clear()
            answer = await self._elicit(None, page)
            # The hook may have failed: then the answer is an error without an action.
            if getattr(answer, "action", "decline") != "accept":
                return False

            self._until = now() + LIMIT

        # Not every server says that a page is done; it may then be asked again early.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AGAIN):
                await self._done.wait()

        self._done.clear()
        return now() < self._until


GOES_ON = " The session goes on."
# The codes with which the SDK reports that the connection closed and that a limit passed.
CLOSED, TIMED_OUT = -32000, -32001
MOST_DATA = 4000  # characters of an error's data
# Pages and items of one listing: a cursor that never ends must not hang a session.
PAGES, ITEMS = 100, 5000
Progress = Callable[[float | None, str], None]


class ConnectionLost(SessionError):
    """The connection ended under the request, which may have run."""


class SessionGone(SessionError):
    """The server does not know our session any more; the request did not run."""


class RequestClock:
    """The running time limits of one session; they can stand still while a person is
    asked something.
    """

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """`asyncio.timeout(seconds)` that `hold` can hold; raises TimeoutError."""
        async with asyncio.timeout(seconds) as limit:
            self._limits.add(limit)
            try:
                yield
            finally:
                self._limits.discard(limit)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold every running limit, and let each go on with the time it had left."""
        loop = asyncio.get_running_loop()
        left: dict[asyncio.Timeout, float] = {}
        for limit in self._limits:
            ends = limit.when()
            if ends is None:  # held already, by a question inside another
                continue

            left[limit] = ends - loop.time()
            limit.reschedule(None)

        try:
            yield
        finally:
            for limit, seconds in left.items():
                if limit in self._limits and not limit.expired():
                    limit.reschedule(loop.time() + seconds)


async def call_tool_once(
    name: str,
    connection: Connection,
    tool: str,
    arguments: dict[str, Any],
    deadline: float,
    on_progress: Progress | None,
) -> tuple[CallToolResult, TappedCall]:
    """The result of one tools/call and what the tap noted about it.

    A JSON-RPC error that the server itself sent is a result with `is_error`: it is
    Claude's to mend. Raises SessionError (ConnectionLost, SessionGone and PagesNeeded
    among them) and TimeoutError; `deadline` in seconds.
    """
    record = TappedCall()
    token = current_call.set(record)
    progress = _make_progress_callback(on_progress)
    try:
        result = await connection.client.call_tool(
            tool, arguments, read_timeout_seconds=deadline, progress_callback=progress
        )
    except MCPError as error:
        failure = _find_failure(name, connection, error)
        if failure is not None:
            raise failure from None

        pages = find_pages(error)
        if pages:
            raise PagesNeeded(error.message, pages) from None

        content = TextContent(type="text", text=_words_of(error))
        result = CallToolResult(content=[content], is_error=True)
    except ValidationError as error:
        raise _not_a_result(name, error) from None
    finally:
        current_call.reset(token)

    return result, record


async def ask_once(name: str, connection: Connection, request: Awaitable[Any]) -> Any:
    """Another request; what the server says no to is a SessionError with its words."""
    try:
        return await request
    except MCPError as error:
        failure = _find_failure(name, connection, error)
        if failure is None:
            failure = SessionError(f"server {name!r} said: {_words_of(error)}")

        raise failure from None
    except ValidationError as error:
        raise _not_a_result(name, error) from None


async def fetch_all_pages(
    fetch: Callable[[str | None], Awaitable[Any]], field: str
) -> tuple[list[Any], str]:
    """Items of every page and a note when the listing was cut (an empty one otherwise).

    `fetch` gives the page of a cursor, `field` names the items of a page.
    """
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

    cut = items[:ITEMS]
    listing = field.replace("_", " ")
    return cut, f"the listing of {listing} does not end; it was cut at {len(cut)}"


def _find_failure(
    name: str, connection: Connection, error: MCPError
) -> Exception | None:
    """What to raise for an error that is not the server's own answer, else None."""
    over_http = connection.attempt.transport == "http"
    if error.code == UNREADABLE:
        return SessionError(f"server {name!r} {error.message}.{GOES_ON}")

    if over_http and _is_session_gone(connection, error):
        connection.trouble.session_lost = False
        said = _words_of(error)[:200]
        return SessionGone(
            f"server {name!r} does not know our session any more ({said})."
        )

    if error.code == REFUSED and _has_lost_process(connection):
        connection.tap.closed.set()
        return ConnectionLost(f"server {name!r} closed its connection.")
    if error.code == REFUSED:
        return SessionError(f"server {name!r} cannot be reached: {error.message}.")
    if error.code == CLOSED and _is_connection_over(connection, error.message):
        return ConnectionLost(f"server {name!r} closed its connection.")
    if error.code == TIMED_OUT and error.message.endswith("timed out"):
        return TimeoutError()

    # Last, because these are told by their words alone.
    if over_http:
        wrong = _describe_no_reply(error.message)
    else:
        wrong = ""

    if wrong:
        return SessionError(f"server {name!r} {wrong}.{GOES_ON}")

    return None


def _has_lost_process(connection: Connection) -> bool:
    """Whether a program that we started for its own HTTP does not answer there: its end
    is seen here before its supervisor tells it.
    """
    return connection.process is not None and connection.trouble.status is None


def _words_of(error: MCPError) -> str:
    """What a server says of a failure: its message, and the reason that stands in the
    error's data.
    """
    data = error.data
    if data in (None, "", [], {}):
        return error.message

    if isinstance(data, str):
        words = data
    else:
        words = json.dumps(data, ensure_ascii=False, default=str)

    words = words.strip()
    if words in error.message:
        return error.message
    if len(words) > MOST_DATA:
        words = f"{words[:MOST_DATA]} … ({len(words) - MOST_DATA:,} more characters)"

    return f"{error.message.rstrip('. :')}: {words}" if error.message else words


def _is_session_gone(connection: Connection, error: MCPError) -> bool:
    # A restarted server answers an old session with 404, which `trouble` has noted, or
    # in words: "Session not found" (python-sdk#1676), "Server not initialized".
    is_told = bool(SESSION_GONE.search(f"{error.message} {error.data or ''}"))
    return connection.trouble.session_lost or is_told


def _is_connection_over(connection: Connection, message: str) -> bool:
    # Servers use the code for errors of their own: it has to be over, or the words have
    # to be those of mcp.client.streamable_http for a reply that will not come.
    has_ended = connection.closed.is_set() or connection.tap.closed.is_set()
    is_cut = message == "Connection closed" or message.startswith("SSE stream ended")
    return has_ended or is_cut


def _describe_no_reply(message: str) -> str:
    """What came over HTTP in place of a reply, from the words of
    mcp.client.streamable_http; else an empty string.
    """
    if message.startswith("Failed to parse"):
        return f"sent a reply that cannot be read ({_why_not_parsed(message)})"
    if message.startswith("SSE stream failed"):
        return f"sent a reply that cannot be read ({_shorten(message)})"

    if message.startswith("Unexpected content type"):
        kind = message.partition(":")[2].strip()[:60] or "nothing"
        return (
            f"answered with {kind} in place of a result; "
            "a sign-in page or a proxy may stand before it"
        )

    if message.startswith("server answered a request with 202"):
        return "took the request and gave no answer to it (HTTP 202)"

    if message.startswith("Redirect to "):
        place = mask(message.removeprefix("Redirect to ").split(" ")[0])
        return (
            f"sends us on to {place}, where nothing was sent; "
            "connect to that address if it is right"
        )

    return ""


def _why_not_parsed(message: str) -> str:
    if "validation error" not in message:
        # Ours, of a body that broke or was too large: see http.py.
        return _shorten(message.partition(": ")[2])
    if "Invalid JSON" in message:
        return "it is not valid JSON"
    return "it is not valid JSON-RPC"


def _not_a_result(name: str, error: ValidationError) -> SessionError:
    # Without the input: it is the server's data, which may be secret.
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"]) or "the result"
    return SessionError(
        f"server {name!r} sent a reply that is not a result of its kind "
        f"({place}: {first['msg']}).{GOES_ON}"
    )


def _make_progress_callback(report: Progress | None) -> Any:
    if report is None:
        return None

    async def callback(
        progress: float, total: float | None, message: str | None
    ) -> None:
        if total:
            fraction = min(1.0, max(0.0, progress / total))
            report(fraction, message or "")
        else:
            report(None, message or f"{progress:g}")

    return callback


def _shorten(text: str) -> str:
    return " ".join(text.split())[:160]


# What a session can ask a server besides tool calls: resources, prompts, completions.


class ResourceRequests:
    """Mixed into Session, which brings `_ask` (one question with its limits) and
    `_connect_first`.
    """

    async def _ask(self, question: Callable[[Any], Any]) -> Any:
        raise NotImplementedError

    async def _connect_first(self, on_progress: Any = None) -> Connection:
        raise NotImplementedError

    async def read_resource(self, uri: str) -> ReadResourceResult:
        """The contents of a resource; SessionError when the server has none of that address."""
        return await self._ask(lambda client: client.read_resource(uri))

    async def list_resources(self) -> list[Any]:
        """Every resource of the server (mcp.types.Resource), an empty list when it has none."""
        return await self._list_all(
            "resources",
            lambda client, cursor: client.list_resources(cursor=cursor),
            "resources",
        )

    async def list_resource_templates(self) -> list[Any]:
        """Every resource template of the server (mcp.types.ResourceTemplate)."""
        return await self._list_all(
            "resources",
            lambda client, cursor: client.list_resource_templates(cursor=cursor),
            "resource_templates",
        )

    async def list_prompts(self) -> list[Any]:
        """Every prompt of the server (mcp.types.Prompt)."""
        return await self._list_all(
            "prompts",
            lambda client, cursor: client.list_prompts(cursor=cursor),
            "prompts",
        )

    async def get_prompt(
        self, name: str, arguments: dict[str, str] | None = None
    ) -> GetPromptResult:
        """A prompt with its arguments filled in."""
        return await self._ask(lambda client: client.get_prompt(name, arguments))

    async def complete(
        self, ref: Any, argument: str, value: str, known: dict[str, str] | None = None
    ) -> list[str]:
        """The server's completions for one argument of a prompt or template (a
        PromptReference or its sibling).
        """
        named = {"name": argument, "value": value}
        result: CompleteResult = await self._ask(
            lambda client: client.complete(ref, named, known)
        )
        return list(result.completion.values)

    async def complete_prompt(
        self,
        prompt: str,
        argument: str,
        value: str,
        known: dict[str, str] | None = None,
    ) -> list[str]:
        """The server's completions for an argument of a prompt; `known` are the
        arguments given already.
        """
        return await self.complete(
            PromptReference(type="ref/prompt", name=prompt), argument, value, known
        )

    async def complete_resource(
        self,
        template: str,
        variable: str,
        value: str,
        known: dict[str, str] | None = None,
    ) -> list[str]:
        """The server's completions for a variable of a resource template; `known` are
        the ones before it.
        """
        reference = ResourceTemplateReference(type="ref/resource", uri=template)
        return await self.complete(reference, variable, value, known or None)

    async def _list_all(
        self, capability: str, fetch: Callable[[Any, str | None], Any], field: str
    ) -> list[Any]:
        """Items of every page; `fetch` asks a client for the page of a cursor."""
        connection = await self._connect_first()
        # A server that does not declare the capability answers with an error.
        if getattr(connection.client.server_capabilities, capability) is None:
            return []

        def ask(client: Any) -> Any:
            return fetch_all_pages(lambda cursor: fetch(client, cursor), field)

        items, _ = await self._ask(ask)
        return items
