"""The calls of one cell: decide about each, ask the person where that is needed, run
it, notice repeats.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from mcp_notebook import policy
from mcp_notebook.agent.call_values import (
    CallPath,
    Emit,
    Sending,
    Shaping,
    only_number,
)
from mcp_notebook.agent.sealing import hidden_arguments, seal_result
from mcp_notebook.agent.toolset import (
    ASK_NAME,
    FIND,
    PersonQuestion,
    ToolSearch,
    Toolset,
)
from mcp_notebook.config import InProcessServer
from mcp_notebook.errors import NotebookError
from mcp_notebook.events import (
    Approval,
    Note,
    Reply,
    ToolCall,
    ToolResult,
    ToolStarted,
)
from mcp_notebook.ledger import record_outcome, tool_span
from mcp_notebook.naming import ASK, OWN_SERVER, PART
from mcp_notebook.policy import Budget, Grants, Rules
from mcp_notebook.policy.grants import HERE
from mcp_notebook.secrets import seal_arguments, seal_text
from mcp_notebook.untrusted_text import clip

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session, ToolInfo


# Identical calls within one cell: noticed, and answered from the first result instead
# of running again.


REPEATED = (
    "(The same call as before in this cell: it was not run again, this is its first result. "
    "If the answer may have changed since, make the call once more and it runs.)"
)

_NAMED = 60  # tools, where the model called one that is not there

First = ToolResult | asyncio.Future[ToolResult]


def key_of(name: str, arguments: Mapping[str, Any]) -> str:
    """What makes two calls the same."""
    return f"{name} {json.dumps(arguments, sort_keys=True, ensure_ascii=True, default=str)}"


@dataclass
class Repeats:
    """The calls of one cell that succeeded, and those that run."""

    _done: dict[str, ToolResult] = field(default_factory=dict)
    _running: dict[str, asyncio.Future[ToolResult]] = field(default_factory=dict)

    def first(self, key: str) -> First | None:
        """The first call's result when this call need not run; asked for once more, the
        call will run.
        """
        return self._running.get(key) or self._done.pop(key, None)

    def begin(self, key: str) -> None:
        """The call will run; a twin in the same reply waits for it."""
        self._running[key] = asyncio.get_running_loop().create_future()

    def end(self, key: str, result: ToolResult, *, changes: bool) -> None:
        """The call ended. `changes`: it may have changed something, so what was
        answered before may be stale.
        """
        if changes:
            self._done.clear()

        if result.outcome == "ok":
            self._done[key] = result

        future = self._running.pop(key, None)
        if future is not None and not future.done():
            future.set_result(result)

    def drop(self, key: str) -> None:
        """The call was cancelled; so are its twins."""
        future = self._running.pop(key, None)
        if future is not None:
            future.cancel()


async def repeat_result(first: First, call_id: str) -> ToolResult:
    """The result of a repeated call."""
    if isinstance(first, ToolResult):
        result = first
    else:
        result = await asyncio.shield(first)

    if result.outcome == "ok":
        shown = f"{REPEATED}\n\n{result.shown}"
    else:
        shown = result.shown

    return replace(result, id=call_id, shown=shown, seconds=0.0, received_bytes=0)


# Calls that fail in one way again and again: then what is known is worth more than
# another try, or an offer to try.

ALIKE = 3  # turns in a row
_VALUES = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|\b\d[\d.,]*\b""")
_KIND_WORDS = 3  # from which on words say what kind of failure it is


@dataclass
class AlikeFailures:
    """Counts turns whose calls of a tool failed in one way. Several such calls of one
    turn count once: the model could not learn from the first.
    """

    _now: dict[tuple[str, str], None] = field(default_factory=dict)
    _worked: set[str] = field(default_factory=set)
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def note(self, call: ToolCall, result: ToolResult) -> None:
        """Take a result of the turn."""
        name = f"{call.server}.{call.tool}".strip(".")
        if result.outcome == "error":
            self._now[name, kind_of_failure(result.shown)] = None
        elif result.outcome == "ok":
            self._worked.add(name)

    def end_turn(self) -> str:
        """What failed alike in the last turns, in words of ours: those of the failure
        are a server's. "" while that is not so.
        """
        counts = {
            key: self._counts.get(key, 0) + 1
            for key in self._now
            if key[0] not in self._worked
        }
        # another tool's turn between two failures is part of mending them
        waiting = {key: n for key, n in self._counts.items() if key not in counts}
        self._counts = counts | {
            key: n for key, n in waiting.items() if key[0] not in self._worked
        }
        self._now, self._worked = {}, set()
        for (name, _), count in counts.items():
            if count >= ALIKE:
                return f"{name} failed in the same way in {count} turns"

        return ""


