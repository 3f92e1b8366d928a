"""The notebook's own server as a client in the same process, and one outside, sees it."""

import asyncio
import base64
import decimal
import io
import json
from typing import Any

import anyio
import pandas as pd
import pyarrow as pa
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from mcp_notebook.results import read
from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.sharing.notebook_server import build_notebook_server
from mcp_notebook.sharing.query import SqlRunner
from tests.sharing.notebooks import Notebook, sample


def server_of(notebook: Notebook, runner: SqlRunner, **options: Any) -> Any:
    return build_notebook_server(notebook.catalog, runner=runner, **options)


async def test_a_query_gives_the_whole_table_as_arrow(runner: SqlRunner):
    """In process an answer is an embedded Arrow file that our reader turns into a table
    with exact types.
    """
    notebook = Notebook(t=sample())
    async with Client(server_of(notebook, runner)) as client:
        result = await client.call_tool(
            "query", {"sql": "select id, amount::decimal(10,2) as amount, day from t"}
        )
    (table,) = read(result).tables
    assert [str(field.type) for field in table.data.schema] == [
        "int64",
        "decimal128(10, 2)",
        "timestamp[us]",
    ]
    assert table.data.column("amount").to_pylist() == [
        decimal.Decimal("1.50"),
        None,
        decimal.Decimal("2.50"),
    ]
    assert result.structured_content is None


async def test_a_cut_answer_says_so(runner: SqlRunner):
    """The limit is in words for the model, and in the table for the person."""
    notebook = Notebook(t=sample())
    async with Client(server_of(notebook, runner)) as client:
        result = await client.call_tool("query", {"sql": "select * from t", "limit": 2})
    assert "cut after 2 rows" in result.content[-1].text
    reading = read(result)
    assert reading.tables[0].data.num_rows == 2
    assert "cut after 2 rows" in reading.tables[0].truncated + reading.text


async def test_clients_outside_get_structured_content_with_types(runner: SqlRunner):
    """The json form declares an output schema, and exact values as text where a double
    would round.
    """
    table = pa.table(
        {
            "d": pa.array([decimal.Decimal("0.10")], pa.decimal128(10, 2)),
            "l": [[1, 2]],
            "f": [float("inf")],
        }
    )
    async with Client(server_of(Notebook(t=table), runner, form="json")) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        content = (
            await client.call_tool("query", {"sql": "select * from t"})
        ).structured_content
        listed = (await client.call_tool("list_tables", {})).structured_content
        described = (
            await client.call_tool("describe_table", {"table": "t"})
        ).structured_content
    assert tools["query"].output_schema
    assert content["columns"][0] == {
        "name": "d",
        "type": "DECIMAL(10,2)",
        "declared": True,
    }
    assert content["rows"] == [["0.10", [1, 2], "Infinity"]]
    assert listed["rows"][0][:2] == ["t", 1]
    assert described["rows"][0] == ["d", "decimal128(10, 2)", 0, False, "0.10"]


async def test_tools_are_described_for_a_model(runner: SqlRunner):
    """Read-only marks, descriptions and an example for each argument."""
    async with Client(server_of(Notebook(), runner)) as client:
        tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == [
        "chart",
        "describe_table",
        "list_tables",
        "profile_table",
        "query",
    ]
    for tool in tools:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert all(
            p["examples"] and p["description"]
            for p in tool.input_schema["properties"].values()
        )


async def test_list_tables_tells_names_rows_types_and_origin(runner: SqlRunner):
    """One line a table, with what a query needs; what is no table any more says so."""
    notebook = Notebook(t=sample(), gone=sample())
    notebook.catalog.add(
        "sales", variable="t", origin="shared", description="Sales of May"
    )
    notebook.variables["gone"] = 1
    async with Client(server_of(notebook, runner)) as client:
        text = (await client.call_tool("list_tables", {})).content[0].text
    lines = text.splitlines()
    assert lines[0].startswith("gone (cannot be read now: gone is a int now")
    assert lines[1].startswith("sales (Sales of May, 3 rows): id int64, name ")
    assert lines[2].startswith("t (result, 3 rows)")


async def test_no_tables_are_said_in_words(runner: SqlRunner):
    """An empty notebook is not an empty answer."""
    async with Client(server_of(Notebook(), runner)) as client:
        assert (
            "no tables yet"
            in (await client.call_tool("list_tables", {})).content[0].text
        )


