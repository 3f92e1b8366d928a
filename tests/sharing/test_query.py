"""SQL over the notebook's variables, in the worker and in this process: the current
values, exactly.
"""

import asyncio
import contextlib
import datetime as dt
import decimal
import gc
import os
import sys
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import psutil
import pyarrow as pa
import pytest

from mcp_notebook.errors import DataError, ToolError
from mcp_notebook.results import frame_view
from mcp_notebook.sharing.query import SqlRunner, run_local_query
from tests.sharing.notebooks import Notebook, sample


class Ways:
    """The same question asked in the worker and in this process."""

    def __init__(self, runner: SqlRunner) -> None:
        self.runner = runner

    async def rows(self, notebook: Notebook, sql: str) -> list[dict[str, Any]]:
        there = (await self.runner.query(notebook.catalog, sql)).data.to_pylist()
        here = run_local_query(notebook.catalog, sql).to_pylist()
        assert there == here
        return there


@pytest.fixture
async def ways(runner: SqlRunner) -> Ways:
    return Ways(runner)


def change_a_cell(notebook: Notebook) -> None:
    notebook.variables["t"].loc[0, "id"] = 100


def set_missing(notebook: Notebook) -> None:
    notebook.variables["t"].loc[0, "amount"] = None


def change_text(notebook: Notebook) -> None:
    notebook.variables["t"].loc[0, "name"] = "changed"


def add_a_column(notebook: Notebook) -> None:
    notebook.variables["t"]["extra"] = notebook.variables["t"]["id"] * 2


def delete_a_column(notebook: Notebook) -> None:
    del notebook.variables["t"]["day"]


def rename_a_column(notebook: Notebook) -> None:
    notebook.variables["t"].columns = ["id", "name", "sum", "day"]


def append_a_row(notebook: Notebook) -> None:
    notebook.variables["t"].loc[3] = [4, "d", 4.5, None]


def rebind(notebook: Notebook) -> None:
    notebook.variables["t"] = pd.DataFrame({"id": [42]})


def rebind_to_arrow(notebook: Notebook) -> None:
    notebook.variables["t"] = pa.table({"id": [43]})


CHANGES = [
    change_a_cell,
    set_missing,
    change_text,
    add_a_column,
    delete_a_column,
    rename_a_column,
    append_a_row,
]


@pytest.mark.slow
@pytest.mark.parametrize("change", [*CHANGES, rebind, rebind_to_arrow])
async def test_a_query_sees_the_variable_as_it_is_now(change: Any, ways: Ways):
    """Changed in place, grown, renamed or bound anew: the next answer is of the new value."""
    notebook = Notebook(t=sample())
    before = await ways.rows(notebook, "select * from t")
    change(notebook)
    after = await ways.rows(notebook, "select * from t")
    expected = notebook.variables["t"]
    count = len(expected)
    assert after != before
    assert len(after) == count
    assert [row["id"] for row in after] == (
        expected["id"].to_pylist()
        if isinstance(expected, pa.Table)
        else expected["id"].tolist()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "dtype",
    ["Int64", "boolean", "category", "object", "string[python]", "int64[pyarrow]"],
)
async def test_every_kind_of_column_is_seen_as_it_is_now(dtype: str, ways: Ways):
    """Masked, categorical, object and Arrow columns do not hide a change in place, one
    value or one missing.
    """
    values = (
        [True, False, True]
        if dtype == "boolean"
        else ["x", "y", "x"]
        if "int" not in dtype.lower()
        else [1, 2, 3]
    )
    notebook = Notebook(t=pd.DataFrame({"c": pd.array(values, dtype=dtype)}))
    for change in (values[1], None, values[0]):
        notebook.variables["t"].loc[0, "c"] = change
        seen = [row["c"] for row in await ways.rows(notebook, "select c from t")]
        assert seen[0] == change


@pytest.mark.slow
async def test_an_unchanged_table_is_written_once(runner: SqlRunner):
    """The second query over the same frame reads the file of the first."""
    notebook = Notebook(t=sample())
    await runner.query(notebook.catalog, "select 1 from t")
    files = list(runner._folder.glob("*.arrow"))
    await runner.query(notebook.catalog, "select 2 from t")
    assert list(runner._folder.glob("*.arrow")) == files
    assert len(files) == 1


