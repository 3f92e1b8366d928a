"""Blocking work of a database driver in a thread, with a deadline that reaches into the driver."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def run_until(
    work: Callable[[], T],
    cancel: Callable[[], None],
    seconds: float,
    *,
    again: float = 0.05,
) -> T:
    """The result of `work()`; at the deadline, or when the caller is cancelled, `cancel()` ends it.

    At the deadline `cancel` is repeated every `again` seconds until the work ends,
    because it has no effect between two statements; what the driver then raises is what
    the caller gets.
    """
    done = threading.Event()

    def working() -> T:
        try:
            return work()
        finally:
            done.set()

    task = asyncio.ensure_future(asyncio.to_thread(working))
    try:
        finished, _ = await asyncio.wait({task}, timeout=seconds)
        while not finished:
            await asyncio.to_thread(cancel)
            finished, _ = await asyncio.wait({task}, timeout=again)
        return task.result()
    finally:
        if not done.is_set():
            cancel()
