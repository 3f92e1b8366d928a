"""More rows by cursor: pages that fit together, or a sentence that says why not."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from mcp import Client

from mcp_notebook.errors import ToolError
from mcp_notebook.sharing.notebook_server import build_notebook_server
from mcp_notebook.sharing.query import SqlRunner
from mcp_notebook.sharing.table_tools import Cursors
from tests.sharing.notebooks import Notebook

SQL = "select * from t order by id"


def numbered(rows: int = 25) -> pd.DataFrame:
    return pd.DataFrame({"id": range(rows), "text": [f"row {n}" for n in range(rows)]})


async def page(
    client: Client, cursor: str = "", sql: str = SQL, limit: int = 10
) -> Any:
    arguments = {"sql": sql, "limit": limit, **({"cursor": cursor} if cursor else {})}
    return await client.call_tool("query", arguments)


@pytest.fixture
def notebook() -> Notebook:
    return Notebook(t=numbered())


def served(notebook: Notebook, runner: SqlRunner, form: Any = "json") -> Client:
    return Client(build_notebook_server(notebook.catalog, form=form, runner=runner))


async def test_pages_hold_every_row_once_and_the_last_has_no_cursor(
    notebook: Notebook, runner: SqlRunner
):
    """10, 10 and 5 of 25 rows; pages of any size go together."""
    seen: list[int] = []
    async with served(notebook, runner) as client:
        cursor, sizes = "", iter([10, 3, 10, 10])
        while True:
            content = (await page(client, cursor, limit=next(sizes))).structured_content
            seen += [row[0] for row in content["rows"]]
            assert content["truncated"] == ("next_cursor" in content)
            if "next_cursor" not in content:
                break
            cursor = content["next_cursor"]
    assert seen == list(range(25))


async def test_the_text_names_the_cursor_too(notebook: Notebook, runner: SqlRunner):
    """For hosts that read only text, and in this notebook, where the same rows give the
    same words.
    """
    async with served(notebook, runner) as client:
        result = await page(client)
        assert (
            f"cursor {result.structured_content['next_cursor']}"
            in result.content[0].text
        )
    said = []
    for _ in range(2):
        async with served(notebook, runner, "arrow") as client:
            result = await page(client)
            said.append(result.content[1].text)
            assert not (await page(client, said[0].split()[-1])).is_error
    assert said[0] == said[1]


async def test_a_change_of_rows_that_were_served_ends_the_paging(
    notebook: Notebook, runner: SqlRunner
):
    """No page that does not fit; a change behind them is simply seen."""
    async with served(notebook, runner) as client:
        cursor = (await page(client)).structured_content["next_cursor"]
        notebook.variables["t"].loc[20, "text"] = "later"
        assert (await page(client, cursor)).structured_content["rows"][0][0] == 10
        notebook.variables["t"].loc[3, "text"] = "changed"
        refused = await page(client, cursor)
    assert refused.is_error
    assert "not the same any more" in refused.content[0].text
    assert "without a cursor" in refused.content[0].text


@pytest.mark.parametrize(
    ("sql", "spoilt", "why"),
    [
        ("select * from t order by id desc", "", "another statement"),
        (SQL, "x", "not made by this server"),
        (SQL, "!", "not made by this server"),
    ],
)
async def test_a_cursor_that_does_not_belong_is_refused(
    sql: str, spoilt: str, why: str, notebook: Notebook, runner: SqlRunner
):
    """In one sentence that says what to do."""
    async with served(notebook, runner) as client:
        cursor = (await page(client)).structured_content["next_cursor"]
        refused = await page(client, spoilt + cursor, sql)
    assert refused.is_error
    assert why in refused.content[0].text


def test_a_cursor_expires():
    """After its hour, by the clock."""
    now = [1_000.0]
    cursors = Cursors(seconds=60, clock=lambda: now[0])
    cursor = cursors.after(SQL, 1, pa.table({"id": [0]}))
    assert cursors.place(cursor, SQL).offset == 1
    now[0] += 61
    with pytest.raises(ToolError, match="has expired"):
        cursors.place(cursor, SQL)


async def test_an_answer_cut_by_its_size_goes_on_where_it_was_cut(runner: SqlRunner):
    """The cap of bytes, too, leaves no row out."""
    notebook = Notebook(t=pd.DataFrame({"id": range(4), "wide": ["x" * 2_000_000] * 4}))
    async with served(notebook, runner) as client:
        first = (await page(client)).structured_content
        second = (await page(client, first["next_cursor"])).structured_content
    assert [row[0] for row in first["rows"]] == [0, 1]
    assert [row[0] for row in second["rows"]] == [2, 3]
