"""The notebook's end of the worker process: start it, ask it with a deadline, kill it,
start it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mcp_notebook.errors import DataError, ToolError
from mcp_notebook.loop import kill, package_folders

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
_PASSED_ON = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
)
_MAIN = """
import json, sys
# -I shuts out the variables and folders that could change what is imported
sys.path += json.loads(sys.argv[1])
from mcp_notebook.sharing.worker_process import main
main()
"""
_LINE = 1 << 20  # bytes of an answer, which holds no rows


class Worker:
    """One worker process, kept warm. All methods run on one event loop; requests take turns."""

    def __init__(self, folder: Path, *, database: str = "") -> None:
        """`folder` is private to it; `database` is a DuckDB file to open read-only in
        place of an empty memory.
        """
        self._folder = folder
        self._database = database
        self._spill = ""  # where the process puts what its memory cannot hold
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The worker's answer; raises `ToolError` for its errors, at the deadline and when it died.

        At the deadline the process is killed; a fresh one starts in the background for
        the next request.
        """
        async with self._turn:
            await self._ready()
            try:
                answer = await asyncio.wait_for(self._exchange(request), seconds)
            except TimeoutError:
                self._replace()
                raise ToolError(
                    f"The statement was stopped after {seconds:g} s. Filter or aggregate earlier."
                ) from None
            except asyncio.CancelledError:
                self._replace()  # its answer would be taken for the next request's
                raise

            if not answer:
                self._replace()
                raise ToolError(
                    "The statement ended its worker process, probably for memory: "
                    "filter or aggregate earlier."
                )

        if "error" in answer:
            raise ToolError(answer["error"])

        return answer

    async def start(self) -> None:
        """Start the process ahead of the first request."""
        async with self._turn:
            await self._ready()

    async def close(self) -> None:
        """Kill the process and wait for its end."""
        if self._starting is not None:
            self._starting.cancel()
            with contextlib.suppress(asyncio.CancelledError, DataError):
                await self._starting

        self._end()
        self._starting = None
        await asyncio.gather(*self._ending)

    async def _ready(self) -> None:
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())

        try:
            await asyncio.shield(self._starting)
        except DataError:
            self._starting = None
            raise

    async def _start(self) -> None:
        started = time.monotonic()
        self._spill = tempfile.mkdtemp(prefix="spill-", dir=self._folder)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-Xutf8",
            "-c",
            _MAIN,
            json.dumps(package_folders()),
            self._database,
            str(self._folder),
            self._spill,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE,
            env=_environment(self._folder),
            cwd=self._folder,
        )
        try:
            answer = await asyncio.wait_for(_read_line(self._process), START_SECONDS)
        except TimeoutError:
            answer = {}

        if not answer.get("ready"):
            self._end()
            why = answer.get("error", "check that duckdb and pyarrow are installed")
            raise DataError(f"The process that runs SQL did not start: {why}.")

        logger.debug(
            "SQL worker %s ready after %.2f s",
            self._process.pid,
            time.monotonic() - started,
        )

    async def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return {}

        return await _read_line(process)

    def _replace(self) -> None:
        self._end()
        self._starting = asyncio.ensure_future(self._start())
        self._starting.add_done_callback(_log_failed_start)

    def _end(self) -> None:
        """Kill the process; `close` waits until nothing is left of it."""
        process, self._process = self._process, None
        if process is not None:
            ending = asyncio.ensure_future(_kill_with(process, self._spill))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)


async def _kill_with(process: asyncio.subprocess.Process, spill: str) -> None:
    """Also of a process that was killed by another, nothing stays on the disk."""
    await kill(process)
    await asyncio.to_thread(shutil.rmtree, spill, ignore_errors=True)


async def _read_line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """One answer, {} when the process ended."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    if line:
        return json.loads(line)
    return {}


def _environment(folder: Path) -> dict[str, str]:
    """No secrets: only what an interpreter needs, and the private folder as home."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**kept, "HOME": str(folder), "TMPDIR": str(folder)}


def _log_failed_start(task: asyncio.Task[None]) -> None:
    # the next request starts anew and reports it
    if not task.cancelled() and task.exception():
        logger.debug("the SQL worker did not restart: %s", task.exception())
