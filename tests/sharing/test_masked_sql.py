"""What a model is shown of a database does not depend on what stands in a masked column.

Two databases differ in the values of one masked column and in nothing else: the same
nulls, the same equal values, the same order. Every statement goes the whole way of a
call - the database server, its answer, reading, masks, the last look - to both, and
what the model is shown is the same, letter by letter. Conditions and orders by what
was computed are not promised (docs/masking.md), so no statement here has one.
"""

import csv
import io
import itertools
import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pandas as pd
import pytest
from mcp import Client
from mcp_types import CallToolResult, TextContent
from mcp_types import Tool as Definition

from mcp_notebook.agent.call_values import Origin, Shaping
from mcp_notebook.agent.calls import shape
from mcp_notebook.sessions.tools import CallOutcome, make_tool_info
from mcp_notebook.sharing.database import build_database_server
from mcp_notebook.sharing.engines import StatementLimits, open_engine
from mcp_notebook.veil import Veil
from tests import SWEEP
from tests.sharing.attacks import ATTACKS, OWN, statement
from tests.sharing.postgres_server import PostgresServer, running

MASKED = ("email",)
# which differ in their letters and length, and neither in order nor in what is equal
SIDES = (
    ("qanna7@lefthand.example", "qzora8@lefthand.example"),
    ("rb44_hi@there", "wxy_9@who"),
)
# how many rows there are is not promised, where rows are made of values
COUNTED = re.compile(
    r"distinct|except|explain|unnest\(string|split_to_table|row_number"
)

