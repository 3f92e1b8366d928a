"""One tool call: decide, ask, run, and turn the server's answer into a table, a name and what Claude is shown."""

import asyncio
import copy
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mcp_notebook import policy
from mcp_notebook.agent.approvals import Approvals
from mcp_notebook.agent.questions import question_text
from mcp_notebook.agent.repeats import First, Repeats, answer, key_of
from mcp_notebook.agent.sealing import hidden_arguments, seal_result, secret_columns
from mcp_notebook.agent.toolset import Toolset
from mcp_notebook.agent.tracing import tell, tool_span
from mcp_notebook.config import InProcessServer, spec_fingerprint
from mcp_notebook.errors import NotebookError
from mcp_notebook.events import Event, ToolCall, ToolProgress, ToolResult, ToolStarted
from mcp_notebook.masking import seal, seal_text
from mcp_notebook.naming import sql_of
from mcp_notebook.policy import Budget, Grants, Rules
from mcp_notebook.policy.budgets import cut
from mcp_notebook.policy.grants import HERE
from mcp_notebook.results import read
from mcp_notebook.results.preview import preview
from mcp_notebook.sessions import handover

if TYPE_CHECKING:
    from mcp_notebook.results import Reading, Table
    from mcp_notebook.sessions import CallOutcome, Session, ToolInfo

logger = logging.getLogger(__name__)

Emit = Callable[[Event], None]
# Results above this size are read on a worker thread: a second of parsing must not stop every other session.
READ_ASIDE_BYTES = 100_000
MOST_LINKS = 5  # a result that links to more is a listing: its links are read with %mcp_read


@dataclass(frozen=True)
class Origin:
    """Where a table comes from; it stands in `df.attrs["mcp"]`."""

    server: str
    tool: str
    arguments: Mapping[str, Any]
    call_id: str
    time: str  # ISO, when the call was made
    seconds: float


class Keep(Protocol):
    """Puts a table into the notebook and says under which name."""

    def __call__(self, table: "Table", origin: Origin, index: int) -> str: ...


@dataclass(frozen=True)
class Shaping:
    """How much of a result goes to the model, and what never does."""

    rows: int = 5
    text_bytes: int = 50_000
    mask: tuple[str, ...] = ()
    grant: Callable[[int], int] = lambda wanted: wanted  # how many rows the budget allows of those wanted


@dataclass(frozen=True)
class Prepared:
    """A call as it was announced, and asked for: exactly this is sent."""

    event: ToolCall
    session: "Session"
    tool: "ToolInfo"
    arguments: dict[str, Any]
    key: str
    first: First | None  # the same call's result, or its future, when it ran or runs already


