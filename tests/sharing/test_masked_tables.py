"""What a client is told of the notebook's tables does not depend on a masked column.

Two notebooks differ in the values of one masked column alone, in tables of every kind:
in memory, in files, in a folder of files, in a database of the person's. Everything that
the server says of both is the same, letter by letter, once the tokens that stand in
place of the values are told apart by their order alone and not by a key.
"""

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import pytest_asyncio
from mcp import Client
from mcp_types import CallToolResult

from mcp_notebook.sharing import masks as masks_module
from mcp_notebook.sharing.masks import PREFIX, Masks
from mcp_notebook.sharing.notebook_server import build_notebook_server
from mcp_notebook.sharing.query import SqlRunner
from tests.sharing.notebooks import Notebook
from tests.sharing.test_masked_sql import (
    COMMON,
    DUCKDB,
    SHAPES,
    SIDES,
    SWEEP,
    WHOLE,
    Side,
    rows_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = ("id", "email", "country")


def customers(side: Side) -> pa.Table:
    columns = zip(*rows_of(side), strict=True)
    return pa.table(dict(zip(NAMES, map(list, columns), strict=True)))


def as_parquet(table: pa.Table, folder: Path) -> Path:
    path = folder / "customers.parquet"
    pq.write_table(table, path)
    return path


def as_csv(table: pa.Table, folder: Path) -> Path:
    path = folder / "customers.csv"
    table.to_pandas().to_csv(path, index=False)
    return path


def as_json(table: pa.Table, folder: Path) -> Path:
    path = folder / "customers.jsonl"
    path.write_text("\n".join(map(json.dumps, table.to_pylist())))
    return path


def as_folder(table: pa.Table, folder: Path) -> Path:
    """Folders by `country`, as data lakes have them."""
    base = folder / "customers"
    ds.write_dataset(
        table,
        base,
        format="parquet",
        partitioning=["country"],
        partitioning_flavor="hive",
    )
    return base


def as_relation(table: pa.Table, folder: Path) -> Any:
    connection = duckdb.connect(str(folder / "own.duckdb"))
    connection.register("given", table)
    connection.execute("create table customers as from given")
    connection.unregister("given")
    return connection.table("customers")


def with_categories(table: pa.Table, folder: Path) -> pa.Table:
    at = table.column_names.index("email")
    return table.set_column(at, "email", table.column(at).dictionary_encode())


KINDS: dict[str, Callable[[pa.Table, Path], Any]] = {
    "a DataFrame": lambda table, folder: table.to_pandas(),
    "an Arrow table": lambda table, folder: table,
    "categories": with_categories,
    "Polars": lambda table, folder: pl.from_arrow(table),
    "a lazy frame": lambda table, folder: pl.from_arrow(table).lazy(),
    "an index": lambda table, folder: table.to_pandas().set_index("email"),
    "a Parquet file": as_parquet,
    "a CSV file": as_csv,
    "a JSON file": as_json,
    "a folder": as_folder,
    "a dataset": lambda table, folder: ds.dataset(table),
    "a relation": as_relation,
}
# Of which more is asked in each run; all of all by MCP_NOTEBOOK_SWEEP=1.
OFTEN = ("a DataFrame", "a CSV file", "a Parquet file", "a relation")

# What DuckDB says of its tables and columns, by any name of it, with their statistics.
CATALOG = (
    "select * from information_schema.tables",
    "select * from information_schema.columns",
    "select * from duckdb_tables()",
    "select * from duckdb_columns()",
    "select * from duckdb_views()",
    "select * from duckdb_constraints()",
    "select * from pragma_table_info('customers')",
    "select * from pragma_storage_info('customers')",
    "select stats(email) from customers",
    "select * from sqlite_master",
    "show tables",
    "show all tables",
    "describe customers",
    "describe select email as x from customers",
    "summarize customers",
    "select * from (summarize customers)",
    "select * from parquet_metadata('customers')",
    "from customers where email = 'qanna7@lefthand.example'",
    "select count(*) from customers where email > 'r'",
    "select country from customers order by email",
    "explain select * from customers where email = 'qanna7@lefthand.example'",
    "explain analyze select email from customers",
    "select count(*) from customers group by email having min(email) < 'r'",
    "select customers from customers",
    "select c.* exclude (id) from customers c",
    "from customers select columns('e.*')",
    "select email.a from customers",
    "select email::int from customers",
    "select no_such_column from customers",
    "select * from read_parquet('customers.parquet')",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner() -> AsyncIterator[SqlRunner]:
    """One worker, since each takes a second to start."""
    shared = SqlRunner()
    yield shared
    await shared.close()


@pytest.fixture(autouse=True)
def tokens(monkeypatch: pytest.MonkeyPatch) -> dict[Any, str]:
    """Tokens numbered as they are made, so that two sides get the same ones."""
    numbers: dict[Any, str] = {}
    is_token = masks_module._TOKEN

    def make_token(self: Masks, value: Any, scope: str) -> str | None:
        if value is None or (isinstance(value, str) and is_token.fullmatch(value)):
            return value
        return numbers.setdefault((scope, str(value)), f"{PREFIX}{len(numbers):016x}")

    monkeypatch.setattr(Masks, "_token", make_token)
    return numbers


@asynccontextmanager
async def served_side(
    kind: str,
    side: Side,
    folder: Path,
    runner: SqlRunner,
    masked: tuple[str, ...] = ("email",),
) -> AsyncIterator[Client]:
    folder.mkdir()
    orders = pd.DataFrame({"id": [1], "customer": [1], "total": [10]})
    held = [{"id": 1, "doc": {"email": side[0], "n": 1}}]
    notebook = Notebook(
        customers=KINDS[kind](customers(side), folder),
        orders=orders,
        nested=pa.Table.from_pylist(held),
    )
    server = build_notebook_server(
        notebook.catalog, form="json", runner=runner, mask=lambda: masked
    )
    async with Client(server) as client:
        yield client


def without_order(answer: CallToolResult) -> str:
    """An answer with its rows in an order of their own: DuckDB promises none."""
    structured = dict(answer.structured_content or {})
    rows = sorted(json.dumps(row) for row in structured.pop("rows", ()))
    (text,) = [block.text for block in answer.content if block.type == "text"]
    return json.dumps([answer.is_error, sorted(text.splitlines()), structured, rows])


async def tell_all(client: Client, asked: list[str]) -> list[str]:
    """Everything that a client gets: the answers to these statements, and all that is
    said of the tables without one.
    """
    said = []
    for sql in asked:
        answer = await client.call_tool("query", {"sql": sql})
        said.append(f"{sql}\n{without_order(answer)}")

    for tool in ("describe_table", "profile_table"):
        for table in ("customers", "nested"):
            answer = await client.call_tool(tool, {"table": table})
            said.append(f"{tool}\n{answer.model_dump_json()}")

    said.append((await client.call_tool("list_tables", {})).model_dump_json())
    chart = {"mark": "bar", "encoding": {"x": {"field": "email", "type": "nominal"}}}
    for spec in (chart, json.loads(json.dumps(chart).replace("email", "country"))):
        drawn = await client.call_tool("chart", {"table": "customers", "spec": spec})
        said.append(drawn.model_dump_json())

    for resource in (await client.list_resources()).resources:
        said.append(resource.model_dump_json())
        said.append((await client.read_resource(resource.uri)).model_dump_json())

    for form in ("csv", "arrow"):
        uri = f"notebook://tables/customers/rows.{form}"
        try:
            said.append((await client.read_resource(uri)).model_dump_json())
        except Exception as error:
            said.append(str(error))

    prompt = await client.get_prompt("explore_table", {"table": "customers"})
    return [*said, prompt.model_dump_json()]


def statements_for(kind: str) -> list[str]:
    expressions = (*COMMON, *DUCKDB)
    if SWEEP:
        pairs = itertools.product(SHAPES, expressions)
    else:
        pairs = ((SHAPES[at % len(SHAPES)], e) for at, e in enumerate(expressions))

    made = [shape.format(e=expression) for shape, expression in pairs]
    made += [*WHOLE["duckdb"], *CATALOG]
    if SWEEP:
        return made

    # another part of them for each kind
    step = 10 if kind in OFTEN else 30
    return made[list(KINDS).index(kind) % step :: step]


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_that_is_told_of_a_table_depends_on_its_masked_column(
    kind: str, tokens: dict[Any, str], tmp_path: Path, runner: SqlRunner
) -> None:
    asked = statements_for(kind)
    told = []
    for number, side in enumerate(SIDES):
        tokens.clear()
        folder = tmp_path / f"side{number}"
        async with served_side(kind, side, folder, runner) as client:
            said = await tell_all(client, asked)
        told.append([text.replace("side1", "side0") for text in said])

    pairs = zip(*told, strict=True)
    assert [(left, right) for left, right in pairs if left != right] == []
    assert any(PREFIX in text for text in told[0])


async def test_without_a_mask_nearly_all_of_it_does(
    tmp_path: Path, runner: SqlRunner
) -> None:
    """The control: that the sides differ, and that each exit would show it."""
    told = []
    for number, side in enumerate(SIDES):
        folder = tmp_path / f"side{number}"
        served = served_side("a DataFrame", side, folder, runner, masked=())
        async with served as client:
            said = await tell_all(client, ["select email from customers"])
        told.append(said)

    pairs = zip(*told, strict=True)
    different = [left for left, right in pairs if left != right]
    # a query, a description, a profile, a chart, rows as CSV and as Arrow
    assert len(different) >= 6
