"""Whatever kind of table a variable holds, it is shared by its name and asked the same."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from mcp_notebook.errors import DataError, ToolError
from mcp_notebook.sharing import arrow
from mcp_notebook.sharing.masks import Masks
from mcp_notebook.sharing.notebook_server import build_notebook_server
from mcp_notebook.sharing.query import SqlRunner, local_answer
from mcp_notebook.sharing.table_tools import TableTools
from tests.sharing.engines import LOCAL, rows_of
from tests.sharing.notebooks import Notebook

CELL = """
    with monthly as (select date_trunc('month', d::date) as month, k, count(*) as n, sum(x) as total from events
                     where id >= 10 group by 1, 2)
    select month, k, n, total, rank() over (partition by month order by total desc) as place
    from monthly order by month, k
"""


def shared(**variables: Any) -> Notebook:
    """A notebook whose variables the person shared."""
    notebook = Notebook(**variables)
    for name in variables:
        notebook.catalog.add(name, origin="shared")
    return notebook


@pytest.mark.slow
@pytest.mark.parametrize("kind", LOCAL)
async def test_the_same_cell_gives_the_same_answer_on_every_kind(
    kind: str, runner: SqlRunner, tmp_path: Path
):
    """One statement, typed by the person and written by a model, whatever the variable is."""
    expected = _expected()
    notebook = shared(events=LOCAL[kind](rows_of(), tmp_path))
    for answer in (
        await runner.query(notebook.catalog, CELL),
        await local_answer(notebook.catalog, CELL),
    ):
        assert answer.data.to_pylist() == expected
    counted = await runner.query(notebook.catalog, "select count(*) as n from events")
    assert counted.data.to_pylist() == [{"n": 100}]


def _expected() -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        connection.register("events", rows_of())
        return connection.sql(CELL).to_arrow_table().to_pylist()


@pytest.mark.parametrize("kind", LOCAL)
async def test_every_kind_is_listed_and_described(
    kind: str, runner: SqlRunner, tmp_path: Path
):
    """Columns with types, rows where they are known for free, and first rows."""
    notebook = shared(events=LOCAL[kind](rows_of(), tmp_path))
    tools = TableTools(notebook.catalog, runner, "arrow", Masks, 30.0)
    listed = (await tools.list_tables()).content[0].text  # type: ignore[union-attr]
    described = (await tools.describe_table("events")).content[0].text  # type: ignore[union-attr]
    assert listed.startswith("events (shared")
    assert "id int64, k " in listed
    assert "100 rows" in listed or "rows not counted" in listed
    assert "k0" in described
    assert "cannot" not in listed + described


async def test_a_changed_file_is_read_anew(runner: SqlRunner, tmp_path: Path):
    """Text and Parquet alike; a file that is gone is named."""
    text, columns = tmp_path / "t.csv", tmp_path / "t.parquet"
    notebook = shared(text=text, columns=columns)
    for rows in (1, 2):
        text.write_text("a\n" + "1\n" * rows)
        pq.write_table(pa.table({"a": [1] * rows}), columns)
        for name in ("text", "columns"):
            answer = await runner.query(
                notebook.catalog, f"select count(*) as n from {name}"
            )
            assert answer.data.to_pylist() == [{"n": rows}]
            assert (
                await local_answer(
                    notebook.catalog, f"select count(*) as n from {name}"
                )
            ).data == answer.data
    text.unlink()
    with pytest.raises(ToolError, match=r"no file .*t\.csv"):
        await runner.query(notebook.catalog, "select * from text")


async def test_only_the_files_of_the_path_are_read(runner: SqlRunner, tmp_path: Path):
    """The worker stays locked: no other file by name, table function or pattern, and
    nothing is written.
    """
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    (tmp_path / "secret.csv").write_text("s\nhidden\n")
    notebook = shared(t=tmp_path / "t.parquet")
    before = sorted(p.name for p in tmp_path.iterdir())
    for statement in (
        f"select * from '{tmp_path}/secret.csv'",
        f"select * from read_csv('{tmp_path}/secret.csv')",
        f"select * from read_parquet('{tmp_path}/t.parquet')",
        f"select content from read_text('{tmp_path}/secret.csv')",
        f"copy t to '{tmp_path}/out.csv'",
        f"copy t to '{tmp_path}/t.parquet'",
        f"attach '{tmp_path}/x.db'",
        "select * from glob('*')",
    ):
        with pytest.raises(ToolError):
            await runner.query(notebook.catalog, statement)
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == [{"a": 1}]


async def test_folders_with_key_value_names_give_their_keys_as_columns(
    runner: SqlRunner, tmp_path: Path
):
    """A folder and a pattern of hive partitions, of Parquet and of text."""
    for year in (2025, 2026):
        for form in ("pq", "csv"):
            (tmp_path / form / f"year={year}").mkdir(parents=True)
        pq.write_table(
            pa.table({"a": [year % 100]}),
            tmp_path / "pq" / f"year={year}" / "0.parquet",
        )
        (tmp_path / "csv" / f"year={year}" / "0.csv").write_text(f"a\n{year % 100}\n")
    notebook = shared(
        folder=tmp_path / "pq",
        pattern=str(tmp_path / "pq" / "*" / "*.parquet"),
        text=tmp_path / "csv",
    )
    for name in ("folder", "pattern", "text"):
        answer = await runner.query(
            notebook.catalog, f"select year, a from {name} order by 1"
        )
        assert [(int(r["year"]), r["a"]) for r in answer.data.to_pylist()] == [
            (2025, 25),
            (2026, 26),
        ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.csv", None, "no file"),
        ("broken.parquet", b"not parquet", "cannot be read as parquet"),
        ("empty.arrow", b"", "cannot be read as arrow"),
        ("bad.json", b"{{{", "cannot be read as json"),
    ],
)
async def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    name: str, content: bytes | None, said: str, runner: SqlRunner, tmp_path: Path
):
    """The same sentence in the list and from a query."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    notebook = shared(t=tmp_path / name)
    tools = TableTools(notebook.catalog, runner, "arrow", Masks, 30.0)
    with pytest.raises(ToolError, match=said):
        await runner.query(notebook.catalog, "select * from t")
    with pytest.raises(DataError, match=said):
        await local_answer(notebook.catalog, "select * from t")
    assert said in (await tools.list_tables()).content[0].text  # type: ignore[union-attr]


