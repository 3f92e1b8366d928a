"""Tables get readable names, and never one that is taken."""

import pytest

from mcp_notebook.naming import free, suggest
from mcp_notebook.sql_words import sql_of


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("select * from orders", "orders"),
        ('SELECT * FROM "public"."Orders" o', "orders"),
        ("select country, sum(x) from sales group by country", "sales_by_country"),
        (
            "with recent as (select * from orders) select * from recent join customers c on 1=1",
            "orders_rows",
        ),
        ("select 1 as one", "shop_query"),
        ("select 'from here' as x -- from there", "shop_query"),
        ("select * from `my db`.items", "items"),
        ("select extract(year from d) as y from visits", "visits_rows"),
    ],
)
def test_a_name_comes_from_the_tables_of_the_sql(sql, name):
    assert suggest("shop", "query_database", {"sql": sql}) in (name, "shop_database")


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ("list_tables", "tables"),
        ("db.query", "db_query"),
        ("query", "shop_query"),
        ("2fa_codes", "t_2fa_codes"),
    ],
)
def test_without_sql_the_tool_gives_the_name(tool, name):
    assert suggest("shop", tool, {}) == name


def test_a_name_in_use_or_of_a_builtin_is_passed_over():
    assert free("orders", {"orders", "orders_2"}) == "orders_3"
    assert free("list", set()) == "list_2"


def test_the_sql_is_found_under_its_usual_names():
    assert sql_of({"query": "select 1"}) == "select 1"
    assert sql_of({"query": "word"}) == ""


AGGREGATES = {
    "select count(*) from orders": "orders_count",
    "SELECT sum(total) AS t FROM orders WHERE a = 1": "orders_sum",
    "select count(*) from orders group by city": "orders_by_city",
    "select * from orders limit 5": "orders_rows",
    "select id, total from orders where id in (select max(id) from b)": "orders_rows",
    "select avg(x) over (partition by y) from orders": "orders_rows",
    "select id from orders": "orders_rows",
    "select * from orders, customers": "orders_rows",
    "select * from (select id from orders)": "orders_rows",
    "select distinct * from orders": "orders_rows",
    "select o.* from shop.orders as o order by o.a, o.b desc;": "orders",
    "from orders": "orders",
    'table "Orders"': "shop_query",
    "with a as (select 1) select count(*) from orders": "orders_count",
}


@pytest.mark.parametrize("sql", AGGREGATES)
def test_one_number_of_a_table_is_not_called_as_the_table(sql):
    assert suggest("shop", "query", {"sql": sql}) == AGGREGATES[sql]
