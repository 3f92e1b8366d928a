"""One statement over a server's tables and the notebook's: the parts ask for no fewer
rows than are needed, each is a call of its own, and nothing is joined that is not whole.
"""

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mcp_notebook
from mcp_notebook.errors import DataError
from mcp_notebook.events import ToolCall, ToolResult
from mcp_notebook.notebook import cell
from mcp_notebook.notebook.cell import CellRun
from mcp_notebook.notebook.freeze_cells import Freeze, freeze
from mcp_notebook.notebook.options import AskOptions
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.sharing.parts import split_statement
from tests.fake_messages import FakeMessages, Reply, text, use
from tests.notebook.scripted import notebook

PLAIN = Path(__file__).parents[1] / "servers" / "plain.py"
ROWS = [
    (
        n,
        ["Rome", "rome", "Bonn", None][n % 4],
        n * 1.5,
        f"2026-11-{n % 28 + 1:02} 10:00",
    )
    for n in range(60)
]
TARGETS = pd.DataFrame({"city": ["Rome", "Bonn", "Oslo"], "target": [100, 200, 300]})
JOIN = (
    "select o.city, sum(o.price) as price, max(t.target) as target "
    "from shop.orders o join targets t on t.city = o.city "
    "where o.price >= 10 and o.city = 'Rome' group by 1"
)

columns = st.sampled_from(["id", "city", "price", "day"])
values = st.sampled_from(
    ["5", "-1", "40.5", "'Rome'", "'2026-11-10'", "DATE '2026-11-10'", "NULL", "'zz'"]
)
FITTING = {"id": "5 20 -1", "price": "7.5 40.5 60", "city": "'Rome' 'rome' 'x'"}


@st.composite
def conditions(draw: st.DrawFn) -> str:
    column = draw(columns)
    if column == "day":
        fitting = ["TIMESTAMP '2026-11-10 10:00'", "DATE '2026-11-10'", "'2026-11-10'"]
    else:
        fitting = FITTING[column].split()
    first, second = draw(st.sampled_from(fitting)), draw(st.sampled_from(fitting))
    return draw(
        st.sampled_from(
            [
                *(f"o.{column} {sign} {first}" for sign in "= < <= > >= <>".split()),
                f"o.{column} between {first} and {second}",
                f"o.{column} in ({first}, {second})",
                f"o.{column} not in ({first}, {second})",
                f"o.{column} is null",
                f"(o.{column} = {first} or o.{column} = {second})",
                f"not o.{column} < {first}",
                "o.price > t.id",
            ]
        )
    )


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[sqlite3.Connection, duckdb.DuckDBPyConnection]]:
    """The same orders at the server, where letters' case may not count, and here."""
    server = sqlite3.connect(":memory:")
    server.execute(
        "create table orders (id, city text collate nocase, price, day text)"
    )
    server.executemany("insert into orders values (?, ?, ?, ?)", ROWS)
    here = duckdb.connect()
    here.execute("create schema shop")
    here.execute(
        "create table shop.orders (id int, city text, price double, day timestamp)"
    )
    here.executemany("insert into shop.orders values (?, ?, ?, ?)", ROWS)
    here.execute("create table t as select range as id from range(0, 60, 7)")
    yield server, here
    server.close()
    here.close()


@settings(deadline=None)
@given(
    st.lists(conditions(), min_size=1, max_size=3),
    st.sampled_from(["join", "left join", "full join"]),
    st.sampled_from(["o.id, o.city, o.price, o.day", "count(*)", "o.*", "*", "t.id"]),
)
def test_a_split_statement_gives_the_rows_of_the_whole(
    engines: tuple[sqlite3.Connection, duckdb.DuckDBPyConnection],
    where: list[str],
    join: str,
    shown: str,
) -> None:
    server, here = engines
    sql = (
        f"select {shown} from shop.orders o {join} t on t.id = o.id "
        f"where {' and '.join(where)}"
    )
    wanted = sorted(here.execute(sql).fetchall(), key=repr)
    split = split_statement(sql, ["shop"])
    assert split is not None
    (part,) = split.parts
    found = server.execute(part.sql)
    names = [column[0] for column in found.description]
    rows = found.fetchall()
    assert server.execute(part.count).fetchone() == (len(rows),)
    types = {"id": "int", "city": "text", "price": "double", "day": "timestamp"}
    made = ", ".join(f"{name} {types[name]}" for name in names)
    here.execute(f"create or replace temp table brought ({made})")
    if rows:
        marks = ", ".join("?" * len(names))
        here.executemany(f"insert into brought values ({marks})", rows)
    assert (
        sorted(here.execute(split.write({part: "brought"})).fetchall(), key=repr)
        == wanted
    )


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select * from shpo.orders, t", "Did you mean shop?"),
        ("select * from shop.orders", "ask shop itself"),
        ("with x as (select * from shop.orders) select * from x", "ask shop itself"),
    ],
)
def test_what_cannot_be_split_is_refused_in_a_sentence(sql: str, said: str) -> None:
    with pytest.raises(DataError, match=said.replace("?", r"\?")):
        split_statement(sql, ["shop"])


