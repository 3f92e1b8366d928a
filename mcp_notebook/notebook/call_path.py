"""The one way of every call: by Claude, by hand, of the person's SQL, of a resource.

A call's event is made once, without secrets, and everybody who is told of it takes that
event: the log, what can be frozen, and whoever shows it. Only the server gets the
arguments as they are.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import importlib
import itertools
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mcp_notebook import sql_words
from mcp_notebook.agent.call_values import Sending
from mcp_notebook.errors import ConfigError, NotebookError
from mcp_notebook.events import (
    Event,
    Note,
    Outcome,
    ToolCall,
    ToolResult,
    ToolStarted,
)
from mcp_notebook.freeze.call_log import Facts, Kind
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.notebook.servers import sent_and_told
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.policy import only_reads
from mcp_notebook.secrets import seal_arguments, seal_text

if TYPE_CHECKING:
    from mcp_notebook.agent.call_values import Keep, Sending, Shaping
    from mcp_notebook.charts.compute import Chart
    from mcp_notebook.sessions import Session, ToolInfo
    from mcp_notebook.sharing.parts import Part, Split

_numbers = itertools.count(1)  # of calls by hand in this process

BY_HAND = "by hand"  # the cell of calls without a model, in the log
# Tools of servers we have seen, most careful first; any other tool with an SQL argument
# is taken when it is alone.
QUERY_TOOLS = (
    "query_database",
    "query",
    "read_query",
    "select_query",
    "execute_read_query",
    "run_select_query",
    "execute_sql",
    "execute_query",
    "run_query",
    "sql_query",
)


def new_call(
    prefix: str, server: str, tool: str, arguments: Mapping[str, Any]
) -> ToolCall:
    """The event of a call that the person makes, with an id of its own."""
    # Of what is called and which call it is: a notebook that runs again gives its calls
    # the same ids, so that what it saves is the same.
    sealed = seal_arguments(arguments)
    said = json.dumps([next(_numbers), server, tool, sealed], default=str)
    call_id = (
        f"{prefix}_{hashlib.sha256(said.encode('utf-8', 'replace')).hexdigest()[:12]}"
    )
    return ToolCall(call_id, server, tool, sealed)


class NotebookCalls:
    """The calls of one cell, or those by hand, on their way (`agent.calls.CallPath`).

    `keep` takes their tables, `show` every event.
    """

    def __init__(
        self,
        notebook: Notebook,
        *,
        cell: str = "",
        keep: Keep | None = None,
        show: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self._notebook = notebook
        self._cell = cell
        self._keep = notebook.keep if keep is None else keep
        self._show = show

    def tell(self, event: Event) -> None:
        """Give an event to everybody: the log, what can be frozen, and who shows it."""
        self._notebook.ledger.record(event, cell=self._cell or BY_HAND)
        if isinstance(event, ToolResult):
            self._notebook.release_name(event.id)
            self._notebook.remember_answer(event)
            chart = _chart_in(event)
            self._notebook.trail.note_end(event.id, event.outcome, chart)
            self._notebook.shown.update(dict.fromkeys(event.names, event.shown))

        self._show(event)

    async def send(
        self,
        sending: Sending,
        *,
        shaping: Shaping,
        timeout: float,
        emit: Callable[[Event], None],
    ) -> ToolResult:
        """Send a call of a tool that was told of; never raises but for cancellation."""
        # loads the reading of results, wanted at the first call
        calls = importlib.import_module("mcp_notebook.agent.calls")
        self._notebook.remember_call(
            sending.call,
            sending.arguments,
            facts=facts_of(sending.session, sending.tool),
            cell=self._cell,
        )
        tape = self._notebook.tape
        recorded = None
        try:
            if tape.plays(sending.session.name):
                recorded = await asyncio.to_thread(tape.play, sending)
        except NotebookError as error:
            return ToolResult(sending.call.id, "error", error.message, 0.0)

        if recorded is not None:
            result = await calls.give_recorded(
                sending, recorded, keep=self._keep, shaping=shaping
            )
        else:
            result = await calls.call_tool(
                sending, keep=self._keep, shaping=shaping, timeout=timeout, emit=emit
            )

        if tape.is_wanted:
            # Aside: what is kept of a large table takes its time.
            missing = await asyncio.to_thread(tape.take, sending, result)
            if missing:
                emit(Note(missing, "warning"))

        return replace(result, answer=None)

    async def call_tool(
        self, server: str, tool: str, arguments: Mapping[str, Any], timeout: float
    ) -> ToolResult:
        """Call one tool for the person. Raises ConfigError and SessionError for unknown
        names.
        """
        session = await self._notebook.session(server)
        # An unknown tool is said before anything is told: it is no call.
        info = find_tool(session, tool)
        variables = self._notebook.shell.user_ns
        exact, told = sent_and_told(info, arguments, variables)
        call = new_call("hand", server, info.name, told)
        sending = Sending(call, exact, session, info)
        sent = self.send(
            sending,
            shaping=self._notebook.make_shaping(),
            timeout=session.seconds_for(timeout, self._notebook.settings.tool_timeout),
            emit=self.tell,
        )
        return await self._through(call, sent)

    async def perform(
        self,
        call: ToolCall,
        arguments: Mapping[str, Any],
        work: Callable[[Keep], Awaitable[ToolResult]],
        *,
        facts: Facts,
        kind: Kind = "tool",
        given: Mapping[str, Any] | None = None,
    ) -> ToolResult:
        """Make a call that goes another way than to a tool: `work` is its doing.

        `given`: the tables that SQL was given by name. Raises what `work` raises.
        """
        self._notebook.remember_call(
            call, arguments, facts=facts, cell=self._cell, kind=kind, given=given
        )
        return await self._through(call, work(self._keep))

    async def _through(self, call: ToolCall, work: Awaitable[ToolResult]) -> ToolResult:
        """Tell of a call from its start to its end, whatever ends it.

        Returns the result as the person gets it; what is told of it has no secrets.
        """
        # loads the reading of results, wanted at the first call
        from mcp_notebook.agent.sealing import seal_result

        self.tell(call)
        self.tell(ToolStarted(call.id))
        started = time.monotonic()
        try:
            result = await work
        except BaseException as error:
            # also a cancellation: a call that was told of has an end in every log
            seconds = time.monotonic() - started
            self.tell(ToolResult(call.id, *_end_of(error), seconds))
            raise

        self.tell(seal_result(result))
        return result


def _chart_in(event: ToolResult) -> Chart | None:
    """The chart of one of the notebook's tables that a call drew."""
    if event.reading is None:
        return None

    drawn = (getattr(drawing, "chart", None) for drawing in event.reading.charts)
    return next(filter(None, drawn), None)