@pytest.mark.slow
async def test_of_columns_of_objects_only_those_that_the_statement_names_are_converted(
    ways: Ways, monkeypatch: pytest.MonkeyPatch
):
    """The others stay in the file of the first query; a list that changed inside its
    cell is seen, in order.
    """
    converted: list[str] = []
    whole = frame_view.column_array

    def noted(column: Any) -> Any:
        converted.append(column.name)
        return whole(column)

    monkeypatch.setattr(frame_view, "column_array", noted)
    tags = pd.Series([["a"], ["b"]], dtype=object)
    prices = pd.Series([decimal.Decimal("1.10"), None], dtype=object)
    notebook = Notebook(
        t=pd.DataFrame({"tags": tags, "n": [1, 2], "price": prices}),
        priced=pd.DataFrame({"p": prices}),
    )
    first = {"tags": ["a"], "n": 1, "price": decimal.Decimal("1.10")}
    assert await ways.rows(notebook, "select * from t where n = 1") == [first]
    kept = set(ways.runner._folder.glob("*.arrow"))
    converted.clear()
    notebook.variables["t"].loc[0, "tags"].append("c")
    answer = await ways.runner.query(
        notebook.catalog, "select n, tags from t order by n"
    )
    assert answer.data.to_pylist() == [
        {"n": 1, "tags": ["a", "c"]},
        {"n": 2, "tags": ["b"]},
    ]
    assert converted == ["tags"]
    assert set(ways.runner._folder.glob("*.arrow")) == kept
    assert len(kept) == 1
    converted.clear()
    assert await ways.rows(notebook, "select sum(n) as s from t") == [{"s": 3}]
    assert set(converted) <= {"n"}  # in this process, where no file is kept
    assert await ways.rows(notebook, "select count(*) as c from priced") == [{"c": 2}]


@pytest.mark.slow
async def test_only_the_tables_that_the_statement_names_are_written(runner: SqlRunner):
    """A big table beside the one that is asked costs nothing."""
    notebook = Notebook(t=sample(), big=sample())
    await runner.query(notebook.catalog, "with x as (select id from T) select * from x")
    assert len(list(runner._folder.glob("*.arrow"))) == 1


@pytest.mark.slow
async def test_a_table_that_the_notebook_let_go_of_leaves_no_file(runner: SqlRunner):
    """Deleting the variable frees what was kept for the worker."""
    notebook = Notebook(t=sample())
    await runner.query(notebook.catalog, "select 1 from t")
    del notebook.variables["t"]
    gc.collect()
    with pytest.raises(ToolError, match="no table 't'"):
        await runner.query(notebook.catalog, "select 1 from t")
    await runner.query(notebook.catalog, "select 1")
    assert list(runner._folder.glob("*.arrow")) == []


@pytest.mark.slow
async def test_a_variable_that_is_no_table_any_more_is_named(ways: Ways):
    """The error says what the variable is now."""
    notebook = Notebook(t=sample())
    notebook.variables["t"] = 3
    with pytest.raises(ToolError, match="t is a int now"):
        await ways.runner.query(notebook.catalog, "select * from t")
    with pytest.raises(DataError, match="t is a int now"):
        run_local_query(notebook.catalog, "select * from t")


@pytest.mark.slow
async def test_types_come_back_exactly(ways: Ways):
    """Large integers next to nulls, decimals, dates, times with zones, sums of integers."""
    table = pa.table(
        {
            "n": pa.array([2**53 + 1, None], pa.int64()),
            "d": pa.array([decimal.Decimal("1.10"), None], pa.decimal128(10, 2)),
            "day": pa.array([dt.date(2026, 1, 2), None], pa.date32()),
            "stamp": pa.array(
                [dt.datetime(2026, 1, 2, tzinfo=dt.UTC), None],
                pa.timestamp("us", "UTC"),
            ),
        }
    )
    notebook = Notebook(t=table)
    (row,) = await ways.rows(
        notebook,
        "select sum(n) as n, sum(d) as d, max(day) as day, max(stamp) as stamp from t",
    )
    assert row == {
        "n": 2**53 + 1,
        "d": decimal.Decimal("1.10"),
        "day": dt.date(2026, 1, 2),
        "stamp": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    }
    answer = await ways.runner.query(
        notebook.catalog,
        "select sum(n) as n, max(day) - min(day) as span, d from t group by d",
    )
    assert answer.types[0] == "HUGEINT"
    assert pa.types.is_int64(answer.data.schema.field("n").type)


