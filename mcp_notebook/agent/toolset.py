"""The tools of the connected servers as the Messages API takes them: names the API
allows, a stable order.
"""

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_notebook.agent.offered import OfferedTool, offer
from mcp_notebook.naming import OWN_SERVER

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session, ToolInfo

# https://platform.claude.com/docs/en/agents-and-tools/tool-use: ^[a-zA-Z0-9_-]{1,128}$
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_-]")
MAX_NAME = 128
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool
SEARCH = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}


@dataclass(frozen=True)
class Toolset:
    """The tools that one cell may use, by the name that Claude calls them."""

    by_name: dict[str, "tuple[Session, ToolInfo]"]

    @classmethod
    def of(cls, sessions: "Iterable[Session]") -> "Toolset":
        """All tools of the sessions that the service takes, sorted, so that a request's
        prefix stays the same and caches.
        """
        found = [
            (session, tool)
            for session in sorted(sessions, key=lambda s: s.name)
            for tool in session.tools
            if tool.name not in session.left_out
        ]
        # A name that needs no change is given first: no other tool can take it away.
        found.sort(key=lambda pair: _FORBIDDEN.search(pair[1].name) is not None)
        by_name: dict[str, tuple[Any, Any]] = {}
        for session, tool in found:
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
            offered = offer(tool)
            definition: dict[str, Any] = {
                "name": name,
                "description": offered.description,
                "input_schema": offered.input_schema,
            }
            # The notebook's own few tools are always in sight.
            if search and session.name != OWN_SERVER:
                definition["defer_loading"] = True

            tools.append(definition)

        return tools

    def find(self, name: str) -> "tuple[Session, ToolInfo] | None":
        """The session and tool behind a name that Claude used."""
        return self.by_name.get(name)

    def form_of(self, name: str) -> OfferedTool:
        """What was said of a tool that was found."""
        return offer(self.by_name[name][1])

    def own_name(self, name: str) -> str:
        """`server.tool` as the person knows it; another name is as the model wrote it."""
        found = self.find(name)
        if found is None:
            return name

        session, tool = found
        return f"{session.name}.{tool.name}"


def api_name(server: str, tool: str, taken: Collection[str] = ()) -> str:
    """`server__tool` in the API's alphabet (`db.query` has a dot).

    Where that is another tool's name already, a few digits made from the tool's own name
    tell them apart: they are the same whatever else is connected.
    """
    base = _FORBIDDEN.sub("_", f"{server}__{tool}")
    if len(base) <= MAX_NAME and base not in taken:
        return base

    mark = hashlib.sha256(f"{server}\n{tool}".encode("utf-8", "replace")).hexdigest()
    length = 6
    while (name := f"{base[: MAX_NAME - length - 1]}_{mark[:length]}") in taken:
        length += 1

    return name
