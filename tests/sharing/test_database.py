"""The database server as a client sees it."""

import json
import logging
import re
from pathlib import Path

import pytest

from mcp_notebook.errors import ConfigError
from mcp_notebook.results import read
from mcp_notebook.sharing.engines import StatementLimits, open_engine
from mcp_notebook.sharing.engines.sqlite import SqliteEngine
from tests.sharing.conftest import SHOP, database_client, query


async def test_declared_types_come_from_the_schema_and_others_from_the_values(
    small_database: Path,
):
    """Columns of tables carry their declared type, expressions and contradicted
    declarations what the values are.
    """
    async with database_client(small_database) as client:
        result = await query(
            client,
            "select *, n + 1 as e, max(d) over () as m, strftime('%Y-%m', d) as y from typed",
        )
    types = {
        c["name"]: (c["type"], c["declared"])
        for c in result.structured_content["columns"]
    }
    assert types == {
        "n": ("INTEGER", True),
        "d": ("DATE", True),
        "p": ("DECIMAL(10,2)", True),
        "f": ("BOOLEAN", True),
        "x": ("BLOB", True),
        "loose": ("TEXT", False),
        "s": ("TIMESTAMP", True),
        "e": ("INTEGER", False),
        "m": ("DATE", False),
        "y": ("TEXT", False),
    }


async def test_declared_types_survive_joins_aliases_ctes_and_views():
    """A column's origin is followed through the query by SQLite itself."""
    sql = "with o as (select order_date as day, id from orders) select o.day, s.order_date, i.unit_price from o "
    sql += "join sales s on s.order_id = o.id join order_items i on i.order_id = o.id limit 1"
    async with database_client(SHOP) as client:
        columns = (await query(client, sql)).structured_content["columns"]
    assert [(c["name"], c["type"], c["declared"]) for c in columns] == [
        ("day", "DATE", True),
        ("order_date", "DATE", True),
        ("unit_price", "DECIMAL(10,2)", True),
    ]


async def test_our_reader_takes_the_declared_types(small_database: Path):
    """A DataFrame made from an answer has the database's types, also where all values
    are missing.
    """
    async with database_client(small_database) as client:
        schema = (await client.list_tools()).tools[-1].output_schema
        (table,) = read(
            await query(client, "select n, d, p, f, s from typed"), output_schema=schema
        ).tables
        (empty,) = read(
            await query(client, "select n, d, p from typed where false"),
            output_schema=schema,
        ).tables
    kinds = [str(field.type) for field in table.data.schema]
    assert kinds[:2] == ["int64", "date32[day]"]
    assert kinds[2].startswith("decimal128(")
    assert kinds[3:] == ["bool", "timestamp[us]"]
    assert empty.data.num_rows == 0
    assert empty.data.column_names == ["n", "d", "p"]


async def test_values_that_json_cannot_hold_are_carried_without_loss(
    small_database: Path,
):
    """Integers beyond 2^53 stay integers with a notice, bytes are base64, booleans are booleans."""
    async with database_client(small_database) as client:
        content = (
            await query(client, "select n, f, x, 9e999 as inf from typed limit 1")
        ).structured_content
    assert content["rows"] == [[9007199254740993, True, {"base64": "AP8="}, "Infinity"]]
    assert "beyond 2^53 in n" in content["notice"]


async def test_text_that_is_not_utf8_does_not_break_the_answer(small_database: Path):
    """Invalid bytes in a text column are replaced."""
    async with database_client(small_database) as client:
        content = (
            await query(client, "select cast(x'41ff' as text) as t")
        ).structured_content
    assert content["rows"] == [["A\ufffd"]]


async def test_rows_are_capped_with_a_notice_that_says_so():
    """More rows than the limit: the answer is cut, marked and says what to do."""
    async with database_client(SHOP, rows=10) as client:
        content = (await query(client, "select * from orders")).structured_content
    assert (content["row_count"], content["truncated"]) == (10, True)
    assert "cut after 10 rows" in content["notice"]


async def test_exactly_as_many_rows_as_allowed_is_not_a_cut():
    """The limit itself is not a truncation."""
    async with database_client(SHOP, rows=9) as client:
        content = (await query(client, "select * from categories")).structured_content
    assert (content["row_count"], content["truncated"], "notice" in content) == (
        9,
        False,
        False,
    )


