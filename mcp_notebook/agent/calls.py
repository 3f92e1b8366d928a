"""One tool call: decide, ask, run, and turn the server's answer into a table, a name and what Claude is shown."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mcp_notebook import policy
from mcp_notebook.agent.approvals import Approvals
from mcp_notebook.agent.toolset import Toolset
from mcp_notebook.errors import NotebookError
from mcp_notebook.events import Event, ToolCall, ToolProgress, ToolResult, ToolStarted
from mcp_notebook.naming import sql_of
from mcp_notebook.policy import Grants, Rules
from mcp_notebook.results import read
from mcp_notebook.results.preview import preview

if TYPE_CHECKING:
    from mcp_notebook.results import Reading, Table
    from mcp_notebook.sessions import CallOutcome, Session, ToolInfo

logger = logging.getLogger(__name__)

Emit = Callable[[Event], None]
# Results above this size are read on a worker thread: a second of parsing must not stop every other session.
READ_ASIDE_BYTES = 100_000


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

    def announce(self, block: Mapping[str, Any]) -> ToolCall:
        """The event of a `tool_use` block, with the question when the person must be asked."""
        found = self.toolset.find(block["name"])
        if found is None:
            return ToolCall(block["id"], "", block["name"], dict(block["input"]))
        session, tool = found
        asks = self._decide(session, tool).action == "ask"
        if asks:
            self.approvals.open(block["id"])
        claims = "" if session.trusted else policy.claims(tool.annotations)
        question = question_text(session.name, tool.name, block["input"], claims) if asks else ""
        return ToolCall(block["id"], session.name, tool.name, dict(block["input"]), asks, question, claims)

    async def perform(self, call: ToolCall, api_name: str, emit: Emit) -> ToolResult:
        """Run an announced call to its result; never raises but for cancellation."""
        found = self.toolset.find(api_name)
        if found is None:
            known = ", ".join(self.toolset.by_name) or "none"
            return ToolResult(call.id, "error", f"There is no tool {api_name!r}. Tools: {known}.", 0.0)
        session, tool = found
        denial = await self._denial(call, session, tool)
        if denial:
            return ToolResult(call.id, "denied", denial, 0.0)
        emit(ToolStarted(call.id))
        return await call_tool(
            session, tool, call, keep=self.keep, shaping=self.shaping, timeout=self.timeout, emit=emit
        )

    async def _denial(self, call: ToolCall, session: "Session", tool: "ToolInfo") -> str:
        decision = self._decide(session, tool)
        if decision.action == "ask":
            if not call.needs_approval:  # the definition changed between the announcement and now
                return policy.DENIED_BY_RULE
            answer = await self.approvals.wait(call.id)
            if answer == "always":
                self.grants.add(session.name, tool.name, tool.fingerprint)
            if answer.startswith("deny"):
                _, _, reason = answer.partition(":")
                return f"{policy.DENIED_BY_PERSON} {reason.strip()}".strip()
            return ""
        return decision.reason if decision.action == "deny" else ""

    def _decide(self, session: "Session", tool: "ToolInfo") -> policy.Decision:
        return policy.decide(
            session.name, tool.name, tool.fingerprint, trusted=session.trusted, rules=self.rules, grants=self.grants
        )


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
        return await shape(outcome, tool, origin, keep, shaping)
    except NotebookError as error:
        # The detail (a server's stderr) is for the person; it may hold what must not reach the model.
        return ToolResult(call.id, "error", error.message, time.monotonic() - started)
    except Exception as error:  # boundary: a server's odd answer must not end the cell
        logger.exception("calling %s.%s", session.name, tool.name)
        return ToolResult(
            call.id,
            "error",
            f"The call failed inside the notebook ({type(error).__name__}).",
            time.monotonic() - started,
        )


async def shape(outcome: "CallOutcome", tool: "ToolInfo", origin: Origin, keep: Keep, shaping: Shaping) -> ToolResult:
    """Read the server's answer, keep its tables in the notebook, and write what Claude is shown."""
    if outcome.received_bytes > READ_ASIDE_BYTES:
        return await asyncio.to_thread(_shape, outcome, tool, origin, keep, shaping)
    return _shape(outcome, tool, origin, keep, shaping)


def _shape(outcome: "CallOutcome", tool: "ToolInfo", origin: Origin, keep: Keep, shaping: Shaping) -> ToolResult:
    reading = read(outcome.result, output_schema=tool.output_schema, sql=sql_of(origin.arguments))
    if reading.error is not None:
        return _result(origin, outcome, reading, "error", _capped(reading.error, shaping.text_bytes))
    names = tuple(keep(table, origin, index) for index, table in enumerate(reading.tables))
    parts = [_previewed(table, name, shaping) for table, name in zip(reading.tables, names, strict=True)]
    if reading.text.strip():
        parts.append(_capped(reading.text, shaping.text_bytes))
    parts += [f"Note: {warning}" for warning in outcome.warnings]
    shown = "\n\n".join(parts) or "(the tool returned nothing)"
    return _result(origin, outcome, reading, "ok", shown, names)


def _previewed(table: "Table", name: str, shaping: Shaping) -> str:
    return preview(table.data, name, rows=shaping.rows, mask=shaping.mask, notes=table.notes, truncated=table.truncated)


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


def _capped(text: str, limit: int) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    kept = data[:limit].decode("utf-8", "ignore")
    return f"{kept}\n[cut: the first {limit:,} of {len(data):,} bytes]"


def question_text(server: str, tool: str, arguments: Mapping[str, Any], claims: str) -> str:
    """What the person is asked, with the whole call and every odd character visible as an escape."""
    lines = [f"Claude wants to call {server}.{tool} with"]
    for name, value in arguments.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
        lines.append(f"  {name}: {_visible(text)}")
    return "\n".join([*lines, claims]).rstrip()


def _visible(text: str) -> str:
    return "".join(c if c == "\n" or c.isprintable() else f"\\u{ord(c):04x}" for c in text)
