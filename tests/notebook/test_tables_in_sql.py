"""The person's own SQL reads any table of the notebook, and what is made of one that
nobody shared is kept from Claude.
"""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mcp_notebook import loop
from mcp_notebook.errors import DataError
from mcp_notebook.magics.connections import split_name
from mcp_notebook.notebook import by_hand
from mcp_notebook.notebook.options import MCPNotebook
from mcp_notebook.notebook.state import Notebook


@pytest.fixture
def notebook() -> Notebook:
    space: dict[str, Any] = {
        "big": pd.DataFrame({"n": [1, 2, 3], "city": ["Rome", "Oslo", "Rome"]}),
        "arrow": pa.table({"n": [2, 3]}),
        "eager": pl.DataFrame({"n": [3]}),
        "text": "big.csv",
        "number": 5,
    }
    shell = SimpleNamespace(user_ns=space, kernel=None, user_ns_hidden={})
    return Notebook(shell, MCPNotebook())


def ask(notebook: Notebook, sql: str) -> Any:
    return loop.run(by_hand.own_sql(notebook, sql))


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("select * from big", 3),
        ("select count(*) from arrow", 1),
        ("select b.n from big b join arrow using (n) join eager using (n)", 1),
        ("with small as (from big limit 2) select * from small", 2),
    ],
)
def test_any_table_of_the_notebook_is_read_without_sharing(
    notebook: Notebook, sql: str, rows: int
) -> None:
    result, frame = ask(notebook, sql)
    assert len(frame) == rows
    assert notebook.catalog.names() == ()
    said = " ".join(result.reading.tables[0].notes)
    assert "Claude cannot query it until %mcp_share names it" in said


def test_what_is_made_of_shared_tables_is_offered_as_before(notebook: Notebook) -> None:
    notebook.catalog.add("big", origin="shared")
    result, _ = ask(notebook, "select * from big")
    assert result.names[0] in notebook.catalog.names()
    ask(notebook, "select * from arrow")
    assert set(notebook.catalog.names()) == {"big", result.names[0]}


def test_a_name_before_the_statement_is_that_of_the_result() -> None:
    assert split_name("  few <<\nselect 1 << 2") == ("few", "\nselect 1 << 2")
    for plain in ("select 1 << 2", "(select 1) << 2", "", "-- x\nselect a"):
        assert split_name(plain) == ("", plain)


@pytest.mark.parametrize("name", ["number", "text", "nothing"])
def test_what_is_no_table_is_said_not_to_be_there(
    notebook: Notebook, name: str
) -> None:
    with pytest.raises(DataError):
        ask(notebook, f"select * from {name}")


def test_a_view_of_a_table_goes_into_the_next_question_by_name_and_keeps_its_masks(
    notebook: Notebook,
) -> None:
    cards = notebook.table_cards
    notebook.catalog.add("big", origin="result", masked=("city",))
    shown = cards.show_named(notebook, "big")
    explorer = shown._whole.explorer
    asked = {"filters": [{"column": 1, "what": "is", "value": "Rome"}]}
    explorer.page(asked)
    assert shown.sql == "SELECT * FROM big\nWHERE city = 'Rome'"
    assert list(shown.frame["n"]) == [1, 3]
    said = cards.tell_claude(notebook, explorer, explorer.look_now, "big")
    assert said == "Your next question tells Claude of @big_view."
    assert notebook.pointed == ["big_view"]
    entry = notebook.catalog.find("big_view")
    assert entry is not None
    assert entry.masked == ("city",)


def test_a_result_that_claude_may_not_query_is_not_told_in_part(
    notebook: Notebook,
) -> None:
    cards = notebook.table_cards
    result, _ = ask(notebook, "select * from big")
    (name,) = result.names
    explorer = cards.show_named(notebook, name)._whole.explorer
    said = cards.tell_claude(notebook, explorer, explorer.look_now, name)
    assert said == f"Claude may not query {name}: %mcp_share {name} lets it."
    assert notebook.pointed == []