async def test_a_text_opens_a_file_only_where_the_person_shared_it(
    runner: SqlRunner, tmp_path: Path
):
    """A variable that a call produced and that became a path is no table."""
    (tmp_path / "t.csv").write_text("a\n1\n")
    notebook = Notebook(t=str(tmp_path / "t.csv"))
    with pytest.raises(ToolError, match="t is a str now"):
        await runner.query(notebook.catalog, "select * from t")


async def test_a_lazy_frame_computes_only_the_columns_that_are_asked(runner: SqlRunner):
    """Not the whole frame for a count; and anew for each statement."""
    asked: list[list[str]] = []
    frame = pl.LazyFrame({"a": [1, 2], "b": ["x", "y"]})

    def expensive(values: pl.Series) -> pl.Series:
        asked.append([values.name])
        return values

    notebook = shared(
        t=frame.with_columns(pl.col("b").map_batches(expensive, return_dtype=pl.String))
    )
    files = list(runner._folder.glob("spool-*"))
    await runner.query(notebook.catalog, "select count(*), sum(a) from t")
    assert asked == []
    for _ in range(2):
        answer = await runner.query(notebook.catalog, "select b from t order by b")
    assert answer.data.to_pylist() == [{"b": "x"}, {"b": "y"}]
    assert len(asked) >= 2
    assert list(runner._folder.glob("spool-*")) == files


