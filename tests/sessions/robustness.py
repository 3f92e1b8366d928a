"""Figures of robustness and speed, each printed with its bound: `python -m
tests.sessions.robustness [NAME ...]`.

Names: kills interrupts deaths malformed flood waiting overhead lines memory. Without a
name: all of them. Exit status 1 when a bound is not met.
"""

import asyncio
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from mcp_notebook import loop
from mcp_notebook.config import HttpServer, InProcessServer, StdioServer
from mcp_notebook.errors import NotebookError, SessionError
from mcp_notebook.sessions import Session, Sessions
from tests.servers.plain import build
from tests.sessions import malformed as own
from tests.sessions.support import HttpProcess, misbehaving, none_left, plain
from tests.sessions.test_death_watch import WAYS, end_a_kernel
from tests.sessions.test_stdio import BESIDE, READABLE, wire_cases

MISSED: list[str] = []


def show(name: str, figures: str, met: bool) -> None:
    print(f"{'ok  ' if met else 'MISS'} {name}: {figures}", flush=True)
    if not met:
        MISSED.append(name)


def spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"median {1000 * statistics.median(ordered):.0f} ms, max {1000 * ordered[-1]:.0f} ms"


@asynccontextmanager
async def misbehaving_session(mode: str = "ok", **options: Any) -> Any:
    sessions = Sessions(**options)
    yield await sessions.connect("s", misbehaving(mode))
    await sessions.close_all(0.1)


async def right(session: Session) -> bool:
    """Does a fresh call get its own answer?"""
    token = str(random.random())
    outcome = await session.call(
        "t", {"do": "ok", "give": {"token": token}}, timeout=10
    )
    return outcome.result.structured_content == {"token": token}


async def kills(count: int = 50) -> None:
    """kill -9 of the server in the middle of a call: a clear error, and the next call is right."""
    errors, recoveries, wrong = [], [], 0
    async with misbehaving_session() as session:
        for _ in range(count):
            pid = int((await session.call("t", {"do": "pid"})).result.content[0].text)
            call = asyncio.create_task(session.call("t", {"do": "hang"}))
            await asyncio.sleep(random.random() * 0.1)
            killed = time.monotonic()
            # through a process of its own, as an outside event
            await (await asyncio.create_subprocess_exec("kill", "-9", str(pid))).wait()
            try:
                await call
                wrong += 1
            except SessionError as error:
                wrong += "ended by signal 9" not in error.message
                errors.append(time.monotonic() - killed)
            start = time.monotonic()
            wrong += not await right(session)
            recoveries.append(time.monotonic() - start)
    met = wrong == 0 and max(errors) < 1 and max(recoveries) < 2
    show(
        "kills",
        f"{len(errors)} of {count} clear errors ({spread(errors)}), next call right: {spread(recoveries)}",
        met,
    )


async def interrupts(count: int = 50) -> None:
    """A call is cancelled at a random moment: it ends, and the next call on the same
    session is right.
    """
    ends, wrong = [], 0
    async with misbehaving_session() as session:
        for _ in range(count):
            call = asyncio.create_task(session.call("t", {"do": "drip", "gap": 0.0005}))
            await asyncio.sleep(random.random() * 0.05)
            start = time.monotonic()
            call.cancel()
            await asyncio.wait([call])
            ends.append(time.monotonic() - start)
            wrong += not await right(session)
        restarts = session.status()["restarts"]
    show(
        "interrupts",
        f"{count} calls ended ({spread(ends)}), {wrong} wrong answers",
        max(ends) < 2 and not wrong,
    )
    assert restarts == 0


def deaths() -> None:
    """A kernel ends in five ways, idle and busy, with a grandchild that ignores
    SIGTERM: what is left after 2 s?
    """
    left = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (way, activity) in enumerate(
            (w, a) for w in WAYS for a in ("idle", "busy")
        ):
            numbers = end_a_kernel(
                way, "grandchild_ignores", activity, Path(folder) / str(number)
            )
            left += not none_left(numbers, 2)
    show(
        "deaths",
        f"{len(WAYS)} ways x idle and busy, 3 processes each: {left} runs left one after 2 s",
        left == 0,
    )


