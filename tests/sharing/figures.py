"""The figures of the notebook's server: `python -m tests.sharing.figures [NAME ...]`;
without a name, all of them.

clients    100 clients x 10 queries over HTTP: how many are right, how long they take
local      SQL in this process over a shared frame, against bare DuckDB on the same
frame: time and memory worker     the fixed cost of a query in the worker process busy
a client outside while the main thread computes, against the same while it is idle: p50,
and the slowest limits     statements that eat time or memory: when they end, what the
kernel's memory does, when the next one answers handover   a million rows from
`mcp-notebook serve database` to a DataFrame: side channel against JSON text
"""

import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import numpy as np
import pandas as pd
import psutil
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_notebook.agent.call_values import Origin, Shaping
from mcp_notebook.agent.calls import shape
from mcp_notebook.config import StdioServer
from mcp_notebook.errors import ToolError
from mcp_notebook.results import read, to_dataframe
from mcp_notebook.sessions import Sessions, handover
from mcp_notebook.sharing.http_server import OutsideServer, read_connection
from mcp_notebook.sharing.query import SqlRunner, run_local_query
from tests.benchmarks.measure import interleaved, own_peak
from tests.sharing.notebooks import Notebook

LIMITS = {
    "time, not interruptible": "select levenshtein(repeat('a', 200000), repeat('b', 200000))",
    "time, a join without end": "select sum(hash(a.range + b.range) % 3) from range(10000000) a, range(10000000) b",
    "memory, one value": "select length(repeat('x', 4000000000))",
    "memory, a sort": "select * from (select hash(range) h, repeat('x', 200) s from range(50000000)) order by h",
    "memory, a list": "select list(range) from range(500000000)",
}
DEADLINE = 3.0


def frame(rows: int) -> pd.DataFrame:
    """Numbers, dates and text."""
    rng = np.random.default_rng(1)
    words = np.array([f"category {n}" for n in range(50)])
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "amount": rng.random(rows) * 100,
            "kind": words[rng.integers(0, 50, rows)],
            "day": np.datetime64("2026-01-01", "us")
            + rng.integers(0, 365, rows).astype("timedelta64[D]"),
        }
    )


@asynccontextmanager
async def outside(notebook: Notebook) -> Any:
    """URL and headers of the shared tables' server."""
    with tempfile.TemporaryDirectory() as folder:
        server = OutsideServer(notebook.catalog)
        address = await server.start(Path(folder))
        url, token = read_connection(address.connection_file)
        try:
            yield url, {"Authorization": f"Bearer {token}"}
        finally:
            await server.stop()


def shared(**tables: Any) -> Notebook:
    notebook = Notebook(**tables)
    for name in tables:
        notebook.catalog.add(name, origin="shared")
    return notebook


@asynccontextmanager
async def client_of(url: str, headers: dict[str, str]) -> Any:
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(
            streamable_http_client(url, http_client=http), read_timeout_seconds=120
        ) as client,
    ):
        yield client


async def clients() -> None:
    taken: list[float] = []

    async def one(number: int) -> int:
        right = 0
        async with client_of(url, headers) as client:
            for step in range(10):
                began = time.perf_counter()
                sql = f"select {number * 10 + step} as n, count(*) as c from sales where id < {number}"
                content = (
                    await client.call_tool("query", {"sql": sql})
                ).structured_content
                taken.append(time.perf_counter() - began)
                right += content["rows"] == [[number * 10 + step, number]]
        return right

    async with outside(shared(sales=frame(1000))) as (url, headers):
        began = time.perf_counter()
        right = sum(await asyncio.gather(*(one(number) for number in range(100))))
        seconds = time.perf_counter() - began
    p50, p95 = statistics.median(taken), sorted(taken)[int(0.95 * len(taken))]
    print(
        f"clients: {right} of 1000 right in {seconds:.1f} s; p50 {p50:.2f} s, p95 {p95:.2f} s (both ends here)"
    )


