"""One named server as the rest of the package sees it: ready or restarted when it is called."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mcp_notebook.config import ServerSpec, secrets_of
from mcp_notebook.errors import CallTimeout, SessionError
from mcp_notebook.sessions.authorization.sign_in import Authorize
from mcp_notebook.sessions.connection import Connection, Opening
from mcp_notebook.sessions.hooks import SessionHooks, client_callbacks
from mcp_notebook.sessions.list_changes import tell_roots_changed, watch_lists
from mcp_notebook.sessions.log import ServerLog
from mcp_notebook.sessions.process import STOP_GRACE
from mcp_notebook.sessions.requests import (
    Clock,
    ConnectionLost,
    SessionGone,
    call_once,
    guarded,
)
from mcp_notebook.sessions.resource_requests import Questions
from mcp_notebook.sessions.restart import CALL_TIMEOUT, Health, Progress, Upkeep
from mcp_notebook.sessions.schema import schema_warning
from mcp_notebook.sessions.tool_list import ToolList
from mcp_notebook.sessions.tools import CallOutcome, size_of
from mcp_notebook.sessions.url_elicitation import PagesNeeded, Visits

logger = logging.getLogger(__name__)

# seconds for a call with everything: restart, questions to the person, repeats
DEADLINE = 600.0
CAP = 16 * 1024 * 1024  # bytes of one message
REPEATS = 2  # times a call that is safe to repeat is repeated


class Session(ToolList, Questions):
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
        # tools that the person marked as safe to repeat
        self.safe_tools: set[str] = set()
        self.log = log or ServerLog(name, secrets_of(spec))
        self.health = Health()
        self._clock = Clock()
        self._stale = asyncio.Event()  # the server said that its tools changed
        self._tasks: set[asyncio.Task[Any]] = set()
        self._doing = "starting"
        self._watched: Connection | None = None
        hooks = hooks or SessionHooks()
        callbacks = client_callbacks(name, hooks, self._clock.stopped)
        self._elicit, self._page_done = (
            callbacks["elicitation_callback"],
            asyncio.Event(),
        )
        callbacks |= {
            "message_handler": self._hear,
            "logging_callback": self._log_message,
        }
        opening = Opening(
            name,
            spec,
            self.log,
            cap,
            callbacks,
            authorize=self._authorizer(hooks.authorize),
        )
        self._log_level = log_level or ""
        if log_level:
            opening.options["log_level"] = log_level
        self.upkeep = Upkeep(opening, self.health, self._learn, legacy=legacy)

    def __repr__(self) -> str:
        return f"<Session {self.name}: {self.state}, {len(self.tools)} tools>"

    @property
    def state(self) -> str:
        """starting, ready, crashed or closed."""
        return self.upkeep.state

    @property
    def era(self) -> str:
        """The protocol version in use, for example 2025-11-25; empty before the first connect."""
        return self.upkeep.era

    @property
    def legacy(self) -> bool:
        """Whether the next start uses the older handshake at once."""
        return self.upkeep.legacy

    @property
    def server_title(self) -> str:
        return self.upkeep.facts()["server"]

    @property
    def instructions(self) -> str:
        connection = self.upkeep.alive
        return (connection.client.instructions or "") if connection else ""

    @property
    def transport(self) -> str:
        return self.upkeep.facts()["transport"]

    async def start(
        self, *, timeout: float, on_progress: Callable[[str], None], process: Any = None
    ) -> None:
        """Connect and list the tools; ConnectError in one sentence with the server's last words."""
        self.upkeep.opening.process = process
        try:
            await self.upkeep.start(timeout, lambda _: on_progress(self._doing))
        except BaseException:
            await self.close(0.2)
            raise

    async def close(self, grace: float = STOP_GRACE) -> None:
        """End the server or leave it; the session cannot be used afterwards."""
        self.upkeep.shut()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.upkeep.close(grace)
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
            raise self._failed(
                CallTimeout(
                    f"{self.name}.{tool} took longer than {DEADLINE:g} s in all."
                )
            ) from None
        except SessionError as error:
            raise self._failed(error) from None
        finally:
            self.health.calls += 1
        return outcome

    def seconds_for(self, asked: float | None, usual: float = CALL_TIMEOUT) -> float:
        """How long one call may take: what was asked for it, else what was set for the
        server, else what is usual.
        """
        return asked or self.spec.options.timeout or usual

    async def refresh_tools(self) -> None:
        """List the tools again and compare them with the pinned definitions."""
        await self._list_tools(await self._connected())

    async def roots_changed(self) -> None:
        """Tell the server, if it was told that there are folders, that they are other ones now."""
        if (connection := self.upkeep.alive) is not None:
            await tell_roots_changed(connection)

    def status(self) -> dict[str, Any]:
        """One row for %mcp_status."""
        return {
            "name": self.name,
            **self.upkeep.facts(),
            "tools": len(self.tools),
            "changed": len(self.changed_tools),
            **self.health.row(ready=self.state == "ready"),
        }

    @contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """Call timeouts stand still inside, for example while the person decides."""
        with self._clock.stopped():
            yield

    async def _call(
        self,
        tool: str,
        arguments: dict[str, Any],
        limit: float,
        on_progress: Progress | None,
    ) -> CallOutcome:
        repeats = REPEATS if self.trusted or tool in self.safe_tools else 0
        reconnects = 1
        visits = Visits(self._elicit, self._page_done)
        while True:
            connection = await self._connected(on_progress)
            try:
                return await self._call_once(
                    connection, tool, arguments, limit, on_progress
                )
            except SessionGone:
                # The server does not know our session, so it ran nothing: asking again is safe.
                await self.upkeep.drop(connection)
                reconnects -= 1
                if reconnects < 0:
                    raise SessionError(
                        f"server {self.name!r} does not keep our session; connect again."
                    ) from None
            except PagesNeeded as needed:
                if not await visits.may_try_again(needed):
                    raise SessionError(
                        f"{self.name}.{tool} did not run: it needs a page to be visited first, and that was declined "
                        f"or not finished ({needed.message[:200]})."
                    ) from None
            except ConnectionLost:
                after = f"{tool}; the call may have run. The next call connects again"
                failure = await self.upkeep.lost(connection, after)
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
            async with self._clock.limit(limit):
                result, record = await call_once(
                    self.name, connection, tool, arguments, DEADLINE, on_progress
                )
        except TimeoutError:
            self.upkeep.suspect = connection.process is not None
            more = connection.tap.noise_lines - noise
            instead = (
                f" ({more} line(s) of its stdout that are not MCP came instead)"
                if more
                else ""
            )
            raise CallTimeout(
                f"{self.name}.{tool} did not answer within {limit:g} s{instead}; it was cancelled. "
                "Ask for less, or allow more time."
            ) from None
        seconds = time.monotonic() - start
        self.upkeep.suspect = False
        self.health.answered(seconds)
        warnings = list(record.warnings)
        size = record.received_bytes or size_of(result)
        if warning := await schema_warning(self.tool(tool), result, size):
            warnings.append(warning)
        return CallOutcome(result, seconds, size, tuple(warnings))

    async def _connected(self, on_progress: Progress | None = None) -> Connection:
        return await self.upkeep.connected(on_progress)

    async def _learn(self, connection: Connection) -> None:
        """List the tools of a connection, and watch for changes of a new one."""
        self._stale.clear()
        await self._list_tools(connection)
        if connection is not self._watched:
            self._watched = connection
            await self._ask_for_logs(connection)
            self._spawn(watch_lists(connection, self._stale, self._refresh))

    async def _refresh(self) -> None:
        if (connection := self.upkeep.alive) is not None:
            await self._learn(connection)

    async def _ask(self, question: Callable[[Any], Any]) -> Any:
        """A question other than a tool call, with the same limits; asking again is always safe."""
        for last in (False, True):
            connection = await self._connected()
            try:
                async with self._clock.limit(CALL_TIMEOUT):
                    return await guarded(
                        self.name, connection, question(connection.client)
                    )
            except TimeoutError:
                raise CallTimeout(
                    f"server {self.name!r} did not answer within {CALL_TIMEOUT:g} s."
                ) from None
            except (SessionGone, ConnectionLost) as error:
                await self.upkeep.drop(connection)
                if last:
                    raise SessionError(error.message) from None
        raise AssertionError("unreachable")

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
        elif type(message).__name__ == "ElicitCompleteNotification":
            self._page_done.set()

    async def _ask_for_logs(self, connection: Connection) -> None:
        """The older protocol is asked once a connection; the newer one with each
        request, which the SDK does.
        """
        client = connection.client
        if (
            not self._log_level
            or client.protocol_version >= "2026"
            or client.server_capabilities.logging is None
        ):
            return
        try:
            await guarded(
                self.name, connection, client.set_logging_level(self._log_level)
            )  # type: ignore[arg-type]
        except SessionError as error:
            self.log.write(f"[notebook] {error.message}")

    async def _log_message(self, params: Any) -> None:
        self.log.write(f"[{params.level}] {str(params.data)[:2000]}")
