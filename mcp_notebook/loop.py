"""The one background event loop: sessions, agent and servers live on it, the kernel's own loop never runs them.

A plain asyncio loop on a daemon thread. The kernel's thread hands coroutines over with `submit` and waits either
in slices (`wait`, so that Ctrl-C works in a blocking cell) or with a heartbeat (`wait_in_cell`, because ipykernel
cannot interrupt an awaited cell whose await does not return to the loop, ipython/ipykernel#881).
"""

import asyncio
import concurrent.futures as futures
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

HEARTBEAT = 0.04  # seconds between two looks at the queue and at interrupts
CLEANUP = 5.0  # seconds that a cancelled coroutine may take to tidy up

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def get_loop() -> asyncio.AbstractEventLoop:
    """The background loop, started on first use."""
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            # Windows' selector loop cannot start subprocesses, and Jupyter installs that one there.
            _loop = asyncio.ProactorEventLoop() if sys.platform == "win32" else asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="mcp-notebook-loop", daemon=True).start()
        return _loop


def submit(coroutine: Coroutine[Any, Any, T]) -> "futures.Future[T]":
    """Run a coroutine on the background loop and return its future; call it from any other thread."""
    return asyncio.run_coroutine_threadsafe(coroutine, get_loop())


def wait(future: "futures.Future[T]", pump: Callable[[], None] = lambda: None) -> T:
    """Block until the future is done, calling `pump` between slices; an interrupt cancels the work first."""
    try:
        while True:
            pump()
            try:
                return future.result(HEARTBEAT)
            except futures.TimeoutError:
                if future.done():  # the coroutine itself raised TimeoutError
                    raise
    except KeyboardInterrupt:
        _cancel(future)
        raise


async def wait_in_cell(future: "futures.Future[T]", pump: Callable[[], None] = lambda: None) -> T:
    """Await the future from the kernel's loop with a heartbeat, calling `pump` at each beat."""
    try:
        while not future.done():
            pump()
            await asyncio.sleep(HEARTBEAT)
        return future.result()
    except (asyncio.CancelledError, KeyboardInterrupt):
        _cancel(future)
        raise


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and block for its result."""
    return wait(submit(coroutine))


def _cancel(future: "futures.Future[Any]") -> None:
    # A second interrupt during the clean-up goes through to the person: nothing is waited for twice.
    future.cancel()
    barrier = submit(_settled())
    futures.wait([barrier], timeout=CLEANUP)


async def _settled() -> None:
    # Cancellation is delivered on the next turns of the loop; give it those turns before the caller reads results.
    for _ in range(3):
        await asyncio.sleep(0)
