"""A shared Ibis table on PostgreSQL is asked there, read-only, and gives what DuckDB
gives on a frame.
"""

import asyncio
import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pandas as pd
import psycopg
import pytest

from mcp_notebook.errors import DataError, ToolError
from mcp_notebook.sharing.masks import Masks
from mcp_notebook.sharing.query import SqlRunner, local_answer
from mcp_notebook.sharing.sources import engines as ibis_tables
from mcp_notebook.sharing.sources import local_tables
from mcp_notebook.sharing.table_tools import TableTools
from tests.sharing.engines import postgres_with_rows, rows_of
from tests.sharing.notebooks import Notebook
from tests.sharing.same_answers import all_differences
from tests.sharing.test_kinds import CELL, _expected, shared
from tests.sharing.type_matrix import select, wrong


@pytest.fixture(scope="module")
def postgres() -> Iterator[tuple[Any, Any]]:
    """A server, and an Ibis connection to it as an ordinary role."""
    with postgres_with_rows() as found:
        yield found


@pytest.mark.slow
async def test_the_same_cell_gives_the_same_answer(postgres: Any, runner: SqlRunner):
    """As on every kind of this machine; a filtered expression is as good as a table."""
    table = postgres[1].table("events")
    for value in (table, table.filter(table.id >= 10)):
        notebook = shared(events=value)
        for answer in (
            await runner.query(notebook.catalog, CELL),
            await local_answer(notebook.catalog, CELL),
        ):
            assert answer.data.to_pylist() == _expected()
            assert answer.notes == ("computed on PostgreSQL",)


@pytest.mark.slow
async def test_statements_mean_on_postgres_what_they_mean_in_duckdb(
    postgres: Any, runner: SqlRunner
):
    """The same values under the same names and types, or a refusal; never other values."""
    there = shared(events=postgres[1].table("events"))
    here = Notebook(events=rows_of())
    assert await all_differences(runner, here, there, "postgres") == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("select * from hidden", "no table 'hidden'"),
        ("select * from public.hidden, events", "no table 'public.hidden'"),
        (
            "select * from (with hidden as (select 1 as a) select * from hidden) q, hidden, events",
            "no table 'hidden'",
        ),
        ("select pg_read_file('/etc/passwd') from events", "pg_read_file"),
        ("select pg_sleep(10) from events", "pg_sleep"),
        ("select current_setting('data_directory') from events", "current_setting"),
        ("select set_config('a.b', 'c', false) from events", "set_config"),
        (
            "select query_to_xml('select * from hidden', true, false, '') from events",
            "query_to_xml",
        ),
        ("select lo_import('/etc/passwd') from events", "lo_import"),
        ("select nextval('sq') from events", "nextval"),
        ("select user from events", "user"),
        ("select current_user from events", "current_user"),
        ("select version() from events", "version"),
        ("select * from pg_catalog.pg_user, events", "no table"),
        ("select ctid from events", "ctid"),
        ("select generate_series(1, 1000000000) from events", "generate_series"),
        ("with x as (delete from events returning *) select * from x", ""),
        ("insert into events (id) values (1)", "INSERT"),
        ("select 1 from events; drop table events", "2 statements"),
        ("select * from events for update", ""),
        ("copy events to '/tmp/x'", "COPY"),
        ("select repeat(k, 1000000000) from events", "repeat"),
        ("select mine(id) from events", "mine"),
        ("select public.mine(id) from events", ""),
        ("select 'a\\' as a, $$b$$ as b from events", ""),
    ],
)
async def test_a_statement_reaches_only_what_is_shared(
    statement: str, said: str, postgres: Any, runner: SqlRunner
):
    """Refused before it is sent; the server's state is the same afterwards."""
    server, connection = postgres
    before = server.state()
    with pytest.raises(ToolError) as caught:
        await runner.query(shared(events=connection.table("events")).catalog, statement)
    assert said.lower() in str(caught.value).lower()
    assert "not shared" not in str(caught.value)
    assert server.state() == before


async def test_what_passes_the_check_still_runs_read_only_and_alone(
    postgres: Any, runner: SqlRunner
):
    """The transaction refuses writes, and the person's own transaction is neither seen
    nor ended.
    """
    server, connection = postgres
    table = connection.table("events")
    with psycopg.connect(server.url("ro")) as own:
        other = ibis.postgres.from_connection(own)
        own.execute("create temp table mine as select 1 as a")
        answer = await runner.query(
            shared(t=other.table("events")).catalog, "select count(*) as n from t"
        )
        assert own.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        with pytest.raises(ToolError, match="lives in your own"):
            await runner.query(shared(t=other.table("mine")).catalog, "select * from t")
        assert own.execute("select a from mine").fetchone() == (1,)
    assert answer.data.to_pylist() == [{"n": 100}]
    job = _job(table)
    job.text = "delete from events"
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        job.run()