COMMON = (
    "email", "EMAIL", '"email"', "c.email", "email as contact", "email contact",
    "upper(email)", "lower(email) as l", "email || ''", "'' || email as e",
    "min(email)", "max(email) as m", "length(email)", "length(email) as n",
    "substr(email, 1, 1)", "substr(email, 2) as s", "replace(email, '@', ' at ')",
    "trim(email, 'x')", "cast(email as varchar) as t", "coalesce(null, email)",
    "coalesce(email, 'none') as k", "nullif(email, 'a')",
    "case when email like 'q%' then 1 else 0 end as q",
    "case when country = 'AT' then email end", "case email when 'a' then 1 else 2 end",
    "(select email) as w", "(select max(x.email) from customers x)",
    "(select c.email)", "email like 'q%' as is_q", "email = 'qanna7@lefthand.example'",
    "email > 'r'", "email in ('qanna7@lefthand.example')", "email between 'r' and 'z'",
    "exists(select 1 from customers y where y.email = c.email and y.email > 'r')",
    "first_value(email) over (order by id)", "lag(email) over (order by id) as before",
    "max(email) over ()", "count(*) over (partition by substr(email, 1, 1))",
    "sum(length(email)) over (order by id)", "count(case when email > 'r' then 1 end)",
    "sum(case when email like 'q%' then 1 else 0 end) as s", "sum(length(email))",
    "avg(length(email)) as a", "count(nullif(email, 'qanna7@lefthand.example'))",
    "row_number() over (order by email)", "c.*", "*",
)  # fmt: skip
SQLITE = (
    "group_concat(email)", "group_concat(email, '; ') as g", "hex(email)", "quote(email)",
    "unicode(email)", "instr(email, '@')", "printf('%s', email)", "iif(1, email, 2)",
    "json_array(email)", "json_object('k', email) as j", "json_group_array(email)",
    "[email]", "`email`", "glob('q*', email)", "typeof(email)", "email glob 'q*'",
    "json_extract(json_object('k', email), '$.k')", "likely(email)", "total(email)",
    "(with z as (select email e from customers) select e from z)", "abs(email)",
    "email -> '$'", "json_quote(email)", "substring(email, 3)", "email collate nocase",
    "count(distinct substr(email, 1, 1))", "count(distinct length(email)) as n",
    "count(*) filter (where email > 'r')", "max(email, 'a')", "email is 'a'",
    "email is not distinct from 'qanna7@lefthand.example'", "not email > 'r'", "-email",
    "count(email > 'r' or null)", "count(instr(email, 'q') or null) as n", "count(nullif(1, email > 'r'))",
)  # fmt: skip
DUCKDB = (
    "string_agg(email)", "list(email)", "list(email)[1] as f", "md5(email)", "hash(email)",
    "ascii(email)", "regexp_extract(email, '.*@') as r", "regexp_replace(email, '@', '#')",
    "struct_pack(a := email)", "{'a': email} as s", "{'a': email}.a", "[email] as l",
    "map([1], [email])", "map {'a': email}['a']", "to_json(c)", "to_json({'k': email})",
    "row(email)", "c", "c as whole", "columns('em.*')", "columns(*)", "min(columns(*))",
    "columns(x -> x like 'e%')", "* exclude (id)", "* replace (id + 1 as id)",
    "* replace (email as country)", "* rename (email as mail)", "columns(c.*)",
    "unnest([email])", "unnest({'a': email})", "histogram(email)", "mode(email)",
    "arg_max(email, id)", "first(email)", "any_value(email) as v", "last(email order by id)",
    "email[1:3]", "email[1]", "format('{}', email)", "printf('%s', email)",
    "list_transform([email], x -> upper(x))", "email.upper()", "email.substr(2) as s",
    "encode(email)", "base64(encode(email))", "hex(email)", "reverse(email)",
    "levenshtein(email, 'abc')", "jaccard(email, 'abc')", "strpos(email, '@')",
    "position('@' in email)", "email ~ '^q'", "email similar to 'q.*'", "bar(length(email), 0, 40)",
    "approx_quantile(length(email), 0.5)", "quantile_disc(email, 0.5)", "entropy(email)",
    "try_cast(email as integer)", "cast(email as integer)", "email::blob", "error(email)",
    "strptime(email, '%d')", "json(email)", "typeof(email)", "alias(email)", "x := email",
    "contact : email", "count(distinct email[1])", "count(*) filter (email > 'r')",
    "count_if(email > 'r')", "approx_count_distinct(email[1])", "bool_or(email > 'r')",
    "list(distinct email)", "list(c)", "max_by(c, id)", "arg_min(c, id).email",
    "(from customers select email limit 1)", "array(select email from customers)",
    "array_agg(email)", "string_agg(email, ',' order by id) as g", "coalesce(*columns(['email']))",
    "concat(c)", "c::varchar", "cast(c as json)", "c.email::varchar", "customers.email",
    "json_object('k', email)", "json_group_array(email)", "json_extract(to_json(c), '$.email')",
    "to_json(c)->>'email'", "to_json(c)->>'$.email'", "json_keys(to_json(c))", "struct_extract(c, 'email')",
    "struct_extract(c, 2)", "c['email']", "list_extract([email], 1)", "email is distinct from 'a'",
    "count(email > 'r' or null)", "min(email, 2)", "unnest(string_split(email, ''))", "greatest(email, 'r')",
)  # fmt: skip
POSTGRES = (
    "string_agg(email, ',')", "array_agg(email)", "md5(email)", "ascii(email)",
    "regexp_replace(email, '@', '#')", "(regexp_match(email, '.*@'))[1]", "row(email)",
    "c", "c::text", "row_to_json(c)", "to_jsonb(c)", "to_jsonb(c)->>'email'", "to_jsonb(c)->'email'",
    "json_agg(c)", "jsonb_agg(email)", "json_build_object('k', email)", "json_object_agg(id, email)",
    "array(select email from customers)", "(select array_agg(email) from customers) as a",
    "email::text", "email::bytea", "encode(convert_to(email, 'UTF8'), 'hex')", "reverse(email)",
    "left(email, 1)", "substring(email from 1 for 1)", "substring(email from '^.')",
    "split_part(email, '@', 1)", "string_to_array(email, '@')", "format('%s', email)",
    "quote_literal(email)", "position('@' in email)", "overlay(email placing 'x' from 1)",
    "email ~ '^q'", "cast(email as integer)", "(c).email", "(c.*)::text", "concat(c)", "concat_ws(',', c.*)",
    "count(*) filter (where email > 'r')", "bool_or(email > 'r')", "count(distinct left(email, 1))",
    "unnest(array[email])", "regexp_split_to_table(email, '')", "jsonb_each_text(to_jsonb(c))",
    "(jsonb_each_text(to_jsonb(c))).value", "mode() within group (order by email)",
    "percentile_disc(0.5) within group (order by email)", "pg_column_size(email)", "hashtext(email)",
    "xmlforest(email)", "xmlelement(name a, email)", "query_to_xml('select email from customers', true, true, '')",
    "table_to_xml('customers', true, true, '')", "schema_to_xml('public', true, true, '')",
    "ts_lexize('simple', email)", "to_tsvector(email)", "email collate \"C\"", "greatest(email, 'r')",
    "num_nulls(email, country)", "email is distinct from 'a'", "email is null",
)  # fmt: skip
SHAPES = (
    "select {e} from customers c",
    "select {e}, 7 as seven from customers c",
    "select 7 as seven, {e}, country from customers c",
    "select * from (select {e} from customers c) x",
    "select x.*, o.total from orders o, (select {e} from customers c) x",
    "with t as (select {e} from customers c) select * from t",
    "with t as (select {e} from customers c), u as (select * from t) select 1 as one, u.* from u",
    "with t as materialized (select {e} from customers c) select * from t",
    "select 'x' as x union all select {e} from customers c",
    "select {e} from customers c union all select 'x'",
    "select {e} from customers c except select 'x'",
    "select {e} from customers c left join orders o on o.customer = c.id",
    "select distinct {e} from customers c",
    "select {e} from (select * from customers) c",
    "select {e} from (select id, email, country from customers) as c(id, email, country)",
    "select /* email */ {e} -- email\nfrom customers c",
)  # fmt: skip
# statements of their own, which no expression makes
WHOLE = {
    "sqlite": (
        "select * from customers", "values (1), ((select email from customers))",
        "select a || '' from (select email as a from customers)",
        "with t(a, b) as (select id, email from customers) select b as x from t",
        "with recursive s(i, ch) as (select 1, substr(email, 1, 1) from customers union all "
        "select i + 1, substr((select email from customers), i + 1, 1) from s where i < 5) select i, ch from s",
        "select value from json_each((select json_group_array(email) from customers))",
        "select j.value from customers c, json_each(json_array(c.email)) j",
        "select value as v from customers, json_each(json_array(email))",
        "select key, atom from customers, json_tree(json_object('email', email))",
        "select country, email from customers group by 1", "select mail from renamed",
        "select * from renamed", "select upper(mail) from renamed", "select doc from nested",
        "select json_extract(doc, '$.email') as x from nested", "select doc ->> 'email' as x from nested",
        "select * from nested", "select note from notes", "select * from customers natural join orders",
        "select * from customers a join customers b using (email)", "explain select email from customers",
        "explain query plan select email from customers where email > 'r'",
        "select name, sql from sqlite_master", "select * from pragma_table_info('customers')",
        "select (select email from customers), (select email from customers limit 1) as b",
        "select id, email from customers order by id limit 2 offset 1", "select email email from customers",
        "select c.id, d.e from customers c join (select id i, email e from customers) d on d.i = c.id",
        "select a from (values (1)) x(a) union select email from customers", "select email || country as country from customers",
        "select email as id, id as email from customers", "select country as email, email as country from customers",
        "select id as email_2, email from customers",
    ),
    "duckdb": (
        "from customers", "table customers", "summarize customers", "summarize select email as x from customers",
        "describe customers", "pivot customers on country using first(email)", "pivot customers on email using count(*)",
        "unpivot customers on email, country into name k value v", "select * from (pivot customers on country using max(email))",
        "select unnest(c) from customers c", "select c.* from customers c", "from customers select email as a",
        "select * from customers c, lateral (select c.email as x)", "select x from customers c, lateral (select c.email) l(x)",
        "select u from customers, unnest([email]) t(u)", "select unnest(list(email)) as u from customers",
        "select * from query('select email as x from customers')", "select * from query_table('customers')",
        "with t(a, b) as (select id, email from customers) select b as x from t",
        "select a.e from (select email as e from customers) a", "select * from renamed", "select mail from renamed",
        "select * from nested", "select doc from nested", "select doc.email as x from nested", "select unnest(doc) from nested",
        "select doc->>'email' as x from (select to_json(doc) as doc from nested)", "select note from notes",
    "select country, list({'e': email}) as l from customers group by country",
        "select * from customers a join customers b using (email)", "select * from customers natural join orders",
        "select * from customers a positional join customers b", "select * from customers asof join orders on customers.id >= orders.id",
        "explain select email from customers", "explain select email from customers where email > 'r'",
        "explain analyze select email from customers", "select column_name, min, max from (summarize customers)",
        "with recursive s(i, ch) as (select 1, (select email[1] from customers limit 1) union all "
        "select i + 1, (select email[i + 1] from customers limit 1) from s where i < 5) select i, ch from s",
        "select * from duckdb_tables()", "select * from pragma_storage_info('customers')", "select stats('customers')",
        "select stats(email) from customers limit 1", "select * from pragma_table_info('customers')",
        "select email as id, id as email from customers", "select country as email, email as country from customers",
        "select * from histogram_values(customers, email)", "select a, b from (select email, id from customers) t(a, b)",
        "select email from customers qualify row_number() over (order by id) = 1",
        "select json_serialize_sql('select 1') as j", "select * from (values ((select email from customers limit 1))) v(x)",
        "select cast(email as integer) from customers", "select email::date from customers", "select error(email) from customers",
        "select json(email) from customers", "select strptime(email, '%Y') from customers", "select decode(from_base64(email)) from customers",
        "select cast(x as int) from (select email as x from customers)", "select cast(mail as int) from renamed", "select chr(email::int) from customers",
        "select struct_extract(c, email) from customers c", "select ('{\"a\":'||email)::json from customers", "select regexp_matches('a', email || '(') from customers",
        "select 1 as a order by (select error(email) from customers limit 1)", "select id from customers order by error(email)",
    ),
    "postgres": (
        "select * from customers", "table customers", "select mail from renamed", "select * from renamed",
        "select x from customers c, lateral (select c.email) l(x)", "select * from customers c, lateral (select c.email as x) l",
        "select u from customers, unnest(array[email]) u", "select j.value from customers c, jsonb_each_text(to_jsonb(c)) j",
        "select j.value as v from customers c cross join lateral jsonb_each_text(to_jsonb(c)) as j(key, value)",
        "select * from json_populate_recordset(null::customers, (select json_agg(c) from customers c))",
        "select r.contact from jsonb_to_recordset((select jsonb_agg(jsonb_build_object('contact', email)) from customers)) as r(contact text)",
        "with t(a, b) as (select id, email from customers) select b as x from t", "select doc from nested", "select doc->>'email' as x from nested",
        "select * from nested", "select note from notes", "explain select email from customers", "explain (analyze) select email from customers where email > 'r'",
        "select cast(email as integer) from customers", "select email::date from customers", "select email::json from customers",
        "select tablename, attname, most_common_vals from pg_stats where tablename = 'customers'", "select histogram_bounds from pg_stats where attname = 'email'",
        "select cast(mail as int) from renamed", "select cast(x as int) from (select email as x from customers) s", "select to_date(email, 'YYYY') from customers",
        "select 1/(length(email) - length(email)) from customers", "select email as id, id as email from customers",
        "select country as email, email as country from customers", "values ((select email from customers limit 1))",
        "select * from customers a join customers b using (email)", "select query_to_xml('select email as x from customers', true, true, '')",
        "select distinct on (country) country, email as e from customers order by country, id", "select (c).* from customers c", "select (x.c).email as e from (select c from customers c) x",
        "select rank() over (order by email), email as e from customers", "select grouping(email) as g, email as e from customers group by rollup(email)",
        "with recursive s(i, ch) as (select 1, (select left(email, 1) from customers limit 1) union all select i + 1, (select substr(email, i + 1, 1) from customers limit 1) from s where i < 5) select i, ch from s",
    ),
}  # fmt: skip
EXPRESSIONS = {"sqlite": SQLITE, "duckdb": DUCKDB, "postgres": POSTGRES}


