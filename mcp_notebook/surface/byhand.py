"""Tools called by hand, without a model: `%mcp_call` and `%%mcp_sql`."""

import asyncio
import difflib
import json
import shlex
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mcp_notebook import sql_words
from mcp_notebook.errors import CallError, ConfigError
from mcp_notebook.events import ToolCall, ToolResult
from mcp_notebook.freeze.trail import Facts
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.policy import only_reads
from mcp_notebook.surface import sharing
from mcp_notebook.surface.notebook import Notebook

if TYPE_CHECKING:
    from mcp_notebook.agent.calls import Keep
    from mcp_notebook.server.catalog import Catalog
    from mcp_notebook.sessions import Session, ToolInfo

BY_HAND = "by hand"
# Tools of servers we have seen, most careful first; any other tool with an SQL argument
# is taken when it is alone.
QUERY_TOOLS = ("query_database", "query", "read_query", "select_query", "execute_read_query", "run_select_query",
               "execute_sql", "execute_query", "run_query", "sql_query")  # fmt: skip


async def call(
    notebook: Notebook,
    server: str,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    into: str = "",
    timeout: float = 0,
    emit: Callable[[Any], None] = lambda event: None,
) -> tuple[ToolResult, Any]:
    """Call one tool; returns its result and its value: the first table as a DataFrame,
    else the text.

    `emit` gets the call's events on the way.

    Raises CallError when the tool says no, SessionError when server or tool are unknown.
    """

    def keep(table: Any, origin: Any, index: int) -> str:
        return notebook.keep(table, origin, index, name=into if index == 0 else "")

    result = await perform(
        notebook, server, tool, arguments, keep=keep, timeout=timeout, emit=emit
    )
    notebook.shown.update(dict.fromkeys(result.names, result.shown))
    return result, notebook.shell.user_ns[result.names[0]] if result.names else text_of(
        result
    )


async def perform(
    notebook: Notebook,
    server: str,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    keep: "Keep",
    timeout: float = 0,
    emit: Callable[[Any], None] = lambda event: None,
) -> ToolResult:
    """Call one tool; `keep` takes its tables, `emit` what happens on the way. Raises as
    `call` does.
    """
    # loads the reading of results, wanted at the first call
    from mcp_notebook.agent.calls import call_tool

    session = await notebook.session(server)
    info = find_tool(session, tool)
    event = ToolCall(
        f"hand_{uuid.uuid4().hex[:12]}", server, info.name, dict(arguments)
    )
    notebook.ledger.record(event, cell=BY_HAND)
    notebook.sent(event, facts=facts_of(session, info))
    result = await call_tool(
        session,
        info,
        event,
        keep=keep,
        shaping=notebook.shaping(),
        timeout=session.seconds_for(timeout, notebook.settings.tool_timeout),
        emit=emit,
    )
    notebook.ledger.record(result, cell=BY_HAND)
    notebook.trail.ended(event.id, result.outcome)
    if result.outcome != "ok":
        raise CallError(f"{server}.{info.name}: {result.shown}")
    return result


def facts_of(session: "Session", tool: "ToolInfo") -> Facts:
    """What is known of a tool when it is called."""
    argument = _sql_argument(tool.input_schema, tool.description)
    try:
        only = bool(argument) and query_tool(session)[0].name == tool.name
    except ConfigError:
        only = False
    reads = (
        session.trusted
        or tool.name in session.safe_tools
        or only_reads(tool.annotations)
    )
    return Facts(reads, argument, only)


def text_of(result: ToolResult) -> str:
    """What a call gave besides tables."""
    return (
        result.reading.text
        if result.reading is not None and result.reading.text
        else result.shown
    )


def find_tool(session: "Session", name: str) -> "ToolInfo":
    """A tool of a session by name; raises ConfigError with near misses."""
    for tool in session.tools:
        if tool.name == name:
            return tool
    names = [tool.name for tool in session.tools]
    near = difflib.get_close_matches(name, names, 1, 0.6)
    if near:
        raise ConfigError(
            f"{session.name} has no tool {name!r}; did you mean {near[0]!r}? %mcp_tools lists them all."
        )
    raise ConfigError(
        f"{session.name} has no tool {name!r}; its tools: {', '.join(names[:40]) or 'none'}."
    )


def query_tool(session: "Session", wanted: str = "") -> tuple["ToolInfo", str]:
    """The tool of a session that takes SQL, and the name of that argument; raises ConfigError."""
    tools = [find_tool(session, wanted)] if wanted else list(session.tools)
    found = {
        t.name: (t, argument)
        for t in tools
        if (argument := _sql_argument(t.input_schema, t.description))
    }
    for name in QUERY_TOOLS:
        if name in found:
            return found[name]
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise ConfigError(
            f"{session.name} has no tool that takes SQL; call its tools with %mcp_call."
        )
    raise ConfigError(
        f"{session.name} has several tools that take SQL; choose one with --tool: {', '.join(found)}."
    )


