"""A shared Spark DataFrame is asked where it lives, and a statement reaches nothing but
what was shared.
"""

import asyncio
import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pytest

from mcp_notebook.errors import DataError, ToolError
from mcp_notebook.sharing.masks import Masks
from mcp_notebook.sharing.query import SqlRunner, local_answer
from mcp_notebook.sharing.sources import spark as engine
from mcp_notebook.sharing.sources.remote_plan import remote_tables
from mcp_notebook.sharing.sources.remote_route import Bounds
from mcp_notebook.sharing.table_tools import TableTools
from tests.sharing.attacks import statement
from tests.sharing.engines import rows_of
from tests.sharing.notebooks import Notebook
from tests.sharing.same_answers import all_differences
from tests.sharing.spark_sessions import Sparks, calls, moved, running
from tests.sharing.test_kinds import CELL
from tests.sharing.type_matrix import select, wrong

pytestmark = pytest.mark.slow

STATEMENTS = [
    json.loads(line)
    for line in (Path(__file__).parent / "spark_statements.jsonl")
    .read_text()
    .splitlines()
    if line
]
EVENTS = """
    select id, concat('k', id % 3) as k, id * 1.5D as x, cast(id * 1.25 as decimal(10, 2)) as p,
           date_add(date'2026-01-01', cast(id as int)) as d,
           timestamp'2026-01-01 10:00:00' + make_interval(0, 0, 0, 0, cast(id as int)) as t, array(id, id + 1) as l,
           named_struct('a', id, 'b', 'x') as st, map('k', id) as m
    from range(100)
"""


_SCHEMA = (
    "id bigint, k string, x double, p decimal(10,2), d date, t timestamp_ntz, b boolean"
)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sparks]:
    """One Spark with things that are not to be reached: views, tables, variables, a
    function, a file.
    """
    folder = tmp_path_factory.mktemp("spark")
    (folder / "secret.txt").write_text("not shared\n")
    with running(folder) as sparks:
        sparks.classic.sql(
            "create table default.hidden_table using parquet as select 'not shared' as s"
        )
        for session in (sparks.classic, sparks.connect):
            session.sql("select 'not shared' as s").createOrReplaceTempView("hidden")
            session.sql("declare variable sv = 'not shared'")
        sparks.classic.sql("select 'not shared' as s").createOrReplaceGlobalTempView(
            "shared_secret"
        )
        sparks.classic.udf.register(
            "touch_file", lambda n: (folder / "touched").write_text("x"), "int"
        )
        yield sparks


def shared(*, follows: bool = False, **variables: Any) -> Notebook:
    notebook = Notebook(**variables)
    for name in variables:
        notebook.catalog.add(name, origin="shared", follows=follows)
    return notebook


def views_of(session: Any) -> list[str]:
    """The private views that are there; `catalog.listTables` would look into each and
    fail over one that just goes.
    """
    return [
        row.viewName
        for row in session.sql("SHOW VIEWS").collect()
        if row.viewName.startswith("_mcp_")
    ]


async def _outcome(ask: Any, notebook: Notebook, text: str) -> Any:
    try:
        return await ask(notebook.catalog, text)
    except (ToolError, DataError) as error:
        return str(error)


@pytest.mark.parametrize("way", ["classic", "connect"])
async def test_attacks_are_refused_and_what_analysts_write_works(
    way: str, spark: Sparks, runner: SqlRunner
):
    """Every statement of the corpus as a model's and as the person's; nothing is
    changed and nothing leaks.
    """
    notebook = shared(events=spark.session(way).sql(EVENTS))
    before, wrong = spark.state(), []
    for number, case in enumerate(STATEMENTS):
        if way == "connect" and case.get("allowed") and number % 3:
            continue  # the same text for both, and a second each
        text = statement(case, W=spark.folder)
        asks = (
            (runner.query, local_answer)
            if way == "classic" and not case.get("allowed")
            else (runner.query,)
        )
        for ask in asks:
            outcome = await _outcome(ask, notebook, text)
            if problem := _problem(case, outcome):
                wrong.append((case["id"], problem))
    assert wrong == []
    assert spark.state() == before