def statements(dialect: str) -> list[str]:
    """Every expression in every shape, and the statements of their own."""
    pairs = itertools.product(SHAPES, (*COMMON, *EXPRESSIONS[dialect]))
    made = [shape.format(e=expression) for shape, expression in pairs]
    return [*made, *WHOLE[dialect]]


def some_statements(dialect: str) -> list[str]:
    """Every expression in two shapes, and the statements of their own."""
    made = []
    for at, expression in enumerate((*COMMON, *EXPRESSIONS[dialect])):
        shapes = (SHAPES[at % len(SHAPES)], SHAPES[(3 * at + 1) % len(SHAPES)])
        made += [shape.format(e=expression) for shape in shapes]
    return [*made, *WHOLE[dialect]]


# ---- two databases


TABLES = (
    "create table customers(id integer, email text, country text)",
    "create table orders(id integer, customer integer, total integer)",
    "insert into orders values (1, 1, 10)",
    "create table notes(note text)",
    "create view renamed as select id, email as mail from customers",
)


def rows_of(side: tuple[str, str]) -> list[tuple[int, str | None, str]]:
    first, second = side
    return [(1, first, "AT"), (2, second, "DE"), (3, first, "DE"), (4, None, "FR")]


def fill_shop(run: Callable[..., Any], side: tuple[str, str], dialect: str) -> None:
    for sql in TABLES:
        run(sql)
    place = "%s" if dialect == "postgres" else "?"
    for row in rows_of(side):
        run(f"insert into customers values ({place}, {place}, {place})", row)
    kind = {"sqlite": "text", "duckdb": "struct(email text, n integer)"}
    run(f"create table nested(id integer, doc {kind.get(dialect, 'jsonb')})")
    held: Any = {"email": side[0], "n": 1}
    if dialect != "duckdb":
        held = json.dumps(held)
    run(f"insert into nested values (1, {place})", (held,))


