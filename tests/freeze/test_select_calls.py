"""Which calls of a run are frozen: those that make what is wanted, in their order, once."""

import pandas as pd
import pytest

from mcp_notebook.errors import DataError
from mcp_notebook.freeze.call_log import Facts
from tests.freeze.trails import Made, tools

UNKNOWN = Facts()
UNKNOWN_SQL = Facts(sql="sql", only=True)


@pytest.fixture
def made() -> Made:
    notebook = Made()
    notebook.ask("one")
    return notebook


def test_failed_and_exploring_calls_and_those_without_a_table_stay_out(made):
    made.call("list_tables", {}, "tables")
    made.call("describe_table", {"table": "orders"})
    made.query("select nope from orders", outcome="error")
    made.query("select name from sqlite_master", "sqlite_master")
    made.query("select * from orders", "orders")
    made.call("get_weather", {"city": "Oslo"}, facts=Facts(reads=True))
    chosen = made.chosen(cells=("one",))
    assert tools(chosen) == ["orders"]
    assert sorted(line.partition(":")[0] for line in chosen.left_out) == [
        "1 call (failed)", "1 call (gave no table)", "3 calls (only looked around)",
    ]  # fmt: skip


def test_with_all_every_call_is_there_and_the_failed_ones_are_commented_out(made):
    made.call("list_tables", {}, "tables")
    made.query("select nope from orders", outcome="error")
    made.query("select * from orders", "orders")
    assert tools(made.chosen(cells=("one",), everything=True)) == [
        "tables",
        "# query_database",
        "orders",
    ]


def test_tools_that_list_data_do_not_count_as_exploring(made):
    made.call("list_issues", {"repo": "a/b"}, "issues")
    made.call("search_documents", {"q": "x"}, "documents")
    assert tools(made.chosen(cells=("one",))) == ["issues", "documents"]


def test_without_a_name_every_result_of_the_cell_is_kept(made):
    made.query("select 1", "first")
    made.query("select 2", "second")
    assert tools(made.chosen(cells=("one",))) == ["first", "second"]


def test_with_into_only_what_that_table_needs_is_kept(made):
    made.query("select * from orders", "orders")
    made.query("select * from customers", "customers")
    made.query("select 3", "unused")
    made.own("select * from orders join customers using (id)", "joined", into="result")
    chosen = made.chosen(cells=("one",))
    assert tools(chosen) == ["orders", "customers", "joined"]
    assert chosen.left_out == ("1 call (not used): shop.query_database → unused",)


def test_a_table_that_later_code_uses_is_kept(made):
    made.query("select 1", "first")
    made.query("select 2", "second", into="named")
    made.query("select 3", "third")
    made.code += ["first.plot()", "x = 'third'  # a text, not the table"]
    assert tools(made.chosen(cells=("one",))) == ["first", "second"]


def test_a_named_table_brings_what_it_needs_from_earlier_cells_and_by_hand(made):
    made.query("select 1", "orders", cell="")
    made.query("select 2", "other")
    made.ask("two")
    made.own("select * from orders", "half", cell="two")
    made.own(
        'with half_2 as (select * from "half") select * from half_2',
        "whole",
        cell="two",
    )
    assert tools(made.chosen("whole")) == ["orders", "half", "whole"]


def test_in_the_same_notebook_cells_by_hand_are_not_repeated(made):
    made.query("select 1", "orders", cell="")
    made.own("select * from orders", "half")
    assert tools(made.chosen(cells=("one",), by_hand=False)) == ["half"]
    assert tools(made.chosen(cells=("one",))) == ["orders", "half"]


def test_the_same_call_made_again_is_frozen_once(made):
    made.query("select 1", "orders")
    made.own("select * from orders", "half")
    made.ask("two")
    made.query("select 1", "orders", cell="two")
    chosen = made.chosen()
    assert tools(chosen) == ["orders", "half"]
    assert "made again" in str(chosen.left_out)


def test_the_same_call_after_a_write_is_frozen_again(made):
    made.query("select count(*) from t", "t")
    made.own("select * from t", "before")
    made.call("insert_row", {"v": 1}, facts=UNKNOWN)
    made.query("select count(*) from t", "t")
    made.own("select * from t", "after")
    assert tools(made.chosen(cells=("one",))) == [
        "t",
        "before",
        "# insert_row",
        "t",
        "after",
    ]


