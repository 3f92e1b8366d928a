"""The live connection of one session: opened, started anew after a crash with growing
pauses, given up after a cap.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mcp_notebook.config import StdioServer, mask, secrets_of
from mcp_notebook.errors import ConnectError, SessionError
from mcp_notebook.sessions.connection import NEWER_PROTOCOL, Connection, Opening
from mcp_notebook.sessions.opening import (
    EXIT_WAIT,
    describe_exit,
    open_connection,
)
from mcp_notebook.sessions.process import STOP_GRACE
from mcp_notebook.sessions.requests import GOES_ON, ConnectionLost, Progress

CALL_TIMEOUT = 60.0  # seconds for one answer of the server
LEAST_LISTING = 5.0  # seconds to list the tools, however long the start took
RESTARTS = 5  # crashes in a row after which the person has to connect again
BACKOFF = (0.0, 0.25, 1.0, 3.0, 8.0)  # seconds before a restart, by crashes in a row
# seconds in which a server that let a call wait has to answer something simple
HUNG = 2.0


@dataclass
class Health:
    """What a session counts about itself; durations in seconds."""

    restarts: int = 0
    crashes: int = 0  # in a row, without a call that was answered in between
    calls: int = 0
    last_error: str = ""
    since: float = field(default_factory=time.monotonic)
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    def note_answer(self, seconds: float) -> None:
        """A call was answered, however the tool judged it."""
        self.crashes = 0
        self.seconds.append(seconds)

    def status_row(self, *, ready: bool) -> dict[str, Any]:
        """uptime in seconds, restarts, calls, p50 of the last 200 answered calls in
        milliseconds, last error.
        """
        if ready:
            uptime = time.monotonic() - self.since
        else:
            uptime = 0.0

        p50_ms = None
        if self.seconds:
            p50_ms = round(1000 * statistics.median(self.seconds), 1)

        return {
            "uptime": round(uptime, 1),
            "restarts": self.restarts,
            "calls": self.calls,
            "p50_ms": p50_ms,
            "last_error": self.last_error,
        }


class Restarter:
    """Gives a live connection whenever one is needed. `learn` is asked to list the
    tools of each new one.
    """

    def __init__(
        self,
        opening: Opening,
        health: Health,
        learn: Callable[[Connection], Awaitable[None]],
        *,
        legacy: bool,
    ) -> None:
        self.opening, self.health, self.legacy = opening, health, legacy
        self.connection: Connection | None = None
        self.suspect = False  # a call timed out: does the server still answer at all?
        self._learn = learn
        self._lock = asyncio.Lock()
        self._state = "starting"
        self._era = ""

    @property
    def alive(self) -> Connection | None:
        """The connection when there is one that lives."""
        connection = self.connection
        if connection is not None and connection.alive:
            return connection
        return None

    @property
    def state(self) -> str:
        """starting, ready, crashed or closed."""
        if self._state == "ready" and self.alive is None:
            return "crashed"
        return self._state

    @property
    def era(self) -> str:
        """The protocol version in use, or last in use."""
        if self.alive:
            return self.alive.client.protocol_version
        return self._era

    async def start(self, timeout: float, tick: Callable[[float], None]) -> None:
        """The first connection; ConnectError in one sentence."""
        async with self._lock:
            await self._open(timeout, tick)

    async def connect(self, on_progress: Progress | None = None) -> Connection:
        """The live connection, after a restart when there is none; SessionError when
        there is no more.
        """
        if self.alive is not None and not self.suspect:
            return self.alive

        # Several calls may find the connection dead: one of them restarts the server,
        # the others wait and share what it got.
        async with self._lock:
            if self._state == "closed":
                name = self.opening.name
                raise SessionError(
                    f"server {name!r} is disconnected; connect it again with %mcp_connect."
                )

            if self.suspect and self.alive is not None:
                await self._end_if_hung(self.alive)

            return self.alive or await self._restart(on_progress)

    async def drop(
        self, connection: Connection | None, grace: float = STOP_GRACE
    ) -> None:
        """End a connection; the next need of one opens another."""
        if connection is None:
            return

        # Another call may have replaced it meanwhile.
        if self.connection is connection:
            self.connection = None

        await connection.close(grace)

    def shut(self) -> None:
        """Open no more connections."""
        self._state = "closed"

    async def close(self, grace: float) -> None:
        """End it for good."""
        self.shut()
        await self.drop(self.connection, grace)

    async def explain_loss(self, connection: Connection, during: str) -> SessionError:
        """The sentence for a request whose connection ended under it."""
        opening = self.opening
        code = None
        if connection.process is not None:
            code = await connection.process.exit_code(EXIT_WAIT)

        ended = describe_exit(code)
        if connection.trouble.sentence:
            ended = f"cannot be reached ({connection.trouble.sentence})"

        message = f"server {opening.name!r} {ended} during {during}."
        return SessionError(
            mask(message, secrets_of(opening.spec)),
            detail=opening.log.last_words(connection.log_start),
        )

    def describe(self) -> dict[str, Any]:
        """What is known of the server, for %mcp_status: transport, era, its own name
        and version.
        """
        title, transport = "", ""
        if self.alive:
            info = self.alive.client.server_info
        else:
            info = None

        if info is not None:
            title = f"{info.title or info.name} {info.version}".strip()

        if self.connection is not None:
            transport = self.connection.attempt.transport

        return {
            "state": self.state,
            "transport": transport,
            "era": self.era,
            "server": title,
        }

    async def _restart(self, on_progress: Progress | None) -> Connection:
        name, crashes = self.opening.name, self.health.crashes
        # a server behind a URL is not ours to give up
        pause = 0.0
        if isinstance(self.opening.spec, StdioServer):
            if crashes >= RESTARTS:
                raise SessionError(
                    f"server {name!r} stopped {crashes} times in a row; "
                    "use %mcp_connect to try again.",
                    detail=self.opening.log.last_words(),
                )

            pause = BACKOFF[min(crashes, len(BACKOFF) - 1)]

        await self.drop(self.connection)
        await asyncio.sleep(pause)
        self.health.restarts += 1
        self.health.crashes += 1

        def tick(seconds: float) -> None:
            if on_progress is not None:
                on_progress(None, f"restarting {name} … {seconds:.0f} s")

        try:
            await self._open(CALL_TIMEOUT, tick)
        except ConnectError as error:
            raise SessionError(error.message, detail=error.detail) from None

        assert self.connection is not None
        return self.connection

    async def _open(self, timeout: float, tick: Callable[[float], None]) -> None:
        start, name = time.monotonic(), self.opening.name
        connection = await open_connection(
            name, self.opening, legacy=self.legacy, timeout=timeout, tick=tick
        )
        self.connection = connection
        self._era = connection.client.protocol_version
        # Another start of the same server need not probe again.
        if connection.attempt.mode == "legacy" or self._era < NEWER_PROTOCOL:
            self.legacy = True

        left = timeout - (time.monotonic() - start)
        try:
            async with asyncio.timeout(max(LEAST_LISTING, left)):
                await self._learn(connection)
        except TimeoutError:
            await connection.close()
            raise ConnectError(
                f"server {name!r} did not list its tools within {timeout:g} s."
            ) from None
        except SessionError as error:
            if isinstance(error, ConnectionLost):
                error = await self.explain_loss(connection, "the listing of its tools")

            await connection.close()
            # It does not go on: nobody can use a session whose tools are not known.
            message = error.message.removesuffix(GOES_ON)
            raise ConnectError(message, detail=error.detail) from None

        self.health.since, self._state, self.suspect = time.monotonic(), "ready", False

    async def _end_if_hung(self, connection: Connection) -> None:
        """After a timeout: a server that does not answer a simple question in time is
        started anew.
        """
        received = connection.tap.received
        try:
            async with asyncio.timeout(HUNG):
                await self._learn(connection)
        except (TimeoutError, SessionError):
            # Whoever sent anything meanwhile is busy and does not hang.
            if connection.tap.received == received:
                self.opening.log.write("[notebook] the server hangs; starting it anew")
                await self.drop(connection, grace=0.1)

        self.suspect = False
