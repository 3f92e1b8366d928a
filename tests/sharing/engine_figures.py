"""What asking a shared table costs over asking its engine bare: `python -m
tests.sharing.engine_figures [--spark]`.

Each pair runs alternately in one process; the figures are medians of wall time and
their ratio. On Spark the order in a pair alternates, both sides end as an Arrow table,
a statement is asked again and a new one each time, the ratio is the median of the
pairs' with the middle half of them, and the rows that leave Spark are counted.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from mcp_notebook.sharing.query import SqlRunner, local_answer
from tests.sharing.engines import LOCAL, postgres_with_rows, rows_of
from tests.sharing.notebooks import Notebook
from tests.sharing.spark_sessions import running

QUESTION = "select k, count(*) as n, sum(x) as s from events group by k order by k"


async def pair(
    bare: Callable[[], Any], ours: Callable[[], Awaitable[Any]], times: int
) -> tuple[float, float]:
    """Medians in milliseconds, after one run of each for warmth."""
    spent: tuple[list[float], list[float]] = ([], [])
    for number in range(times + 1):
        started = time.perf_counter()
        await asyncio.to_thread(bare)
        between = time.perf_counter()
        await ours()
        ended = time.perf_counter()
        if number:
            spent[0].append(between - started)
            spent[1].append(ended - between)
    return statistics.median(spent[0]) * 1000, statistics.median(spent[1]) * 1000


def shared(value: Any) -> Notebook:
    notebook = Notebook(events=value)
    notebook.catalog.add("events", origin="shared")
    return notebook


async def kinds(rows: int, times: int, folder: Path) -> None:
    """Every kind of this machine, in the worker and in this process, against DuckDB on
    the same Arrow table.
    """
    table = rows_of(rows)
    pq.write_table(table, folder / "bare.parquet")
    connection = duckdb.connect()
    connection.register("events", table)
    runner = SqlRunner()
    for kind, make in LOCAL.items():
        place = folder / kind.replace(" ", "-")
        place.mkdir()
        value = make(table, place)
        notebook = shared(value)

        def bare(kind: str = kind) -> Any:
            if kind in ("parquet", "parquet pattern", "arrow dataset"):
                return connection.sql(
                    QUESTION.replace("events", f"'{folder}/bare.parquet'")
                ).to_arrow_table()
            return connection.sql(QUESTION).to_arrow_table()

        for name, ask in (("worker", runner.query), ("in process", local_answer)):
            one, other = await pair(
                bare, lambda ask=ask, n=notebook: ask(n.catalog, QUESTION), times
            )
            print(
                f"{kind:24} {name:11} bare {one:8.1f} ms  shared {other:8.1f} ms  ratio {other / one:6.2f}"
            )
    with postgres_with_rows(rows=min(rows, 100_000)) as (server, ibis_connection):
        import psycopg

        with psycopg.connect(server.url("ro"), autocommit=True) as own:
            notebook = shared(ibis_connection.table("events"))
            one, other = await pair(
                lambda: own.execute(QUESTION.encode()).fetchall(),
                lambda: runner.query(notebook.catalog, QUESTION),
                times,
            )
            print(f"{'ibis on postgresql':24} {'server':11} bare {one:8.1f} ms  shared {other:8.1f} ms  "
                  f"ratio {other / one:6.2f}")  # fmt: skip
    await runner.close()


async def ratios(
    bare: Callable[[int], Any], ours: Callable[[int], Awaitable[Any]], times: int
) -> tuple[float, float, list[float]]:
    """Medians in milliseconds, and the quartiles of the pairs' ratios; three pairs come
    before for warmth.
    """
    spent: list[tuple[float, float]] = []
    for number in range(times + 3):
        took = [0.0, 0.0]
        for side in (0, 1) if number % 2 else (1, 0):
            started = time.perf_counter()
            await (ours(number) if side else asyncio.to_thread(bare, number))
            took[side] = time.perf_counter() - started
        spent.append((took[0], took[1]))
    kept = spent[3:]
    quarters = statistics.quantiles((other / one for one, other in kept), n=4)
    return (
        *(statistics.median(side) * 1000 for side in zip(*kept, strict=True)),
        quarters,
    )


async def spark(rows: int, times: int, folder: Path) -> None:
    """A preview of 200 rows: `spark.sql(q).limit(n).toArrow()` against `query`, classic
    and Connect.
    """
    runner = SqlRunner()
    with running(folder) as sparks:
        path = str(folder / "events.parquet")
        sparks.classic.sql(
            f"select id, id % 1000 as k, id * 1.5D as x, concat('user_', id % 100000) as uid from range({rows})"
        ).write.parquet(path)
        for way in ("classic", "connect"):
            session = sparks.session(way)
            events = session.read.parquet(path)
            events.createOrReplaceTempView("events")
            notebook = shared(events)
            for sql in (
                "select * from events",
                "select * from events where k = {n}",
                QUESTION,
            ):
                moved: list[int] = []

                def bare(number: int, sql: str = sql, session: Any = session) -> Any:
                    return session.sql(sql.format(n=number)).limit(200).toArrow()

                async def ours(
                    number: int,
                    sql: str = sql,
                    notebook: Notebook = notebook,
                    moved: list[int] = moved,
                ) -> None:
                    answer = await runner.query(
                        notebook.catalog, sql.format(n=number), limit=200
                    )
                    moved.append(answer.data.num_rows)

                one, other, quarters = await ratios(bare, ours, times)
                new = "new each time" if "{" in sql else "again"
                print(f"spark {way:8} {sql[:38]:38} {new:13} bare {one:7.1f} ms  shared {other:7.1f} ms  ratio "
                      f"{quarters[1]:5.2f} ({quarters[0]:.2f} to {quarters[2]:.2f})  rows kept {max(moved)}",
                      flush=True)  # fmt: skip
    await runner.close()


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--times", type=int, default=9)
    options.add_argument(
        "--spark",
        action="store_true",
        help="Spark instead of the kinds of this machine",
    )
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(
            (spark if chosen.spark else kinds)(chosen.rows, chosen.times, Path(folder))
        )


if __name__ == "__main__":
    main()
