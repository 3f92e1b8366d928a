"""A masked column stays masked whatever SQL makes of it: statements are made at random
and run by SQLite, and a canary of the masked column stands in no column that is shown.
"""

import itertools
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_notebook.agent.sealing import masked_values, veil_table, veil_text
from mcp_notebook.veil import Veil, covers, masked_columns

ATTACKS = Path(__file__).parent / "data" / "attacks"
CANARIES = ("Canary-one@x.example", "canary-two@x.example")


def _covers(name: str) -> bool:
    return covers(("email",), name)


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    with sqlite3.connect(":memory:") as made:
        made.execute("create table customers(id integer, email text, country text)")
        rows = [(1, CANARIES[0], "AT"), (2, CANARIES[1], "DE")]
        made.executemany("insert into customers values(?, ?, ?)", rows)
        made.execute("create table orders(id integer, customer integer, total real)")
        made.execute("insert into orders values(1, 1, 10.5)")
        yield made


EXPRESSIONS = (
    "{c}",
    "{c} as contact",
    "upper({c}) as u",
    "{c} || ''",
    "min({c}) as m",
    "max({c})",
    "group_concat({c}) as g",
    "substr({c}, 2) as s",
    "replace({c}, '@', ' at ') as r",
    "hex({c}) as h",
    "coalesce(null, {c}) as z",
    "case when 1 then {c} end as w",
    "json_array({c}) as j",
    "(select {c}) as q",
    "cast({c} as text) as t",
    "trim({c}, 'x')",
    "printf('%s', {c}) as p",
    "iif(1, {c}, 2) as i",
    "nullif({c}, 'a') as n",
    "quote({c}) as k",
)
SHAPES = (
    "select {e} from customers",
    "select id, {e} from customers",
    "select {e}, id from customers c",
    "select * from (select {e} from customers)",
    "select * from (select id, {e}, country from customers) x",
    "with t as (select {e} from customers) select * from t",
    "with t(a) as (select {e} from customers) select a from t",
    "with t(a) as (select {e} from customers) select a || '' as b, 1 as one from t",
    "select country from customers union select {e} from customers",
    "select {e} from customers union all select country from customers",
    "select o.id, x.* from orders o, (select {e} from customers) x",
    "select (select a from (select {f} from customers limit 1)) as v, 2 as two",
    "select *, {e} from customers",
    "select {e}, * from customers",
    "select x.v from (select {f0} as v from customers) x",
    "with recursive r(n, v) as (select 1, {f0} from customers union all "
    "select n + 1, v from r where n < 3) select n, v from r",
    "select y.w from (select v as w from (select {f0} as v from customers)) y",
    "values (1)",
)
PLAIN = (
    "id",
    "country",
    "count(*)",
    "count(email)",
    "count(distinct email)",
    "email is null",
)


def _statement(shape: str, expression: str, column: str) -> str:
    made = expression.format(c=column)
    bare = (
        made.split(" as ")[0] if "case" not in made and "cast" not in made else column
    )
    return shape.format(e=made, f=f"{bare} as a", f0=bare)


STATEMENTS = [
    _statement(shape, expression, column)
    for shape, expression, column in itertools.product(
        SHAPES, EXPRESSIONS, ("email", "EMAIL", '"email"')
    )
]


def _shown(database: sqlite3.Connection, sql: str) -> str:
    """What is shown of an answer: the columns that the lineage leaves."""
    found = database.execute(sql)
    names = [f"{at}" for at, _ in enumerate(found.description)]
    by_place = dict(zip(names, (d[0] for d in found.description), strict=True))
    rows = found.fetchall()
    labels = list(by_place.values())
    unique = [
        f"{label}_{at}" if labels.count(label) > 1 else label
        for at, label in enumerate(labels)
    ]
    masked = masked_columns(sql, unique, _covers, "sqlite")
    return repr(
        [
            [c for c, n in zip(row, unique, strict=True) if n not in masked]
            for row in rows
        ]
    )


@pytest.mark.slow
def test_no_statement_shows_a_masked_value(database: sqlite3.Connection) -> None:
    ran = 0
    for sql in STATEMENTS:
        try:
            shown = _shown(database, sql).lower()
        except sqlite3.Error:
            continue
        ran += 1
        for canary in CANARIES:
            assert canary.lower()[2:] not in shown, sql
            assert canary.encode().hex()[4:] not in shown, sql
    assert ran > 800