async def test_bytes_are_capped_with_a_notice_that_says_so():
    """An answer in few but large rows is cut as well."""
    async with database_client(SHOP, bytes=100_000) as client:
        result = await query(
            client, "select a.description || hex(zeroblob(5000)) as d from products a"
        )
    assert result.structured_content["truncated"]
    assert "0.1 MB" in result.structured_content["notice"]
    assert len(json.dumps(result.structured_content)) < 110_000


async def test_the_text_of_an_answer_is_short_and_says_what_it_leaves_out():
    """A host that reads only text gets CSV up to 20 kB and the figures of what is missing."""
    async with database_client(SHOP) as client:
        text = (await query(client, "select * from orders limit 5000")).content[0].text
    assert text.startswith("id,customer_id,order_date,status,shipping_cost\n1,")
    assert len(text.encode()) < 21_000
    assert "(5,000 rows)" in text
    assert "the structured content holds all 5,000" in text


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from ordrs", "Did you mean orders"),
        (
            "select totl from order_items",
            "order_items(order_id, product_id, quantity, unit_price)",
        ),
        ("select statuss from orders", "Did you mean status?"),
        ("select country from orders", "country is a column of customers, sales"),
        (
            "select date_trunc('month', order_date) from orders",
            "strftime('%Y-%m', column)",
        ),
        ("select extract(year from order_date) from orders", "strftime('%Y', column)"),
        (
            "select * from orders where order_date > date('now') - interval '6 months'",
            "date(column, '-6 months')",
        ),
        ("delete from orders", "read-only: write one SELECT"),
        ("select 1; delete from orders", "more than one statement"),
        ("", "write one SELECT"),
        ("selec 1", "syntax error"),
    ],
)
async def test_errors_say_how_to_mend_the_statement(sql: str, expected: str):
    """Every failure is a tool error whose text holds the engine's message and the way out."""
    async with database_client(SHOP) as client:
        result = await query(client, sql)
    assert result.is_error
    assert expected in result.content[0].text


async def test_a_column_of_another_table_is_told_with_the_join_to_it():
    """Never the very same name as a near miss."""
    sql = "select i.customer_id from order_items i join orders o on o.id = i.order_id"
    async with database_client(SHOP) as client:
        said = (await query(client, sql)).content[0].text
        without = (await query(client, "select name from order_items")).content[0].text
    assert "customer_id is a column of orders" in said
    assert "order_items.order_id = orders." in said
    assert "mean customer_id" not in said
    assert "name is a column of " in without
    assert "Join on order_items.product_id = products." in without


async def test_nothing_that_a_model_is_told_beforehand_holds_a_literal_date():
    """A date in an example is copied into questions that have another."""
    async with database_client(SHOP) as client:
        tools = (await client.list_tools()).tools
        hints = open_engine(f"sqlite:///{SHOP}").hints
    said = " ".join([hints, *(tool.model_dump_json() for tool in tools)])
    assert not re.search(r"\b(19|20)\d\d-\d\d", said)


async def test_a_statement_that_takes_too_long_is_stopped_at_the_deadline():
    """An endless recursion ends with an error, and the next query is answered."""
    endless = "with recursive t(a) as (select 1 union all select a + 1 from t) select count(*) from t"
    async with database_client(SHOP, seconds=0.3) as client:
        result = await query(client, endless)
        again = await query(client, "select 1 as one")
    assert result.is_error
    assert "stopped after 0.3 s" in result.content[0].text
    assert again.structured_content["rows"] == [[1]]


async def test_list_tables_and_describe_table_tell_what_a_query_needs():
    """Names, counts, types, keys, references, the values of few-valued columns and date spans."""
    async with database_client(SHOP) as client:
        tables = (await client.call_tool("list_tables", {})).structured_content["rows"]
        described = await client.call_tool("describe_table", {"table": "Orders"})
    assert [row[:2] for row in tables][-2:] == [
        ["products", "table"],
        ["sales", "view"],
    ]
    by_name = {row[0]: row for row in described.structured_content["rows"]}
    assert by_name["status"][5] == "cancelled | paid | pending | refunded | shipped"
    assert by_name["customer_id"][4] == "customers.id"
    assert by_name["order_date"][6:8] == ["2024-12-01", "2026-11-22"]
    assert described.content[0].text.startswith("orders (")


