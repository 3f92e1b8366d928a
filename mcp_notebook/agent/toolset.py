"""The tools of the connected servers as the Messages API takes them: names the API
allows, a stable order.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_notebook.json_schema import (
    Schema,
    lift,
    resolve,
    settle_references,
)
from mcp_notebook.naming import ASK, OWN_SERVER
from mcp_notebook.untrusted_text import sendable, whole_text

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session, ToolInfo

# https://platform.claude.com/docs/en/agents-and-tools/tool-use: ^[a-zA-Z0-9_-]{1,128}$
FORBIDDEN_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")
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
        found.sort(key=lambda pair: FORBIDDEN_IN_NAME.search(pair[1].name) is not None)
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

    def name_of(self, server: str, tool: str) -> str:
        """The model's name of a tool, "" for one that is not offered."""
        names = (
            name
            for name, (session, info) in self.by_name.items()
            if (session.name, info.name) == (server, tool)
        )
        return next(names, "")

    def form_of(self, name: str) -> OfferedTool:
        """What was said of a tool that was found."""
        return offer(self.by_name[name][1])

    def own_name(self, name: str) -> str:
        """`server.tool` as the person knows it; another name is as the model wrote it."""
        found = self.find(name)
        if found is not None:
            session, tool = found
            return f"{session.name}.{tool.name}"

        return f"{OWN_SERVER}.{ASK}" if name == ASK_NAME else name


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


# A tool of the notebook's server that goes to no server: the cell itself asks the person
# who reads it, with the same forms as the servers' questions.

ASK_NAME = f"{OWN_SERVER}__{ASK}"
MOST_OPTIONS = 20
_ASK_WORDS = 2_000  # characters of the question
_OPTION_WORDS = 200
_ASK_DEFINITION: dict[str, Any] = {
    "name": ASK_NAME,
    "description": (
        "Ask the person who reads this notebook to choose, where the question and the "
        "data leave open what is meant and the choice changes the answer: which year, "
        "which of two columns, net or gross. Not for permission, and not for what a "
        "query can settle. Ask once, before the work that rests on it."
    ),
    "input_schema": {
        "type": "object",
        "properties": {
            "question": {"type": "string", "description": "One short question."},
            "options": {
                "type": "array",
                "items": {"type": "string"},
                "description": "What may be chosen; without any the person writes.",
            },
            "free_text": {
                "type": "boolean",
                "description": "Whether the person may write something else (default).",
            },
        },
        "required": ["question"],
    },
}


@dataclass(frozen=True)
class PersonQuestion:
    """What the model asks the person; `free`: other words than the options may be written."""

    question: str
    options: tuple[str, ...] = ()
    free: bool = True

    @classmethod
    def from_call(cls, arguments: Mapping[str, Any]) -> PersonQuestion:
        """The question of a call; raises ValueError in words for the model."""
        question, options = arguments.get("question"), arguments.get("options") or []
        if not isinstance(question, str) or not question.strip():
            raise ValueError(f"{ASK} takes `question`, a text.")
        if isinstance(options, str):
            options = _read_json(options, list)
        if not isinstance(options, list):
            raise ValueError(f"{ASK} takes `options`, a list of texts.")

        texts = [" ".join(str(one).split())[:_OPTION_WORDS] for one in options]
        kept = tuple(dict.fromkeys(text for text in texts if text))
        if len(kept) > MOST_OPTIONS:
            raise ValueError(
                f"{len(kept)} options are too many to choose from; give {MOST_OPTIONS} "
                "at most."
            )

        free = arguments.get("free_text") is not False or not kept
        return cls(question.strip()[:_ASK_WORDS], kept, free)


def choose_tools(
    toolset: Toolset,
    *,
    above: int,
    api_searches: bool,
    used: Iterable[str] = (),
    asks: bool = False,
) -> tuple[list[dict[str, Any]], ToolSearch | None]:
    """The `tools` of a request, and the search when there are more than `above` of them
    and the model's service has none. `asks`: the person can be asked.
    """
    more = [_ASK_DEFINITION] if asks else []
    many = len(toolset) > above
    if not many or api_searches:
        return [*toolset.definitions(search=many), *more], None

    search = ToolSearch.of(toolset, used)
    search.tools += more
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
    base = FORBIDDEN_IN_NAME.sub("_", f"{server}__{tool}")
    if len(base) <= MAX_NAME and base not in taken:
        return base

    mark = hashlib.sha256(f"{server}\n{tool}".encode("utf-8", "replace")).hexdigest()
    length = 6
    while (name := f"{base[: MAX_NAME - length - 1]}_{mark[:length]}") in taken:
        length += 1

    return name