def local() -> None:
    sql = "select kind, sum(amount) as s, count(*) as n from t group by kind order by kind"
    for rows in (100_000, 1_000_000, 10_000_000):
        notebook = Notebook(t=frame(rows))
        size = int(notebook.variables["t"].memory_usage(deep=True).sum())

        def ours(notebook: Notebook = notebook) -> object:
            return run_local_query(notebook.catalog, sql)

        def bare(notebook: Notebook = notebook) -> object:
            with duckdb.connect() as connection:
                connection.register("t", notebook.variables["t"])
                return connection.sql(sql).to_arrow_table()

        connection = duckdb.connect()

        def warm(notebook: Notebook = notebook, connection: Any = connection) -> object:
            connection.register("t", notebook.variables["t"])
            return connection.sql(sql).to_arrow_table()

        candidates = {"ours": ours, "bare": bare, "warm": warm}
        best = {
            name: one.wall for name, one in interleaved(candidates, rounds=9).items()
        }
        more = max(0, typical_peak(ours, warm))
        print(
            f"local, {rows:,} rows: {best['ours'] * 1e3:.1f} ms; bare DuckDB {best['warm'] * 1e3:.1f} ms on an open "
            f"connection, {best['bare'] * 1e3:.1f} ms on a new one; {(best['ours'] - best['warm']) * 1e3:+.1f} ms; "
            f"memory {more / 1e6:.1f} MB more, {more / size:.2%} of the frame"
        )


def typical_peak(
    one: Callable[[], object], other: Callable[[], object], rounds: int = 15
) -> float:
    """How much higher the one's peak above what the process holds is than the other's,
    by the medians of runs in turn.

    A single run of each would say what the allocators do at their first use.
    """
    peaks = [(own_peak(one), own_peak(other)) for _ in range(rounds)]
    return statistics.median(peak for peak, _ in peaks) - statistics.median(
        peak for _, peak in peaks
    )


def timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


async def worker() -> None:
    runner = SqlRunner()
    began = time.perf_counter()
    await runner.start()
    started = time.perf_counter() - began
    for rows in (1_000, 1_000_000):
        notebook = Notebook(t=frame(rows))
        began = time.perf_counter()
        await runner.query(notebook.catalog, "select count(*) from t")
        first = time.perf_counter() - began
        times = []
        for _ in range(30):
            began = time.perf_counter()
            await runner.query(notebook.catalog, "select 1 as one from t limit 1")
            times.append(time.perf_counter() - began)
        best, p50 = min(times) * 1e3, statistics.median(times) * 1e3
        print(
            f"worker, {rows:,} rows: first query {first * 1e3:.0f} ms, then {best:.1f} ms at best, p50 {p50:.1f} ms"
        )
    print(f"worker: start {started:.2f} s")
    await runner.close()


def busy() -> None:
    """The server's loop runs on a thread, as in a kernel, and the client in a process
    of its own.
    """
    script = (
        "import asyncio, json, sys\nfrom tests.sharing.figures import probe\n"
        "print(json.dumps(asyncio.run(probe(*json.loads(sys.argv[1])))))"
    )
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    entered = outside(shared(sales=frame(100_000)))
    url, headers = asyncio.run_coroutine_threadsafe(entered.__aenter__(), loop).result(
        60
    )
    import subprocess

    def ask(while_waiting: Callable[[], object]) -> tuple[float, float]:
        words = [sys.executable, "-c", script, json.dumps([url, headers])]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            while process.poll() is None:
                while_waiting()
            assert process.stdout is not None
            return json.loads(process.stdout.read())

    idle = ask(lambda: time.sleep(0.05))
    computing = ask(lambda: sum(n * n for n in range(20_000)))
    print(
        f"busy: p50 {idle[0] * 1e3:.1f} ms idle, {computing[0] * 1e3:.1f} ms computing: "
        f"{computing[0] / idle[0]:.2f} times; the slowest {idle[1] * 1e3:.0f} and {computing[1] * 1e3:.0f} ms"
    )
    asyncio.run_coroutine_threadsafe(entered.__aexit__(None, None, None), loop).result(
        60
    )


async def probe(
    url: str, headers: dict[str, str], count: int = 60
) -> tuple[float, float]:
    """p50 of a small query and the slowest, from outside; five come before for warmth."""
    times = []
    async with client_of(url, headers) as client:
        for number in range(count + 5):
            began = time.perf_counter()
            await client.call_tool(
                "query", {"sql": f"select count(*) from sales where id > {number}"}
            )
            times.append(time.perf_counter() - began)
    return statistics.median(times[5:]), max(times[5:])


