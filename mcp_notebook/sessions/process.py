"""Starts a stdio server under its lifeline, and stops it. Does not import the MCP SDK,
so both start at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mcp_notebook.config import StdioServer
from mcp_notebook.loop import let_go
from mcp_notebook.sessions.log import ServerLog

# What the SDK hands to servers (mcp.client.stdio.DEFAULT_INHERITED_ENV_VARS): secrets
# of the kernel stay with it.
INHERITED = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
LIFELINE = Path(__file__).with_name("death_watch.py")
READ_SIZE = 1 << 20
STOP_GRACE = 1.5  # seconds a server has to end by itself after its stdin closed
STOP_FORCE = 2.5  # seconds the lifeline has to end the whole group

_stops: set[asyncio.Task[None]] = set()


def server_environment(
    env: Mapping[str, str], inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment a server gets: a few variables, UTC (dates arrive a day early in
    other zones), what was named.
    """
    # A value that begins with () is a shell function, which old shells execute.
    kept = {
        name: inherited[name]
        for name in INHERITED
        if not inherited.get(name, "()").startswith("()")
    }
    return {"TZ": "UTC", **kept, **env}


class ServerProcess:
    """One running server: its pipes, its end. Made by `start`; POSIX only."""

    def __init__(self, process: asyncio.subprocess.Process, lifeline: int) -> None:
        self._process = process
        self._lifeline = lifeline
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin = process.stdin
        self.stdout = process.stdout

    @classmethod
    async def start(cls, spec: StdioServer, log: ServerLog) -> ServerProcess:
        """Start the command; OSError when the supervisor itself cannot start."""
        read, write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-I",
                    "-S",
                    str(LIFELINE),
                    str(read),
                    log.path,
                    spec.command,
                    *spec.args,
                ),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log.fileno(),
                env=server_environment(spec.env),
                cwd=spec.cwd,
                pass_fds=(read,),
                # an interrupt of the kernel does not reach servers
                start_new_session=True,
                limit=READ_SIZE,
            )
        except BaseException:  # whatever kept it from starting: no end is left open
            os.close(write)
            raise
        finally:
            os.close(read)

        return cls(process, write)

    async def exit_code(self, wait: float) -> int | None:
        """The exit status if the server ends within `wait` seconds; negative: the
        signal that ended it.
        """
        # Not process.wait(), which also waits for the pipes to end, and something else
        # may hold those.
        now = asyncio.get_running_loop().time
        deadline = now() + wait
        while (code := self._process.returncode) is None and now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

        if code is not None and code > 128:
            return 128 - code

        return code

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """Close stdin, wait, then end the group; goes on to the end even when the
        caller is cancelled.
        """
        task = asyncio.create_task(self._stop(grace))
        _stops.add(task)
        task.add_done_callback(_stops.discard)
        await asyncio.shield(task)

    def cut(self) -> None:
        """Let go of the lifeline: the supervisor ends the server and all it started."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    async def _stop(self, grace: float) -> None:
        self.stdin.close()
        drain = asyncio.create_task(self._drain())
        try:
            if await self.exit_code(grace) is None:
                self.cut()

            if await self.exit_code(STOP_FORCE) is None:
                with suppress(ProcessLookupError):
                    self._process.kill()
        finally:
            self.cut()
            drain.cancel()
            await let_go(self._process)

    async def _drain(self) -> None:
        # A server that is stuck writing its stdout cannot end.
        with suppress(OSError, ValueError, RuntimeError):
            while await self.stdout.read(READ_SIZE):
                pass
