"""A job of another engine with a deadline: cancelled there, and left behind when the
engine does not let go of it.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

from mcp_notebook.sharing.sources.engine import Job
from mcp_notebook.sharing.tool_errors import ToolError

GRACE = 0.4  # seconds that an engine has for ending a cancelled statement
_AGAIN = 0.1
_KEPT = 4  # idle threads; one that hangs in an engine is not among them
_IDLE: "list[_Hand]" = []


async def within(job: Job, seconds: float, place: str) -> Any:
    """What `job.run()` gives; raises `ToolError` at the deadline and whatever the job raises.

    The job has a daemon thread to itself: one that an engine never ends must not hold
    up others or the kernel's exit.
    """
    working = _in_thread(job.run)
    try:
        done, _ = await asyncio.wait({working}, timeout=seconds)
        if done:
            return working.result()

        await _cancel_until_over(job, working)
    except asyncio.CancelledError:
        _in_thread(job.cancel)
        raise

    raise ToolError(
        f"The statement was stopped after {seconds:g} s on {place}. Filter or aggregate earlier."
    )


async def _cancel_until_over(job: Job, working: "asyncio.Future[Any]") -> None:
    """Ask until it ends, since a cancel between two steps of the job has no effect."""
    loop = asyncio.get_running_loop()
    until = loop.time() + GRACE
    while not working.done() and loop.time() < until:
        await asyncio.wait({_in_thread(job.cancel)}, timeout=_AGAIN)
        await asyncio.wait({working}, timeout=_AGAIN)


def _in_thread(work: Callable[[], Any]) -> "asyncio.Future[Any]":
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    future.add_done_callback(_look_at_failure)

    def settle(method: Callable[..., None], value: Any) -> None:
        if not future.done():
            method(value)

    def run_work() -> None:
        try:
            result = work()
        except BaseException as error:
            # boundary: it is raised where the future is awaited
            _call(loop, settle, future.set_exception, error)
        else:
            _call(loop, settle, future.set_result, result)

    try:
        hand = _IDLE.pop()
    except IndexError:
        hand = _Hand()

    hand.work.put(run_work)
    return future


class _Hand(threading.Thread):
    """A daemon thread for one job after the other: Spark opens a connection for every
    new thread.
    """

    def __init__(self) -> None:
        super().__init__(name="mcp-notebook-engine", daemon=True)
        self.work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        while True:
            self.work.get()()
            if len(_IDLE) >= _KEPT:
                return
            _IDLE.append(self)


def _call(loop: asyncio.AbstractEventLoop, *call: Any) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(*call)


def _look_at_failure(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()
