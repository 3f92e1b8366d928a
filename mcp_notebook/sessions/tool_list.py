"""The tools of one server: listed, checked, pinned when first seen and compared at each listing."""

from mcp_notebook.sessions.connection import Connection
from mcp_notebook.sessions.requests import all_pages, guarded
from mcp_notebook.sessions.tools import ToolChange, ToolInfo, changes, tool_info


class ToolList:
    """Mixed into Session, whose `name` it reads."""

    name: str

    def __init__(self) -> None:
        self.tools: tuple[ToolInfo, ...] = ()
        # what is odd about the server, for the person
        self.notices: tuple[str, ...] = ()
        self.pinned: dict[str, ToolInfo] = {}
        self.changed_tools: tuple[ToolChange, ...] = ()

    def accept_changes(self, *names: str) -> None:
        """Pin the present definition of these tools (all when none is named): the
        person has seen the diff.
        """
        for tool in self.tools:
            if not names or tool.name in names:
                self.pinned[tool.name] = tool
        self.compare()

    def compare(self) -> None:
        """Say again which tools are not as they are pinned."""
        self.changed_tools = changes(self.pinned, self.tools)

    def tool(self, name: str) -> ToolInfo | None:
        """The tool of that name."""
        return next((tool for tool in self.tools if tool.name == name), None)

    async def _list_tools(self, connection: Connection) -> None:
        if connection.client.server_capabilities.tools is None:
            self.tools = ()
            return
        fetch = connection.client.list_tools
        found, note = await guarded(
            self.name,
            connection,
            all_pages(
                lambda cursor: fetch(cursor=cursor, cache_mode="bypass"), "tools"
            ),
        )
        notices = [
            f"tool {name!r} is not usable: {why}"
            for name, why in connection.tap.refused.items()
        ]
        tools: dict[str, ToolInfo] = {}
        for tool in found:
            if tool.name in tools:
                notices.append(
                    f"tool {tool.name!r} is listed twice; the second one is refused"
                )
                continue
            tools[tool.name] = tool_info(self.name, tool)
        self.tools = tuple(tools[name] for name in sorted(tools))
        self.notices = tuple(dict.fromkeys([*notices, *([note] if note else [])]))
        for tool in self.tools:
            self.pinned.setdefault(tool.name, tool)
        self.compare()