def _problem(case: dict[str, Any], outcome: Any) -> str:
    if case.get("allowed"):
        if isinstance(outcome, str):
            return outcome
        rows = outcome.data.num_rows
        return (
            f"{rows} rows"
            if rows != case.get("rows", rows)
            or "not shared" in str(outcome.data.to_pylist())
            else ""
        )
    if not isinstance(outcome, str):
        return f"ran: {outcome.data.slice(0, 2).to_pylist()}"
    leaks = "not shared" in outcome or str(Path.home()) in outcome or "root:" in outcome
    return (
        f"says {outcome}"
        if leaks or case["says"].lower() not in outcome.lower()
        else ""
    )


@pytest.mark.parametrize("way", ["classic", "connect"])
async def test_only_one_row_more_than_the_limit_moves(
    way: str, spark: Sparks, runner: SqlRunner
):
    """Whatever the table's size, and the answer says that there are more."""
    session = spark.session(way)
    notebook = shared(
        big=session.sql("select id, id % 7 as k from range(100000000000)")
    )
    with moved(way) as rows:
        answer = await runner.query(
            notebook.catalog, "select * from big where k = 3", limit=20
        )
        ordered = await runner.query(
            notebook.catalog, "select k from big limit 1000", limit=5
        )
    assert rows == [21, 6]
    assert (answer.data.num_rows, ordered.data.num_rows) == (20, 5)
    assert "cut after 20 rows" in answer.truncated


@pytest.mark.parametrize("way", ["classic", "connect"])
async def test_a_statement_ends_at_its_deadline_and_spark_is_free(
    way: str, spark: Sparks, runner: SqlRunner
):
    """The job is cancelled on the engine, not only waited for."""
    session = spark.session(way)
    notebook = shared(big=session.sql("select id from range(100000000000)"))
    with pytest.raises(ToolError, match="stopped after 2 s on Spark"):
        await runner.query(
            notebook.catalog,
            "select count(*) as n from big where id % 7 = id % 11",
            timeout=2,
        )
    tracker = spark.classic.sparkContext.statusTracker()
    async with asyncio.timeout(10):
        while tracker.getActiveJobsIds():  # noqa: ASYNC110 - Spark has no event for it
            await asyncio.sleep(0.05)
        while views_of(session):
            engine.let_go()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("way", ["classic", "connect"])
async def test_it_is_listed_without_a_job_and_described_by_its_first_rows(
    way: str, spark: Sparks, runner: SqlRunner
):
    """Columns and types, that rows are not counted, and which SQL to write."""
    notebook = shared(events=spark.session(way).sql(EVENTS))
    tools = TableTools(notebook.catalog, runner, "arrow", lambda: Masks(("k",)), 30.0)
    tracker = spark.classic.sparkContext.statusTracker()
    before = len(tracker.getJobIdsForGroup())
    listed = (await tools.list_tables()).content[0].text  # type: ignore[union-attr]
    assert len(tracker.getJobIdsForGroup()) == before
    assert listed.startswith(
        "events (shared; a Spark DataFrame, queried on Spark: write DuckDB SQL, which is translated"
    )
    assert (
        "rows not counted): id int64, k string (masked), x double, p decimal128(10, 2)"
        in listed
    )
    described = (await tools.describe_table("events")).content[0].text  # type: ignore[union-attr]
    assert "first 5 rows" in described
    assert "2026-01-05" in described
    assert "k1" not in described  # masked


async def test_a_query_sees_the_variable_as_it_is_now(spark: Sparks, runner: SqlRunner):
    """Bound anew, to another engine, to a frame, deleted; the share follows the name."""
    notebook = shared(follows=True, events=spark.classic.range(3))
    seen = []
    for value in (
        spark.classic.range(5),
        spark.connect.range(7),
        pd.DataFrame({"id": range(9)}),
    ):
        notebook.variables["events"] = value
        seen.append(
            (
                await runner.query(notebook.catalog, "select count(*) as n from events")
            ).data.to_pylist()[0]["n"]
        )
    assert seen == [5, 7, 9]
    del notebook.variables["events"]
    with pytest.raises(ToolError, match="no table 'events'"):
        await runner.query(notebook.catalog, "select * from events")


