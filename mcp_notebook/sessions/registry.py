"""The servers of this notebook, by name."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import difflib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_notebook import loop
from mcp_notebook.config import (
    ServerSpec,
    StdioServer,
    check_name,
    learn_secrets,
    resolve_command,
    secrets_of,
    spec_fingerprint,
)
from mcp_notebook.config.userfiles import UserFile
from mcp_notebook.errors import NotebookError, SessionError
from mcp_notebook.sessions.log import ServerLog, quiet_sdk
from mcp_notebook.sessions.process import STOP_GRACE, ServerProcess
from mcp_notebook.sessions.tools import SessionHooks

if TYPE_CHECKING:
    from mcp_notebook.sessions.session import Session

LEAST_REPLY = 16 << 20  # bytes
# What a reply takes while it is read: its text, Python's objects of it, columns
COPIES = 8
CONNECT_TIMEOUT = 60.0
AT_EXIT = 1.8  # seconds for all servers to end when the kernel does
# seconds; a server that was updated since gets to speak the newer protocol again
GOOD_FOR = 30 * 86400.0


class ProtocolMemory:
    """Which servers need the older handshake, so that another start does not try the
    newer one first: fingerprints of their descriptions, with a path also for the next
    kernel.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._kept = UserFile(path)

    def needs_legacy(self, identity: str) -> bool:
        """Whether this server lately spoke only the older protocol, or ended when it
        was asked for the newer.
        """
        when = self._kept.get(identity)
        return isinstance(when, int | float) and 0 <= time.time() - when < GOOD_FOR

    def remember_legacy(self, identity: str) -> None:
        """It did now."""
        if not self.needs_legacy(identity):
            self._kept.keep(identity, int(time.time()))


