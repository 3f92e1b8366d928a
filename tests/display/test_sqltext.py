"""SQL is formatted for reading and never changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_notebook.sql_words import colour_sql, is_sql, lay_out_sql, split_sql
from mcp_notebook.untrusted_text import visible
from tests.browser.scripted import SQL

PLAIN = """select from a b.c ( ) , where and between join left case end '' ' /* order by limit union all ; é [ `"""
QUOTED = ["1.5e3", "'x  y'", '"q  r"', "-- c", "/* d */", "$$ e $$", "\u202e", "\n"]
WORDS = st.sampled_from([*PLAIN.split(), *QUOTED])
QUERIES = st.lists(WORDS, max_size=40).map(" ".join)


def solid(sql: str) -> list[str]:
    """Everything but the white space outside strings and comments."""
    return [token.text for token in split_sql(sql) if token.kind != "space"]


@given(QUERIES)
def test_only_white_space_outside_strings_and_comments_changes(sql: str) -> None:
    assert solid(lay_out_sql(sql)) == solid(sql.strip())


@given(QUERIES)
def test_the_coloured_parts_are_the_whole_visible_text(sql: str) -> None:
    assert "".join(text for _, text in colour_sql(sql)) == visible(sql, lines=True)


def test_a_long_line_is_broken_before_its_clauses() -> None:
    assert lay_out_sql(SQL).splitlines() == [
        "select strftime(o.ordered_at, '%Y-%m') as month,",
        "  c.name as category,",
        "  count(*) as orders,",
        "  sum(i.quantity * i.price) as revenue",
        "from orders o",
        "join order_items i on i.order_id = o.id",
        "join products p on p.id = i.product_id",
        "join categories c on c.id = p.category_id",
        "where o.status <> 'cancelled'",
        "  and o.ordered_at between '2026-05-01' and '2026-10-31'",
        "group by 1, 2",
        "order by revenue desc",
    ]


def test_a_subquery_is_indented() -> None:
    sql = "delete from orders where id in (select order_id from returns where received = true) and closed or late"
    assert lay_out_sql(sql).splitlines() == [
        "delete",
        "from orders",
        "where id in (",
        "  select order_id",
        "  from returns",
        "  where received = true",
        ")",
        "  and closed",
        "  or late",
    ]


def test_short_and_already_broken_queries_stay_as_written() -> None:
    assert lay_out_sql("select 1") == "select 1"
    assert lay_out_sql("select a,\n       b from t " + "-- long " * 20).startswith(
        "select a,\n       b from t"
    )


def test_keywords_functions_strings_numbers_and_comments_are_told_apart() -> None:
    found = {
        text.strip(): kind
        for kind, text in colour_sql("select count(*), 'it''s', 12 from t -- why")
    }
    assert found["select"] == "k"
    assert found["count"] == "f"
    assert found["'it''s'"] == "s"
    assert found["12"] == "n"
    assert found["-- why"] == "c"


@pytest.mark.parametrize(
    ("name", "value", "yes"),
    [
        ("sql", "select 1", True),
        ("query", "WITH a AS (select 1) select * from a", True),
        ("statement", "-- why\nDELETE FROM orders", True),
        ("text", "insert into t values (1)", True),
        ("query", "weather in Berlin", False),
        ("query", "select", False),
        ("message", "update me when done", False),
        ("sql", 5, False),
    ],
)
def test_sql_is_recognised_by_how_it_begins(
    name: str, value: object, yes: bool
) -> None:
    assert is_sql(name, value) is yes
