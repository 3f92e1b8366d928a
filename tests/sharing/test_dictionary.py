"""A data dictionary in every form that people write, told with the table, without
secrets and masked values.
"""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_notebook import loop
from mcp_notebook.errors import ConfigError
from mcp_notebook.notebook import compose, shared_tables
from mcp_notebook.notebook.options import AskOptions
from mcp_notebook.sharing.describing import (
    MOST_TOLD,
    ColumnWords,
    list_meanings,
    match_columns,
    read_dictionary,
)
from tests.notebook.scripted import notebook

WORDS = {"n": "number of parts, spares included", "net": "net of refunds"}
FORMS = {
    "heading.csv": 'name,description\nn,"number of parts, spares included"\nnet,net of refunds\n',
    "plain.csv": "n,number of parts, spares included\nnet,net of refunds\n",
    "other.csv": "Column;Meaning\r\nn;number of parts, spares included\r\nnet;net of refunds\r\n",
    "tabs.tsv": "field\tlabel\nn\tnumber of parts, spares included\nnet\tnet of refunds\n",
    "bom.csv": '\ufeffname,description\nn,"number of parts, spares included"\nnet,net of refunds',
    "map.json": json.dumps(WORDS),
    "list.json": json.dumps(
        [{"column": name, "about": words} for name, words in WORDS.items()]
    ),
    "fields.json": json.dumps(
        {"fields": [{"name": n, "description": w} for n, w in WORDS.items()]}
    ),
    "nested.json": json.dumps({n: {"description": w} for n, w in WORDS.items()}),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_says_the_same(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FORMS[name])
    assert {one.column: one.words for one in read_dictionary(str(path))} == WORDS


@pytest.mark.parametrize("text", ["", "n\nnet\n", "[1, 2]", "{", "{}"])
def test_what_describes_nothing_says_which_form_does(text: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"describes no column|is no JSON"):
        read_dictionary(str(path))


@given(st.lists(st.text(min_size=1, max_size=30), unique=True, max_size=80))
def test_what_is_told_is_bounded_and_says_what_is_left_out(names: list[str]) -> None:
    about = dict.fromkeys(names, "w" * 290)
    told = list_meanings(about, names)
    assert len(told) < MOST_TOLD + 120
    assert told.count("\n") + 1 == len(names) or "more columns" in told or not names


def test_columns_that_do_not_exist_are_said() -> None:
    described = [ColumnWords("", "AMOUNT", "net"), ColumnWords("", "citty", "where")]
    found, missing = match_columns(described, "orders", ["amount", "city"])
    assert found == {"amount": "net"}
    (sentence,) = missing
    assert "orders has no column citty" in sentence
    assert "Did you mean city?" in sentence


def test_a_question_and_the_listings_tell_it_without_secrets_and_masked_values(
    tmp_path: Path,
) -> None:
    secret = "sk-ant-api03-" + "Ab3dE6gH9" * 9
    with notebook(tmp_path, {"ANTHROPIC_API_KEY": "k"}) as state:
        state.settings.mask = ["email"]
        frame = pd.DataFrame({"amount": [1.5], "email": ["ada.lovelace@example.org"]})
        state.shell.user_ns["sales"] = frame
        file = tmp_path / "columns.csv"
        file.write_text(
            "name,description\namount,net of refunds\n"
            f"email,e.g. ada.lovelace@example.org with {secret}\namout,typo\n"
        )
        wanted = shared_tables.parse(
            f"sales --about 'Sales of May' --about-columns {file}"
        )
        _, note = shared_tables.share(
            state, "sales", description=wanted.about, about_columns=wanted.about_columns
        )
        assert "no column amout" in note
        assert shared_tables.rows(state, served=False)[-1]["described"] == (
            "2 of 2 columns"
        )

        async def look() -> list[str]:
            session = await state.own_session()
            options = AskOptions("What is in @sales?").settle(state.settings)
            made = await compose.compose(state, options)
            asked = "\n".join(block["text"] for block in made.prompt)
            listed = await session.call("list_tables", {})
            described = await session.call("describe_table", {"table": "sales"})
            return [asked, str(listed), str(described)]

        for text in loop.run(look()):
            assert "Sales of May" in text
            assert "net of refunds" in text
            assert "ada.lovelace" not in text
            assert secret not in text


def test_a_servers_tables_are_told_while_it_is_connected(tmp_path: Path) -> None:
    with notebook(tmp_path, {"ANTHROPIC_API_KEY": "k"}) as state:
        loop.run(state.own_session())
        file = tmp_path / "d.csv"
        file.write_text("table,column,description\norders,n,number of parts\n")
        with pytest.raises(ConfigError, match="Did you mean notebook"):
            shared_tables.describe_server(state, f"notebok.orders {file}")
        assert shared_tables.tell_server(state, "notebook") == ""
        shared_tables.describe_server(state, f"notebook {file}")
        shared_tables.describe_server(state, "notebook.orders --about 'since 2019'")
        options = AskOptions("Hello?").settle(state.settings)
        made = loop.run(compose.compose(state, options))
        assert "orders: since 2019\n- n: number of parts" in made.request.system
        assert [row["described"] for row in shared_tables.server_rows(state)] == [
            "1 columns"
        ]
        shared_tables.describe_server(state, "notebook --forget")
        assert shared_tables.tell_server(state, "notebook") == ""
