r"""The one background event loop: sessions, agent and servers live on it, the kernel's
own loop never runs them.

A plain asyncio loop on a daemon thread. The kernel's thread hands coroutines over with
`submit` and waits either in slices (`wait`, so that Ctrl-C works in a blocking cell) or
with a heartbeat (`wait_in_cell`, because ipykernel cannot interrupt an awaited cell
whose await does not return to the loop, ipython/ipykernel#881).
"""

from __future__ import annotations

import asyncio
import concurrent.futures as futures
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from mcp_notebook.errors import NotebookError

T = TypeVar("T")

HEARTBEAT = 0.04  # seconds between two looks at the queue and at interrupts
THREAD = "mcp-notebook-loop"
CLEANUP = 5.0  # seconds that a cancelled coroutine may take to tidy up

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def get_loop() -> asyncio.AbstractEventLoop:
    """The background loop, started on first use."""
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            # Windows' selector loop cannot start subprocesses, and Jupyter installs that one there.
            if sys.platform == "win32":
                _loop = asyncio.ProactorEventLoop()
            else:
                _loop = asyncio.new_event_loop()

            threading.Thread(target=_loop.run_forever, name=THREAD, daemon=True).start()

        return _loop


def submit(coroutine: Coroutine[Any, Any, T]) -> futures.Future[T]:
    """Run a coroutine on the background loop and return its future; call it from any
    other thread.
    """
    settled = _Settled()
    future = asyncio.run_coroutine_threadsafe(settled.watch(coroutine), get_loop())
    _settled[future] = settled
    return future


class _Settled:
    """Tells when a coroutine has really ended: a cancelled future is done long before
    its clean-up is.
    """

    def __init__(self) -> None:
        self.begun = False
        self.ended = threading.Event()

    async def watch(self, coroutine: Coroutine[Any, Any, T]) -> T:
        self.begun = True
        try:
            return await coroutine
        finally:
            self.ended.set()


_settled: weakref.WeakKeyDictionary[futures.Future[Any], _Settled] = (
    weakref.WeakKeyDictionary()
)


def wait(future: futures.Future[T], pump: Callable[[], None] = lambda: None) -> T:
    """Block until the future is done, calling `pump` between slices; an interrupt
    cancels the work first.
    """
    try:
        while True:
            pump()
            try:
                return future.result(HEARTBEAT)
            except futures.TimeoutError:
                if future.done():  # the coroutine itself raised TimeoutError
                    raise
    except NotebookError as error:
        raise error.alone()  # noqa: B904 - alone is the point
    except KeyboardInterrupt:
        _cancel(future)
        raise


async def wait_in_cell(
    future: futures.Future[T], pump: Callable[[], None] = lambda: None
) -> T:
    """Await the future from the kernel's loop with a heartbeat, calling `pump` at each beat."""
    try:
        while not future.done():
            pump()
            await asyncio.sleep(HEARTBEAT)

        return future.result()
    except NotebookError as error:
        raise error.alone()  # noqa: B904
    except (asyncio.CancelledError, KeyboardInterrupt):
        _cancel(future)
        raise


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and block for its result."""
    return wait(submit(coroutine))


def _cancel(future: futures.Future[Any]) -> None:
    """Cancel the work and wait, bounded, until its clean-up is done. A second interrupt
    goes through.
    """
    future.cancel()
    settled = _settled.get(future)
    # Two turns of the loop: by then the cancellation is delivered, and work that never
    # began will never begin.
    for _ in range(2):
        futures.wait(
            [asyncio.run_coroutine_threadsafe(asyncio.sleep(0), get_loop())],
            timeout=CLEANUP,
        )

    if settled is not None and settled.begun:
        settled.ended.wait(CLEANUP)


# The end of a process that asyncio started: when `let_go` returns, nothing of it is
# left to the event loop.
#
# asyncio closes a process's pipes some turns of the loop after its exit, or never when
# nobody waits. A loop that is closed before leaves them to the collector, which
# complains wherever it happens to run.


TURNS = 3  # of the loop: the pipes say goodbye, then the process's transport does
GONE = 5.0  # seconds for the news of the exit of a process that was killed


async def kill(process: asyncio.subprocess.Process) -> None:
    """End a process at once, and let go of it."""
    try:
        with suppress(ProcessLookupError, TimeoutError):
            process.kill()
            async with asyncio.timeout(GONE):
                await process.wait()
    finally:
        await let_go(process)


async def let_go(process: asyncio.subprocess.Process) -> None:
    """Close the pipes of a process, which is killed should it still run. What its stdin
    did not take yet is lost.
    """
    if process.stdin is not None and process.stdin.transport.get_write_buffer_size():
        process.stdin.transport.abort()  # a close would wait for a reader

    process._transport.close()  # type: ignore[attr-defined] - asyncio offers no other way
    for _ in range(TURNS):
        await asyncio.sleep(0)


# what the folders of installed packages are called, on every system
INSTALLED = ("site-packages", "dist-packages")


def package_folders() -> list[str]:
    """The folders of this kernel's path that packages were installed in, for a process of
    ours that starts isolated; it takes them behind its own.

    The notebook's folder is not among them, although editors and `PYTHONPATH` put it on
    the kernel's path: a `random.py` beside the notebook is no module of ours. What is
    loaded from elsewhere counts, too.
    """
    own = str(Path(__file__).resolve().parents[1])
    modules = [
        sys.modules.get(name) for name in ("pyarrow", "numpy", "duckdb", "sqlglot")
    ]
    files = [getattr(module, "__file__", None) for module in modules]
    others = {str(Path(file).parents[1]) for file in files if file}
    return [
        folder
        for folder in dict.fromkeys([*filter(None, sys.path), own, *sorted(others)])
        if Path(folder).name in INSTALLED or folder in (own, *others)
    ]
