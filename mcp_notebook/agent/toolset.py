"""The tools of the connected servers as the Messages API takes them: names the API
allows, a stable order.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_notebook.naming import OWN_SERVER

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session, ToolInfo

# https://platform.claude.com/docs/en/agents-and-tools/tool-use: ^[a-zA-Z0-9_-]{1,128}$
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_-]")
MAX_NAME = 128
# characters; a server's whole manual does not belong into every request
MAX_DESCRIPTION = 4000
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool
SEARCH = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}


@dataclass(frozen=True)
class Toolset:
    """The tools that one cell may use, by the name that Claude calls them."""

    by_name: dict[str, "tuple[Session, ToolInfo]"]

    @classmethod
    def of(cls, sessions: "Iterable[Session]") -> "Toolset":
        """All tools of the sessions, sorted, so that a request's prefix stays the same
        and caches.
        """
        by_name: dict[str, tuple[Any, Any]] = {}
        for session in sorted(sessions, key=lambda s: s.name):
            for tool in session.tools:
                by_name[api_name(session.name, tool.name, by_name)] = (session, tool)

        return cls(dict(sorted(by_name.items())))

    def __len__(self) -> int:
        return len(self.by_name)

    def definitions(self, *, search: bool = False) -> list[dict[str, Any]]:
        """The `tools` of a request. `search`: Claude looks tools up by words instead of
        reading all of them.
        """
        tools: list[dict[str, Any]] = [SEARCH] if search else []
        for name, (session, tool) in self.by_name.items():
            description = tool.description or tool.title or tool.name
            definition = {
                "name": name,
                "description": description[:MAX_DESCRIPTION],
                "input_schema": {"type": "object", **tool.input_schema},
            }
            # The notebook's own few tools are always in sight.
            if search and session.name != OWN_SERVER:
                definition["defer_loading"] = True

            tools.append(definition)

        return tools

    def find(self, name: str) -> "tuple[Session, ToolInfo] | None":
        """The session and tool behind a name that Claude used."""
        return self.by_name.get(name)


def api_name(server: str, tool: str, taken: Iterable[str] = ()) -> str:
    """`server__tool` in the API's alphabet (`db.query` has a dot), made unique by a number."""
    base = _FORBIDDEN.sub("_", f"{server}__{tool}")[:MAX_NAME]
    name, number = base, 2
    while name in taken:
        suffix = f"_{number}"
        name, number = base[: MAX_NAME - len(suffix)] + suffix, number + 1

    return name