def bound_reply(wanted: int) -> int:
    """Bytes that one reply may have: as wanted, but no more than the free memory bears,
    and in any case as much as small tables need.
    """
    free = _free_memory()
    if free is None:
        return wanted

    return max(min(wanted, free // COPIES), min(wanted, LEAST_REPLY))


def _free_memory() -> int | None:
    """Bytes that can be had without swapping, where the system says so (Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None

    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


class Sessions:
    """Connects, finds and closes sessions. Make one per kernel; async methods run on
    the background loop.
    """

    def __init__(
        self,
        *,
        hooks: SessionHooks | None = None,
        cap: int = LEAST_REPLY,
        memory: Path | None = None,
    ) -> None:
        """`cap`: bytes of one message. `memory`: a file of the user's in which the
        protocols of servers are remembered for the next kernel.
        """
        self.hooks, self.cap = hooks or SessionHooks(), cap
        self._sessions: dict[str, Session] = {}
        self._protocols = ProtocolMemory(memory)
        atexit.register(self._at_exit)

    async def connect(
        self,
        name: str,
        spec: ServerSpec,
        *,
        timeout: float = CONNECT_TIMEOUT,
        legacy: bool = False,
        trusted: bool = False,
        log_level: str | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> Session:
        """Start or reach a server and list its tools; a server of that name is replaced
        once the new one works.

        `log_level`: from which level on it is asked to log, into its private log; None:
        as it likes. Raises ConfigError when the description is wrong, ConnectError when
        the server is.
        """
        session: Session = await start_session(
            name,
            spec,
            timeout=timeout,
            legacy=legacy,
            protocols=self._protocols,
            on_progress=on_progress or (lambda line: None),
            options={
                "trusted": trusted,
                "hooks": self.hooks,
                "cap": self.cap,
                "log_level": log_level,
            },
        )
        old = self._sessions.pop(name, None)
        self._sessions[name] = session
        if old is not None:
            await old.close()

        return session

    async def connect_all(
        self, specs: Mapping[str, ServerSpec], **options: Any
    ) -> dict[str, Session | NotebookError]:
        """Connect several side by side; a server that fails delays none and its error
        stands in its place.
        """

        async def connect_one(name: str, spec: ServerSpec) -> Session | NotebookError:
            try:
                return await self.connect(name, spec, **options)
            except NotebookError as error:
                return error

        connecting = (connect_one(name, spec) for name, spec in specs.items())
        done = await asyncio.gather(*connecting)
        return dict(zip(specs, done, strict=True))

    async def disconnect(self, name: str, *, forget: bool = False) -> None:
        """End one server; SessionError when there is none of that name. `forget`: also
        the tokens of a sign-in.
        """
        session = self.get(name)
        del self._sessions[session.name]
        await session.close()
        url = getattr(session.spec, "url", "")
        if forget and url:
            # Late: the token store imports the SDK.
            tokens = import_module("mcp_notebook.sessions.oauth")
            await tokens.TokenStore(url).forget()

    async def announce_roots(self) -> None:
        """Tell every server that may ask for the folders that they are other ones now."""
        await asyncio.gather(*(session.announce_roots() for session in self))

    def get(self, name: str) -> Session:
        """The session of that name, or of what its file calls it; SessionError lists the
        names, the nearest first.
        """
        if name in self._sessions:
            return self._sessions[name]

        for session in self._sessions.values():
            if name and getattr(session.spec, "alias", "") == name:
                return session

        if not self._sessions:
            raise SessionError(
                f"there is no server {name!r}; "
                f"connect one with %mcp_connect {name} COMMAND-OR-URL."
            )

        guess = ""
        for near in difflib.get_close_matches(name, self._sessions, n=1):
            guess = f"did you mean {near!r}? "

        connected = ", ".join(self.names())
        raise SessionError(
            f"there is no server {name!r}; {guess}Connected: {connected}."
        )

    def names(self) -> list[str]:
        return sorted(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter([self._sessions[name] for name in self.names()])

    def __len__(self) -> int:
        return len(self._sessions)

    async def close_all(self, grace: float = STOP_GRACE) -> None:
        """End every server at the same time."""
        sessions, self._sessions = list(self._sessions.values()), {}
        closing = (session.close(grace) for session in sessions)
        await asyncio.gather(*closing, return_exceptions=True)

    def _at_exit(self) -> None:
        if not self._sessions:
            return

        # one that is connecting has none yet
        logs = [session.log for session in self if session is not None]
        future = loop.submit(self.close_all(grace=0.5))
        # What does not end in time is ended by its lifeline.
        concurrent.futures.wait([future], timeout=AT_EXIT)
        for log in logs:
            log.close()


async def start_session(
    name: str,
    spec: ServerSpec,
    *,
    timeout: float,
    legacy: bool,
    protocols: ProtocolMemory,
    on_progress: Callable[[str], None],
    options: dict[str, Any],
) -> Session:
    """A session that is ready, with the slow import of the SDK beside the server's own
    start. `protocols` knows the servers that need the older handshake.
    """
    check_name(name)
    if isinstance(spec, StdioServer):
        spec = resolve_command(spec, where=f"server {name!r}")

    learn_secrets(spec)
    identity = spec_fingerprint(spec)
    log = ServerLog(name, secrets_of(spec))
    process = _start_process_ahead(spec, log)
    try:
        module = await _import_sdk()
    except BaseException:  # an interrupt, too: the process that ran ahead ends
        if process is not None:
            with suppress(OSError):  # it never started
                await (await process).stop(grace=0)

        log.close()
        raise

    is_known_legacy = protocols.needs_legacy(identity)
    session: Session = module.Session(
        name, spec, legacy=legacy or is_known_legacy, log=log, **options
    )
    await session.start(timeout=timeout, on_progress=on_progress, process=process)
    # Not when the person chose it: that is for this time.
    if session.legacy and not legacy and isinstance(spec, StdioServer):
        await asyncio.to_thread(protocols.remember_legacy, identity)

    return session


def _start_process_ahead(
    spec: ServerSpec, log: ServerLog
) -> asyncio.Task[ServerProcess] | None:
    """The server starts while the SDK is still being imported."""
    if not isinstance(spec, StdioServer) or sys.platform == "win32":
        return None

    return asyncio.create_task(ServerProcess.start(spec, log))


async def _import_sdk() -> Any:
    """The session module, imported in a thread the first time: the MCP SDK takes more
    than a second.
    """
    module = await asyncio.to_thread(import_module, "mcp_notebook.sessions.session")
    quiet_sdk()
    schema = await asyncio.to_thread(import_module, "mcp_notebook.sessions.tools")
    schema.import_in_background()
    return module
