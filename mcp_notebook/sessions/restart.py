"""The live connection of one session: opened, started anew after a crash with growing
pauses, given up after a cap.
"""

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mcp_notebook.config import StdioServer, mask, secrets_of
from mcp_notebook.errors import ConnectError, SessionError
from mcp_notebook.sessions.connection import Connection, Opening
from mcp_notebook.sessions.opening import EXIT_WAIT, exit_sentence, open_connection
from mcp_notebook.sessions.process import STOP_GRACE
from mcp_notebook.sessions.requests import GOES_ON, ConnectionLost

CALL_TIMEOUT = 60.0  # seconds for one answer of the server
RESTARTS = 5  # crashes in a row after which the person has to connect again
BACKOFF = (0.0, 0.25, 1.0, 3.0, 8.0)  # seconds before a restart, by crashes in a row
# seconds in which a server that let a call wait has to answer something simple
HUNG = 2.0
Progress = Callable[[float | None, str], None]


@dataclass
class Health:
    """Counters of one session; durations in seconds."""

    restarts: int = 0
    crashes: int = 0  # in a row, without a call that was answered in between
    calls: int = 0
    last_error: str = ""
    since: float = field(default_factory=time.monotonic)
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    def answered(self, seconds: float) -> None:
        """A call was answered, however the tool judged it."""
        self.crashes = 0
        self.seconds.append(seconds)

    def row(self, *, ready: bool) -> dict[str, Any]:
        """uptime in seconds, restarts, calls, p50 of the last 200 answered calls in
        milliseconds, last error.
        """
        return {
            "uptime": round(time.monotonic() - self.since, 1) if ready else 0.0,
            "restarts": self.restarts,
            "calls": self.calls,
            "p50_ms": round(1000 * statistics.median(self.seconds), 1)
            if self.seconds
            else None,
            "last_error": self.last_error,
        }


class Upkeep:
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
        return (
            self.connection
            if self.connection is not None and self.connection.alive
            else None
        )

    @property
    def state(self) -> str:
        """starting, ready, crashed or closed."""
        return (
            "crashed" if self._state == "ready" and self.alive is None else self._state
        )

    @property
    def era(self) -> str:
        """The protocol version in use, or last in use."""
        return self.alive.client.protocol_version if self.alive else self._era

    async def start(self, timeout: float, tick: Callable[[float], None]) -> None:
        """The first connection; ConnectError in one sentence."""
        async with self._lock:
            await self._open(timeout, tick)

    async def connected(self, on_progress: Progress | None = None) -> Connection:
        """The live connection, after a restart when there is none; SessionError when
        there is no more.
        """
        if self.alive is not None and not self.suspect:
            return self.alive
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

    async def lost(self, connection: Connection, during: str) -> SessionError:
        """The sentence for a request whose connection ended under it."""
        process, opening = connection.process, self.opening
        ended = exit_sentence(
            await process.exit_code(EXIT_WAIT) if process is not None else None
        )
        if connection.trouble.sentence:
            ended = f"cannot be reached ({connection.trouble.sentence})"
        message = f"server {opening.name!r} {ended} during {during}."
        return SessionError(
            mask(message, secrets_of(opening.spec)),
            detail=opening.log.last_words(connection.log_start),
        )

    async def _restart(self, on_progress: Progress | None) -> Connection:
        name, crashes = self.opening.name, self.health.crashes
        # a server behind a URL is not ours to give up
        is_process = isinstance(self.opening.spec, StdioServer)
        if is_process and crashes >= RESTARTS:
            sentence = f"server {name!r} stopped {crashes} times in a row; use %mcp_connect to try again."
            raise SessionError(sentence, detail=self.opening.log.last_words())
        await self.drop(self.connection)
        await asyncio.sleep(
            BACKOFF[min(crashes, len(BACKOFF) - 1)] if is_process else 0
        )
        self.health.restarts += 1
        self.health.crashes += 1
        tell = on_progress or (lambda fraction, message: None)
        try:
            await self._open(
                CALL_TIMEOUT,
                lambda seconds: tell(None, f"restarting {name} … {seconds:.0f} s"),
            )
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
        self.legacy = (
            self.legacy or connection.attempt.mode == "legacy" or self._era < "2026"
        )
        try:
            async with asyncio.timeout(max(5.0, timeout - (time.monotonic() - start))):
                await self._learn(connection)
        except TimeoutError:
            await connection.close()
            raise ConnectError(
                f"server {name!r} did not list its tools within {timeout:g} s."
            ) from None
        except SessionError as error:
            if isinstance(error, ConnectionLost):
                error = await self.lost(connection, "the listing of its tools")
            await connection.close()
            raise ConnectError(
                error.message.removesuffix(GOES_ON), detail=error.detail
            ) from None
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
            if connection.tap.received == received:
                self.opening.log.write("[notebook] the server hangs; starting it anew")
                await self.drop(connection, grace=0.1)
        self.suspect = False

    def facts(self) -> dict[str, Any]:
        """What is known of the server, for %mcp_status: transport, era, its own name
        and version.
        """
        info = self.alive.client.server_info if self.alive else None
        title = f"{info.title or info.name} {info.version}".strip() if info else ""
        transport = self.connection.attempt.transport if self.connection else ""
        return {
            "state": self.state,
            "transport": transport,
            "era": self.era,
            "server": title,
        }