Side = tuple[str, str]
Fill = Callable[[Callable[..., Any], Side, str], None]


def make_sqlite(folder: Path, side: Side, fill: Fill) -> str:
    path = folder / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        fill(connection.execute, side, "sqlite")
        connection.commit()
    return f"sqlite:///{path}"


def make_duckdb(folder: Path, side: Side, fill: Fill) -> str:
    path = folder / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        fill(connection.execute, side, "duckdb")
    return f"duckdb:///{path}"


MAKERS = {"sqlite": make_sqlite, "duckdb": make_duckdb}


async def serve_side(
    stack: AsyncExitStack, url: str, masked: tuple[str, ...] = MASKED
) -> Client:
    engine = open_engine(url)
    stack.push_async_callback(engine.close)
    server = await build_database_server(
        engine, StatementLimits(seconds=5.0), masked=masked
    )
    return await stack.enter_async_context(Client(server))


@asynccontextmanager
async def databases(
    dialect: str, fill: Fill = fill_shop, masked: tuple[str, ...] = MASKED
) -> AsyncIterator[list[Client]]:
    """Clients of the two sides, in process."""
    # Not pytest's temporary folder: another user runs PostgreSQL, by a short path.
    folder = Path(tempfile.mkdtemp(prefix="mcpn-", dir="/tmp"))
    folder.chmod(0o755)
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if dialect == "postgres":
            urls = make_postgres(stack.enter_context(running(folder)), fill)
        else:
            urls = [MAKERS[dialect](new_folder(folder), side, fill) for side in SIDES]
        yield [await serve_side(stack, url, masked) for url in urls]


