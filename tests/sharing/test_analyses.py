"""Prompts over the tables, completion from the server, and list changes for clients of
both eras.
"""

import asyncio
from typing import Any

import anyio
import pandas as pd
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference

from mcp_notebook.sharing.notebook_server import build_notebook_server
from mcp_notebook.sharing.query import SqlRunner
from tests.sharing.notebooks import Notebook, sample


@pytest.fixture
def notebook() -> Notebook:
    return Notebook(sales=sample(), customers=pd.DataFrame({"id": [1], "city": ["x"]}))


def served(notebook: Notebook, runner: SqlRunner, **options: Any) -> Client:
    return Client(build_notebook_server(notebook.catalog, runner=runner), **options)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        (
            "explore_table",
            {"table": "sales", "question": "Why {odd}?"},
            "In particular: Why {odd}?",
        ),
        (
            "compare_periods",
            {"table": "sales", "date_column": "day", "measure": "amount"},
            "by its column day",
        ),
        ("find_data_problems", {"table": "SALES"}, "occur twice"),
        (
            "join_tables",
            {"left": "sales", "right": "customers"},
            "Columns of customers: id int64, city",
        ),
    ],
)
async def test_a_prompt_holds_the_columns_of_its_tables(
    name: str, arguments: dict, expected: str, notebook: Notebook, runner: SqlRunner
):
    """So that a model can begin with the first query; braces in an argument are just braces."""
    async with served(notebook, runner) as client:
        prompts = {
            prompt.name: prompt for prompt in (await client.list_prompts()).prompts
        }
        got = await client.get_prompt(name, arguments)
    text = got.messages[0].content.text
    assert expected in text
    assert "id int64" in text
    assert "{" not in text.replace("{odd}", "")
    assert all(argument.description for argument in prompts[name].arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("explore", {}, "Did you mean explore_table"),
        ("explore_table", {}, "needs the argument 'table'"),
        ("explore_table", {"table": "sale"}, "Did you mean sales"),
        ("explore_table", {"table": "sales", "tabel": "x"}, "no argument 'tabel'"),
    ],
)
async def test_a_wrong_prompt_says_what_is_right(
    name: str, arguments: dict, why: str, notebook: Notebook, runner: SqlRunner
):
    """As the protocol's error."""
    async with served(notebook, runner) as client:
        with pytest.raises(MCPError, match=why):
            await client.get_prompt(name, arguments)


async def test_tables_and_columns_are_completed(notebook: Notebook, runner: SqlRunner):
    """Columns of the table that was given, dates where a date is wanted, and the name
    in a resource's address.
    """
    prompt = PromptReference(name="compare_periods")
    rows = ResourceTemplateReference(uri="notebook://tables/{name}/rows.csv")
    async with served(notebook, runner) as client:

        async def values(
            ref: Any, argument: str, value: str, **known: str
        ) -> list[str]:
            answer = await client.complete(
                ref, {"name": argument, "value": value}, context_arguments=known or None
            )
            return answer.completion.values

        assert await values(prompt, "table", "S") == ["sales", "customers"]
        assert await values(prompt, "date_column", "", table="sales") == ["day"]
        assert await values(prompt, "measure", "am", table="sales") == ["amount"]
        assert await values(prompt, "group_by", "na", table="sales") == ["name"]
        assert await values(prompt, "group_by", "", table="nowhere") == []
        assert await values(rows, "name", "cu") == ["customers"]


async def test_clients_of_both_eras_hear_of_a_new_table_once(
    notebook: Notebook, runner: SqlRunner
):
    """A listener on its stream, a session with a handshake by notification; who left is
    told nothing.
    """
    server = build_notebook_server(notebook.catalog, runner=runner)
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(type(message).__name__)

    gone = Client(server, mode="legacy", message_handler=hear)
    async with gone:
        pass
    async with (
        Client(server, mode="legacy", message_handler=hear) as legacy,
        Client(server) as modern,
    ):
        assert legacy.server_capabilities.resources.list_changed
        async with modern.listen(resources_list_changed=True) as events:
            await asyncio.to_thread(notebook.catalog.add, "again", variable="sales")
            with anyio.fail_after(10):
                event = await anext(aiter(events))
            # An answer of the same session comes after what was sent before it.
            assert len((await legacy.list_resources()).resources) == 3
    assert "ResourcesListChanged" in type(event).__name__
    assert heard == ["ResourceListChangedNotification"]