@dataclass
class Caller:
    """Makes the tool calls of one cell."""

    toolset: Toolset
    keep: Keep
    rules: Rules = field(default_factory=Rules)
    grants: Grants = field(default_factory=Grants)
    approvals: Approvals = field(default_factory=Approvals)
    shaping: Shaping = field(default_factory=Shaping)
    timeout: float = 60.0
    budget: Budget = field(default_factory=Budget)
    repeats: Repeats = field(default_factory=Repeats)
    _prepared: dict[str, Prepared] = field(default_factory=dict)

    def announce(self, block: Mapping[str, Any]) -> ToolCall:
        """The event of a `tool_use` block, with the question when the person must be asked."""
        found = self.toolset.find(block["name"])
        if found is None:
            return ToolCall(block["id"], "", block["name"], seal(block["input"]))
        session, tool = found
        arguments = copy.deepcopy(block["input"])
        key = key_of(block["name"], arguments)
        first = self.repeats.first(key)
        asks = first is None and self._decide(session, tool, arguments).action == "ask"
        if first is None:
            self.repeats.begin(key)
        if asks:
            self.approvals.open(block["id"])
        shown = seal(arguments)
        told = ["" if session.trusted else policy.claims(tool.annotations), hidden_arguments(arguments, shown)]
        told += [self.grants.history(_spec(session), tool.name, tool.fingerprint, tool.definition)] if asks else []
        claims = "\n".join(line for line in told if line)
        question = question_text(session.name, tool.name, shown, claims) if asks else ""
        event = ToolCall(block["id"], session.name, tool.name, shown, asks, question, claims)
        self._prepared[event.id] = Prepared(event, session, tool, arguments, key, first)
        return event

    async def perform(self, call: ToolCall, emit: Emit) -> ToolResult:
        """Run an announced call to its result; never raises but for cancellation."""
        prepared = self._prepared.pop(call.id, None)
        if prepared is None:
            known = ", ".join(self.toolset.by_name) or "none"
            return self._fitted(ToolResult(call.id, "error", f"There is no tool {call.tool!r}. Tools: {known}.", 0.0))
        if prepared.first is not None:
            return self._fitted(await answer(prepared.first, call.id))
        try:
            result = seal_result(await self._run(prepared, emit))
        except asyncio.CancelledError:
            self.repeats.drop(prepared.key)
            raise
        self.repeats.end(prepared.key, result, changes=not _only_reads(prepared))
        return self._fitted(result)

    async def _run(self, prepared: Prepared, emit: Emit) -> ToolResult:
        with tool_span(prepared.session, prepared.tool, prepared.event.id) as span:
            result = await self._allowed(prepared, emit)
            tell(span, result)
            return result

    async def _allowed(self, prepared: Prepared, emit: Emit) -> ToolResult:
        denial = await self._denial(prepared)
        if denial:
            return ToolResult(prepared.event.id, "denied", denial, 0.0)
        emit(ToolStarted(prepared.event.id))
        left = self.budget.seconds_left()
        return await call_tool(
            prepared.session,
            prepared.tool,
            replace(prepared.event, arguments=prepared.arguments),
            keep=self.keep,
            shaping=replace(self.shaping, grant=self.budget.rows),
            timeout=self.timeout if left is None else min(self.timeout, left),
            emit=emit,
        )

    def _fitted(self, result: ToolResult) -> ToolResult:
        return replace(result, shown=self.budget.fit(result.shown))

    async def _denial(self, prepared: Prepared) -> str:
        session, tool = prepared.session, prepared.tool
        decision = self._decide(session, tool, prepared.arguments)
        if decision.action == "deny":
            return decision.reason
        if decision.action == "ask":
            if not prepared.event.needs_approval:  # the rules changed between the announcement and now
                return policy.DENIED_BY_RULE
            said = await self.approvals.wait(prepared.event.id)
            if said.startswith("deny"):
                return f"{policy.DENIED_BY_PERSON} {said.partition(':')[2].strip()}".strip()
            if decision.always:
                self._remember(said, session, tool)
        return "" if _unchanged(session, tool) else policy.DENIED_CHANGED

    def _remember(self, said: str, session: "Session", tool: "ToolInfo") -> None:
        tools = {"always": [tool], "server": [t for t in session.tools if policy.only_reads(t.annotations)]}
        grants = [
            policy.grant(session.name, _spec(session), t.name, t.fingerprint, t.definition) for t in tools.get(said, ())
        ]
        if grants:
            self.grants.add(*grants)

    def _decide(self, session: "Session", tool: "ToolInfo", arguments: Mapping[str, Any]) -> policy.Decision:
        asked = policy.Asked(
            session.name, tool.name, arguments, _spec(session), tool.fingerprint, trusted=session.trusted
        )
        return policy.decide(asked, self.rules, self.grants)


def _only_reads(prepared: Prepared) -> bool:
    # Here the tool's own claim is enough: it only decides whether an earlier result may be shown again.
    return prepared.session.trusted or policy.only_reads(prepared.tool.annotations)


def _unchanged(session: "Session", tool: "ToolInfo") -> bool:
    """Whether the tool is still what the question was about: a server may list another one at any time."""
    now = next((t for t in session.tools if t.name == tool.name), None)
    return session.trusted or (now is not None and now.fingerprint == tool.fingerprint)


def _spec(session: "Session") -> str:
    # A server inside this kernel has no description that another kernel could know it by.
    here = isinstance(session.spec, InProcessServer)
    return f"{HERE}{session.name}" if here else spec_fingerprint(session.spec)


