"""The tools of one server: listed, checked, pinned when first seen and compared at each
listing.
"""

from typing import Any

from mcp_notebook.sessions.connection import Connection
from mcp_notebook.sessions.requests import ask_once, fetch_all_pages
from mcp_notebook.sessions.tools import (
    ToolChange,
    ToolInfo,
    find_changes,
    make_tool_info,
)


class ToolList:
    """Mixed into Session, whose `name` it reads."""

    name: str

    def __init__(self) -> None:
        self.tools: tuple[ToolInfo, ...] = ()
        # what is odd about the server, for the person
        self.notices: tuple[str, ...] = ()
        # tool name -> what the model's service said of it: it is not offered again
        self.left_out: dict[str, str] = {}
        self.pinned: dict[str, ToolInfo] = {}
        self.changed_tools: tuple[ToolChange, ...] = ()

    def accept_changes(self, *names: str) -> None:
        """Pin the present definition of these tools (all when none is named): the
        person has seen the diff.
        """
        for tool in self.tools:
            if not names or tool.name in names:
                self.pinned[tool.name] = tool

        self.compare_with_pinned()

    def compare_with_pinned(self) -> None:
        """Say again which tools are not as they are pinned."""
        self.changed_tools = find_changes(self.pinned, self.tools)

    def tool(self, name: str) -> ToolInfo | None:
        """The tool of that name."""
        return next((tool for tool in self.tools if tool.name == name), None)

    async def _list_tools(self, connection: Connection) -> None:
        client = connection.client
        # A server without tools answers the question with an error.
        if client.server_capabilities.tools is None:
            self.tools = ()
            return

        def fetch(cursor: str | None) -> Any:
            return client.list_tools(cursor=cursor, cache_mode="bypass")

        pages = fetch_all_pages(fetch, "tools")
        found, note = await ask_once(self.name, connection, pages)
        notices = [
            f"tool {name!r} is not usable: {why}"
            for name, why in connection.tap.refused.items()
        ]
        tools: dict[str, ToolInfo] = {}
        for tool in found:
            # A second one could shadow the one that was looked at.
            if tool.name in tools:
                notices.append(
                    f"tool {tool.name!r} is listed twice; the second one is refused"
                )
                continue

            tools[tool.name] = make_tool_info(self.name, tool)

        if note:
            notices.append(note)

        # Sorted, so that a server that lists them in another order changes nothing.
        self.tools = tuple(tools[name] for name in sorted(tools))
        self.notices = tuple(dict.fromkeys(notices))
        for info in self.tools:
            self.pinned.setdefault(info.name, info)

        self.compare_with_pinned()