@pytest.mark.slow
async def test_objects_survive_and_what_cannot_becomes_text_with_a_note(
    runner: SqlRunner,
):
    """Decimals, dates and lists in object columns keep their types; mixtures are text,
    and the answer says so.
    """
    frame = pd.DataFrame(
        {
            "price": pd.Series([decimal.Decimal("1.10"), None], dtype=object),
            "tags": pd.Series([["a"], ["b", "c"]], dtype=object),
            "mixed": pd.Series([1, "x"], dtype=object),
            "span": pd.period_range("2026-01", periods=2, freq="M"),
        }
    )
    answer = await runner.query(Notebook(t=frame).catalog, "select * from t")
    assert answer.data.to_pylist()[0] == {
        "price": decimal.Decimal("1.10"),
        "tags": ["a"],
        "mixed": "1",
        "span": "2026-01",
    }
    assert [note.split(":")[0] for note in answer.notes] == ["mixed", "span"]
    assert run_local_query(
        Notebook(t=frame).catalog, "select mixed from t"
    ).to_pylist() == [
        {"mixed": "1"},
        {"mixed": "x"},
    ]


@pytest.mark.slow
async def test_names_of_indexes_and_columns_work_in_sql(ways: Ways):
    """A meaningful index becomes columns; repeated and odd names are made usable."""
    frame = pd.DataFrame(
        [[1, 2, 3]], columns=["a", "A", 5], index=pd.Index(["k"], name="key")
    )
    assert await ways.rows(Notebook(t=frame), 'select key, a, "A_2", "5" from t') == [
        {"key": "k", "a": 1, "A_2": 2, "5": 3}
    ]
    filtered = sample().query("id > 1")
    assert list((await ways.rows(Notebook(t=filtered), "select * from t"))[0]) == list(
        filtered.columns
    )


@pytest.mark.slow
async def test_anything_that_exports_arrow_is_a_table(ways: Ways):
    """A DuckDB relation stands for every such type; a Series has no columns and is none."""
    relation = duckdb.sql("select 1 as one, 'x' as two")
    assert await ways.rows(Notebook(r=relation), "select * from r") == [
        {"one": 1, "two": "x"}
    ]
    with pytest.raises(DataError, match="not a table"):
        Notebook(s=pd.Series([1])).catalog.resolve("s")


async def test_lists_of_tables_name_all_and_read_none(ways: Ways):
    """SHOW TABLES and information_schema know every offered table."""
    notebook = Notebook(t=sample(), other=sample())
    assert await ways.rows(notebook, "show tables") == [
        {"name": "other"},
        {"name": "t"},
    ]
    found = await ways.rows(
        notebook,
        "select column_name from information_schema.columns where table_name = 'other'",
    )
    assert [row["column_name"] for row in found] == ["id", "name", "amount", "day"]


@pytest.mark.slow
async def test_rows_and_bytes_are_bounded_with_a_reason(runner: SqlRunner):
    """An endless table stops at the limit at once; a wide one at its bytes."""
    notebook = Notebook(t=sample())
    answer = await runner.query(
        notebook.catalog, "select * from range(100000000000)", limit=10
    )
    assert (answer.data.num_rows, "cut after 10 rows" in answer.truncated) == (10, True)
    wide = await runner.query(
        notebook.catalog,
        "select repeat('x', 1000) as s from range(100000)",
        max_bytes=20_000_000,
    )
    assert "20 MB" in wide.truncated
    assert 0 < wide.data.nbytes <= 20_000_000
    exact = await runner.query(notebook.catalog, "select * from t", limit=3)
    assert exact.truncated == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from tt", "Did you mean t?"),
        ("select nam from t", 'Candidate bindings: "name"'),
        ("select 1; select 2", "2 statements"),
        ("insert into t values (1)", "INSERT is not a SELECT"),
        ("pivot t on name using sum(id)", "FILTER"),
        ("select * from read_csv('/etc/passwd')", "files cannot be read"),
        ("select * from '/etc/passwd'", "no table '/etc/passwd'"),
        ("selec 1", "syntax error"),
    ],
)
async def test_errors_say_what_to_change(sql: str, expected: str, runner: SqlRunner):
    """The same words from both ways."""
    notebook = Notebook(t=sample())
    with pytest.raises(ToolError) as caught:
        await runner.query(notebook.catalog, sql)
    assert expected in str(caught.value)
    with pytest.raises(DataError) as here:
        run_local_query(notebook.catalog, sql)
    assert here.value.message == str(caught.value)