def test_a_table_that_another_call_replaced_is_left_out(made):
    made.query("select 1", "x", into="x")
    made.query("select 2", "x", into="x")
    assert [c.call.arguments["sql"] for c in made.chosen(cells=("one",)).choices] == [
        "select 2"
    ]


def test_a_replaced_table_on_which_another_rests_is_kept_in_its_place(made):
    made.query("select 1", "x", into="x")
    made.own("select * from x", "kept", into="kept")
    made.query("select 2", "x", into="x")
    assert tools(made.chosen(cells=("one",))) == ["x", "kept", "x"]


def test_calls_of_tools_that_may_write_are_commented_out_and_what_needs_them(made):
    made.call("run_job", {"x": 1}, "job", facts=UNKNOWN)
    made.own("select * from job", "after_job")
    chosen = made.chosen(cells=("one",))
    assert tools(chosen) == ["# job", "# after_job"]
    assert "--include-writes" in chosen.choices[0].why_not
    assert "needs a table of shop.run_job" in chosen.choices[1].why_not
    assert tools(made.chosen(cells=("one",), include_writes=True)) == [
        "job",
        "after_job",
    ]


def test_of_an_unknown_sql_tool_a_select_counts_as_reading(made):
    made.call("query", {"sql": "select 1"}, "a", facts=UNKNOWN_SQL)
    made.call("query", {"sql": "delete from t"}, facts=UNKNOWN_SQL)
    assert tools(made.chosen(cells=("one",))) == ["a", "# query"]


@pytest.mark.parametrize(
    "sql",
    [
        "select d #> '{a}' from t; delete from t where true",
        "select pg_terminate_backend(1)",
        "select lo_unlink(5)",
    ],
)
def test_a_statement_that_acts_behind_a_select_is_commented_out(made, sql):
    made.call("query", {"sql": sql}, "hashed", facts=UNKNOWN_SQL)
    assert tools(made.chosen("hashed")) == ["# hashed"]


def test_a_write_before_a_named_table_on_the_same_server_is_shown(made):
    made.call("query", {"sql": "create table t as select 1"}, facts=UNKNOWN_SQL)
    made.query("select * from t", "t")
    made.call("query", {"sql": "drop table t"}, facts=UNKNOWN_SQL)
    assert tools(made.chosen("t")) == ["# query", "t"]


def test_a_table_that_the_persons_code_put_in_the_place_of_a_result_is_the_persons_own(
    made,
):
    made.query("select 1", "orders")
    made.namespace["orders"] = made.namespace["orders"].head(1)
    made.own("select * from orders", "n")
    chosen = made.chosen("n")
    assert tools(chosen) == ["n"]
    assert chosen.choices[0].own == ("orders",)


def test_a_result_that_was_read_before_its_name_changed_hands_is_still_the_result(made):
    made.query("select 1", "orders")
    made.own("select * from orders", "n")
    made.namespace["orders"] = made.namespace["orders"].head(1)
    assert tools(made.chosen("n")) == ["orders", "n"]
    assert made.chosen("n").choices[1].own == ()


def test_tables_of_the_persons_own_are_named(made):
    made.namespace["mine"] = pd.DataFrame({"a": [1]})
    made.own("select * from mine", "doubled")
    assert made.chosen("doubled").choices[0].own == ("mine",)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nope", "There is no table 'nope' in this notebook; tables of calls: orders."),
        ("mine", "'mine' was not given by a tool call"),
        ("head", "'head' was made from 'orders' by your own code"),
    ],
)
def test_a_name_that_cannot_be_frozen_is_one_sentence(made, name, words):
    made.query("select 1", "orders")
    made.namespace["mine"] = pd.DataFrame({"a": [1]})
    made.namespace["head"] = made.namespace["orders"].head()
    with pytest.raises(DataError, match=words.replace("(", r"\(")):
        made.chosen(name)


def test_nothing_to_freeze_is_one_sentence(made):
    with pytest.raises(
        DataError, match="Nothing to freeze yet: no tool has been called"
    ):
        made.chosen(cells=("one",))
    made.query("select 1", "orders")
    made.ask("two")
    with pytest.raises(DataError, match="the last %%claude cell called no tool"):
        made.chosen(cells=("two",))