async def test_a_frame_has_one_view_which_goes_with_it_and_leaves_its_cache_alone(
    spark: Sparks, runner: SqlRunner
):
    """Two statements, one view; the frame stays where the person cached it, and the
    view ends with the frame.
    """
    frame = spark.classic.range(1000).selectExpr("id", "id % 7 as k").cache()
    frame.count()
    notebook = shared(events=frame)
    engine.let_go()
    for number in range(2):
        await runner.query(
            notebook.catalog, f"select k from events where id = {number}"
        )
    assert len(views_of(spark.classic)) == 1
    engine.let_go()
    assert views_of(spark.classic) == []
    assert frame.storageLevel.useMemory
    await runner.query(notebook.catalog, "select k from events where id = 2")
    assert len(views_of(spark.classic)) == 1
    frame.unpersist()
    notebook.variables.clear()
    del frame
    gc.collect()
    async with asyncio.timeout(10):
        while views_of(spark.classic):  # noqa: ASYNC110 - the view goes on a thread of its own
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("way", ["classic", "connect"])
async def test_a_statement_sees_of_growing_files_what_the_frame_itself_sees(
    way: str, spark: Sparks, runner: SqlRunner, tmp_path: Path
):
    """Spark settles what a frame reads when it is made (Connect: when it is first
    asked), and so do we.
    """
    path = str(tmp_path / way)
    session = spark.session(way)
    session.range(3).write.parquet(path)
    frame = session.read.parquet(path)
    notebook = shared(events=frame)
    for _ in range(2):
        answer = await runner.query(
            notebook.catalog, "select count(*) as n from events"
        )
        assert answer.data.to_pylist() == [{"n": frame.count()}]
        session.range(3).write.mode("append").parquet(path)


@pytest.mark.parametrize("way", ["classic", "connect"])
async def test_no_more_ways_to_spark_than_a_person_takes(
    way: str, spark: Sparks, runner: SqlRunner
):
    """Against `spark.sql(q).limit(n).toArrow()`, counted: a job group more on a classic
    session, and no `limit`.
    """
    session = spark.session(way)
    events = session.sql(EVENTS)
    events.createOrReplaceTempView("events_of_the_count")
    notebook = shared(events=events)
    await runner.query(notebook.catalog, "select id from events")  # makes the view
    with calls(way) as ours:
        await runner.query(notebook.catalog, "select id, k from events", limit=10)
    with calls(way) as bare:
        session.sql("select id, k from events_of_the_count").limit(10).toArrow()
    session.catalog.dropTempView("events_of_the_count")
    assert len(bare) > 2  # they are counted
    assert len(ours) <= len(bare)
    assert way == "classic" or ours == ["to_table"]


async def test_a_pyspark_of_other_insides_is_asked_by_its_public_words(
    spark: Sparks, runner: SqlRunner, monkeypatch: pytest.MonkeyPatch
):
    """Three requests in place of one, the same answer, braces and all."""
    notebook = shared(events=spark.connect.sql(EVENTS))
    sql = "select id, k, '{k} `x`' as said from events where id < 3 order by id"
    short = await runner.query(notebook.catalog, sql)
    # which `session.sql` has by now
    monkeypatch.delattr("pyspark.sql.connect.plan.SQL")
    with calls("connect") as seen:
        public = await runner.query(notebook.catalog, sql)
    assert "execute_command" in seen
    assert public.data.equals(short.data)
    assert public.data["said"].to_pylist() == ["{k} `x`"] * 3


async def test_tables_of_one_session_join_there_and_small_ones_move_to_others(
    spark: Sparks, runner: SqlRunner
):
    """The notes say where it was computed and what moved."""
    session = spark.classic
    notebook = shared(
        events=session.sql(EVENTS),
        names=session.createDataFrame(
            [("k0", "zero"), ("k1", "one")], "k string, name string"
        ),
        here=pd.DataFrame({"k": ["k0", "k2"], "label": ["a", "c"]}),
        far=spark.connect.sql("select 'k0' as k, 'away' as place"),
    )
    there = await runner.query(
        notebook.catalog,
        "select name, count(*) as n from events join names using (k) group by 1",
    )
    assert (sorted(r["n"] for r in there.data.to_pylist()), there.notes) == (
        [33, 34],
        ("computed on Spark",),
    )
    mixed = await runner.query(
        notebook.catalog,
        "select label, place, count(*) as n from events join here using (k)"
        " left join far using (k) group by 1, 2 order by 1",
    )
    assert [tuple(r.values()) for r in mixed.data.to_pylist()] == [
        ("a", "away", 34),
        ("c", None, 33),
    ]
    assert mixed.notes == (
        "events: 100 rows brought over from Spark",
        "far: 1 rows brought over from Spark",
    )


