"""One named server as the rest of the package sees it: ready, or restarted when it is
called.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp import MCPError
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost

from mcp_notebook.config import ServerSpec, secrets_of, spec_fingerprint
from mcp_notebook.errors import CallTimeout, SessionError
from mcp_notebook.sessions.connection import (
    NEWER_PROTOCOL,
    Connection,
    Opening,
    client_callbacks,
)
from mcp_notebook.sessions.log import ServerLog
from mcp_notebook.sessions.process import STOP_GRACE
from mcp_notebook.sessions.requests import (
    ConnectionLost,
    PagesNeeded,
    PageVisits,
    Progress,
    RequestClock,
    ResourceRequests,
    SessionGone,
    ask_once,
    call_tool_once,
    fetch_all_pages,
)
from mcp_notebook.sessions.restart import CALL_TIMEOUT, Health, Restarter
from mcp_notebook.sessions.sign_in import Authorize
from mcp_notebook.sessions.tools import (
    CallOutcome,
    SessionHooks,
    ToolChange,
    ToolInfo,
    find_changes,
    make_tool_info,
    schema_warning,
    size_of,
)

logger = logging.getLogger(__name__)

# seconds for a call with everything: restart, questions to the person, repeats
DEADLINE = 600.0
CAP = 16 * 1024 * 1024  # bytes of one message
REPEATS = 2  # times a call that is safe to repeat is repeated
PAUSE = 1.0  # seconds between two listings, however often a server says they changed
TELL = 5.0  # seconds to tell a server something
AGAIN = 5.0  # seconds before a lost subscription is asked for again
LISTING = 30.0  # seconds for one listing


class ToolList:
    """The tools of one server: listed, checked, pinned when first seen and compared at
    each listing. Mixed into Session, whose `name` it reads.
    """

    name: str

    def __init__(self) -> None:
        self.tools: tuple[ToolInfo, ...] = ()
        # what is odd about the server, for the person
        self.notices: tuple[str, ...] = ()
        # tool name -> what the model's service said of it: it is not offered again
        self.left_out: dict[str, str] = {}
        self.pinned: dict[str, ToolInfo] = {}
        self.changed_tools: tuple[ToolChange, ...] = ()
        # columns of tables that came: (tool, names of its arguments, place) -> schema
        self.known_columns: dict[tuple[Any, ...], Any] = {}

    def accept_changes(self, *names: str) -> None:
        """Pin the present definition of these tools (all when none is named): the
        person has seen the diff.
        """
        for tool in self.tools:
            if not names or tool.name in names:
                self.pinned[tool.name] = tool

        self.compare_with_pinned()

    def compare_with_pinned(self) -> None:
        """Say again which tools are not as they are pinned."""
        self.changed_tools = find_changes(self.pinned, self.tools)

    def tool(self, name: str) -> ToolInfo | None:
        """The tool of that name."""
        return next((tool for tool in self.tools if tool.name == name), None)

    async def _list_tools(self, connection: Connection) -> None:
        client = connection.client
        # A server without tools answers the question with an error.
        if client.server_capabilities.tools is None:
            self.tools = ()
            return

        def fetch(cursor: str | None) -> Any:
            return client.list_tools(cursor=cursor, cache_mode="bypass")

        pages = fetch_all_pages(fetch, "tools")
        found, note = await ask_once(self.name, connection, pages)
        notices = [
            f"tool {name!r} is not usable: {why}"
            for name, why in connection.tap.refused.items()
        ]
        if connection.process is not None and connection.attempt.transport != "stdio":
            url = getattr(connection.opening.spec, "url", "")
            notices.append(f"it serves HTTP by itself and is asked at {url}")

        tools: dict[str, ToolInfo] = {}
        for tool in found:
            # A second one could shadow the one that was looked at.
            if tool.name in tools:
                notices.append(
                    f"tool {tool.name!r} is listed twice; the second one is refused"
                )
                continue

            tools[tool.name] = make_tool_info(self.name, tool)

        if note:
            notices.append(note)

        # Sorted, so that a server that lists them in another order changes nothing.
        self.tools = tuple(tools[name] for name in sorted(tools))
        self.notices = tuple(dict.fromkeys(notices))
        for info in self.tools:
            self.pinned.setdefault(info.name, info)

        self.compare_with_pinned()


async def watch_lists(
    connection: Connection, stale: asyncio.Event, refresh: Callable[[], Awaitable[None]]
) -> None:
    """Runs beside a connection until it ends; `stale` is set by notifications of either era."""
    listener = asyncio.create_task(_listen(connection, stale))
    try:
        while not connection.closed.is_set():
            await _wait_for_first(stale, connection.closed)
            if connection.closed.is_set():
                return

            with contextlib.suppress(SessionError, TimeoutError):
                async with asyncio.timeout(LISTING):
                    await refresh()

            stale.clear()
            await asyncio.sleep(PAUSE)
    except Exception:
        # boundary: a background task; the session's next call shows what is wrong
        logger.exception("watching the tools of a server failed")
    finally:
        listener.cancel()


async def announce_roots(connection: Connection) -> None:
    """To a server that may ask for the folders; in the newer protocol it gets them anew
    with each request.
    """
    client = connection.client
    if client.protocol_version >= NEWER_PROTOCOL:
        return
    if "list_roots_callback" not in connection.opening.callbacks:
        return

    try:
        async with asyncio.timeout(TELL):
            await client.send_roots_list_changed()
    except (
        MCPError,
        TimeoutError,
        anyio.ClosedResourceError,
        anyio.BrokenResourceError,
    ):
        logger.info("a server was not told that the folders changed", exc_info=True)


async def _listen(connection: Connection, stale: asyncio.Event) -> None:
    """The newer protocol tells changes only on a stream that was asked for."""
    client = connection.client
    tools = client.server_capabilities.tools
    if tools is None or not tools.list_changed:
        return
    if client.protocol_version < NEWER_PROTOCOL:
        return

    while connection.alive:
        try:
            async with client.listen(tools_list_changed=True) as events:
                async for _ in events:
                    stale.set()
        except ListenNotSupportedError:
            return
        except (MCPError, SubscriptionLost, TimeoutError):
            logger.info("the subscription to changes ended", exc_info=True)

        await asyncio.sleep(AGAIN)


async def _wait_for_first(*events: asyncio.Event) -> None:
    waiters = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()


class Session(ToolList, ResourceRequests):
    """A named server. All async methods run on the background loop; made by `Sessions.connect`."""

    def __init__(
        self,
        name: str,
        spec: ServerSpec,
        *,
        legacy: bool = False,
        trusted: bool = False,
        hooks: SessionHooks | None = None,
        cap: int = CAP,
        log: ServerLog | None = None,
        log_level: str | None = None,
    ) -> None:
        super().__init__()
        self.name, self.spec, self.trusted = name, spec, trusted
        # as it was started: the folder and the files may be others by now
        self.identity = spec_fingerprint(spec)
        # tools that the person marked as safe to repeat
        self.safe_tools: set[str] = set()
        self.log = log or ServerLog(name, secrets_of(spec))
        self.health = Health()
        self._clock = RequestClock()
        self._stale = asyncio.Event()  # the server said that its tools changed
        self._tasks: set[asyncio.Task[Any]] = set()
        self._doing = "starting"
        self._watched: Connection | None = None
        self._page_done = asyncio.Event()
        self._log_level = log_level or ""
        hooks = hooks or SessionHooks()
        callbacks = client_callbacks(name, hooks, self._clock.hold)
        self._elicit = callbacks["elicitation_callback"]
        callbacks["message_handler"] = self._take_notification
        callbacks["logging_callback"] = self._log_message
        authorize = self._make_authorize(hooks.authorize)
        opening = Opening(name, spec, self.log, cap, callbacks, authorize=authorize)
        if log_level:
            opening.options["log_level"] = log_level

        self.restarter = Restarter(opening, self.health, self._learn, legacy=legacy)

    def __repr__(self) -> str:
        return f"<Session {self.name}: {self.state}, {len(self.tools)} tools>"

    @property
    def state(self) -> str:
        """starting, ready, crashed or closed."""
        return self.restarter.state

    @property
    def era(self) -> str:
        """The protocol version in use, for example 2025-11-25; empty before the first connect."""
        return self.restarter.era

    @property
    def legacy(self) -> bool:
        """Whether the next start uses the older handshake at once."""
        return self.restarter.legacy

    @property
    def offers(self) -> list[str]:
        """What the server says that it can do: `tools`, `resources`, `prompts`, ..."""
        connection = self.restarter.alive
        if connection is None:
            return []

        capabilities = connection.client.server_capabilities
        return sorted(capabilities.model_dump(exclude_none=True, by_alias=True))

    @property
    def server_title(self) -> str:
        return self.restarter.describe()["server"]

    @property
    def instructions(self) -> str:
        connection = self.restarter.alive
        if connection is None:
            return ""

        return connection.client.instructions or ""

    @property
    def transport(self) -> str:
        return self.restarter.describe()["transport"]

    async def start(
        self, *, timeout: float, on_progress: Callable[[str], None], process: Any = None
    ) -> None:
        """Connect and list the tools; ConnectError in one sentence with the server's last words."""
        self.restarter.opening.process = process
        try:
            await self.restarter.start(timeout, lambda _: on_progress(self._doing))
        except BaseException:  # an interrupt, too: a server that did not connect ends
            await self.close(0.2)
            raise

    async def close(self, grace: float = STOP_GRACE) -> None:
        """End the server or leave it; the session cannot be used afterwards."""
        self.restarter.shut()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()

        await asyncio.gather(*tasks, return_exceptions=True)
        await self.restarter.close(grace)
        self.log.close()

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: Progress | None = None,
    ) -> CallOutcome:
        """Call a tool. A tool's own failure is an outcome with `result.is_error`;
        SessionError when the session failed.

        `timeout` bounds the server's answer (see `seconds_for`); DEADLINE bounds everything.
        Cancelling the task cancels the call on the server. A call that may have run is
        repeated only for trusted servers and `safe_tools`.
        """
        limit = self.seconds_for(timeout)
        try:
            async with asyncio.timeout(max(DEADLINE, limit)):
                outcome = await self._call(tool, arguments or {}, limit, on_progress)
        except TimeoutError:
            sentence = f"{self.name}.{tool} took longer than {DEADLINE:g} s in all."
            self.health.last_error = sentence
            raise CallTimeout(sentence) from None
        except SessionError as error:
            self.health.last_error = error.message
            raise error from None
        finally:
            self.health.calls += 1

        return outcome

    def seconds_for(self, wanted: float | None, usual: float = CALL_TIMEOUT) -> float:
        """How long one call may take: what was asked for it, else what was set for the
        server, else what is usual.
        """
        return wanted or self.spec.options.timeout or usual

    async def refresh_tools(self) -> None:
        """List the tools again and compare them with the pinned definitions."""
        await self._list_tools(await self._connect_first())

    async def announce_roots(self) -> None:
        """Tell the server, if it was told that there are folders, that they are other ones now."""
        connection = self.restarter.alive
        if connection is not None:
            await announce_roots(connection)

    def status(self) -> dict[str, Any]:
        """One row for %mcp_status."""
        return {
            "name": self.name,
            **self.restarter.describe(),
            "tools": len(self.tools),
            "changed": len(self.changed_tools),
            **self.health.status_row(ready=self.state == "ready"),
        }

    async def _call(
        self,
        tool: str,
        arguments: dict[str, Any],
        limit: float,
        on_progress: Progress | None,
    ) -> CallOutcome:
        may_repeat = self.trusted or tool in self.safe_tools
        if may_repeat:
            repeats = REPEATS
        else:
            repeats = 0

        reconnects = 1
        visits = PageVisits(self._elicit, self._page_done)
        while True:
            connection = await self._connect_first(on_progress)
            try:
                return await self._call_once(
                    connection, tool, arguments, limit, on_progress
                )
            except SessionGone as gone:
                # The server does not know our session, so it ran nothing: asking again is safe.
                await self.restarter.drop(connection)
                reconnects -= 1
                if reconnects < 0:
                    raise SessionError(
                        f"server {self.name!r} does not keep our session; connect again.",
                        detail=gone.message,
                    ) from None
            except PagesNeeded as needed:
                if not await visits.visit_pages(needed):
                    raise SessionError(
                        f"{self.name}.{tool} did not run: it needs a page to be visited "
                        "first, and that was declined or not finished "
                        f"({needed.message[:200]})."
                    ) from None
            except ConnectionLost:
                after = f"{tool}; the call may have run. The next call connects again"
                failure = await self.restarter.explain_loss(connection, after)
                repeats -= 1
                if repeats < 0:
                    raise failure from None

    async def _call_once(
        self,
        connection: Connection,
        tool: str,
        arguments: dict[str, Any],
        limit: float,
        on_progress: Progress | None,
    ) -> CallOutcome:
        start, noise = time.monotonic(), connection.tap.noise_lines
        try:
            # Our own limit, because it can stand still; the SDK's is for the worst case.
            async with self._clock.limit(limit):
                result, record = await call_tool_once(
                    self.name, connection, tool, arguments, DEADLINE, on_progress
                )
        except TimeoutError:
            # Only a process can be ended and started anew.
            self.restarter.suspect = connection.process is not None
            instead = ""
            more = connection.tap.noise_lines - noise
            if more:
                # A server that prints to stdout has often broken its own reply.
                instead = (
                    f" ({more} line(s) of its stdout that are not MCP came instead)"
                )

            raise CallTimeout(
                f"{self.name}.{tool} did not answer within {limit:g} s{instead}; "
                "it was cancelled. Ask for less, or allow more time."
            ) from None

        seconds = time.monotonic() - start
        self.restarter.suspect = False
        self.health.note_answer(seconds)
        warnings = list(record.warnings)
        # Streamable HTTP hands parsed messages to the tap: their size is reckoned.
        size = record.received_bytes or size_of(result)
        warning = await schema_warning(self.tool(tool), result, size)
        if warning:
            warnings.append(warning)

        return CallOutcome(result, seconds, size, tuple(warnings))

    async def _connect_first(self, on_progress: Progress | None = None) -> Connection:
        return await self.restarter.connect(on_progress)

    async def _learn(self, connection: Connection) -> None:
        """List the tools of a connection, and watch for changes of a new one."""
        self._stale.clear()
        await self._list_tools(connection)
        if connection is not self._watched:
            self._watched = connection
            await self._ask_for_logs(connection)
            watching = watch_lists(connection, self._stale, self._learn_again)
            task = asyncio.create_task(watching)
            # asyncio keeps only a weak reference to a task.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _learn_again(self) -> None:
        connection = self.restarter.alive
        if connection is not None:
            await self._learn(connection)

    async def _ask(self, question: Callable[[Any], Any]) -> Any:
        """A question other than a tool call, with the same limits; asking again is always safe."""
        for last in (False, True):
            connection = await self._connect_first()
            try:
                async with self._clock.limit(CALL_TIMEOUT):
                    asked = question(connection.client)
                    return await ask_once(self.name, connection, asked)
            except TimeoutError:
                raise CallTimeout(
                    f"server {self.name!r} did not answer within {CALL_TIMEOUT:g} s."
                ) from None
            except (SessionGone, ConnectionLost) as error:
                await self.restarter.drop(connection)
                if last:
                    raise SessionError(error.message) from None

        raise AssertionError("unreachable")

    def _make_authorize(self, hook: Authorize | None) -> Authorize | None:
        """The hook of a sign-in, during which the call that needs it does not run out of time."""
        if hook is None:
            return None

        async def authorize(server: str, url: str) -> str | None:
            before, self._doing = self._doing, "waiting for you to sign in"
            try:
                with self._clock.hold():
                    return await hook(server, url)
            finally:
                self._doing = before

        return authorize

    async def _take_notification(self, message: Any) -> None:
        # By name: the SDK hands over exceptions and requests here as well.
        kind = type(message).__name__
        if kind == "ToolListChangedNotification":
            self._stale.set()
        elif kind == "ElicitCompleteNotification":
            self._page_done.set()

    async def _ask_for_logs(self, connection: Connection) -> None:
        """The older protocol is asked once a connection; the newer one with each
        request, which the SDK does.
        """
        client = connection.client
        if not self._log_level or client.protocol_version >= NEWER_PROTOCOL:
            return

        if client.server_capabilities.logging is None:
            return

        level: Any = self._log_level
        try:
            await ask_once(self.name, connection, client.set_logging_level(level))
        except SessionError as error:
            self.log.write(f"[notebook] {error.message}")

    async def _log_message(self, params: Any) -> None:
        self.log.write(f"[{params.level}] {str(params.data)[:2000]}")