@pytest.mark.parametrize(
    "sql", ["select 1", "select o.id from orders o", "select '", "select 'shop.orders'"]
)
def test_a_statement_without_a_servers_table_is_left_alone(sql: str) -> None:
    assert split_statement(sql, ["shop"]) is None


def test_a_masked_column_is_in_no_condition_that_is_sent() -> None:
    sql = "select count(*) from shop.c c join t on t.id = c.id where c.email = 'a@b.c'"
    split = split_statement(sql, ["shop"], mask=["*mail*"])
    assert split is not None
    assert [part.sql for part in split.parts] == ["SELECT id, email FROM c"]


def test_a_name_of_the_notebook_with_a_dot_is_no_servers() -> None:
    assert split_statement("select * from main.t", ["shop"], known=["main.t"]) is None


@pytest.fixture
def shop(tmp_path: Path) -> str:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute(
            "create table orders (id integer, city text, price real, day text)"
        )
        database.executemany("insert into orders values (?, ?, ?, ?)", ROWS)
    return f"sqlite:///{path}"


def connect(state: Notebook, shop: str, *options: str) -> None:
    state.bind("targets", TARGETS)
    command = ["mcp-notebook", "serve", "database", "--url", shop, *options]
    mcp_notebook.connect("shop", command, allow=("*",))


def asking(sql: str) -> FakeMessages:
    def script(body: dict, _number: int) -> Reply:
        if body["messages"][-1]["content"][0]["type"] == "tool_result":
            return Reply([text("Done.")])
        return Reply([use("notebook__query", {"sql": sql})])

    return FakeMessages(script)


def run_cell(model: FakeMessages, state: Notebook, **options: str) -> CellRun:
    environ = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": model.api_key}
    with mock.patch.dict("os.environ", environ):
        run = CellRun(state, AskOptions("Join them.", **options))
        run.in_blocking_cell()
    return run


def results(run: CellRun) -> list[ToolResult]:
    return [event for event in run.seen if isinstance(event, ToolResult)]


def test_claude_joins_a_servers_table_and_a_frame_in_one_statement(
    shop: str, tmp_path: Path
) -> None:
    with asking(JOIN) as model, notebook(tmp_path, {}) as state:
        connect(state, shop)
        run = run_cell(model, state, into="joined")
        part, whole = results(run)
        frame = state.shell.user_ns["joined"]
        source = freeze(state, Freeze()).source
    assert (part.outcome, whole.outcome) == ("ok", "ok")
    assert whole.shown.startswith(
        "Asked shop: SELECT city, price FROM orders WHERE price >= 10 AND city = 'Rome'; "
        f"13 rows, as {part.names[0]}."
    )
    rome = [price for _, city, price, _ in ROWS if city == "Rome" and price >= 10]
    assert frame.values.tolist() == [["Rome", sum(rome), 100]]
    calls = [(e.server, e.tool) for e in run.seen if isinstance(e, ToolCall)]
    assert calls == [("notebook", "query"), ("shop", "query_database")]
    # frozen, the part comes first, and the statement is over its table
    assert "SELECT city, price" in source
    assert "shop.orders" not in source.replace('"', "")
    compile(source, "frozen", "exec")


def test_the_servers_own_question_holds_for_its_part(shop: str, tmp_path: Path) -> None:
    with asking(JOIN) as model, notebook(tmp_path, {}) as state:
        connect(state, shop)
        state.settings.ask = ["shop.*"]
        with (
            mock.patch.object(cell, "is_attended", return_value=True),
            mock.patch("builtins.input", return_value="n because not today"),
        ):
            run = run_cell(model, state)
        state.settings.ask = []
    part, whole = results(run)
    assert (part.outcome, whole.outcome) == ("denied", "error")
    assert "orders of shop was not brought" in whole.shown
    assert "not today" in whole.shown


def test_a_part_that_is_cut_is_not_joined(shop: str, tmp_path: Path) -> None:
    sql = JOIN.replace("o.price >= 10 and o.city = 'Rome'", "o.id >= 0")
    with asking(sql) as model, notebook(tmp_path, {}) as state:
        connect(state, shop, "--max-rows", "20")
        run = run_cell(model, state)
        with pytest.raises(DataError, match="did not come whole"):
            mcp_notebook.sql(sql)
    assert results(run)[-1].outcome == "error"
    assert "did not come whole" in results(run)[-1].shown


def test_a_server_without_sql_is_refused(tmp_path: Path) -> None:
    sql = "select * from plain.things p join targets t on t.city = p.city"
    with asking(sql) as model, notebook(tmp_path, {}) as state:
        state.bind("targets", TARGETS)
        mcp_notebook.connect("plain", [sys.executable, str(PLAIN)])
        (result,) = results(run_cell(model, state))
    assert result.outcome == "error"
    assert "plain has no tool that takes SQL" in result.shown


def test_the_persons_own_sql_joins_as_well(shop: str, tmp_path: Path) -> None:
    with notebook(tmp_path, {}) as state:
        connect(state, shop)
        frame = mcp_notebook.sql(JOIN)
    assert frame["target"].tolist() == [100]
