"""SQL by its words: what surely only reads, and what a statement selects and names."""

import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcp_notebook.sql_effects import likely_dialects, only_reads
from mcp_notebook.sql_functions import ACTING_FUNCTIONS
from mcp_notebook.sql_words import (
    grouped_by,
    is_query,
    looks_around,
    names_among,
    selected_columns,
    split_sql,
    tables_named,
)
from tests.sharing import same_answers

READS = [
    "select 1", "WITH a AS (SELECT 1) SELECT * FROM a", "select 'insert into x' as text -- drop table",
    "/* delete */ select replace(a, 'x', 'y') from t;", 'select "update" from t', "show tables", "values (1)",
    "pragma table_info(t)", "select $$drop table t$$", "table t", "from t", "(select 1) union (select 2)",
    "/* why */ (select 1)", "select d #> '{a}' from t", r"select 'it\'s' as x", "explain select 1",
    "select a[1] from t", "select [a b] from [my table]", r"select e'a\'b'", "select * from `a.b`.c",
    "select pg_sleep(1)", "describe t", "summarize t", "select 1; ; ",
    "select '; delete from t' as text", "select count(*) filter (where a > 1) from t",
]  # fmt: skip
ACTS = [
    "insert into t values (1)", "with d as (delete from t returning *) select * from d", "select * into t2 from t",
    "select 1; drop table t", "", "-- nothing", "explain analyze delete from t", "call f()", "set x = 1",
    "pragma journal_mode = wal", "select nextval('s')", "copy t to 'f'", "create table t (a int)", "vacuum",
    "select d #> '{a}' from t; delete from t where true",
    "select d #> 'x' /* \n ; delete from t -- */",
    "select pg_terminate_backend(1)", "select lo_unlink(5)", 'select "lo_unlink"(5)',
    "select pg_catalog . lo_unlink /* x */ (5)", r'select U&"lo\005funlink"(5)', "select 1 for share",
    "select * from t for no key update", "select 1 a delete from t", "select 1 a kill 55", "select 1 --1; delete from t",
    "select 1 {# ; delete from t #}", "select 1 /* /* */ ; delete from t -- */ ", "select 1 /*! into outfile 'x' */",
    "select 1 as $$; delete from t; select 1 as $$", "pragma user_version(5)", "pragma wal_checkpoint",
    "explain analyze select 1", "explain (analyze, buffers) select 1", "explain plan for select 1",
    "select dblink('a', 'delete from t')", "select system$abort_session(1)", "select next value for s",
    "select utl_file.fremove('a', 'b') from dual", "select * from openquery(other, 'delete from t')",
    "select query_to_xml('delete from t', true, true, '')", "select 1 // ' \n ; delete from t -- '",
    "select load_extension('x')", "select writefile('a', 'b')", "select reflect('java.lang.System', 'exit', 1)",
    "select transform(a) using 'rm' from t", "select 1 \\gexec", "select 1 \\! rm", "select 1\r; delete from t",
    "select q'[it's]' from dual; delete from t", "select '''a' ; delete from t; --'''", "\x00select 1", "select 1 +",
    "optimize table t", "select 1 ınto t2", "refresh t",
]  # fmt: skip


@pytest.mark.parametrize("sql", READS)
def test_statements_that_surely_only_read(sql):
    assert only_reads(sql)


@pytest.mark.parametrize("sql", ACTS)
@pytest.mark.parametrize(
    "hint", ["", "pg query", "mysql", "mssql", "sqlite read_query"]
)
def test_statements_that_may_act(sql, hint):
    assert not only_reads(sql, hint)


@pytest.mark.parametrize(
    "name", sorted(set().union(*ACTING_FUNCTIONS.values()) - {"reflect"})
)
def test_a_function_that_acts_is_found_wherever_it_stands(name):
    assert not only_reads(f"select a from t where x in (select main.{name} (1, 'a'))")


# ---- hidden by what is a comment, a text or a name for some engines only

ACTIONS = [
    "delete from t", "drop table t", "insert into t values (1)", "update t set a = 1", "truncate table t",
    "call p()", "exec p", "select lo_unlink(5)", "create table u (a int)", "grant all on t to u", "merge into t",
]  # fmt: skip
# what opens and closes in one engine and is plain to another
HIDERS = [
    ("# ", ""), ("#> ''", ""), ("// ", ""), ("$$", "$$"), ("$a$", "$a$"), (" as $$", "; select 1 as $$"),
    (r"'\'", " --'"), (r"'a\\\'", " --'"), (r"e'\'", " --'"), ("/* /* */ ", " -- */"), ("/*! ", " */"),
    ("/*M! ", " */"), ("{# ", " #}"), ("q'[' ", " ']'"), ("'''a'", "'''"), ('"""a"', '"""'), (r'"\"', ' --"'),
    ("--1\n", ""), ("`", "`"), ("[ ", " ]"), ("[']", "'']"), ("`'`", "'`'"), ("-- a\r", ""), ("--a\u2028", ""),
    ("", ""), ("\n", ""), ("/* */", ""), ("'' ", ""), ('"a" ', ""), ("$1", ""), ("r'\\' ", " '"),
]  # fmt: skip
BEGINNINGS = [
    "select a from t", "select 1", "select 'x' as a", "with a as (select 1) select * from a", "values (1)",
    "show tables", "select a from t where b = 'it''s'",
]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(BEGINNINGS),
    st.sampled_from(HIDERS),
    st.sampled_from(["; ", "\n;\n", " ;"]),
    st.sampled_from(ACTIONS),
    st.sampled_from(["", ";", " -- '", " --", " /* ", "\n"]),
)
def test_an_action_that_some_engine_would_see_is_never_only_reading(
    beginning, hider, end, action, tail
):
    opens, closes = hider
    hidden = f"{beginning} {opens}{end}{action}{closes}{tail}"
    assert not only_reads(hidden)