async def call_tool(
    session: "Session",
    tool: "ToolInfo",
    call: ToolCall,
    *,
    keep: Keep,
    shaping: Shaping,
    timeout: float,
    emit: Emit = lambda _: None,
) -> ToolResult:
    """Call the tool and shape its answer; failures of server and session become an `error` result."""
    started = time.monotonic()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")

    def progress(fraction: float | None, message: str) -> None:
        emit(ToolProgress(call.id, fraction, message))

    try:
        outcome = await session.call(tool.name, call.arguments, timeout=timeout, on_progress=progress)
        origin = Origin(session.name, tool.name, call.arguments, call.id, stamp, round(outcome.seconds, 4))
        return await shape(outcome, tool, origin, keep, shaping, session)
    except NotebookError as error:
        # The detail (a server's stderr) is for the person; it may hold what must not reach the model.
        return ToolResult(call.id, "error", error.message, time.monotonic() - started)
    except Exception as error:  # boundary: a server's odd answer must not end the cell
        # As logger.exception, but what the exception quotes may hold secrets.
        logger.error("calling %s.%s\n%s", session.name, tool.name, seal_text(traceback.format_exc()))
        return ToolResult(
            call.id,
            "error",
            f"The call failed inside the notebook ({type(error).__name__}).",
            time.monotonic() - started,
        )


async def shape(
    outcome: "CallOutcome",
    tool: "ToolInfo",
    origin: Origin,
    keep: Keep,
    shaping: Shaping,
    session: "Session | None" = None,
) -> ToolResult:
    """Read the server's answer, keep its tables in the notebook, and write what Claude is shown."""
    fetch = _follower(session, outcome)
    if outcome.received_bytes > READ_ASIDE_BYTES or fetch is not None:
        handed = handover.folders(session.spec) if session is not None else ()
        return await asyncio.to_thread(_shape, outcome, tool, origin, keep, shaping, fetch, handed)
    return _shape(outcome, tool, origin, keep, shaping)


def _follower(session: "Session | None", outcome: "CallOutcome") -> Callable[[str], object] | None:
    """Reads what a result links to, from the server that sent the link; None when it links to nothing."""
    links = [block for block in outcome.result.content if block.type == "resource_link"]
    if session is None or not 0 < len(links) <= MOST_LINKS:
        return None
    loop = asyncio.get_running_loop()

    def fetch(uri: str) -> object:  # on the worker thread that reads the result
        return asyncio.run_coroutine_threadsafe(session.read_resource(uri), loop).result()

    return fetch


def _shape(
    outcome: "CallOutcome",
    tool: "ToolInfo",
    origin: Origin,
    keep: Keep,
    shaping: Shaping,
    fetch: Callable[[str], object] | None = None,
    handed: tuple[Path, ...] = (),
) -> ToolResult:
    sql = sql_of(origin.arguments)
    reading = read(outcome.result, output_schema=tool.output_schema, sql=sql, fetch=fetch, allowed_dirs=handed)
    handover.take((str(b.uri) for b in outcome.result.content if b.type == "resource_link"), handed)
    if reading.error is not None:
        return _result(origin, outcome, reading, "error", _capped(reading.error, shaping))
    names = tuple(keep(table, origin, index) for index, table in enumerate(reading.tables))
    parts = [_previewed(table, name, shaping) for table, name in zip(reading.tables, names, strict=True)]
    if reading.text.strip():
        parts.append(_capped(reading.text, shaping))
    parts += [f"Note: {warning}" for warning in outcome.warnings]
    shown = "\n\n".join(parts) or "(the tool returned nothing)"
    return _result(origin, outcome, reading, "ok", shown, names)


def _previewed(table: "Table", name: str, shaping: Shaping) -> str:
    rows = shaping.grant(min(shaping.rows, table.data.num_rows))
    mask = (*shaping.mask, *secret_columns(table))
    return preview(table.data, name, rows=rows, mask=mask, notes=table.notes, truncated=table.truncated)


def _result(
    origin: Origin, outcome: "CallOutcome", reading: "Reading", end: Any, shown: str, names: tuple[str, ...] = ()
) -> ToolResult:
    return ToolResult(
        origin.call_id,
        end,
        shown,
        outcome.seconds,
        received_bytes=outcome.received_bytes,
        names=names,
        reading=reading,
        images=reading.images,
    )


def _capped(text: str, shaping: Shaping) -> str:
    size = len(text.encode("utf-8", "replace"))
    return cut(text, shaping.text_bytes, f"\n[cut: the first part of {size:,} bytes]")