# One tool under the API's own rules for an input schema, and the model's arguments as
# the tool's server takes them.
#
# The rules (https://platform.claude.com/docs/en/agents-and-tools/tool-use and the API's
# own refusals): an object at the top and nothing combined there, names of arguments of 64
# characters of a small alphabet. JSON Schema itself is `json_schema`'s matter.

# characters; a server's whole manual does not belong into every request
MAX_DESCRIPTION = 4000
MAX_ARGUMENT = 64
_FORBIDDEN_IN_ARGUMENT = re.compile(r"[^a-zA-Z0-9_.-]+")
_ALLOWED = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_COMBINED = ("allOf", "anyOf", "oneOf")
# Schemas that a schema at the top is made of, one through the other: a chain of
# references may be a circle.
_MOST_STEPS = 12
_KEPT = 4096  # tools whose form is remembered


@dataclass(frozen=True)
class OfferedTool:
    """What a request says of a tool, but for its name."""

    description: str
    input_schema: Schema
    # by the names that the model uses, where they are not the server's own
    own_names: Mapping[str, str] = field(default_factory=dict)
    # the arguments that can only be a list or an object: what a text must be read as
    structured: Mapping[str, type] = field(default_factory=dict)

    def take_arguments(
        self, given: Mapping[str, Any]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The model's arguments as the server takes them, and the names of those that
        the model wrote as a JSON text and that were read as what the schema wants.
        """
        taken: dict[str, Any] = {}
        read = []
        for name, value in given.items():
            own = self.own_names.get(name, name)
            wanted = self.structured.get(name)
            if wanted is not None and isinstance(value, str):
                found = _read_json(value, wanted)
                if found is not None:
                    value = found
                    read.append(own)

            taken[own] = value

        return taken, tuple(read)


_offered: dict[str, OfferedTool] = {}


def offer(tool: ToolInfo) -> OfferedTool:
    """The tool in the API's form; worked out once for a definition."""
    found = _offered.get(tool.fingerprint)
    if found is None:
        if len(_offered) >= _KEPT:
            _offered.clear()

        found = _offered[tool.fingerprint] = _make(tool)

    return found


def _make(tool: ToolInfo) -> OfferedTool:
    schema = merge_branches(lift(tool.input_schema))
    said = [tool.description.strip() or tool.title.strip() or tool.name]
    choices = schema.pop(_CHOICES, None)
    if choices:
        said.append(choices)

    schema, own_names = _rename(schema)
    # What a reference stood for may have been merged or renamed.
    settle_references(schema, schema)
    properties = schema.get("properties", {})
    structured = {
        name: kind
        for name, part in properties.items()
        if (kind := _structured_kind(part, schema)) is not None
    }
    words = whole_text("\n".join(said)[:MAX_DESCRIPTION])
    return OfferedTool(words, schema, own_names, structured)


# Where `merge_branches` leaves what the branches asked for; no keyword of JSON Schema.
_CHOICES = "x-choices"


def merge_branches(schema: Schema) -> Schema:
    """An object schema with nothing combined at its top: properties of all branches are
    in it, required is what every branch requires, and the rest is said in words.
    """
    parts = _merge_top(schema, schema, _MOST_STEPS)
    parts["type"] = "object"
    return parts


def _merge_top(schema: Any, root: Schema, steps: int) -> Schema:
    if not isinstance(schema, dict) or not steps:
        return {}

    top = {k: v for k, v in schema.items() if k not in (*_COMBINED, "$ref")}
    if "$ref" in schema:
        target = _merge_top(_resolve(root, schema["$ref"]), root, steps - 1)
        top = _join(target, top)

    for branch in schema.get("allOf", ()):
        top = _join(top, _merge_top(branch, root, steps - 1))

    for word in ("anyOf", "oneOf"):
        branches = [_merge_top(b, root, steps - 1) for b in schema.get(word, ())]
        if branches:
            top = _join(top, _unite(branches))

    return top


def _resolve(root: Schema, reference: str) -> Any:
    try:
        return resolve(root, reference)
    except (LookupError, TypeError, ValueError):
        return {}


def _join(first: Schema, second: Schema) -> Schema:
    """What both say: where both define a property, it has to be both."""
    joined = {**second, **first}
    properties = dict(first.get("properties", {}))
    for name, part in second.get("properties", {}).items():
        both = properties.get(name, part)
        properties[name] = part if both == part else {"allOf": [both, part]}

    if properties:
        joined["properties"] = properties

    required = [*first.get("required", ()), *second.get("required", ())]
    if required:
        joined["required"] = list(dict.fromkeys(required))

    definitions = {**second.get("$defs", {}), **first.get("$defs", {})}
    if definitions:
        joined["$defs"] = definitions

    said = [part[_CHOICES] for part in (first, second) if _CHOICES in part]
    if said:
        joined[_CHOICES] = "\n".join(said)

    return joined


def _unite(branches: list[Schema]) -> Schema:
    """What at least one of them allows."""
    forms: dict[str, list[Any]] = {}
    for branch in branches:
        for name, part in branch.get("properties", {}).items():
            known = forms.setdefault(name, [])
            if part not in known:
                known.append(part)

    properties = {
        name: parts[0] if len(parts) == 1 else {"anyOf": parts}
        for name, parts in forms.items()
    }
    needed = [list(branch.get("required", ())) for branch in branches]
    always = [name for name in needed[0] if all(name in names for names in needed)]
    united: Schema = {}
    if properties:
        united["properties"] = properties
    if always:
        united["required"] = always

    sets = [f"({', '.join(names)})" for names in needed if names and names != always]
    if sets:
        united[_CHOICES] = f"Give the arguments of one of: {' or '.join(sets)}."

    return united


def _rename(schema: Schema) -> tuple[Schema, dict[str, str]]:
    """The schema with names that the API takes, and {the API's name: the server's}."""
    properties = schema.get("properties", {})
    if all(_is_allowed(name) for name in properties):
        return schema, {}

    new_names = {name: name for name in properties if _is_allowed(name)}
    for name in properties:
        if name not in new_names:
            new_names[name] = allowed_name(name, new_names.values())

    renamed = dict(schema)
    renamed["properties"] = {
        new_names[name]: part if new_names[name] == name else _say_name(part, name)
        for name, part in properties.items()
    }
    if "required" in schema:
        renamed["required"] = [new_names.get(n, n) for n in schema["required"]]

    # They speak of names, and of the old ones; what they ask for, the server checks.
    for key in ("dependentRequired", "dependentSchemas", "propertyNames"):
        renamed.pop(key, None)

    own_names = {new: name for name, new in new_names.items() if new != name}
    return renamed, own_names


def _is_allowed(name: str) -> bool:
    return _ALLOWED.fullmatch(name) is not None


def allowed_name(name: str, taken: Iterable[str]) -> str:
    """A name of an argument in the API's alphabet, readable and free."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    base = (
        _FORBIDDEN_IN_ARGUMENT.sub("_", letters).strip("_")[:MAX_ARGUMENT] or "argument"
    )
    found, number = base, 2
    used = set(taken)
    while found in used:
        ending = f"_{number}"
        found, number = base[: MAX_ARGUMENT - len(ending)] + ending, number + 1

    return found


def _say_name(part: Any, name: str) -> Any:
    if not isinstance(part, dict):
        return part

    said = part.get("description")
    words = f"Called {whole_text(name)[:200]!r} by the server."
    return {**part, "description": f"{said} {words}" if said else words}


def _structured_kind(part: Any, root: Schema) -> type | None:
    """`list` or `dict` when the schema of an argument allows nothing else but null."""
    kinds = _kinds(part, root, _MOST_STEPS) - {"null"}
    if kinds == {"array"}:
        return list
    if kinds == {"object"}:
        return dict

    return None


def _kinds(part: Any, root: Schema, steps: int) -> frozenset[str]:
    """The JSON types that a schema allows as far as that is plain; empty when not."""
    if not isinstance(part, dict) or not steps:
        return frozenset()

    kind = part.get("type")
    if isinstance(kind, str):
        return frozenset({kind})
    if isinstance(kind, list):
        return frozenset(kind)
    if "$ref" in part:
        return _kinds(_resolve(root, part["$ref"]), root, steps - 1)

    for word in ("anyOf", "oneOf"):
        branches = [_kinds(b, root, steps - 1) for b in part.get(word, ())]
        if branches and all(branches):
            return frozenset().union(*branches)

    return frozenset()


def _read_json(text: str, wanted: type) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None

    return sendable(found) if isinstance(found, wanted) else None