def _sql_argument(schema: Mapping[str, Any], description: str) -> str:
    """The argument that takes an SQL text, when nothing else is required; else an empty string."""
    properties = schema.get("properties") or {}
    required = set(schema.get("required") or ())
    for name in sql_words.SQL_ARGUMENTS:
        told = f"{description} {(properties.get(name) or {}).get('description', '')}".lower()
        if name in properties and required <= {name} and (name != "q" or "sql" in told):
            return name
    return ""


async def own_sql(
    notebook: Notebook, text: str, *, into: str = ""
) -> tuple[ToolResult, Any]:
    """SQL of the person's over the notebook's tables; the answer gets a name there."""

    def keep(table: Any, origin: Any, index: int) -> str:
        return notebook.keep(table, origin, index, name=into)

    result = await perform_own_sql(notebook, {"sql": text}, notebook.catalog, keep=keep)
    return result, notebook.shell.user_ns[result.names[0]]


async def perform_own_sql(
    notebook: Notebook,
    arguments: Mapping[str, Any],
    catalog: "Catalog",
    *,
    keep: "Keep",
    given: Mapping[str, Any] | None = None,
) -> ToolResult:
    """SQL of the person's over the notebook's tables: in this process on the frames as
    they are, or on their engine.

    Claude's SQL over the same tables runs in a worker process that can be stopped; what
    the person types is trusted not to exhaust the kernel, and is checked all the same
    to be one SELECT. Raises DataError.
    """
    from mcp_notebook.agent.calls import Origin
    from mcp_notebook.results.reading import Reading, Table
    from mcp_notebook.server.here import local_answer

    event = ToolCall(
        f"hand_{uuid.uuid4().hex[:12]}", OWN_SERVER, "query", dict(arguments)
    )
    notebook.ledger.record(event, cell=BY_HAND)
    notebook.sent(event, facts=Facts(reads=True, sql="sql", only=True), given=given)
    started, stamp = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%S%z")
    answer = await local_answer(catalog, arguments["sql"], limit=arguments.get("limit"))
    seconds = time.monotonic() - started
    hidden = await asyncio.to_thread(sharing.masked_in, notebook, arguments["sql"])
    kept_back = f"made from masked columns ({', '.join(hidden)}): Claude cannot query it until %mcp_share names it"
    notes = (*answer.notes, kept_back) if hidden else answer.notes
    table = Table(answer.data, notes=notes, truncated=answer.truncated)
    name = keep(
        table,
        Origin(
            OWN_SERVER, "query", dict(arguments), event.id, stamp, round(seconds, 4)
        ),
        0,
    )
    if hidden:
        notebook.keep_back(name, event.id)
    reading = Reading(
        tables=(table,), reader=_computed(answer.notes), confidence="high"
    )
    result = ToolResult(
        event.id, "ok", "", seconds, answer.data.nbytes, (name,), reading
    )
    notebook.ledger.record(result, cell=BY_HAND)
    notebook.trail.ended(event.id, "ok")
    return result


def _computed(notes: tuple[str, ...]) -> str:
    """Where the answer was computed, as the card says it."""
    return next(
        (note for note in notes if note.startswith("computed on")),
        "DuckDB in this process",
    )


def split_target(target: str) -> tuple[str, str]:
    """`server.tool` into its parts; the tool may hold dots itself."""
    server, dot, tool = target.partition(".")
    if not (server and dot and tool):
        raise ConfigError(
            f"Name the tool as server.tool, not {target!r}; %mcp_tools lists them."
        )
    return server, tool


def parse_arguments(text: str) -> dict[str, Any]:
    """Arguments written as a JSON object, or as `name=value` words; raises ConfigError."""
    text = text.strip()
    if not text:
        return {}
    if text.startswith("{"):
        try:
            value = json.loads(text)
        except ValueError as error:
            example = '{"sql": "select 1"}'
            raise ConfigError(
                f"The arguments are not valid JSON ({error}); write them as {example}."
            ) from None
        if isinstance(value, dict):
            return value
    return _words(text)


def _words(text: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for word in shlex.split(text):
        name, equals, value = word.partition("=")
        if not (equals and name.isidentifier()):
            raise ConfigError(
                f'Write the arguments as JSON, {{"sql": "select 1"}}, or as name=value, not {word!r}.'
            )
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
    return arguments


async def sql(
    notebook: Notebook,
    server: str,
    text: str,
    *,
    into: str = "",
    tool: str = "",
    timeout: float = 0,
    emit: Callable[[Any], None] = lambda event: None,
) -> tuple[ToolResult, Any]:
    """Run SQL through a server's own query tool and return its result and DataFrame."""
    if not text.strip():
        raise ConfigError("The cell holds no SQL.")
    if server == OWN_SERVER:
        return await own_sql(notebook, text.strip(), into=into)
    session = await notebook.session(server)
    info, argument = query_tool(session, tool)
    return await call(
        notebook,
        server,
        info.name,
        {argument: text.strip()},
        into=into,
        timeout=timeout,
        emit=emit,
    )
