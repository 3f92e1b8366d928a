"""Masks over tables that are not in memory: files, lazy frames, DuckDB relations, Ibis."""

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pytest
from mcp import Client

from mcp_notebook.sharing.masks import Masks
from mcp_notebook.sharing.notebook_server import build_notebook_server
from mcp_notebook.sharing.query import SqlRunner
from tests.sharing.notebooks import Notebook

PEOPLE = pd.DataFrame(
    {"id": [1, 2, 3], "email": ["ada@x.org", "bob@x.org", "ada@x.org"]}
)


def made(kind: str, folder: Path) -> Any:
    if kind == "csv":
        PEOPLE.to_csv(folder / "people.csv", index=False)
        return folder / "people.csv"
    if kind in ("parquet", "dataset"):
        PEOPLE.to_parquet(folder / "people.parquet")
        return (
            folder / "people.parquet"
            if kind == "parquet"
            else ds.dataset(folder / "people.parquet")
        )
    if kind == "polars":
        return pytest.importorskip("polars").from_pandas(PEOPLE).lazy()
    if kind == "relation":
        connection = duckdb.connect()
        connection.register("p", PEOPLE)
        return connection.sql("select * from p")
    backend = pytest.importorskip("ibis").duckdb.connect()
    values = ", ".join(f"({row.id}, '{row.email}')" for row in PEOPLE.itertuples())
    backend.raw_sql(
        f"create table people as select * from (values {values}) v(id, email)"
    )
    return backend.table("people")


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["csv", "parquet", "dataset", "polars", "relation", "ibis"]
)
async def test_no_value_of_a_masked_column_leaves_wherever_the_table_is(
    kind: str, tmp_path: Path, runner: SqlRunner
):
    """By query, description, profile or resource; what counts still counts, and the
    file is as it was.
    """
    notebook = Notebook(people=made(kind, tmp_path))
    notebook.catalog.add("people", origin="shared")
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    server = build_notebook_server(
        notebook.catalog, form="json", runner=runner, mask=lambda: ["email"]
    )
    said = []
    async with Client(server) as client:
        for sql in (
            "select * from people",
            "select upper(email) as u, count(*) as n from people group by all",
            "select id from people where email like 'ada%'",
        ):
            said.append(await client.call_tool("query", {"sql": sql}))
        counted = await client.call_tool(
            "query", {"sql": "select count(email) as n from people"}
        )
        for tool in ("describe_table", "profile_table"):
            said.append(await client.call_tool(tool, {"table": "people"}))
        said.append(await client.call_tool("list_tables", {}))
    assert counted.structured_content["rows"] == [[3]]
    assert said[2].structured_content["rows"] == []
    assert not [one for one in said if "x.org" in str(one).lower()]
    assert "masked" in said[0].structured_content["notice"]
    assert "(masked)" in said[-1].content[0].text
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pandas", "polars", "dataset"])
async def test_a_second_column_of_a_masked_name_is_masked_when_it_is_asked_alone(
    kind: str, tmp_path: Path, runner: SqlRunner
):
    """`email_2` counts as one beside `email`, though only the columns that a statement
    names are read.
    """
    people = PEOPLE.assign(
        email_2=pd.Series(["ada@x.org", "bob@x.org", "cy@x.org"], dtype=object)
    )
    people.to_parquet(tmp_path / "two.parquet")
    # read, and not scanned as a file
    stored = ds.dataset(tmp_path / "two.parquet").filter(ds.field("id") > 0)
    tables = {
        "pandas": people,
        "polars": pytest.importorskip("polars").from_pandas(people).lazy(),
        "dataset": stored,
    }
    notebook = Notebook(people=tables[kind])
    answer = await runner.query(
        notebook.catalog, "select email_2 from people", masks=Masks(("email",))
    )
    assert "x.org" not in str(answer.data.to_pylist())
    assert answer.data.num_rows == 3