def new_folder(within: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=within))


def make_postgres(server: PostgresServer, fill: Fill) -> list[str]:
    import psycopg

    found = []
    for number, side in enumerate(SIDES):
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"create database side{number}".encode())
        own = server.url("postgres").replace("/postgres?", f"/side{number}?")
        with psycopg.connect(own, autocommit=True) as connection:
            fill(connection.execute, side, "postgres")
            connection.execute("grant select on all tables in schema public to ro")
            connection.execute("analyze")
        found.append(server.url("ro").replace("/postgres?", f"/side{number}?"))
    return found


def keep(tables: Any, origin: Origin, write: Any) -> Any:
    names = tuple(f"t{at}" for at in range(len(tables)))
    return names, write(names)


Change = Callable[[dict[str, Any]], str]


async def show(
    client: Client,
    tool: str,
    arguments: dict[str, Any],
    change: Change | None = None,
    masked: tuple[str, ...] = MASKED,
) -> str:
    """What the model is shown of a call, by a veil that has seen nothing yet. With
    `change` the server is another's, which tells rows in words of its own.
    """
    result = await client.call_tool(tool, arguments)
    if change is not None and not result.is_error:
        text = TextContent(text=change(result.structured_content or {}))
        result = CallToolResult(content=[text])
    elif change is not None:
        result = result.model_copy(update={"meta": None})
    info = make_tool_info(
        "shop", Definition(name=tool, input_schema={"type": "object"})
    )
    origin = Origin("shop", tool, arguments, "1", "", 0.0)
    shaping = Shaping(mask=masked, veil=Veil(lambda: masked))
    outcome = CallOutcome(result, 0.0, 1_000)
    return (await shape(outcome, info, origin, keep, shaping)).shown