def _end_of(error: BaseException) -> tuple[Outcome, str]:
    """How a call ended that raised, and in which words."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled", ""

    if isinstance(error, NotebookError):
        words = error.message
    else:
        words = type(error).__name__

    return "error", seal_text(words)


def facts_of(session: Session, tool: ToolInfo) -> Facts:
    """What is known of a tool when it is called."""
    argument = _sql_argument(tool.input_schema, tool.description)
    reads = (
        session.trusted
        or tool.name in session.safe_tools
        or only_reads(tool.annotations)
    )
    return Facts(reads, argument, bool(argument) and _is_query_tool(session, tool))


def _is_query_tool(session: Session, tool: ToolInfo) -> bool:
    """Whether SQL goes to this tool where none is named."""
    try:
        return query_tool(session)[0].name == tool.name
    except ConfigError:
        return False


def find_tool(session: Session, name: str) -> ToolInfo:
    """A tool of a session by name; raises ConfigError with near misses."""
    for tool in session.tools:
        if tool.name == name:
            return tool

    names = [tool.name for tool in session.tools]
    near = difflib.get_close_matches(name, names, 1, 0.6)
    if near:
        raise ConfigError(
            f"{session.name} has no tool {name!r}; did you mean {near[0]!r}? "
            "%mcp_tools lists them all."
        )

    known = ", ".join(names[:40]) or "none"
    raise ConfigError(f"{session.name} has no tool {name!r}; its tools: {known}.")


def query_tool(session: Session, wanted: str = "") -> tuple[ToolInfo, str]:
    """The tool of a session that takes SQL, and the name of that argument; raises ConfigError."""
    if wanted:
        tools = [find_tool(session, wanted)]
    else:
        tools = list(session.tools)

    found = {}
    for tool in tools:
        argument = _sql_argument(tool.input_schema, tool.description)
        if argument:
            found[tool.name] = (tool, argument)

    # A server may offer one tool that reads and one that writes.
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
        f"{session.name} has several tools that take SQL; choose one with --tool: "
        f"{', '.join(found)}."
    )


# One statement over tables of several servers: `shop.orders` beside the notebook's own.

_DOTTED = re.compile(r'\b(?:from|join)\s+"?[\w-]+"?\s*\.', re.IGNORECASE)


@dataclass(frozen=True)
class SqlParts:
    """A statement that names tables of other servers, and how each is asked for its
    part: the name of its tool for SQL, and of that tool's argument.
    """

    split: Split
    tools: Mapping[str, tuple[str, str]]

    @property
    def parts(self) -> Sequence[Part]:
        """What is asked first."""
        return self.split.parts

    def write(self, names: Mapping[Part, str]) -> str:
        """The statement over the tables that came, by their names in the notebook."""
        return self.split.write(names)

    def call_of(self, server: str, sql: str) -> tuple[str, dict[str, Any]]:
        """The tool that takes a part, and its arguments."""
        tool, argument = self.tools[server]
        return tool, {argument: sql}

    def looks_cut(self, rows: int) -> bool:
        """Whether that many rows may be cut without a word, so that they are counted."""
        return looks_cut(rows)


def split_parts(
    notebook: Notebook,
    sql: str,
    sessions: Mapping[str, Session],
    name_of: Callable[[str, str], str] = lambda server, tool: tool,
) -> SqlParts | None:
    """The parts of a statement over the notebook's tables that names those of connected
    servers; None where it names none. `name_of` gives the name of a server's tool.

    Raises DataError and ConfigError: an unknown server, or one that takes no SQL.
    """
    others = [name for name in sessions if name != OWN_SERVER]
    lowered = sql.lower()
    named = any(f"{name.lower()}." in lowered.replace('"', "") for name in others)
    if not named and not _DOTTED.search(sql):
        return None

    # loads sqlglot, which a statement over the notebook's tables alone does not need
    splitting = importlib.import_module("mcp_notebook.sharing.parts")
    split = splitting.split_statement(
        sql, others, known=notebook.catalog.names(), mask=notebook.veil.patterns
    )
    if split is None:
        return None

    tools = {}
    for server in dict.fromkeys(part.server for part in split.parts):
        tool, argument = query_tool(sessions[server])
        name = name_of(server, tool.name)
        if not name:
            raise ConfigError(f"{server}.{tool.name} is not offered here.")

        tools[server] = (name, argument)

    return SqlParts(split, tools)


def looks_cut(rows: int) -> bool:
    """Whether rows may be what a server's own limit left: those are round numbers."""
    return rows > 0 and rows % 10 == 0


def _sql_argument(schema: Mapping[str, Any], description: str) -> str:
    """The argument that takes an SQL text, when nothing else is required; else an empty string."""
    properties = schema.get("properties") or {}
    required = set(schema.get("required") or ())
    for name in sql_words.SQL_ARGUMENTS:
        if name not in properties or not required <= {name}:
            continue

        of_argument = (properties[name] or {}).get("description", "")
        # `q` is what any search calls its words
        if name != "q" or "sql" in f"{description} {of_argument}".lower():
            return name

    return ""