async def test_describing_an_unknown_table_offers_near_misses():
    """A wrong name gives the right ones."""
    async with database_client(SHOP) as client:
        result = await client.call_tool("describe_table", {"table": "product"})
    assert result.is_error
    assert "Did you mean products?" in result.content[0].text


async def test_explain_gives_the_plan_without_running():
    """The plan is a table like any answer."""
    async with database_client(SHOP) as client:
        content = (
            await client.call_tool(
                "explain", {"sql": "select * from orders where id = 3"}
            )
        ).structured_content
    assert any("SEARCH orders" in str(row) for row in content["rows"])


async def test_tools_are_described_for_a_model():
    """Every tool is marked read-only, has an output schema, and every argument an
    example and a description.
    """
    async with database_client(SHOP) as client:
        tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == [
        "describe_table",
        "explain",
        "list_tables",
        "query_database",
    ]
    for tool in tools:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert tool.output_schema
        assert all(
            p["examples"] and p["description"]
            for p in tool.input_schema["properties"].values()
        )


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        ("query_database", {}, "needs the argument 'sql'"),
        ("query_database", {"sql": 1}, "must be of type string"),
        ("query_database", {"sql": "select 1", "limit": 3}, "has no argument 'limit'"),
        ("query_databse", {}, "Did you mean query_database?"),
    ],
)
async def test_wrong_arguments_are_tool_errors(
    tool: str, arguments: dict, expected: str
):
    """A wrong call is told what is wrong with it."""
    async with database_client(SHOP) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert expected in result.content[0].text


async def test_instructions_hold_the_schema_and_are_the_same_each_time():
    """Hosts put them into the system prompt: compact, with values and references, deterministic."""
    async with database_client(SHOP) as client:
        first = client.instructions
    async with database_client(SHOP) as client:
        assert client.instructions == first
    assert first
    assert "status TEXT: cancelled|paid|pending|refunded|shipped" in first
    assert "customer_id INTEGER -> customers.id" in first
    assert len(first.encode()) < 4_500


async def test_only_named_tables_are_served(small_database: Path):
    """With an allow-list other tables can be neither read, described nor seen in the
    schema table.
    """
    async with database_client(small_database, tables=["t"]) as client:
        assert [
            row[0]
            for row in (await client.call_tool("list_tables", {})).structured_content[
                "rows"
            ]
        ] == ["t"]
        for sql in (
            "select * from secrets",
            "select sql from sqlite_master",
            "select (select k from secrets) from t",
        ):
            result = await query(client, sql)
            assert result.is_error, sql
            assert "hidden" not in result.content[0].text
        assert not (
            await query(client, "with q as (select a from t) select * from q")
        ).is_error


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///nowhere/x.db", "There is no database file"),
        ("sqlite://", "names no file"),
        ("mysql://host/db", "not supported"),
        ("", "not supported"),
    ],
)
def test_a_url_that_cannot_be_served_is_one_clear_sentence(url: str, expected: str):
    """What the person must mend is a ConfigError."""
    with pytest.raises(ConfigError, match=expected):
        open_engine(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    """The check happens at start, not at the first query."""
    path = tmp_path / "not.db"
    path.write_text("hello, this is no database at all" * 50)
    with pytest.raises(ConfigError, match="not a usable SQLite database"):
        open_engine(f"sqlite:///{path}")


async def test_a_path_with_odd_characters_is_opened_as_named(
    tmp_path: Path, small_database: Path
):
    """Question marks and percent signs in a file name are not URI syntax."""
    odd = tmp_path / "a?mode=rwc%20#.db"
    odd.write_bytes(small_database.read_bytes())
    answer = await SqliteEngine(odd).query("select count(*) from t", StatementLimits())
    assert answer.rows == [(2,)]


async def test_serving_leaves_the_root_logger_alone():
    """A server inside a kernel must not change its logging."""
    before = list(logging.getLogger().handlers)
    async with database_client(SHOP):
        assert logging.getLogger().handlers == before