# DuckDB gives the rows of these in any order, which depends on its threads.
UNORDERED = re.compile(r"\basof\b", re.IGNORECASE)


def settle(text: str) -> str:
    """A text without its figures, and each of its lines once."""
    lines = re.sub(r"[\dA-F]+", "", text.replace("rows", "row")).splitlines()
    return "\n".join(dict.fromkeys(line.replace("all", "first") for line in lines))


async def find_differences(
    clients: list[Client],
    asked: list[str],
    change: Change | None = None,
    masked: tuple[str, ...] = MASKED,
) -> list[str]:
    """The statements of which the model is shown different things."""
    found = []
    for sql in asked:
        left, right = [
            await show(client, "query_database", {"sql": sql}, change, masked)
            for client in clients
        ]
        if masked is not MASKED or COUNTED.search(sql):
            left, right = settle(left), settle(right)
        if UNORDERED.search(sql):
            left, right = sorted(left.splitlines()), sorted(right.splitlines())
        if left != right:
            found.append(f"{sql}\n{left}\n{right}")
    return found


DIALECTS = [
    "sqlite",
    pytest.param("duckdb", marks=pytest.mark.slow),
    pytest.param("postgres", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_no_statement_shows_what_a_masked_column_holds(dialect: str) -> None:
    async with databases(dialect) as clients:
        assert await find_differences(clients, some_statements(dialect)) == []


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_no_description_shows_what_a_masked_column_holds(dialect: str) -> None:
    """Instructions, tools, lists, descriptions with samples of tables and of views."""
    async with databases(dialect) as clients:
        said = []
        for client in clients:
            tools = await client.list_tools()
            told = [client.instructions or "", tools.model_dump_json()]
            told.append(await show(client, "list_tables", {}))
            for table in ("customers", "renamed", "nested"):
                told.append(await show(client, "describe_table", {"table": table}))
            said.append([text.replace("side1", "side0") for text in told])
        assert said[0] == said[1]


@pytest.mark.slow
@pytest.mark.skipif(not SWEEP, reason="minutes: some of them run above, in each run")
@pytest.mark.parametrize("dialect", ["sqlite", "duckdb", "postgres"])
async def test_no_expression_shows_it_in_any_shape(
    dialect: str,
) -> None:
    async with databases(dialect) as clients:
        assert await find_differences(clients, statements(dialect)) == []


# ---- the suites of attacks, with a masked column


class Suite(NamedTuple):
    """The tables that a suite of attacks names, with a place for two values of the
    column that is masked in them.
    """

    file: str
    masked: tuple[str, ...]
    tables: str


SUITES = {
    "sqlite": Suite(
        "sql_sqlite.jsonl",
        ("b", "k"),
        "create table t(a integer, b text); insert into t values (1, '{0}'), (2, '{1}');"
        "create table secrets(k text); insert into secrets values ('{0}');"
        "create table typed(n integer, d date, p decimal(10, 2), f boolean, x blob)",
    ),
    "duckdb": Suite(
        "sql_duckdb.jsonl",
        ("name",),
        "create table df(id integer, name text);"
        "insert into df values (1, '{0}'), (2, '{1}');"
        "create view base as select * from df",
    ),
    "postgres": Suite(
        "sql_postgres.jsonl",
        ("b",),
        "create table t(a int primary key, b text);"
        "insert into t values (1, '{0}'), (2, '{1}')",
    ),
}


def fill_suite(run: Callable[..., Any], side: Side, dialect: str) -> None:
    for sql in SUITES[dialect].tables.split(";"):
        run(sql.format(*side))


def attacks_of(suite: Suite) -> list[dict[str, Any]]:
    lines = (ATTACKS / suite.file).read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines if line.strip()]
    found += OWN[suite.file]
    return [case for case in found if case.get("category") != "dos"]


@pytest.mark.slow
@pytest.mark.parametrize("dialect", SUITES)
async def test_no_attack_shows_what_a_masked_column_holds(
    dialect: str, tmp_path: Path
) -> None:
    suite = SUITES[dialect]
    asked = [
        statement(case, W=tmp_path, DB=tmp_path / "x") for case in attacks_of(suite)
    ]
    if not SWEEP:
        asked = asked[::4]

    async with databases(dialect, fill_suite, suite.masked) as clients:
        assert await find_differences(clients, asked, None, suite.masked) == []


# ---- another's server, which tells the same rows in words of its own


def _rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    names = [column["name"] for column in answer["columns"]]
    return [dict(zip(names, row, strict=True)) for row in answer["rows"]]


def _as_csv(answer: dict[str, Any], sign: str = ",") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=sign)
    writer.writerow([column["name"] for column in answer["columns"]])
    writer.writerows(answer["rows"])
    return out.getvalue()