async def malformed() -> None:
    """Replies that cannot be read: the call ends within 1 s and the session goes on."""
    times, kept, timeouts = [], 0, 0
    cases: list[Any] = [case for case in wire_cases() if case["name"] not in BESIDE]
    cases += [
        {"name": name, "body": body} for name, body in {**own.KEPT, **own.ENDED}.items()
    ]
    async with misbehaving_session() as session:
        for case in cases:
            arguments = {
                key: case[key] for key in ("parts", "body", "base64") if key in case
            }
            start = time.monotonic()
            try:
                await session.call("t", {"do": "raw", **arguments}, timeout=5)
                timeouts += case["name"] not in {*READABLE, *own.KEPT}
            except SessionError:
                times.append(time.monotonic() - start)
            kept += await right(session)
        restarts = session.status()["restarts"]
    met = (
        bool(cases)
        and max(times) < 1
        and kept == len(cases)
        and restarts == 0
        and timeouts == 0
    )
    show(
        "malformed",
        f"{len(cases)} replies, {len(times)} errors ({spread(times)}), session alive after {kept}",
        met,
    )


async def flood(count: int = 20_000) -> None:
    """Notifications before the reply: the call ends and the loop stays responsive."""
    async with misbehaving_session() as session:
        lags: list[float] = []
        watch = asyncio.create_task(_watch_lag(lags))
        start = time.monotonic()
        await session.call("t", {"do": "flood", "count": count}, timeout=60)
        seconds = time.monotonic() - start
        watch.cancel()
    worst = max(lags, default=0.0)
    show(
        "flood",
        f"{count} notifications: call done in {seconds:.2f} s, worst lag {1000 * worst:.0f} ms",
        seconds < 5,
    )


async def _watch_lag(lags: list[float]) -> None:
    while True:
        start = time.monotonic()
        await asyncio.sleep(0.01)
        lags.append(time.monotonic() - start - 0.01)