def kind_of_failure(shown: str) -> str:
    """The words of a failure without the values in it: `no such column`."""
    first = next((line for line in shown.splitlines() if line.strip()), "failed")
    pieces = _VALUES.sub("…", first).split(":")
    kind = pieces[0]
    for piece in pieces[1:]:
        if len(kind.split()) >= _KIND_WORDS:
            break

        kind += f":{piece}"

    return clip(" ".join(kind.split()), 80)


# What the agent needs of whoever asks the person; the notebook has it in
# notebook/asker.py.


class Approvals(Protocol):
    """The open questions about the calls of one cell; used on the background loop."""

    def open(self, call: ToolCall) -> None:
        """Open the question before it is shown, so that no answer can come too early."""

    def is_open(self, call_id: str) -> bool:
        """Whether the question was opened, and neither waited for nor withdrawn since."""
        ...

    def withdraw(self, call_id: str) -> None:
        """Take a question back: it need not be answered any more."""

    def answer(self, call_id: str, reply: Reply) -> None:
        """Answer a question; a second answer to the same question does nothing."""

    async def wait(self, call_id: str) -> Reply:
        """The person's answer: `once`, `always`, `server`, or `deny`, perhaps with a reason."""
        ...


NOT_CHOSEN = (
    "The person did not choose. Take the most plausible reading, and say in your answer "
    "which one you took."
)
NOBODY_THERE = (
    "Nobody is there to be asked. Take the most plausible reading, and say in your "
    "answer which one you took."
)


@dataclass(frozen=True)
class Person:
    """Whom the model may ask. `ask` waits for the reply, with what was filled in;
    `recorded` gives what stands recorded of the very same call, "" where nothing does.
    Only a replay has the tool where nobody `is_there`.
    """

    ask: Callable[[PersonQuestion], Awaitable[Reply]]
    recorded: Callable[[str, Mapping[str, Any]], str] = lambda name, arguments: ""
    is_there: bool = True