def _as_markdown(answer: dict[str, Any]) -> str:
    names = [column["name"] for column in answer["columns"]]
    lines = [names, ["---"] * len(names), *answer["rows"]]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _as_pandas(answer: dict[str, Any]) -> str:
    return pd.DataFrame(_rows(answer)).to_string()


def _as_words(answer: dict[str, Any]) -> str:
    lines = [f"- {name}: {v}" for row in _rows(answer) for name, v in row.items()]
    return "Here is what I found:\n" + "\n".join(lines)


TELLING: dict[str, Change] = {
    "list of objects": lambda a: json.dumps(_rows(a)),
    "objects under a name": lambda a: json.dumps({"ok": True, "data": _rows(a)}),
    "names and rows": lambda a: json.dumps(
        {"columns": [c["name"] for c in a["columns"]], "rows": a["rows"]}
    ),
    "rows without names": lambda a: json.dumps(a["rows"]),
    "Python's objects": lambda a: repr(_rows(a)),
    "Python's tuples": lambda a: repr([tuple(row) for row in a["rows"]]),
    "lines of JSON": lambda a: "\n".join(map(json.dumps, _rows(a))),
    "CSV": _as_csv,
    "tabs": lambda a: _as_csv(a, "\t"),
    "markdown": _as_markdown,
    "pandas": _as_pandas,
    "words": _as_words,
    "bare values": lambda a: "\n".join(str(v) for row in a["rows"] for v in row),
    "values in a row": lambda a: (
        "Result: " + ", ".join(str(v) for row in a["rows"] for v in row)
    ),
    "rows and count": lambda a: f"{len(a['rows'])} rows\n{_as_csv(a)}",
    "a text in JSON": lambda a: json.dumps({"result": _as_csv(a)}),
    "fenced": lambda a: f"```json\n{json.dumps(_rows(a))}\n```",
}
TOLD_STATEMENTS = (
    "select email from customers",
    "select id, email as contact from customers",
    "select upper(email) as u from customers",
    "select max(email) from customers",
    "select id, substr(email, 2) || '' as x, country from customers",
    "select * from customers",
    "select c.* from customers c",
    "with t as (select email e from customers) select * from t",
    "select group_concat(email) as all_of_them from customers",
    "select a.mail as m from (select email as mail from customers) a",
    "select country as a, email as b from customers union all select 'x', 'y'",
    "select json_object('k', email) as j from customers",
    "select cast(email as integer) as n, length(email) as l from customers",
)