async def test_what_cannot_be_asked_says_what_to_do(spark: Sparks, runner: SqlRunner):
    """A stopped session, a stream, an error of the data, a pandas frame on Spark."""
    other = spark.another_connect()
    notebook = shared(gone=other.range(3), bad=spark.classic.sql("select 'x' as s"))
    other.stop()
    with pytest.raises(ToolError, match="session is stopped: start it again"):
        await runner.query(notebook.catalog, "select * from gone")
    tools = TableTools(notebook.catalog, runner, "arrow", Masks, 30.0)
    assert "session is stopped" in (await tools.list_tables()).content[0].text  # type: ignore[union-attr]
    with pytest.raises(ToolError, match=r"Spark says: .*CAST_INVALID_INPUT"):
        await runner.query(notebook.catalog, "select cast(s as integer) as n from bad")
    notebook.variables["bad"] = spark.classic.readStream.format("rate").load()
    notebook.catalog.renew("bad")
    with pytest.raises(ToolError, match="streaming DataFrame"):
        await runner.query(notebook.catalog, "select * from bad")


@pytest.mark.parametrize("way", ["classic", "connect"])
async def test_every_type_comes_back_as_what_it_is(
    way: str, spark: Sparks, runner: SqlRunner
):
    """Decimals, times with and without a zone, lists, structs, maps, bytes, nulls in integers."""
    notebook = shared(events=spark.session(way).sql(select("spark")))
    assert await wrong(runner, notebook, "spark") == []


async def test_statements_mean_on_spark_what_they_mean_in_duckdb(
    spark: Sparks, runner: SqlRunner
):
    """The same values under the same names and types, or a refusal; never other values."""
    spark.classic.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
    events = spark.classic.createDataFrame(rows_of().to_pandas(), _SCHEMA)
    there, here = shared(events=events.cache()), shared(events=rows_of())
    assert await all_differences(runner, here, there, "spark") == []
    cell = await runner.query(there.catalog, CELL)
    assert (
        cell.data.to_pylist()
        == (await runner.query(here.catalog, CELL)).data.to_pylist()
    )


async def test_an_ibis_table_on_spark_is_asked_there(spark: Sparks, runner: SqlRunner):
    """The same cell, the expression as good as a table, one row more than the limit."""
    spark.classic.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
    spark.classic.createDataFrame(
        rows_of().to_pandas(), _SCHEMA
    ).createOrReplaceTempView("ibis_events")
    table = ibis.pyspark.connect(spark.classic).table("ibis_events")
    there, here = (
        shared(events=table.filter(table.id < 90)),
        shared(events=rows_of().slice(0, 90)),
    )
    with moved("classic") as rows:
        cell = await runner.query(there.catalog, CELL, limit=5)
    assert (
        cell.data.to_pylist()
        == (await runner.query(here.catalog, CELL, limit=5)).data.to_pylist()
    )
    assert (cell.notes, rows) == (("computed on Spark",), [6])
    with pytest.raises(ToolError, match="reflect"):
        await runner.query(
            there.catalog, "select reflect('java.lang.System', 'exit') from events"
        )
    spark.classic.catalog.dropTempView("ibis_events")


async def test_masked_columns_show_only_whether_there_is_a_value(
    spark: Sparks, runner: SqlRunner
):
    """A projection before the statement: no expression brings the values back."""
    notebook = shared(
        events=spark.classic.sql(
            "select id, if(id = 1, null, concat('k', id)) as k from range(3)"
        )
    )
    bounds = Bounds(
        10, 1_000_000, 30.0, lambda names: [name for name in names if name == "k"]
    )
    found = remote_tables(notebook.catalog, ["events"])
    sql = "select id, k, length(k) as n from events order by id"
    answer = await runner._elsewhere.query(sql, found, bounds)
    assert [(r["k"], r["n"]) for r in answer.data.to_pylist()] == [
        ("masked", 6),
        (None, None),
        ("masked", 6),
    ]
