"""The tools of the connected servers as the Messages API takes them: names the API
allows, a stable order.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
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

    by_name: dict[str, tuple[Session, ToolInfo]]

    @classmethod
    def of(cls, sessions: Iterable[Session]) -> Toolset:
        """All tools of the sessions that the service takes, sorted, so that a request's
        prefix stays the same and caches.
        """
        found = [
            (session, tool)
            for session in sorted(sessions, key=lambda s: s.name)
            for tool in session.tools
            if tool.name not in session.left_out and _is_for_models(tool)
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
        for name, (session, _) in self.by_name.items():
            definition = self.define(name)
            # The notebook's own few tools are always in sight.
            if search and session.name != OWN_SERVER:
                definition["defer_loading"] = True

            tools.append(definition)

        return tools

    def define(self, name: str) -> dict[str, Any]:
        """One tool as it stands in a request."""
        offered = self.form_of(name)
        return {
            "name": name,
            "description": offered.description,
            "input_schema": offered.input_schema,
        }

    def find(self, name: str) -> tuple[Session, ToolInfo] | None:
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


# Words longer lists of tools than this are no help to tell them apart; looking through
# them would also make a search the slower the more tools there are.
_COMMON = 200
_MOST_WORDS = 24
_MOST_FOUND = 8
# bytes of definitions that were found and stay in the request; the oldest make room
_FOUND_BYTES = 12_000
_ONE_LINE = 160
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
FIND = "find_tools"


@dataclass
class ToolSearch:
    """Tools that are looked up by words, for models whose service has no search of its
    own: a request holds the notebook's few tools, `find_tools`, and what was found.
    """

    toolset: Toolset
    # the `tools` of the request: what is found is added here, for the next turn
    tools: list[dict[str, Any]] = field(default_factory=list)
    _found: dict[str, int] = field(default_factory=dict)  # bytes, oldest first
    _by_word: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, toolset: Toolset, used: Iterable[str] = ()) -> ToolSearch:
        """`used`: names that the conversation called already, which stay in sight."""
        search = cls(toolset)
        for name, (session, tool) in toolset.by_name.items():
            if session.name == OWN_SERVER:
                search.tools.append(toolset.define(name))
                continue

            said = f"{name} {tool.title} {tool.description[:_LOOKED_AT]}"
            for word in set(_words_of(said)):
                search._by_word.setdefault(word, []).append(name)

        search.tools.append(search._definition())
        search._add(name for name in used if toolset.find(name) is not None)
        return search

    def _definition(self) -> dict[str, Any]:
        words = {
            "type": "string",
            "description": "Words of what the tool is to do, or its server's name.",
        }
        return {
            "name": FIND,
            "description": (
                "Find tools of the connected servers by words; what is found can be "
                f"called in the next step. {self._say_servers()}"
            ),
            "input_schema": {
                "type": "object",
                "properties": {"words": words},
                "required": ["words"],
            },
        }

    def _say_servers(self) -> str:
        counts = Counter(session.name for session, _ in self.toolset.by_name.values())
        counts.pop(OWN_SERVER, None)
        said = [f"{name} ({count:,})" for name, count in counts.most_common(40)]
        more = f" and {len(counts) - len(said)} more" if len(counts) > len(said) else ""
        return f"Servers and their number of tools: {', '.join(said)}{more}."

    def look_up(self, words: str) -> str:
        """What the model is told of the tools that fit best; they are in the request
        from now on.
        """
        scores: dict[str, float] = defaultdict(float)
        for word in dict.fromkeys(_words_of(words)[:_MOST_WORDS]):
            having = self._by_word.get(word, ())
            # What few tools have tells most; of what many have the first are taken.
            for name in having[:_COMMON]:
                scores[name] += 1 + _COMMON / len(having)

        best = sorted(scores, key=lambda name: (-scores[name], name))
        names = [name for name in best if not self._is_left_out(name)][:_MOST_FOUND]
        if not names:
            return f"No tool has these words; try others. {self._say_servers()}"

        # the best last: it stays longest
        self._add(reversed(names))
        lines = [f"{name}: {self._say_tool(name)}" for name in names]
        return "\n".join(["These tools can be called now:", *lines])

    def _is_left_out(self, name: str) -> bool:
        session, tool = self.toolset.by_name[name]
        return tool.name in session.left_out

    def _say_tool(self, name: str) -> str:
        said = " ".join(self.toolset.form_of(name).description.split())
        return said if len(said) <= _ONE_LINE else f"{said[:_ONE_LINE]}…"

    def _add(self, names: Iterable[str]) -> None:
        for name in names:
            if self._found.pop(name, 0):
                self._remove(name)

            definition = self.toolset.define(name)
            self._found[name] = len(json.dumps(definition))
            self.tools.append(definition)

        while len(self._found) > 1 and sum(self._found.values()) > _FOUND_BYTES:
            oldest = next(iter(self._found))
            del self._found[oldest]
            self._remove(oldest)

    def _remove(self, name: str) -> None:
        # in place: the turn that runs holds this very list
        self.tools[:] = [tool for tool in self.tools if tool["name"] != name]


_LOOKED_AT = 600  # characters of a description


def _words_of(text: str) -> list[str]:
    """The words of a text for searching: `listOpenOrders` as list, open, order."""
    found = _WORD.findall(_HUMP.sub(" ", text))
    return [_singular(word.lower()) for word in found]


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def choose_tools(
    toolset: Toolset, *, above: int, api_searches: bool, used: Iterable[str] = ()
) -> tuple[list[dict[str, Any]], ToolSearch | None]:
    """The `tools` of a request, and the search when there are more than `above` of them
    and the model's service has none.
    """
    many = len(toolset) > above
    if not many or api_searches:
        return toolset.definitions(search=many), None

    search = ToolSearch.of(toolset, used)
    return search.tools, search


def _is_for_models(tool: ToolInfo) -> bool:
    """Whether a server wants models to have the tool: MCP Apps (SEP-1865) lets it say
    `_meta.ui.visibility: ["app"]` of one that is for people alone.
    """
    meta = tool.definition.get("_meta")
    ui = meta.get("ui") if isinstance(meta, dict) else None
    seen_by = ui.get("visibility") if isinstance(ui, dict) else None
    return not isinstance(seen_by, list) or "model" in seen_by


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
