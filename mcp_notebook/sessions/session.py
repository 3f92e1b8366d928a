"""One named server as the rest of the package sees it: ready or restarted when it is called."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mcp_notebook.config import ServerSpec, StdioServer, mask, secrets_of
from mcp_notebook.errors import CallTimeout, ConnectError, SessionError
from mcp_notebook.sessions.calling import ConnectionLost, SessionGone, call_once, guarded
from mcp_notebook.sessions.changes import ToolChange, changes
from mcp_notebook.sessions.clock import Clock
from mcp_notebook.sessions.connection import Connection, Opening
from mcp_notebook.sessions.failures import exit_sentence
from mcp_notebook.sessions.health import Health
from mcp_notebook.sessions.hooks import SessionHooks, client_callbacks
from mcp_notebook.sessions.log import ServerLog
from mcp_notebook.sessions.news import watch_lists
from mcp_notebook.sessions.opening import EXIT_WAIT, open_connection
from mcp_notebook.sessions.pages import all_pages
from mcp_notebook.sessions.process import STOP_GRACE
from mcp_notebook.sessions.questions import Questions
from mcp_notebook.sessions.schema import schema_warning
from mcp_notebook.sessions.signin import Authorize
from mcp_notebook.sessions.values import CallOutcome, ToolInfo, size_of, tool_info

logger = logging.getLogger(__name__)

CALL_TIMEOUT = 60.0  # seconds for one answer of the server
DEADLINE = 600.0  # seconds for a call with everything: restart, questions to the person, repeats
CAP = 16 * 1024 * 1024  # bytes of one message
REPEATS = 2  # times a call that is safe to repeat is repeated
RESTARTS = 5  # crashes in a row after which the person has to connect again
BACKOFF = (0.0, 0.25, 1.0, 3.0, 8.0)  # seconds before a restart, by crashes in a row
Progress = Callable[[float | None, str], None]


class Session(Questions):
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
        self.name, self.spec, self.trusted, self.legacy = name, spec, trusted, legacy
        self.safe_tools: set[str] = set()  # tools that the person marked as safe to repeat
        self.tools: tuple[ToolInfo, ...] = ()
        self.notices: tuple[str, ...] = ()  # what is odd about the server, for the person
        self.pinned: dict[str, ToolInfo] = {}
        self.changed_tools: tuple[ToolChange, ...] = ()
        self.log = log or ServerLog(name, secrets_of(spec))
        self.health = Health()
        self._clock = Clock()
        hooks = hooks or SessionHooks()
        callbacks = client_callbacks(name, hooks, self._clock.stopped)
        callbacks["message_handler"] = self._hear
        callbacks["logging_callback"] = self._log_message
        self._opening = Opening(name, spec, self.log, cap, callbacks, authorize=self._authorizer(hooks.authorize))
        if log_level is not None:
            self._opening.options["log_level"] = log_level
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()
        self._stale = asyncio.Event()  # the server said that its tools changed
        self._tasks: set[asyncio.Task[Any]] = set()
        self._state = self._doing = "starting"
        self._era = ""
        self._suspect = False  # a call timed out: does the server still answer at all?

    def __repr__(self) -> str:
        return f"<Session {self.name}: {self.state}, {len(self.tools)} tools>"

    @property
    def state(self) -> str:
        """starting, ready, crashed or closed."""
        if self._state == "ready" and (self._connection is None or not self._connection.alive):
            return "crashed"
        return self._state

    @property
    def era(self) -> str:
        """The protocol version in use, for example 2025-11-25; empty before the first connect."""
        return self._connection.client.protocol_version if self._connection and self._connection.alive else self._era

    @property
    def server_title(self) -> str:
        info = self._connection.client.server_info if self._connection and self._connection.alive else None
        return f"{info.title or info.name} {info.version}".strip() if info else ""

    @property
    def instructions(self) -> str:
        alive = self._connection is not None and self._connection.alive
        return (self._connection.client.instructions or "") if alive and self._connection else ""

    @property
    def transport(self) -> str:
        return self._connection.attempt.transport if self._connection else ""

    async def start(self, *, timeout: float, on_progress: Callable[[str], None], process: Any = None) -> None:
        """Connect and list the tools; ConnectError in one sentence with the server's last words."""
        self._opening.process = process
        async with self._lock:
            try:
                await self._open(timeout, lambda seconds: on_progress(f"{self._doing} … {seconds:.0f} s"))
            except BaseException:
                await self.close(0.2)
                raise

    async def close(self, grace: float = STOP_GRACE) -> None:
        """End the server or leave it; the session cannot be used afterwards."""
        self._state = "closed"
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(grace)
        self.log.close()

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: Progress | None = None,
    ) -> CallOutcome:
        """Call a tool. A tool's own failure is an outcome with `result.is_error`; SessionError when the session failed.

        `timeout` bounds the server's answer (default 60 s); DEADLINE bounds everything. Cancelling the task cancels
        the call on the server. A call that may have run is repeated only for trusted servers and `safe_tools`.
        """
        limit = timeout or CALL_TIMEOUT
        try:
            async with asyncio.timeout(max(DEADLINE, limit)):
                outcome = await self._call(tool, arguments or {}, limit, on_progress)
        except TimeoutError:
            raise self._failed(CallTimeout(f"{self.name}.{tool} took longer than {DEADLINE:g} s in all.")) from None
        except SessionError as error:
            raise self._failed(error) from None
        finally:
            self.health.calls += 1
        return outcome

    async def refresh_tools(self) -> None:
        """List the tools again and compare them with the pinned definitions."""
        await self._list_tools(await self._connected())

    def accept_changes(self, *names: str) -> None:
        """Pin the present definition of these tools (all when none is named): the person has seen the diff."""
        for tool in self.tools:
            if not names or tool.name in names:
                self.pinned[tool.name] = tool
        self.compare()

    def compare(self) -> None:
        """Say again which tools are not as they are pinned."""
        self.changed_tools = changes(self.pinned, self.tools)

    def status(self) -> dict[str, Any]:
        """One row for %mcp_status."""
        return {
            "name": self.name,
            "state": self.state,
            "transport": self.transport,
            "era": self.era,
            "server": self.server_title,
            "tools": len(self.tools),
            "changed": len(self.changed_tools),
            **self.health.row(ready=self.state == "ready"),
        }

    async def _call(
        self, tool: str, arguments: dict[str, Any], limit: float, on_progress: Progress | None
    ) -> CallOutcome:
        repeats = REPEATS if self.trusted or tool in self.safe_tools else 0
        reconnects = 1
        while True:
            connection = await self._connected(on_progress)
            try:
                return await self._call_once(connection, tool, arguments, limit, on_progress)
            except SessionGone:
                # The server does not know our session, so it ran nothing: asking again is safe.
                await self._drop(connection)
                reconnects -= 1
                if reconnects < 0:
                    raise SessionError(f"server {self.name!r} does not keep our session; connect again.") from None
            except ConnectionLost:
                failure = await self._lost(connection, f"{tool}; the call may have run. The next call connects again")
                repeats -= 1
                if repeats < 0:
                    raise failure from None

    async def _call_once(
        self, connection: Connection, tool: str, arguments: dict[str, Any], limit: float, on_progress: Progress | None
    ) -> CallOutcome:
        start = time.monotonic()
        try:
            async with self._clock.limit(limit):
                result, record = await call_once(self.name, connection, tool, arguments, DEADLINE, on_progress)
        except TimeoutError:
            self._suspect = connection.process is not None
            raise CallTimeout(
                f"{self.name}.{tool} did not answer within {limit:g} s; it was cancelled. "
                "Ask for less, or allow more time."
            ) from None
        seconds = time.monotonic() - start
        self._suspect = False
        self.health.answered(seconds)
        warnings = list(record.warnings)
        size = record.received_bytes or size_of(result)
        if warning := await schema_warning(self._tool(tool), result, size):
            warnings.append(warning)
        return CallOutcome(result, seconds, size, tuple(warnings))

    async def _connected(self, on_progress: Progress | None = None) -> Connection:
        """The live connection, after a restart when there is none."""
        if self._connection is not None and self._connection.alive and not self._suspect:
            return self._connection
        async with self._lock:
            if self._state == "closed":
                raise SessionError(f"server {self.name!r} is disconnected; connect it again with %mcp_connect.")
            if self._suspect and self._connection is not None and self._connection.alive:
                await self._end_if_hung(self._connection)
            if self._connection is not None and self._connection.alive:
                return self._connection
            return await self._restart(on_progress)

    async def _restart(self, on_progress: Progress | None) -> Connection:
        is_process = isinstance(self.spec, StdioServer)  # a server behind a URL is not ours to give up
        if is_process and self.health.crashes >= RESTARTS:
            raise SessionError(
                f"server {self.name!r} stopped {self.health.crashes} times in a row; use %mcp_connect to try again.",
                detail=self.log.tail(),
            )
        await self._drop(self._connection)
        await asyncio.sleep(BACKOFF[min(self.health.crashes, len(BACKOFF) - 1)] if is_process else 0)
        self.health.restarts += 1
        self.health.crashes += 1
        tell = on_progress or (lambda fraction, message: None)
        try:
            await self._open(CALL_TIMEOUT, lambda seconds: tell(None, f"restarting {self.name} … {seconds:.0f} s"))
        except ConnectError as error:
            raise SessionError(error.message, detail=error.detail) from None
        assert self._connection is not None
        return self._connection

    async def _open(self, timeout: float, tick: Callable[[float], None]) -> None:
        start = time.monotonic()
        connection = await open_connection(self.name, self._opening, legacy=self.legacy, timeout=timeout, tick=tick)
        self._connection = connection
        self._era = connection.client.protocol_version
        # Another start of the same server need not probe again.
        self.legacy = self.legacy or connection.attempt.mode == "legacy" or self._era < "2026"
        try:
            left = max(5.0, timeout - (time.monotonic() - start))
            async with asyncio.timeout(left):
                await self._list_tools(connection)
        except TimeoutError:
            await connection.close()
            raise ConnectError(f"server {self.name!r} did not list its tools within {timeout:g} s.") from None
        except SessionError as error:
            if isinstance(error, ConnectionLost):
                error = await self._lost(connection, "the listing of its tools")
            await connection.close()
            raise ConnectError(error.message, detail=error.detail) from None
        self.health.since, self._state, self._suspect = time.monotonic(), "ready", False
        self._spawn(watch_lists(connection, self._stale, self._refresh))

    async def _list_tools(self, connection: Connection) -> None:
        self._stale.clear()
        if connection.client.server_capabilities.tools is None:
            self.tools = ()
            return
        fetch = connection.client.list_tools
        found, note = await guarded(
            self.name, connection, all_pages(lambda cursor: fetch(cursor=cursor, cache_mode="bypass"), "tools")
        )
        notices = [f"tool {name!r} is not usable: {why}" for name, why in connection.tap.refused.items()]
        tools: dict[str, ToolInfo] = {}
        for tool in found:
            if tool.name in tools:
                notices.append(f"tool {tool.name!r} is listed twice; the second one is refused")
                continue
            tools[tool.name] = tool_info(self.name, tool)
        self.tools = tuple(tools[name] for name in sorted(tools))
        self.notices = tuple(dict.fromkeys([*notices, *([note] if note else [])]))
        for tool in self.tools:
            self.pinned.setdefault(tool.name, tool)
        self.changed_tools = changes(self.pinned, self.tools)

    async def _refresh(self) -> None:
        if self._connection is not None and self._connection.alive:
            await self._list_tools(self._connection)

    async def _end_if_hung(self, connection: Connection) -> None:
        """After a timeout: a server that does not answer a simple question within 2 s is started anew."""
        received = connection.tap.received
        try:
            async with asyncio.timeout(2.0):
                await self._list_tools(connection)
        except (TimeoutError, SessionError):
            if connection.tap.received == received:
                self.log.write("[notebook] the server hangs; starting it anew")
                await self._drop(connection, grace=0.1)
        self._suspect = False

    async def _drop(self, connection: Connection | None, grace: float = STOP_GRACE) -> None:
        if connection is None:
            return
        if self._connection is connection:
            self._connection = None
        await connection.close(grace)

    async def _lost(self, connection: Connection, during: str) -> SessionError:
        """The sentence for a request whose connection ended under it."""
        process = connection.process
        code = await process.exit_code(EXIT_WAIT) if process is not None else None
        ended = exit_sentence(code)
        if connection.trouble.sentence:
            ended = f"cannot be reached ({connection.trouble.sentence})"
        message = f"server {self.name!r} {ended} during {during}."
        return SessionError(mask(message, secrets_of(self.spec)), detail=self.log.tail(connection.log_start))

    def _authorizer(self, hook: Authorize | None) -> Authorize | None:
        """The hook of a sign-in, during which the call that needs it does not run out of time."""
        if hook is None:
            return None

        async def authorize(server: str, url: str) -> str | None:
            before, self._doing = self._doing, "waiting for you to sign in"
            try:
                with self._clock.stopped():
                    return await hook(server, url)
            finally:
                self._doing = before

        return authorize

    async def _ask(self, question: Callable[[Any], Any]) -> Any:
        """A question other than a tool call, with the same limits; asking again is always safe."""
        for last in (False, True):
            connection = await self._connected()
            try:
                async with self._clock.limit(CALL_TIMEOUT):
                    return await guarded(self.name, connection, question(connection.client))
            except TimeoutError:
                raise CallTimeout(f"server {self.name!r} did not answer within {CALL_TIMEOUT:g} s.") from None
            except (SessionGone, ConnectionLost) as error:
                await self._drop(connection)
                if last:
                    raise SessionError(error.message) from None
        raise AssertionError("unreachable")

    def _tool(self, name: str) -> ToolInfo | None:
        return next((tool for tool in self.tools if tool.name == name), None)

    def _failed(self, error: SessionError) -> SessionError:
        self.health.last_error = error.message
        return error

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hear(self, message: Any) -> None:
        if type(message).__name__ == "ToolListChangedNotification":
            self._stale.set()

    async def _log_message(self, params: Any) -> None:
        self.log.write(f"[{params.level}] {str(params.data)[:2000]}")

    @contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """Call timeouts stand still inside, for example while the person decides."""
        with self._clock.stopped():
            yield