def _job(table: Any) -> Any:
    from mcp_notebook.sharing.sources.engine import Masking
    from mcp_notebook.sharing.sources.engines import remote_table_of
    from mcp_notebook.sharing.sources.plan import make

    place = remote_table_of(table)
    plan = make(
        "select 1 as one from events", "postgres", {"events": {"id": "integer"}}, rows=2
    )
    return place.job(plan, {name: (place, Masking()) for name in plan.tables}, 5.0)


async def test_a_statement_ends_at_its_deadline(postgres: Any, runner: SqlRunner):
    """Cancelled on the server, which is idle afterwards."""
    server, connection = postgres
    notebook = shared(events=connection.table("events"))
    endless = "select count(*) as n from events a, events b, events c, events d, events e where a.x * b.x = c.x * d.x + e.x"
    with pytest.raises(ToolError, match=r"stopped after 0\.5 s on PostgreSQL"):
        await runner.query(notebook.catalog, endless, timeout=0.5)
    with psycopg.connect(server.url("postgres")) as watch:
        watch.autocommit = True
        sql = "select count(*) from pg_stat_activity where application_name = 'mcp-notebook' and state = 'active'"
        for _ in range(200):
            if watch.execute(sql).fetchone() == (0,):
                break

            await asyncio.sleep(0.02)

        assert watch.execute(sql).fetchone() == (0,)


async def test_it_is_listed_with_its_place_and_joins_with_frames(
    postgres: Any, runner: SqlRunner
):
    """Not counted for the list; a small table moves for a join."""
    notebook = shared(
        events=postgres[1].table("events"),
        names=pd.DataFrame({"k": ["k0"], "name": ["zero"]}),
    )
    tools = TableTools(notebook.catalog, runner, "arrow", Masks, 30.0)
    listed = (await tools.list_tables()).content[0].text  # type: ignore[union-attr]
    assert "an Ibis table, queried on PostgreSQL" in listed
    assert "rows not counted): id int64" in listed
    assert "2026-01-02" in (await tools.describe_table("events")).content[0].text  # type: ignore[union-attr]
    answer = await runner.query(
        notebook.catalog,
        "select name, count(*) as n from events join names using (k) group by 1",
    )
    assert (answer.data.to_pylist(), answer.notes) == (
        [{"name": "zero", "n": 34}],
        ("events: 100 rows brought over from PostgreSQL",),
    )


async def test_names_in_other_letter_cases_are_found_as_duckdb_finds_them(
    postgres: Any, runner: SqlRunner
):
    """PostgreSQL tells quoted names apart, DuckDB does not."""
    server, _ = postgres
    with psycopg.connect(server.url("postgres"), autocommit=True) as owner:
        owner.execute('create table if not exists cased ("Name" text, "total Sum" int)')
        owner.execute("insert into cased values ('a', 1); grant select on cased to ro")
    connection = ibis.postgres.connect(
        user="ro", host=str(server.folder), database="postgres"
    )
    notebook = shared(Cased=connection.table("cased"))
    answer = await runner.query(
        notebook.catalog,
        'select NAME, max("TOTAL sum") as Most from cased group by name order by MOST',
    )
    assert answer.data.to_pylist() == [{"Name": "a", "Most": 1}]


async def test_every_type_comes_back_as_what_it_is(postgres: Any, runner: SqlRunner):
    """From PostgreSQL, from Ibis on DuckDB and from a relation: decimals, zones, lists,
    bytes, nulls in integers.
    """
    server, connection = postgres
    with psycopg.connect(server.url("postgres"), autocommit=True) as owner:
        owner.execute(
            f"create table types as {select('postgres')}; grant select on types to ro".encode()
        )
    assert (
        await wrong(runner, shared(events=connection.table("types")), "postgres") == []
    )
    own = duckdb.connect()
    assert await wrong(runner, shared(events=own.sql(select("duckdb"))), "duckdb") == []
    there = ibis.duckdb.connect()
    there.con.execute(f"create table types as {select('duckdb')}")
    assert await wrong(runner, shared(events=there.table("types")), "duckdb") == []