PIECES = [
    "select 1", "select a from t", "delete from t", ";", "'", "''", '"', "`", "[", "]", "--", "-- x\n", "/*", "*/",
    "#", "$$", "$a$", "\\", "\n", " as ", ",", "(", ")", "e'", "x", "//", "{#", "#}", "union ", "where 1=1", "1",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map(" ".join)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(TEXTS)
@example("select 1 -- x\n ; delete from t")
@example("select 1 /* */ ; delete from t")
def test_what_sqlite_really_deletes_is_never_only_reading(sql):
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("create table t (a); insert into t values (1)")
        with contextlib.suppress(sqlite3.Error, sqlite3.Warning):
            connection.executescript(sql)
        left = connection.execute("select count(*) from t").fetchone()
    assert left == (1,) or not only_reads(sql)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_what_duckdb_really_deletes_is_never_only_reading(duck, sql):
    duck.execute("create or replace table t as select 1 as a")
    with contextlib.suppress(duckdb.Error, RuntimeError):
        duck.execute(sql)
    left = duck.execute("select count(*) from t").fetchone()
    assert left == (1,) or not only_reads(sql)


@pytest.fixture(scope="module")
def duck():
    with contextlib.closing(duckdb.connect(config={"threads": 1})) as connection:
        yield connection


# ---- what reads is recognised


def corpus():
    """The statements in DuckDB's words that the tests of engines ask."""
    expressions = [*same_answers.AGGREGATES, *same_answers.SCALARS]
    yield from (f"select {one} as x from t" for one in expressions)
    yield from same_answers.WHOLE


def test_the_statements_of_the_corpus_are_recognised():
    refused = [sql for sql in corpus() if not only_reads(sql)]
    assert refused == []


def test_spark_statements_that_act_are_not_recognised():
    file = Path(__file__).parent / "sharing" / "spark_statements.jsonl"
    for line in file.read_text().splitlines():
        case = json.loads(line)
        if case.get("says") in ("reflect", "java_method", "try_reflect", "TRANSFORM"):
            assert not only_reads(case["statement"], "spark"), case["id"]


# ---- what a statement is about


@pytest.mark.parametrize(
    ("sql", "tables", "group"),
    [
        ("select * from a.b.c join d on 1=1 -- from e", ("c", "d"), ""),
        ('select * from "My ""T""" t, u group by t.k', ('My "T"',), "k"),
        ("with x as (select * from y), z as (select 1) select * from x, z", ("y",), ""),
        ("select extract(year from d), trim(both from lower(s)) from v", ("v",), ""),
        ("select * from (select * from [my t]) s where a is distinct from b", ("my t",), ""),
        ("select 'from x' from y group by date_trunc('day', d)", ("y",), "date_trunc"),
        ("select status, count(*) n from orders group by all", ("orders",), "status"),
        ("select count(*), o.city c from orders o group by 2", ("orders",), "c"),
        ("select count(*) from orders group by all", ("orders",), ""),
        ("select upper(a), sum(x) from t group by 1", ("t",), "upper"),
        ("select a from t group by 7", ("t",), ""),
        ("from t group by all", ("t",), ""),
        ("", (), ""),
    ],
)  # fmt: skip
def test_the_tables_and_the_group_that_a_statement_names(sql, tables, group):
    assert tables_named(sql) == tables
    assert grouped_by(sql) == group


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("select a, t.b, count(*) as n, c d from t", ("a", "b", "n", "d")),
        ('select distinct "a ""b", [c d], `e` from t', ('a "b', "c d", "e")),
        ("select a + b, case when x then y end, 1 from t", (None, None, None)),
        ("select *, a from t", ("*", "a")),
        ("select * from t", None),
        ("select t.* from t", None),
        ("with a as (select 1) select x from a", None),
        ("select a from t; select b from t", None),
        ("delete from t", None),
        ("", None),
    ],
)
def test_the_columns_that_a_plain_select_gives(sql, columns):
    if columns == ("*", "a"):
        columns = None
    assert selected_columns(sql) == columns


def test_a_statement_asks_for_rows_or_for_what_there_is():
    assert is_query("-- why\nSELECT 1")
    assert not is_query("delete from t")
    assert looks_around("describe t")
    assert looks_around("select * from information_schema . tables")
    assert not looks_around("select 'information_schema' as a from t")


def test_names_are_found_outside_of_texts_and_comments():
    sql = "select a from \"Orders\" /* customers */ where x = 'products'"
    assert names_among(sql, ["orders", "customers", "products", "A"]) == {"orders", "A"}


@given(st.text(max_size=80) | TEXTS)
def test_nothing_of_a_text_is_lost(sql):
    assert "".join(token.text for token in split_sql(sql)) == sql


@pytest.mark.parametrize(
    ("hint", "first"),
    [
        ("pg query", "postgres"),
        ("shop uvx mcp-server-sqlite --db shop.db", "sqlite"),
        ("x postgresql://host/db", "postgres"),
        ("warehouse run_snowflake_query", "snowflake"),
    ],
)
def test_names_and_addresses_tell_the_dialect(hint, first):
    assert likely_dialects(hint) == (first,)
    assert len(likely_dialects("shop run_query")) > 5


def test_reading_the_words_of_a_result_does_not_load_sqlglot():
    code = (
        "import sys; from mcp_notebook import sql_words as s;"
        "s.selected_columns('select a from t'); s.tables_named('select a from t');"
        "print('sqlglot' in sys.modules)"
    )
    run = [sys.executable, "-c", code]
    out = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "False"