async def limits() -> None:
    notebook, runner = Notebook(t=frame(1_000_000)), SqlRunner()
    await runner.query(notebook.catalog, "select count(*) from t")
    me = psutil.Process()
    for name, sql in LIMITS.items():
        before, began = me.memory_info().rss, time.perf_counter()
        said = "answered"
        with watched(me) as seen:
            try:
                await runner.query(notebook.catalog, sql, timeout=DEADLINE)
            except ToolError as error:
                said = str(error)[:60]
            ended = time.perf_counter() - began
        began = time.perf_counter()
        await runner.query(notebook.catalog, "select count(*) from t")
        following = time.perf_counter() - began
        grown = (max(seen) - before) / 1e6
        print(
            f"limits, {name}: ended after {ended:.2f} s (deadline {DEADLINE:g} s), kernel {grown:+.1f} MB, "
            f"next answer after {following:.2f} s: {said}"
        )
    await runner.close()


@contextmanager
def watched(process: psutil.Process) -> Iterator[list[int]]:
    """The process's memory while the block runs."""
    seen, end = [process.memory_info().rss], threading.Event()

    def watch() -> None:
        while not end.wait(0.02):
            seen.append(process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


async def handing() -> None:
    rows = 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.register("f", frame(rows))
            connection.execute("create table sales as select * from f")
        sessions = Sessions()
        words = (
            "-m",
            "mcp_notebook",
            "serve",
            "database",
            "--url",
            f"duckdb:///{path}",
            "--max-rows",
            str(rows),
        )
        side = await sessions.connect(
            "side",
            handover.offer_folder(StdioServer(sys.executable, words)),
            timeout=60,
        )
        query = {"sql": "select * from sales"}
        sides = [await by_side(side, query) for _ in range(3)]
        bare = timed(
            lambda: (
                duckdb.connect(str(path), read_only=True)
                .sql("select * from sales")
                .to_arrow_table()
            )
        )
        await sessions.close_all(0.5)
    result = {
        "content": [
            {
                "type": "text",
                "text": frame(rows).to_json(orient="records", date_format="iso"),
            }
        ]
    }
    began = time.perf_counter()
    assert len(to_dataframe(result)) == rows  # type: ignore[arg-type]
    as_json = time.perf_counter() - began
    call, taking = min(call for call, _ in sides), min(taking for _, taking in sides)
    print(
        f"handover, {rows:,} rows: call {call:.2f} s (the query alone {bare:.2f} s), then to a DataFrame "
        f"{taking * 1e3:.0f} ms; the same rows as JSON text to a DataFrame {as_json:.2f} s: {taking / as_json:.4f} "
        f"of it, whole {(call + taking) / (call + as_json):.3f} even if its transport were free"
    )


async def by_side(session: Any, query: dict[str, str]) -> tuple[float, float]:
    """Seconds of the call, and of the hand-over from its result to a DataFrame."""
    tool = next(tool for tool in session.tools if tool.name == "query_database")
    began = time.perf_counter()
    outcome = await session.call("query_database", query, timeout=120)
    called = time.perf_counter()
    kept: list[Any] = []

    def keep(tables: Any, origin: Origin, write: Any) -> Any:
        kept.extend(table.to_pandas() for table in tables)
        return ("t",), write(["t"])

    began_reading = time.perf_counter()
    uris = [block for block in outcome.result.content if block.type == "resource_link"]
    reading = read(outcome.result, allowed_dirs=handover.offered_folders(session.spec))
    kept.append(reading.tables[0].to_pandas())
    taken = time.perf_counter() - began_reading
    assert len(kept[0]) == 1_000_000
    await shape(
        outcome, tool, Origin("s", "q", query, "1", "", 0.0), keep, Shaping(), session
    )
    assert uris
    return called - began, taken


FIGURES: dict[str, Callable[[], Any]] = {
    "clients": clients, "local": local, "worker": worker, "busy": busy, "limits": limits, "handover": handing,
}  # fmt: skip


def main() -> None:
    for name in sys.argv[1:] or FIGURES:
        done = FIGURES[name]()
        if asyncio.iscoroutine(done):
            asyncio.run(done)


if __name__ == "__main__":
    main()
