"""The notebook's own MCP server: its tables, read-only, as tools, resources and prompts.

In process (`form="arrow"`) an answer holds its whole table as an embedded Arrow
resource: exact types, no JSON, and the host shows the model a preview. For clients
outside (`form="json"`) it is structured content with SQL types, as the database server
gives it.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler

from mcp_notebook.server.analyses import Prompts
from mcp_notebook.server.announcing import Announcing, Sessions
from mcp_notebook.server.catalog import Catalog
from mcp_notebook.server.masks import Masks
from mcp_notebook.server.query import SqlRunner
from mcp_notebook.server.resources import Resources
from mcp_notebook.server.table_tools import SECONDS, Form, TableTools
from mcp_notebook.server.tools import build_server

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

_INSTRUCTIONS = (
    "Tables in the person's notebook: results of earlier calls and DataFrames that "
    "the person shared, all read-only. "
    "`query` runs one SELECT in the DuckDB dialect over them and joins tables that "
    "came from different servers; "
    "the rows stay in the notebook."
)


def build_notebook_server(
    catalog: Catalog,
    *,
    form: Form = "arrow",
    runner: SqlRunner | None = None,
    mask: Callable[[], Sequence[str]] = tuple,
    timeout: float = SECONDS,
) -> "Server[Any]":
    """The server over a catalog.

    `runner` holds the worker process (by default one of its own, which ends with its
    last client), `mask` gives the patterns of columns whose values no client ever gets,
    `timeout` is in seconds a statement.
    """
    # one for the server's life, so that tokens agree from query to query
    key = Masks().key

    def masks() -> Masks:
        return Masks(tuple(mask()), key)

    running = runner or SqlRunner()
    tools = TableTools(catalog, running, form, masks, timeout)
    resources = Resources(catalog, masks)
    prompts = Prompts(catalog, lambda names: masks().columns(names))
    bus, sessions = InMemorySubscriptionBus(), Sessions()
    announcing = Announcing(catalog, bus, sessions)

    @asynccontextmanager
    async def lifespan(server: "Server[Any]") -> AsyncIterator[dict[str, Any]]:
        try:
            with announcing:
                yield {}
        finally:
            if runner is None and not announcing.serves:
                await running.rest()

    server = build_server(
        "mcp-notebook",
        tools.tools(),
        title="The notebook's tables",
        instructions=_INSTRUCTIONS,
        resources_change=True,
        lifespan=lifespan,
        on_list_resources=resources.list,
        on_list_resource_templates=resources.templates,
        on_read_resource=resources.read,
        on_list_prompts=prompts.list,
        on_get_prompt=prompts.get,
        on_completion=prompts.complete,
        on_subscriptions_listen=ListenHandler(bus),
    )
    server.middleware.append(sessions)
    return server