async def test_what_postgres_has_of_its_own_is_text(postgres: Any, runner: SqlRunner):
    """Documents as JSON, identifiers, numbers without a declared precision."""
    server, connection = postgres
    with psycopg.connect(server.url("postgres"), autocommit=True) as owner:
        owner.execute(
            "create table own_types as select '{\"a\": [1]}'::jsonb as doc, "
            "'7c9e6679-7425-40de-944b-e07fc1f90ae7'::uuid as id, 1.5::numeric as n, interval '90 minutes' as span; "
            "grant select on own_types to ro"
        )
    answer = await runner.query(
        shared(t=connection.table("own_types")).catalog, "select * from t"
    )
    (row,) = answer.data.to_pylist()
    assert json.loads(row["doc"]) == {"a": [1]}
    assert (str(row["id"]), row["n"]) == (
        "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        Decimal("1.5"),
    )
    assert row["span"] == dt.timedelta(minutes=90)


async def test_masked_columns_show_only_whether_there_is_a_value(
    postgres: Any, runner: SqlRunner, tmp_path: Path
):
    """On PostgreSQL, in a relation, in a file: no expression brings the values back."""
    (tmp_path / "t.csv").write_text("id,k\n0,x\n")
    values = (
        postgres[1].table("events"),
        duckdb.connect().sql("select 0 as id, 'x' as k"),
        tmp_path / "t.csv",
    )
    for value in values:
        sql = "select k, length(k) as n from t where id = 0"
        answer = await runner.query(shared(t=value).catalog, sql, masks=Masks(("k",)))
        (row,) = answer.data.to_pylist()
        assert str(row["k"]).startswith("masked")
        assert row["n"] == len(row["k"])


async def test_a_server_that_is_gone_says_so(runner: SqlRunner):
    """The sentence says what to do."""
    with postgres_with_rows(rows=1) as (_, connection):
        notebook = shared(events=connection.table("events"))
    with pytest.raises(
        ToolError, match="connection to PostgreSQL is lost: connect again"
    ):
        await runner.query(notebook.catalog, "select * from events")


async def test_sqlite_loses_nothing_that_its_results_have_no_types_for(
    runner: SqlRunner, tmp_path: Path
):
    """A column that begins with whole numbers keeps its fractions; checked and bounded
    as any table.
    """
    connection = ibis.sqlite.connect(tmp_path / "t.db")
    connection.raw_sql("create table t (a real, p decimal(10, 2), d date)")
    connection.raw_sql(
        "insert into t values (null, 0, '2026-05-01'), (1.5, 1.25, null), (2.5, 3, null)"
    )
    connection.con.commit()
    t = connection.table("t")
    notebook = shared(t=t, large=t.filter(t.p > 1))
    for ask in (runner.query, local_answer):
        answer = await ask(
            notebook.catalog,
            "select coalesce(a, -1) as a, p + 1 as p, year(d) as y from t",
            limit=2,
        )
        assert [tuple(r.values()) for r in answer.data.to_pylist()] == [
            (-1, Decimal("1.00"), 2026), (1.5, Decimal("2.25"), None)
        ]  # fmt: skip
        assert "cut after 2 rows" in answer.truncated
    joined = await runner.query(
        notebook.catalog, "select count(*) as n from t join large using (a)"
    )
    assert joined.data.to_pylist() == [{"n": 2}]
    with pytest.raises(ToolError, match="load_extension"):
        await runner.query(notebook.catalog, "select load_extension('x') from t")


async def test_what_an_ibis_table_cannot_give_is_said_in_a_sentence(
    runner: SqlRunner, tmp_path: Path, monkeypatch: Any
):
    """A table that is gone, one in the memory of another thread's connection, one that
    is too large, foreign SQL.
    """
    connection = ibis.sqlite.connect(tmp_path / "t.db")
    connection.raw_sql("create table t as select 1 as a union all select 2")
    connection.con.commit()
    memory = ibis.sqlite.connect()
    memory.raw_sql("create table m as select 1 as a")
    notebook = shared(t=connection.table("t"), m=memory.table("m"))
    monkeypatch.setattr(local_tables, "MOST_ROWS", 1)
    with pytest.raises(
        ToolError,
        match="more than 1 rows: filter or aggregate it in Ibis and share that",
    ):
        await runner.query(notebook.catalog, "select * from t")
    connection.raw_sql("drop table t")
    with pytest.raises(ToolError, match="SQLite says: no such table: t"):
        await runner.query(notebook.catalog, "select * from t")
    with pytest.raises(ToolError, match="in memory can be read by its own thread only"):
        await runner.query(notebook.catalog, "select * from m")
    monkeypatch.setitem(ibis_tables._DIALECTS, "sqlite", "nothing")
    with pytest.raises(DataError, match="Statements cannot be checked for Sqlite"):
        ibis_tables.table_of(memory.table("m"))