async def test_a_lazy_frame_that_fails_says_so(runner: SqlRunner, tmp_path: Path):
    """Polars' own first line."""
    notebook = shared(t=pl.scan_parquet(tmp_path / "gone.parquet"))
    with pytest.raises(ToolError, match="Polars cannot compute"):
        await runner.query(notebook.catalog, "select * from t")


async def test_a_stream_is_read_once_and_kept(
    runner: SqlRunner, monkeypatch: pytest.MonkeyPatch
):
    """Two statements see the same rows; one that is too long is refused with the way out."""
    notebook = shared(t=rows_of().to_reader())
    for _ in range(2):
        answer = await runner.query(notebook.catalog, "select count(*) as n from t")
        assert answer.data.to_pylist() == [{"n": 100}]
    monkeypatch.setattr(arrow, "MOST_BYTES", 100)
    longer = shared(t=rows_of().to_reader())
    with pytest.raises(ToolError, match="write it to a Parquet file"):
        await runner.query(longer.catalog, "select count(*) from t")


async def test_a_filtered_dataset_stays_filtered(runner: SqlRunner, tmp_path: Path):
    """DuckDB's own filter does not take the dataset's place."""
    pq.write_table(rows_of(), tmp_path / "t.parquet")
    notebook = shared(t=ds.dataset(tmp_path / "t.parquet").filter(ds.field("id") < 10))
    for ask in (runner.query, local_answer):
        answer = await ask(
            notebook.catalog,
            "select count(*) as n, max(id) as top from t where k = 'k0'",
        )
        assert answer.data.to_pylist() == [{"n": 4, "top": 9}]


async def test_kinds_join_in_one_statement_and_small_tables_move(
    runner: SqlRunner, tmp_path: Path
):
    """The notes say what moved from where."""
    kinds = ("pandas", "csv", "duckdb relation", "ibis on duckdb")
    notebook = shared(
        **{name.replace(" ", "_"): LOCAL[name](rows_of(), tmp_path) for name in kinds}
    )
    sql = """select count(*) as n, sum(r.x) as s from pandas join csv using (id)
             join duckdb_relation r using (id) join ibis_on_duckdb i using (id) where i.k = 'k1'"""
    for ask in (runner.query, local_answer):
        answer = await ask(notebook.catalog, sql)
        assert answer.data.to_pylist()[0]["n"] == 33
        assert answer.notes == (
            "duckdb_relation: 100 rows brought over from DuckDB",
            "ibis_on_duckdb: 100 rows brought over from DuckDB",
        )


async def test_a_large_table_is_not_brought_over(runner: SqlRunner):
    """The refusal says what to do."""
    relation = duckdb.connect().sql("select range as id from range(1000000)")
    notebook = shared(big=relation, small=pd.DataFrame({"id": [1]}))
    with pytest.raises(
        ToolError, match="aggregate or filter big in a query of its own"
    ):
        await runner.query(
            notebook.catalog, "select count(*) from big join small using (id)"
        )