async def test_describe_table_shows_what_a_preview_shows_under_the_masks(
    runner: SqlRunner,
):
    """Types, nulls and first rows; a masked column never shows a value."""
    async with Client(
        server_of(Notebook(t=sample()), runner, mask=lambda: ["name"])
    ) as client:
        text = (
            (await client.call_tool("describe_table", {"table": "T"})).content[0].text
        )
    assert text.startswith("t: 3 rows × 4 columns")
    assert "1 null" in text
    assert "2026-02-01" in text
    assert not any(line.startswith(("1,a,", "2,b,")) for line in text.splitlines())


async def test_of_a_wide_table_some_columns_are_described(runner: SqlRunner):
    """By pattern, under the masks; an unknown column is a tool error."""
    wide = pd.DataFrame({f"c{n}": [n, n + 1] for n in range(300)})
    server = server_of(Notebook(wide=wide), runner, mask=lambda: ["c77"])
    async with Client(server) as client:
        asked = {"table": "wide", "columns": "c7*"}
        text = (await client.call_tool("describe_table", asked)).content[0].text
        wrong = {"table": "wide", "columns": "d1"}
        refused = await client.call_tool("describe_table", wrong)
    told = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(told) == 11
    assert "- c79 int64; 79 to 80; 2 distinct: 79 1, 80 1" in told
    assert "- c77 int64; masked" in told
    assert refused.is_error
    assert "No column is called d1" in refused.content[0].text


async def test_errors_are_tool_errors_with_the_way_out(runner: SqlRunner):
    """A wrong name, a write and a limit that is too large."""
    async with Client(server_of(Notebook(sales=sample()), runner)) as client:
        for arguments, expected in [
            ({"sql": "select * from sale"}, "Did you mean sales?"),
            ({"sql": "drop view sales"}, "read-only"),
            ({"sql": "select 1", "limit": 10_000_000}, "1..100000"),
        ]:
            result = await client.call_tool("query", arguments)
            assert result.is_error
            assert expected in result.content[0].text
        result = await client.call_tool("describe_table", {"table": "sale"})
        assert "Did you mean sales?" in result.content[0].text


async def test_each_table_is_a_resource(runner: SqlRunner):
    """Schema as JSON, rows as CSV and as Arrow."""
    notebook = Notebook(**{"odd name/1": pa.table({"a": [1, 2], "l": [[1], None]})})
    async with Client(server_of(notebook, runner)) as client:
        (resource,) = (await client.list_resources()).resources
        base = str(resource.uri)
        schema = json.loads((await client.read_resource(base)).contents[0].text)
        csv = (await client.read_resource(f"{base}/rows.csv")).contents[0].text
        arrow = base64.b64decode(
            (await client.read_resource(f"{base}/rows.arrow")).contents[0].blob
        )
        with pytest.raises(MCPError, match="no resource"):
            await client.read_resource(f"{base}/rows.exe")
        with pytest.raises(MCPError, match="no table"):
            await client.read_resource("notebook://tables/other")
    assert [column["name"] for column in schema["columns"]] == ["a", "l"]
    assert pd.read_csv(io.StringIO(csv))["a"].tolist() == [1, 2]
    assert pa.ipc.open_file(arrow).read_all().column("a").to_pylist() == [1, 2]


async def test_a_change_of_what_is_offered_is_announced(runner: SqlRunner):
    """A client that listens hears of a new table, whichever thread added it."""
    notebook = Notebook(t=sample())
    server = server_of(notebook, runner)
    async with (
        Client(server) as client,
        client.listen(resources_list_changed=True) as events,
    ):
        await asyncio.to_thread(notebook.catalog.add, "again", variable="t")
        with anyio.fail_after(10):
            event = await anext(aiter(events))
    assert "ResourcesListChanged" in type(event).__name__


def test_a_selection_shows_only_tables_of_one_origin():
    """What results of the conversation are is not offered outside, until the person shares it."""
    notebook = Notebook(t=sample(), u=sample())
    outside = notebook.catalog.only("shared")
    assert outside.names() == ()
    notebook.catalog.add("u", origin="shared")
    assert outside.names() == ("u",)
    assert notebook.catalog.names() == ("t", "u")


def test_a_catalog_forgets_what_is_removed_or_deleted():
    """Names follow the variables; removing an unknown one is an error that lists the known."""
    variables = {"t": sample()}
    catalog = Catalog(lambda: variables)
    catalog.add("t")
    catalog.add("alias", variable="t")
    assert catalog.names() == ("alias", "t")
    catalog.remove("alias")
    del variables["t"]
    assert catalog.names() == ()
    with pytest.raises(Exception, match="no table 'alias'"):
        catalog.remove("alias")
