"""Tools called by hand, without a model: `%mcp_call` and `%%mcp_sql`."""

import asyncio
import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcp_notebook.agent.call_values import Origin
from mcp_notebook.errors import CallError, ConfigError
from mcp_notebook.events import ToolResult
from mcp_notebook.freeze.call_log import Facts
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.notebook import shared_tables
from mcp_notebook.notebook.call_path import NotebookCalls, new_call, query_tool
from mcp_notebook.notebook.options import check_name
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.results.reading import Reading, Table
from mcp_notebook.secrets import seal_text

if TYPE_CHECKING:
    from mcp_notebook.agent.call_values import Keep, Origin
    from mcp_notebook.results import Table
    from mcp_notebook.sharing.catalog import Catalog

Emit = Callable[[Any], None]


def keep_into(notebook: Notebook, into: str) -> "Keep":
    """Keeps the tables of a call in the notebook, the first one under the name `into`."""

    def keep(
        tables: "Sequence[Table]",
        origin: "Origin",
        write: Callable[[Sequence[str]], str],
    ) -> tuple[tuple[str, ...], str]:
        return notebook.keep(tables, origin, write, into=into)

    return keep


async def call(
    notebook: Notebook,
    server: str,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    into: str = "",
    timeout: float = 0,
    emit: Emit = lambda event: None,
) -> tuple[ToolResult, Any]:
    """Call one tool; returns its result and its value: the first table as a DataFrame,
    else the text.

    `emit` gets the call's events on the way.

    Raises CallError when the tool says no, SessionError when server or tool are unknown.
    """
    check_name(into)
    calls = NotebookCalls(notebook, keep=keep_into(notebook, into), show=emit)
    result = await perform(calls, server, tool, arguments, timeout=timeout)
    if not result.names:
        return result, text_of(result)

    return result, notebook.shell.user_ns[result.names[0]]


async def perform(
    calls: NotebookCalls,
    server: str,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    timeout: float = 0,
) -> ToolResult:
    """Call one tool on this path; raises as `call` does."""
    result = await calls.call_tool(server, tool, arguments, timeout)
    if result.outcome != "ok":
        raise CallError(f"{server}.{tool}: {seal_text(result.shown)}")

    return result


def text_of(result: ToolResult) -> str:
    """What a call gave besides tables."""
    if result.reading is not None:
        text = result.reading.text
    else:
        text = ""

    return text or result.shown


async def own_sql(
    notebook: Notebook, text: str, *, into: str = "", emit: Emit = lambda event: None
) -> tuple[ToolResult, Any]:
    """SQL of the person's over the notebook's tables; the answer gets a name there."""
    calls = NotebookCalls(notebook, keep=keep_into(notebook, into), show=emit)
    result = await perform_own_sql(notebook, calls, {"sql": text}, notebook.catalog)
    return result, notebook.shell.user_ns[result.names[0]]


async def perform_own_sql(
    notebook: Notebook,
    calls: NotebookCalls,
    arguments: Mapping[str, Any],
    catalog: "Catalog",
    *,
    given: Mapping[str, Any] | None = None,
) -> ToolResult:
    """SQL of the person's over the notebook's tables: in this process on the frames as
    they are, or on their engine.

    Claude's SQL over the same tables runs in a worker process that can be stopped; what
    the person types is trusted not to exhaust the kernel, and is checked all the same
    to be one SELECT. Raises DataError.
    """
    # DuckDB, at the first statement
    from mcp_notebook.sharing.local_sql import local_answer

    asked = new_call("hand", OWN_SERVER, "query", arguments)

    async def work(keep: "Keep") -> ToolResult:
        started, stamp = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%S%z")
        sql = arguments["sql"]
        answer = await local_answer(catalog, sql, limit=arguments.get("limit"))
        seconds = time.monotonic() - started
        hidden = await asyncio.to_thread(shared_tables.masked_in, notebook, sql)
        notes = answer.notes
        if hidden:
            notes += (
                f"made from masked columns ({', '.join(hidden)}): "
                "Claude cannot query it until %mcp_share names it",
            )

        table = Table(answer.data, notes=notes, truncated=answer.truncated)
        origin = Origin(
            OWN_SERVER,
            "query",
            asked.arguments,
            asked.id,
            stamp,
            round(seconds, 4),
            arguments,
        )
        names, _ = keep((table,), origin, lambda names: "")
        if hidden:
            notebook.keep_back(names[0] if names else "", asked.id)

        reading = Reading(
            tables=(table,), reader=_name_engine(answer.notes), confidence="high"
        )
        size = answer.data.nbytes
        return ToolResult(asked.id, "ok", "", seconds, size, names, reading)

    facts = Facts(reads=True, sql="sql", only=True)
    return await calls.perform(asked, arguments, work, facts=facts, given=given)


def _name_engine(notes: tuple[str, ...]) -> str:
    """Where the answer was computed, as the card says it."""
    said = (note for note in notes if note.startswith("computed on"))
    return next(said, "DuckDB in this process")


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

    return parse_words(shlex.split(text))


def parse_words(words: Sequence[str]) -> dict[str, Any]:
    """Arguments written as `name=value` words; raises ConfigError."""
    arguments: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (equals and name.isidentifier()):
            raise ConfigError(
                'Write the arguments as JSON, {"sql": "select 1"}, or as name=value, '
                f"not {word!r}."
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
    emit: Emit = lambda event: None,
) -> tuple[ToolResult, Any]:
    """Run SQL through a server's own query tool and return its result and DataFrame."""
    if not text.strip():
        raise ConfigError("The cell holds no SQL.")

    if server == OWN_SERVER:
        return await own_sql(notebook, text.strip(), into=into, emit=emit)

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