@pytest.mark.parametrize("plain", PLAIN)
def test_what_gives_no_value_away_is_shown(plain: str) -> None:
    sql = f"select {plain} as x from customers"
    assert masked_columns(sql, ["x"], _covers, "sqlite") == frozenset()


@pytest.mark.parametrize("corpus", ["sql_sqlite", "sql_duckdb", "sql_postgres"])
def test_no_statement_of_the_attacks_breaks_or_stops_the_reader(corpus: str) -> None:
    for line in (ATTACKS / f"{corpus}.jsonl").read_text().splitlines():
        case = json.loads(line)
        sql = case.get("statement") or ""
        if not 0 < len(sql) < 5_000:
            continue
        started = time.process_time()
        found = masked_columns(sql, ["a", "email"], _covers, corpus)
        assert "email" in found
        assert time.process_time() - started < 2.0


@settings(max_examples=200)
@given(
    st.text(max_size=300),
    st.lists(st.text(min_size=1, max_size=9), max_size=4, unique=True),
)
def test_any_text_is_no_failure(sql: str, columns: list[str]) -> None:
    assert masked_columns(f"select {sql}", columns, _covers) <= set(columns)


FORMS = (
    "customers (2 rows): id INTEGER key, email TEXT: {v}|b@c.example, name TEXT: A|B",
    '{{"email": "{v}"}}',
    '{{"rows": [{{"id": 1, "Email": "{v}"}}]}}',
    "email: {v}",
    "email = '{v}'",
    "EMAIL={v}",
    "email VARCHAR(20): {v}",
    '"email": "{v}"',
    "the email -> {v}",
    "`email`: {v}",
    "email TEXT key {v2}..{v}".replace("{v2}", "=a"),
    '1,"{{""email"": ""{v}"", ""n"": 1}}"',
    '{{"result": "{{\\"n\\": 1, \\"email\\": \\"{v}\\"}}"}}',
    'see "{{\\\\\\"email\\\\\\": \\\\\\"{v}\\\\\\"}}"',
    '[{{"column": "email", "type": "TEXT", "values": "{v}"}}]',
)


@pytest.mark.parametrize("form", FORMS)
def test_what_names_the_column_shows_no_value_never_seen(form: str) -> None:
    veil = Veil(lambda: ["email"])
    text = form.format(v="never-seen@x.example")
    assert "never-seen" not in veil_text(text, veil)


def test_values_once_seen_are_hidden_wherever_they_appear_again() -> None:
    veil = Veil(lambda: ["email", "salary"])
    table = pa.table({"email": ["ann@x.example"], "salary": [91_000], "n": ["Ann"]})
    for values in masked_values(table, ["email", "salary"], veil.covers):
        veil.learn(values)
    other = pa.table(
        {"note": ["write to ann@x.example"], "total": ["91000"], "id": ["191000"]}
    )
    shown = veil_table(other, veil).to_pylist()[0]
    assert shown == {"note": "***", "total": "***", "id": "191000"}
    assert "ANN@X" not in veil.hide_values("It is ANN@X.EXAMPLE.")


def test_a_row_that_names_the_column_is_about_it() -> None:
    veil = Veil(lambda: ["email"])
    data = pa.table(
        {
            "column": ["id", "email"],
            "type": ["INTEGER", "TEXT"],
            "max": ["9", "z@x.example"],
        }
    )
    shown = veil_table(data, veil).to_pylist()
    assert shown[0] == {"column": "id", "type": "INTEGER", "max": "9"}
    assert shown[1] == {"column": "email", "type": "TEXT", "max": "***"}


def test_an_error_that_quotes_a_value_does_not() -> None:
    veil = Veil(lambda: ["email"])
    sql = {"sql": "select cast(email as int) from customers where country = 'AT'"}
    said = veil.hide_error(
        "Could not convert string 'new@x.example' of 'AT' to INT32", sql
    )
    assert said == "Could not convert string '***' of 'AT' to INT32"


def test_without_masks_nothing_is_changed() -> None:
    veil = Veil()
    data = pa.table({"email": ["a@b.example"]})
    assert veil_table(data, veil) is data
    assert veil_text("email: a@b.example", veil) == "email: a@b.example"