async def waiting(count: int = 5, seconds: float = 3.0) -> None:
    """Servers that wait before they speak connect side by side, and one that fails delays none."""
    delayed = "import time, runpy, sys; time.sleep({}); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])"
    usual = misbehaving()

    def late(wait: float) -> StdioServer:
        words = ("-S", "-c", delayed.format(wait), *usual.args[1:])
        return StdioServer(sys.executable, words)

    async def timed(specs: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        sessions = Sessions()
        start = time.monotonic()
        done = await sessions.connect_all(specs)
        took = time.monotonic() - start
        await sessions.close_all(0.1)
        return took, done

    alone, _ = await timed({"s0": late(seconds)})
    several = {f"s{n}": late(seconds) for n in range(count)}
    together, done = await timed({**several, "bad": misbehaving("crash_start")})
    failed = [
        name for name, session in done.items() if isinstance(session, NotebookError)
    ]
    figures = f"slowest alone {alone:.2f} s, {count} and a failing one {together:.2f} s ({together / alone:.2f} times)"
    show("waiting", figures, together < 1.25 * alone and failed == ["bad"])


async def overhead(rounds: int = 60) -> None:
    """A small call through our session against the SDK's client alone, in turns in one run."""
    web, old = HttpProcess("http"), HttpProcess("sse")
    stdio = StdioServerParameters(command=sys.executable, args=list(plain().args))
    pairs: dict[str, tuple[Callable[[], Any], Any, str]] = {
        "stdio": (lambda: stdio_client(stdio), plain(), "auto"),
        "http": (lambda: streamable_http_client(web.url), HttpServer(web.url), "auto"),
        "http legacy": (
            lambda: streamable_http_client(web.url),
            HttpServer(web.url),
            "legacy",
        ),
        "sse": (lambda: sse_client(old.url), HttpServer(old.url), "legacy"),
        "in-process": (build, InProcessServer(build), "auto"),
    }
    for name, (make, spec, mode) in pairs.items():
        sessions = Sessions()
        async with Client(make(), mode=mode) as bare:
            await bare.list_tools()
            ours = await sessions.connect("s", spec, legacy=mode == "legacy")
            theirs_ms, ours_ms = await _in_turns(
                lambda: bare.call_tool("echo", {"text": "hi"}),
                lambda: ours.call("echo", {"text": "hi"}),  # noqa: B023
                rounds,
            )
        await sessions.close_all()
        ratio = ours_ms / theirs_ms
        show(
            f"overhead {name}",
            f"SDK {theirs_ms:.2f} ms, ours {ours_ms:.2f} ms: {ratio:.2f} times",
            ratio <= 1.2,
        )
    web.kill()
    old.kill()


async def _in_turns(
    first: Callable[[], Awaitable[Any]],
    second: Callable[[], Awaitable[Any]],
    rounds: int,
) -> tuple[float, float]:
    """Median milliseconds of each over interleaved batches of five calls."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(2 * rounds):
        which = (turn + turn // 2) % 2
        call = (first, second)[which]
        for _ in range(5):
            start = time.perf_counter()
            await call()
            times[which].append(1000 * (time.perf_counter() - start))
    return statistics.median(times[0]), statistics.median(times[1])


async def lines() -> None:
    """Texts of 10, 40 and 50 MB over stdio; the time grows as the size does."""
    took = {}
    async with misbehaving_session(cap=64 * 1024 * 1024) as session:
        for megabytes in (10, 40, 50):
            took[megabytes] = min([await _big(session, megabytes) for _ in range(5)])
    spec = misbehaving()
    async with Client(
        stdio_client(StdioServerParameters(command=spec.command, args=list(spec.args)))
    ) as bare:
        start = time.perf_counter()
        await bare.call_tool("t", {"do": "big", "size": 10_000_000})
        sdk = time.perf_counter() - start
    growth = took[40] / took[10]
    figures = ", ".join(f"{size} MB {seconds:.2f} s" for size, seconds in took.items())
    show(
        "lines",
        f"{figures}; 40/10 MB: {growth:.1f} times; the SDK's reader 10 MB {sdk:.2f} s",
        growth < 7,
    )


async def _big(session: Session, megabytes: int) -> float:
    start = time.perf_counter()
    await session.call("t", {"do": "big", "size": megabytes * 1_000_000}, timeout=120)
    return time.perf_counter() - start


async def memory() -> None:
    """A line of 100 MB, and one of 50 MB that never ends, against a cap of 16 MB:
    refused early and small.
    """
    for name, arguments in {
        "100 MB": {"do": "big"},
        "unended 100 MB": {"do": "unended"},
    }.items():
        async with misbehaving_session() as session:
            await right(session)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            start = time.monotonic()
            try:
                await session.call("t", {**arguments, "size": 100_000_000}, timeout=60)
            except SessionError as error:
                refused = "more than" in error.message
            seconds = time.monotonic() - start
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            if name == "100 MB":
                refused = refused and await right(session)
        show(
            f"memory {name}",
            f"refused in {seconds:.2f} s, peak grew by {grown:.0f} MB",
            refused and grown < 48,
        )


def all_of(names: list[str]) -> Iterator[Callable[[], Any]]:
    known = (
        memory,
        kills,
        interrupts,
        deaths,
        malformed,
        flood,
        waiting,
        overhead,
        lines,
    )
    yield from (check for check in known if not names or check.__name__ in names)


def main() -> int:
    for check in all_of(sys.argv[1:]):
        done = check()
        if asyncio.iscoroutine(done):
            loop.run(done)
    print(json.dumps({"missed": MISSED}))
    return 1 if MISSED else 0


if __name__ == "__main__":
    sys.exit(main())