async def test_a_relation_is_asked_in_its_own_database_without_being_read_whole(
    runner: SqlRunner,
):
    """A table larger than memory is only counted; temporary and registered ones are found, too."""
    connection = duckdb.connect()
    connection.execute("create temp table mine as select 1 as a")
    connection.register("frame", pd.DataFrame({"a": [2]}))
    notebook = shared(
        huge=connection.sql("select range as id from range(100000000000)"),
        mine=connection.table("mine"),
        frame=connection.sql("select * from frame"),
    )
    answer = await runner.query(notebook.catalog, "select id from huge limit 3")
    assert answer.data.num_rows == 3
    for name, value in (("mine", 1), ("frame", 2)):
        answer = await runner.query(notebook.catalog, f"select a from {name}")
        assert (answer.data.to_pylist(), answer.notes) == (
            [{"a": value}],
            ("computed on DuckDB",),
        )
    assert connection.sql("select 42").fetchall() == [(42,)]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("select * from other", "no table 'other'"),
        (
            "select * from (with other as (select 1 as a) select * from other) q, other",
            "other",
        ),
        ("select getenv('HOME') from t", "getenv"),
        ("select repeat('a', 1000000000) from t", "repeat"),
        ("select mine(a) from t", "mine"),
        ("select * from t, read_csv('/etc/passwd')", "read_csv"),
        ("select * from '/etc/passwd', t", "no table"),
        ("select current_setting('secret_directory') from t", "current_setting"),
        ("insert into t values (1)", "INSERT"),
        ("with x as (delete from t returning *) select * from x", "Refused"),
        ("select b from t", "Candidate bindings"),
        ("from t select nextval('s')", "nextval"),
        ("select * from t; drop table other", "2 statements"),
        ("select a from t limit 1 + 1", "plain number"),
        ("select * from duckdb_settings(), t", "duckdb_settings"),
    ],
)
async def test_a_statement_in_the_persons_database_reaches_only_what_is_shared(
    statement: str, said: str, runner: SqlRunner
):
    """Neither their other tables and functions nor files and settings, and nothing changes."""
    connection = duckdb.connect()
    connection.execute(
        "create table t as select 1 as a; create table other as select 'hidden' as s"
    )
    connection.execute("create macro mine(x) as x + 1; create sequence s")
    notebook = shared(t=connection.table("t"))
    with pytest.raises(ToolError) as caught:
        await runner.query(notebook.catalog, statement)
    assert said in str(caught.value)
    assert connection.sql(
        "select (select count(*) from t), (select count(*) from other)"
    ).fetchall() == [(1, 1)]


async def test_a_statement_on_a_relation_ends_at_its_deadline(runner: SqlRunner):
    """The person's connection is free afterwards."""
    connection = duckdb.connect()
    notebook = shared(t=connection.sql("select range as a from range(100000)"))
    with pytest.raises(ToolError, match=r"stopped after 0\.5 s on DuckDB"):
        await runner.query(
            notebook.catalog,
            "select count(*) from t x, t y, t z where x.a + y.a * z.a = 7",
            timeout=0.5,
        )
    assert connection.sql("select 1").fetchall() == [(1,)]


async def test_the_persons_connection_stays_free_while_a_relation_is_asked(
    runner: SqlRunner,
):
    """A result that they are reading is not disturbed, nor does it hold up the answer."""
    connection = duckdb.connect()
    connection.execute("create table t as select range as a from range(100000)")
    notebook = shared(t=connection.table("t"))
    reading = connection.sql("select a from t").to_arrow_reader(1000)
    first = reading.read_next_batch().num_rows
    answer = await runner.query(notebook.catalog, "select count(*) as n from t")
    assert answer.data.to_pylist() == [{"n": 100000}]
    assert first + sum(batch.num_rows for batch in reading) == 100000


async def test_a_closed_connection_says_what_to_do(runner: SqlRunner):
    """In the list and from a query."""
    connection = duckdb.connect()
    notebook = shared(t=connection.sql("select 1 as a"))
    connection.close()
    with pytest.raises(ToolError, match="closed"):
        await runner.query(notebook.catalog, "select * from t")


async def test_files_are_resources_and_tables_elsewhere_show_their_schema(
    runner: SqlRunner, tmp_path: Path
):
    """Rows of what is elsewhere come by a query only."""
    (tmp_path / "t.csv").write_text("a,b\n1,x\n")
    notebook = shared(t=tmp_path / "t.csv", r=duckdb.connect().sql("select 1 as a"))
    async with Client(build_notebook_server(notebook.catalog, runner=runner)) as client:
        rows = (
            (await client.read_resource("notebook://tables/t/rows.csv"))
            .contents[0]
            .text
        )  # type: ignore[union-attr]
        schema = (await client.read_resource("notebook://tables/r")).contents[0].text  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="not in memory"):
            await client.read_resource("notebook://tables/r/rows.csv")
    assert rows.splitlines()[1] == '1,"x"'
    assert json.loads(schema)["columns"][0]["name"] == "a"