class BroughtPart(Protocol):
    """What a server is asked for one table of a statement; `count`: its number of rows."""

    @property
    def server(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def sql(self) -> str: ...
    @property
    def count(self) -> str: ...


class BroughtParts(Protocol):
    """A statement over tables of other servers, and what has to be brought for it."""

    @property
    def parts(self) -> Sequence[BroughtPart]: ...
    def write(self, names: Mapping[Any, str]) -> str: ...
    def call_of(self, server: str, sql: str) -> tuple[str, dict[str, Any]]:
        """The model's name of the server's tool for SQL, and its arguments."""
        ...

    def looks_cut(self, rows: int) -> bool: ...


@dataclass(frozen=True)
class Prepared:
    """A call as it was announced, and asked for: exactly this is sent, and exactly
    these tools can be allowed.
    """

    event: ToolCall
    session: Session
    tool: ToolInfo
    arguments: dict[str, Any]
    key: str
    # the same call's result, or its future, when it ran or runs already
    first: First | None
    # the server's tools that said, when asked, that they only read
    reading: tuple[ToolInfo, ...] = ()


@dataclass
class Caller:
    """Makes the tool calls of one cell."""

    toolset: Toolset
    path: CallPath
    approvals: Approvals
    rules: Rules = field(default_factory=Rules)
    grants: Grants = field(default_factory=Grants)
    shaping: Shaping = field(default_factory=Shaping)
    timeout: float = 60.0
    budget: Budget = field(default_factory=Budget)
    repeats: Repeats = field(default_factory=Repeats)
    failures: AlikeFailures = field(default_factory=AlikeFailures)
    # where tools are looked up by the model instead of sent
    search: ToolSearch | None = None
    # None where nobody can be asked, nor was when this was recorded
    person: Person | None = None
    # what the SQL of a call to the notebook's server needs of other servers first;
    # raises DataError and ConfigError
    split: Callable[[Mapping[str, Any]], BroughtParts | None] = lambda arguments: None
    # told of each call that will run, in their order, with its exact arguments
    promise: Callable[[ToolCall, Mapping[str, Any]], None] = lambda call, arguments: (
        None
    )
    _prepared: dict[str, Prepared] = field(default_factory=dict)
    _asking: dict[str, Prepared] = field(default_factory=dict)

    def announce(self, block: Mapping[str, Any]) -> ToolCall:
        """The event of a `tool_use` block, with the question when the person must be asked."""
        found = self.toolset.find(block["name"])
        if found is None:
            server, name = self._own_tool(block["name"])
            return ToolCall(block["id"], server, name, seal_arguments(block["input"]))

        session, tool = found
        offered = self.toolset.form_of(block["name"])
        taken, read = offered.take_arguments(block["input"])
        arguments = copy.deepcopy(taken)
        key = key_of(block["name"], arguments)
        first = self.repeats.first(key)
        if session.trusted:
            claims = ""
        else:
            claims = policy.claim_text(tool.annotations)

        event = ToolCall(
            block["id"],
            session.name,
            tool.name,
            seal_arguments(arguments),
            claims=claims,
            read=read,
        )
        prepared = Prepared(event, session, tool, arguments, key, first)
        if first is None:
            self.repeats.begin(key)
            self.promise(event, arguments)
            prepared = self._add_question(prepared)

        self._prepared[event.id] = prepared
        return prepared.event

    def _own_tool(self, name: str) -> tuple[str, str]:
        """The server and name of a tool that the cell itself answers for; another name
        is nobody's.
        """
        if self.person is not None and name == ASK_NAME:
            return OWN_SERVER, ASK
        if self.search is not None and name == FIND:
            return OWN_SERVER, FIND

        return "", name

    def _add_question(self, prepared: Prepared) -> Prepared:
        """The same call with its question, opened, when the rules say that the person is asked."""
        session, tool, event = prepared.session, prepared.tool, prepared.event
        decision = self._decide(session, tool, prepared.arguments)
        if decision.action != "ask":
            return prepared

        lasting = decision.always
        if lasting and policy.only_reads(tool.annotations):
            reading = tuple(
                t for t in session.tools if policy.only_reads(t.annotations)
            )
        else:
            reading = ()

        approval = Approval(
            arguments=copy.deepcopy(prepared.arguments),
            hidden=hidden_arguments(prepared.arguments, event.arguments),
            history="\n".join(
                filter(
                    None,
                    (self._history(session, tool), _describe_change(session, tool)),
                )
            ),
            reading=tuple(t.name for t in reading),
            lasting=lasting,
        )
        asking = replace(event, needs_approval=True, approval=approval)
        self.approvals.open(asking)
        return replace(prepared, event=asking, reading=reading)

    async def perform(self, call: ToolCall, emit: Emit) -> ToolResult:
        """Run an announced call to its result; never raises but for cancellation."""
        prepared = self._prepared.pop(call.id, None)
        if prepared is None:
            if (call.server, call.tool) == (OWN_SERVER, ASK):
                return self._fit_budget(await self._ask_to_choose(call, emit))

            return self._fit_budget(self._answer_unsent(call))

        if prepared.first is not None:
            return self._fit_budget(await repeat_result(prepared.first, call.id))

        try:
            result = seal_result(await self._run_traced(prepared, emit))
        except asyncio.CancelledError:
            self.repeats.drop(prepared.key)
            raise

        self.repeats.end(prepared.key, result, changes=not _is_reading(prepared))
        return self._fit_budget(result)

    async def _ask_to_choose(self, call: ToolCall, emit: Emit) -> ToolResult:
        """The result of a call that asks the person, once they answered."""
        assert self.person is not None
        try:
            question = PersonQuestion.from_call(call.arguments)
        except ValueError as error:
            return ToolResult(call.id, "error", str(error), 0.0)

        emit(ToolStarted(call.id))
        # The turns after it were written for that answer, whoever replays them.
        recorded = self.person.recorded(ASK_NAME, call.arguments)
        if recorded:
            emit(Note(f"Not asked again: {recorded} (recorded)"))
            return ToolResult(call.id, "ok", recorded, 0.0)

        if not self.person.is_there:
            return ToolResult(call.id, "ok", NOBODY_THERE, 0.0)

        reply = await self.person.ask(question)
        return ToolResult(call.id, "ok", _say_choice(reply), 0.0)

    def _answer_unsent(self, call: ToolCall) -> ToolResult:
        """The result of a call that goes to no server: a search, or an unknown tool."""
        if self.search is None:
            names = list(self.toolset.by_name)
            known = ", ".join(names[:_NAMED]) or "none"
            if len(names) > _NAMED:
                known += f" and {len(names) - _NAMED} more"

            said = f"There is no tool {call.tool!r}. Tools: {known}."
            return ToolResult(call.id, "error", said, 0.0)

        if call.server != OWN_SERVER:
            said = f"There is no tool {call.tool!r}. {FIND} finds those there are."
            return ToolResult(call.id, "error", said, 0.0)

        words = call.arguments.get("words")
        if isinstance(words, str):
            return ToolResult(call.id, "ok", self.search.look_up(words), 0.0)

        return ToolResult(call.id, "error", f"{FIND} takes `words`, a text.", 0.0)

    async def _run_traced(self, prepared: Prepared, emit: Emit) -> ToolResult:
        with tool_span(prepared.session, prepared.tool, prepared.event.id) as span:
            result = await self._send_if_allowed(prepared, emit)
            record_outcome(span, result)
            return result

    async def _send_if_allowed(self, prepared: Prepared, emit: Emit) -> ToolResult:
        denial = await self._find_denial(prepared)
        if denial:
            return ToolResult(prepared.event.id, "denied", denial, 0.0)

        emit(ToolStarted(prepared.event.id))
        try:
            prepared, said = await self._bring_parts(prepared, emit)
        except NotebookError as error:
            return ToolResult(prepared.event.id, "error", error.message, 0.0)
        except _PartMissing as error:
            return ToolResult(prepared.event.id, "error", str(error), 0.0)

        result = await self._send(prepared, emit)
        return replace(result, shown="\n\n".join([*said, result.shown]))

    async def _bring_parts(
        self, prepared: Prepared, emit: Emit
    ) -> tuple[Prepared, list[str]]:
        """The call with its SQL over tables that are here, and what was asked for them:
        each part is a call of its own, with its card, its question and its limits.
        """
        if prepared.session.name != OWN_SERVER or prepared.tool.name != "query":
            return prepared, []

        split = self.split(prepared.arguments)
        if split is None:
            return prepared, []

        names, said = {}, []
        for number, part in enumerate(split.parts, 1):
            call_id = f"{prepared.event.id}{PART}{number}"
            name, rows = await self._bring_part(split, part, call_id, emit)
            names[part] = name
            said.append(f"Asked {part.server}: {part.sql}; {rows:,} rows, as {name}.")

        arguments = {**prepared.arguments, "sql": split.write(names)}
        return replace(prepared, arguments=arguments), said

    async def _bring_part(
        self, split: BroughtParts, part: BroughtPart, call_id: str, emit: Emit
    ) -> tuple[str, int]:
        """The name and the rows of a table that a server gave, whole; raises _PartMissing."""
        of = f"{part.table} of {part.server}"
        result = await self._call_part(split, part.server, part.sql, call_id, emit)
        if result.outcome != "ok" or result.reading is None or not result.names:
            raise _PartMissing(f"{of} was not brought: {result.shown}")

        table = result.reading.tables[0]
        rows = table.data.num_rows
        if table.truncated:
            raise _PartMissing(_CUT.format(of=of, why=table.truncated, part=part))
        if not split.looks_cut(rows):
            return result.names[0], rows

        counted = await self._call_part(
            split, part.server, part.count, f"{call_id}_count", emit
        )
        there = only_number(counted)
        if there != rows:
            why = f"{rows:,} rows came, and it counts {there}"
            raise _PartMissing(_CUT.format(of=of, why=why, part=part))

        return result.names[0], rows

    async def _call_part(
        self, split: BroughtParts, server: str, sql: str, call_id: str, emit: Emit
    ) -> ToolResult:
        if self.budget.calls_left() == 0:
            raise _PartMissing("The limit of tool calls is reached.")

        name, arguments = split.call_of(server, sql)
        call = self.announce({"id": call_id, "name": name, "input": arguments})
        emit(call)
        result = await self.perform(call, emit)
        emit(result)
        return result

    async def _send(self, prepared: Prepared, emit: Emit) -> ToolResult:
        limit = prepared.session.seconds_for(None, self.timeout)
        left = self.budget.seconds_left()
        return await self.path.send(
            Sending(
                prepared.event, prepared.arguments, prepared.session, prepared.tool
            ),
            shaping=replace(self.shaping, grant=self.budget.rows),
            timeout=limit if left is None else min(limit, left),
            emit=emit,
        )

    def _fit_budget(self, result: ToolResult) -> ToolResult:
        return replace(result, shown=self.budget.fit(result.shown))

    async def _find_denial(self, prepared: Prepared) -> str:
        session, tool = prepared.session, prepared.tool
        decision = self._decide(session, tool, prepared.arguments)
        is_open = self.approvals.is_open(prepared.event.id)
        if decision.action == "ask":
            if not is_open:  # the rules changed between the announcement and now
                return policy.DENIED_BY_RULE

            denial = await self._ask_person(prepared, decision)
            if denial:
                return denial
        elif is_open:  # an answer to another call settled this one as well
            self.approvals.withdraw(prepared.event.id)

        if decision.action == "deny":
            return decision.reason

        if _is_unchanged(session, tool):
            return ""

        return policy.DENIED_CHANGED

    async def _ask_person(self, prepared: Prepared, decision: policy.Decision) -> str:
        """Wait for the person; returns what Claude is told of a denial, or an empty string."""
        self._asking[prepared.event.id] = prepared
        try:
            reply = await self.approvals.wait(prepared.event.id)
        finally:
            del self._asking[prepared.event.id]

        if reply.choice not in ("once", "always", "server"):
            return policy.denial_text(reply.reason)

        if decision.always:
            self._remember(reply.choice, prepared)

        if _is_unchanged(prepared.session, prepared.tool):
            # the person has seen the difference
            prepared.session.accept_changes(prepared.tool.name)

        return ""

    def _history(self, session: Session, tool: ToolInfo) -> str:
        return self.grants.history(
            _spec_key(session), tool.name, tool.fingerprint, tool.definition
        )

    def _remember(self, choice: str, prepared: Prepared) -> None:
        """Keep an answer for good, bound to the definitions that the question was
        about; it answers its like, too.
        """
        session = prepared.session
        tools = {"always": (prepared.tool,), "server": prepared.reading}.get(choice, ())
        if not tools:
            return

        spec = _spec_key(session)
        self.grants.add(
            *(
                policy.grant(session.name, spec, t.name, t.fingerprint, t.definition)
                for t in tools
            )
        )
        for other in self._asking.values():
            if (
                self._decide(other.session, other.tool, other.arguments).action
                == "allow"
            ):
                self.approvals.answer(other.event.id, Reply("once"))

    def _decide(
        self, session: Session, tool: ToolInfo, arguments: Mapping[str, Any]
    ) -> policy.Decision:
        asked = policy.CallRequest(
            session.name,
            tool.name,
            arguments,
            _spec_key(session),
            tool.fingerprint,
            trusted=session.trusted,
            changed=bool(_describe_change(session, tool)),
        )
        return policy.decide(asked, self.rules, self.grants)


_CUT = (
    "{of} did not come whole ({why}), so nothing was joined: add a condition on it, or "
    "aggregate with {part.server}'s own tool and join that table."
)


class _PartMissing(Exception):
    """A part of a statement did not come, or not whole; its text is for the model."""


def _say_choice(reply: Reply) -> str:
    words = " ".join(str(value) for value in reply.values.values() if value)
    if reply.choice in ("deny", "cancel") or not words.strip():
        return NOT_CHOSEN

    return f"The person answered: {seal_text(words.strip())}"


def _is_reading(prepared: Prepared) -> bool:
    # Here the tool's own claim is enough: it only decides whether an earlier result may
    # be shown again.
    return prepared.session.trusted or policy.only_reads(prepared.tool.annotations)


def _describe_change(session: Session, tool: ToolInfo) -> str:
    """What the server changed about a tool since it was connected, as a diff; empty for
    one that is as it was.
    """
    change = next(
        (change for change in session.changed_tools if change.name == tool.name), None
    )
    if change is None:
        return ""

    return "\n".join(
        [
            "The tool has CHANGED since its server was connected:",
            *change.diff().splitlines()[:60],
        ]
    )


def _is_unchanged(session: Session, tool: ToolInfo) -> bool:
    """Whether the tool is still what the question was about: a server may list another
    one at any time.
    """
    now = next((t for t in session.tools if t.name == tool.name), None)
    return session.trusted or (now is not None and now.fingerprint == tool.fingerprint)


def _spec_key(session: Session) -> str:
    # A server inside this kernel has no description that another kernel could know it by.
    here = isinstance(session.spec, InProcessServer)
    if here:
        return f"{HERE}{session.name}"

    return session.identity