@pytest.mark.parametrize("telling", TELLING)
async def test_no_way_of_telling_rows_shows_what_a_masked_column_holds(
    telling: str,
) -> None:
    async with databases("sqlite") as clients:
        change = TELLING[telling]
        assert await find_differences(clients, [*TOLD_STATEMENTS], change) == []


# ---- under whatever name another's tool takes what it is asked

ASKED_AS: dict[str, Callable[[str], dict[str, Any]]] = {
    **{
        name: lambda sql, name=name: {name: sql}
        for name in (
            *("sql", "SQL", "query", "Query", "q", "stmt", "sqlQuery", "raw_sql"),
            *("command", "code", "script", "expression", "input", "text", "body"),
        )
    },
    "nested": lambda sql: {"params": {"options": {"sql": sql}}},
    "a list": lambda sql: {"queries": ["select 1 as one", sql]},
    "a list of objects": lambda sql: {"steps": [{"run": sql}]},
    "beside prose": lambda sql: {"query": "all users please", "statement": sql},
    "behind another": lambda sql: {"sql": "select 1 as one", "statement": sql},
    "JSON in a text": lambda sql: {"body": json.dumps({"sql": sql})},
    "after a line break": lambda sql: {"command": f"\n-- who\n  {sql}"},
}
NAMED: dict[str, dict[str, Any]] = {
    "a column and a function": {"column": "email", "function": "max"},
    "an axis": {"x": "country", "y": "email", "chart": "bar"},
    "renamed fields": {"fields": ["id", "email as contact"]},
    "fields in a text": {"fields": "id, upper(email)"},
    "a group": {"table": "customers", "group_by": "customers.email"},
    "a stage": {"pipeline": [{"$group": {"_id": "$email"}}]},
    "a projection": {"find": "customers", "projection": {"contact": "$email"}},
    "distinct values": {"collection": "customers", "distinct": "email"},
    "an expression": {"measures": [{"expression": "MAX(email)"}]},
}
TOLD_SO: dict[str, Callable[[str], str]] = {
    "rows": lambda value: json.dumps([{"contact": value}, {"contact": "x"}]),
    "CSV": lambda value: f"contact\n{value}\nx\n",
    "a value in words": lambda value: f"The answer is {value}.",
    "a bare value": lambda value: value,
    "a list": lambda value: json.dumps([value, "x"]),
}


async def show_answer(arguments: dict[str, Any], text: str) -> str:
    info = make_tool_info(
        "theirs", Definition(name="run", input_schema={"type": "object"})
    )
    outcome = CallOutcome(
        CallToolResult(content=[TextContent(text=text)]), 0.0, len(text)
    )
    origin = Origin("theirs", "run", arguments, "1", "", 0.0)
    shaping = Shaping(mask=MASKED, veil=Veil(lambda: MASKED))
    return (await shape(outcome, info, origin, keep, shaping)).shown


@pytest.mark.parametrize("asked", [*ASKED_AS, *NAMED])
async def test_what_is_asked_is_found_under_every_name(asked: str) -> None:
    if asked in NAMED:
        given = NAMED[asked]
    else:
        given = ASKED_AS[asked]("select email as contact from customers")

    for told, telling in TOLD_SO.items():
        shown = [await show_answer(given, telling(side[0])) for side in SIDES]
        assert shown[0] == shown[1], told


@pytest.mark.parametrize(
    "arguments",
    [
        {"sql": "select country as contact from customers"},
        {"query": "why does email bounce"},
        {"table": "orders", "sort": "email"},
        {"filter": {"email": "x"}, "fields": ["contact"]},
        {"column": "country", "function": "max"},
        {"text": "please select the email that fits"},
    ],
)
async def test_other_calls_are_shown_as_they_came(arguments: dict[str, Any]) -> None:
    shown = await show_answer(arguments, TOLD_SO["rows"]("value one"))
    assert "value one" in shown