@pytest.mark.slow
async def test_the_deadline_kills_the_worker_and_the_next_query_is_answered(
    runner: SqlRunner,
):
    """A statement that cannot be interrupted ends all the same."""
    notebook = Notebook(t=sample())
    await runner.start()
    with pytest.raises(ToolError, match=r"stopped after 0\.5 s"):
        await runner.query(
            notebook.catalog,
            "select levenshtein(repeat('a', 200000), repeat('b', 200000))",
            timeout=0.5,
        )
    answer = await runner.query(notebook.catalog, "select count(*) as n from t")
    assert answer.data.to_pylist() == [{"n": 3}]


@pytest.mark.slow
async def test_a_cancelled_query_does_not_mix_up_the_next_answer(runner: SqlRunner):
    """The interrupted statement's answer is never taken for another's."""
    notebook = Notebook(t=sample())
    await runner.start()
    asked = asyncio.ensure_future(
        runner.query(
            notebook.catalog, "select sum(hash(range) % 3) from range(100000000000)"
        )
    )
    done, _ = await asyncio.wait({asked}, timeout=0.3)
    assert not done
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    answer = await runner.query(notebook.catalog, "select 'mine' as s")
    assert answer.data.to_pylist() == [{"s": "mine"}]


@pytest.mark.slow
async def test_a_worker_that_died_is_replaced(runner: SqlRunner):
    """Whoever killed it, the query after the failed one works."""
    notebook = Notebook(t=sample())
    await runner.start()
    process = runner._worker._process
    assert process is not None
    process.kill()
    await process.wait()
    with pytest.raises(ToolError, match="worker process"):
        await runner.query(notebook.catalog, "select 1")
    assert (await runner.query(notebook.catalog, "select 1 as n")).data.to_pylist() == [
        {"n": 1}
    ]


async def test_the_worker_has_no_secrets_and_a_private_folder(
    runner: SqlRunner, monkeypatch: pytest.MonkeyPatch
):
    """The notebook's environment variables do not reach it."""
    monkeypatch.setenv("SOME_API_KEY", "secret-value")
    await runner.start()
    process = runner._worker._process
    assert process is not None
    seen = psutil.Process(process.pid).environ()
    assert "SOME_API_KEY" not in seen
    assert seen["HOME"] == str(runner._folder)
    assert os.name == "nt" or runner._folder.stat().st_mode & 0o077 == 0


async def test_closing_ends_the_process_and_removes_the_files():
    """Nothing is left behind."""
    runner = SqlRunner()
    await runner.query(Notebook(t=sample()).catalog, "select 1 from t")
    process, folder = runner._worker._process, Path(runner._folder)
    assert process is not None
    await runner.close()
    assert not psutil.pid_exists(process.pid)
    assert not folder.exists()


@pytest.mark.slow
async def test_a_notebook_that_dies_leaves_no_process_and_no_files(tmp_path: Path):
    """Killed amid a query, it takes the worker and the written tables along."""
    script = """
import asyncio, os
from mcp_notebook.sharing.query import SqlRunner
from tests.sharing.notebooks import Notebook, sample

async def main():
    runner, notebook = SqlRunner(), Notebook(t=sample())
    await runner.query(notebook.catalog, "select 1 from t")
    print(runner._worker._process.pid, runner._folder, flush=True)
    asking = asyncio.ensure_future(runner.query(notebook.catalog, "select count(*) from range(1000000000000)"))
    await asyncio.wait({asking}, timeout=0.5)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    pid, folder = out.decode().split()
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(pid)).wait(timeout=10)
    assert not psutil.pid_exists(int(pid))
    assert not Path(folder).exists()


@pytest.mark.slow
async def test_queries_side_by_side_each_get_their_own_answer(runner: SqlRunner):
    """Many at once, over two tables."""
    notebook = Notebook(t=sample(), u=sample())
    asked = [
        runner.query(
            notebook.catalog, f"select {n} as n, count(*) as c from {'tu'[n % 2]}"
        )
        for n in range(30)
    ]
    answers = await asyncio.gather(*asked)
    assert [answer.data.to_pylist() for answer in answers] == [
        [{"n": n, "c": 3}] for n in range(30)
    ]


def test_a_local_query_leaves_the_frame_and_the_connection_as_they_were():
    """Nothing that a statement does is seen by the next one."""
    notebook = Notebook(t=sample())
    before = notebook.variables["t"].copy()
    run_local_query(notebook.catalog, "select * from t order by id desc")
    pd.testing.assert_frame_equal(notebook.variables["t"], before)
    notebook.catalog.remove("t")
    with pytest.raises(DataError, match="no table 't'"):
        run_local_query(notebook.catalog, "select * from t")
