"""The end of a process that asyncio started: when `let_go` returns, nothing of it is
left to the event loop.

asyncio closes a process's pipes some turns of the loop after its exit, or never when
nobody waits. A loop that is closed before leaves them to the collector, which complains
wherever it happens to run.
"""

import asyncio
from contextlib import suppress

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
