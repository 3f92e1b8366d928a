"""Five servers at one call a second each: growth of memory and descriptors. `python -m
tests.sessions.soak MINUTES`.
"""

import asyncio
import os
import sys
import time

import psutil

from mcp_notebook import loop
from mcp_notebook.config import HttpServer, InProcessServer
from mcp_notebook.sessions import Session, Sessions
from tests.servers.plain import build
from tests.sessions.support import HttpProcess, plain

WARM_UP = 30  # calls of each before the first figures are taken


async def soak(minutes: float, web: str, old: str) -> bool:
    sessions = Sessions()
    specs = {
        "stdio": plain(),
        "other": plain(),
        "http": HttpServer(web),
        "sse": HttpServer(old),
        "here": InProcessServer(build),
    }
    await sessions.connect_all(specs)
    used = psutil.Process(os.getpid())
    await asyncio.gather(*(_calls(session, WARM_UP, 0.02) for session in sessions))
    memory, descriptors = used.memory_info().rss, used.num_fds()
    watch = asyncio.create_task(_watch(used, 6.0 * minutes))
    wrong = sum(
        await asyncio.gather(
            *(_calls(session, round(60 * minutes), 1.0) for session in sessions)
        )
    )
    watch.cancel()
    grown, opened = (
        (used.memory_info().rss - memory) / 1e6,
        used.num_fds() - descriptors,
    )
    restarts = sum(session.status()["restarts"] for session in sessions)
    print(
        f"{minutes:g} minutes, {len(specs)} servers: {wrong} wrong, {restarts} restarts, memory grew by {grown:.1f} MB,"
    )
    print(
        f"descriptors by {opened} (of {descriptors}), tasks {len(asyncio.all_tasks())}"
    )
    await sessions.close_all()
    return not wrong and grown < 50 and opened <= 2


async def _watch(used: psutil.Process, pause: float) -> None:
    """Print a line every `pause` seconds, so that a run that is cut short has shown something."""
    while True:
        memory = used.memory_info().rss / 1e6
        print(
            f"{time.strftime('%H:%M')} {memory:.1f} MB, {used.num_fds()} descriptors",
            flush=True,
        )
        await asyncio.sleep(pause)


async def _calls(session: Session, count: int, pause: float) -> int:
    wrong = 0
    for number in range(count):
        start = time.monotonic()
        outcome = await session.call("echo", {"text": f"{session.name} {number}" * 50})
        wrong += outcome.result.content[0].text != f"{session.name} {number}" * 50
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - start)))
    return wrong


if __name__ == "__main__":
    servers = HttpProcess("http"), HttpProcess("sse")
    good = loop.run(soak(float(sys.argv[1]), servers[0].url, servers[1].url))
    for server in servers:
        server.kill()
    sys.exit(not good)
