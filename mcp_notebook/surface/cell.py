"""One `%%claude` cell: compose the parts, run the agent on the background loop, show its events in the cell."""

import asyncio
import importlib
import queue
import sys
import uuid
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from mcp_notebook import loop
from mcp_notebook.errors import BudgetError, ConfigError, Stopped
from mcp_notebook.events import Event, Note, Stop, TextDelta, TextDiscarded, ToolCall, ToolResult, Usage
from mcp_notebook.freeze.trail import Run
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.policy import Budget, Limits
from mcp_notebook.surface import answering, byhand, resources
from mcp_notebook.surface.notebook import Notebook


@dataclass(frozen=True)
class Ask:
    """The options of one `%%claude` cell."""

    prompt: str
    into: str = ""
    form: str = ""  # type expression of --as
    dry_run: bool = False
    model: str = ""
    effort: str = ""
    servers: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    rows_to_model: int | None = None
    max_iterations: int | None = None
    max_calls: int | None = None
    max_seconds: float | None = None
    max_tokens: int | None = None
    max_usd: float | None = None
    replay: bool = False


async def events_of(notebook: Notebook, ask: Ask, caller_of: Any, attended: bool) -> AsyncGenerator[Event, None]:
    """The events of one cell; runs on the background loop. `caller_of(toolset, ...)` builds the caller."""
    # The model's SDK takes seconds to import; on a worker thread the heartbeat and other sessions go on meanwhile.
    await asyncio.to_thread(importlib.import_module, "anthropic")
    # So does pandas: it loads while the model thinks, not when the first result is there.
    asyncio.get_running_loop().run_in_executor(None, importlib.import_module, "mcp_notebook.results.preview")
    from mcp_notebook.agent import prompts
    from mcp_notebook.agent.request import Request
    from mcp_notebook.agent.run import run
    from mcp_notebook.agent.toolset import Toolset

    await notebook.own_session()
    sessions = _chosen(notebook, ask.servers)
    for session in sessions:
        session.safe_tools |= notebook.repeatable(session)
    toolset = Toolset.of(sessions)
    backend = backend_of(notebook, ask)
    budget = budget_of(notebook, ask, backend)
    form = answering.form_of(notebook, ask.form)
    for name in (names := prompts.referenced(ask.prompt, notebook.shell.user_ns)):
        notebook.catalog.add(name, variable=name, origin="shared")
    blocks = prompts.user_blocks(ask.prompt, names, lambda n: prompts.schema_of(notebook.table(n)))
    for block in await resources.attached(notebook, ask.prompt, ask.rows_to_model):
        blocks.append({**block, "text": budget.fit(block["text"])})
    request = Request(
        backend,
        prompts.system_prompt(sessions),
        max_tokens=notebook.settings.max_tokens,
        effort=ask.effort or notebook.settings.effort,
        schema=form.schema if form else None,
        problem=form.problem if form else lambda text: "",
        search_above=notebook.settings.tool_search,
    )
    if ask.dry_run:
        async for event in answering.dry_run(notebook, request, blocks, toolset):
            yield event
        return
    for note in answering.length_notes(notebook, backend):
        yield note
    caller = caller_of(toolset, notebook.rules(ask.allow, attended=attended), budget)
    stream = run(notebook.conversation, blocks, request=request, caller=caller)
    async with aclosing(stream) as events:
        async for event in events:
            yield event


def _chosen(notebook: Notebook, names: tuple[str, ...]) -> list[Any]:
    if not names:
        return [s for s in notebook.sessions if s.state != "closed"]
    return [notebook.sessions.get(name) for name in dict.fromkeys((*names, OWN_SERVER))]


def backend_of(notebook: Notebook, ask: Ask) -> Any:
    """Who answers a cell; raises BackendError."""
    from mcp_notebook.agent import backends
    from mcp_notebook.replay import RecordTransport, ReplayTransport

    settings = notebook.settings
    path = notebook.replay_file()
    record = None
    if notebook.recording is not None:
        import httpx2

        record = RecordTransport(
            notebook.recording, httpx2.AsyncHTTPTransport(retries=1), source=settings.record_source
        )
    return backends.choose(
        client=notebook.client(),
        model=ask.model or settings.model,
        prefer="replay" if ask.replay else settings.backend,  # type: ignore[arg-type]
        replay=ReplayTransport(path) if path is not None and notebook.recording is None else None,
        record=record,
    )


def budget_of(notebook: Notebook, ask: Ask, backend: Any) -> Budget:
    """The budget of one cell within the notebook's; raises BudgetError when dollars cannot be counted."""
    settings = notebook.settings
    limits = Limits(
        iterations=ask.max_iterations or settings.max_iterations,
        calls=ask.max_calls or settings.max_calls,
        seconds=ask.max_seconds or settings.max_seconds,
        tokens=ask.max_tokens or settings.max_cell_tokens,
        dollars=ask.max_usd if ask.max_usd is not None else (settings.max_usd or None),
        rows=settings.max_rows_to_model,
        bytes=settings.max_bytes_to_model,
    )
    budget = Budget(limits, settings.notebook_limits(), notebook.spent)
    for dollars in (limits.dollars, budget.notebook.dollars):
        if dollars is not None:
            _check_price(backend, dollars)
    return budget


def _check_price(backend: Any, dollars: float) -> None:
    from mcp_notebook.agent.prices import has_price

    if not backend.free and not has_price(backend.model):
        raise BudgetError(
            f"No price is known for {backend.model!r}, so a budget of ${dollars:g} cannot be kept; "
            "run without a dollar budget or choose another model."
        )


class CellRun:
    """Shows one cell's events while they come; lives until the cell ends."""

    def __init__(self, notebook: Notebook, ask: Ask, *, awaited: bool) -> None:
        from mcp_notebook import display
        from mcp_notebook.agent.approvals import Approvals

        self._notebook, self._ask = notebook, ask
        self._cell = uuid.uuid4().hex[:8]
        self._said = 0  # characters of finished turns
        self._run = Run(self._cell, ask.prompt, ask.into)
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._approvals = Approvals()
        self._attended = is_attended(notebook.shell)
        mode = display.choose_mode(notebook.settings.cards, notebook.shell)
        self._buttons = awaited and mode == "widget" and buttons_work(notebook.shell)
        self._view = display.View(mode=mode, decide=self._approvals.answer, buttons=self._buttons)
        self._ask_by_input = display.ask_by_input
        self._tables: tuple[str, ...] = ()
        self._value: Any = None  # of --as without --into: the cell's own value, so `_`

    async def in_awaited_cell(self) -> Any:
        """Drive the run from a cell that IPython awaits; returns the value of `--as`."""
        with self._notebook.desk.staffed(attended=self._attended, forms=self._buttons):
            future = self._start()
            try:
                await loop.wait_in_cell(future, self._pump)
            except (asyncio.CancelledError, KeyboardInterrupt):
                raise Stopped from None
            finally:
                self._finish()
        return self._value

    def in_blocking_cell(self) -> Any:
        """Drive the run from a nested, synchronous magic; returns the value of `--as`."""
        with self._notebook.desk.staffed(attended=self._attended, forms=False):
            future = self._start()
            try:
                loop.wait(future, self._pump)
            except KeyboardInterrupt:
                raise Stopped from None
            finally:
                self._finish()
        return self._value

    def _start(self) -> "Future[None]":
        if not self._ask.dry_run:
            self._notebook.trail.asked(self._run)
        return loop.submit(self._work())

    async def _work(self) -> None:
        from mcp_notebook.agent.tracing import agent_span

        with agent_span(self._cell, self._ask.model or self._notebook.settings.model):
            await self._events()

    async def _events(self) -> None:
        stream = events_of(self._notebook, self._ask, self._caller, self._attended)
        async with aclosing(stream) as events:
            async for event in events:
                self._queue.put(event)

    def _caller(self, toolset: Any, rules: Any, budget: Budget) -> Any:
        from mcp_notebook.agent.calls import Caller

        before = self._notebook.desk.waited()
        budget.waited = lambda: self._approvals.waited() + self._notebook.desk.waited() - before
        return Caller(
            toolset,
            self._notebook.keep,
            rules=rules,
            grants=self._notebook.grants,
            approvals=self._approvals,
            shaping=self._notebook.shaping(self._ask.rows_to_model),
            timeout=self._notebook.settings.tool_timeout,
            budget=budget,
            sent=self._sent,
        )

    def _sent(self, call: ToolCall) -> None:
        session = self._notebook.sessions.get(call.server)
        facts = byhand.facts_of(session, byhand.find_tool(session, call.tool))
        self._notebook.sent(call, facts=facts, cell=self._cell)

    def _pump(self) -> None:
        while True:
            try:
                event = self._queue.get_nowait()
            except queue.Empty:
                break
            self._take(event)
        self._view.flush()
        self._notebook.desk.pump()

    def _take(self, event: Event) -> None:
        self._notebook.ledger.record(event, cell=self._cell)
        self._follow(event)
        if isinstance(event, Stop) and self._ask.form and event.reason == "done" and not self._ask.dry_run:
            self._take_value()
        elif isinstance(event, Stop) and not self._ask.form:
            self._name_last_table()
        self._view.show(event)
        if isinstance(event, ToolResult) and event.names:
            self._tables = event.names
            self._notebook.shown.update(dict.fromkeys(event.names, event.shown))
        if isinstance(event, ToolCall) and event.needs_approval and not self._buttons:
            self._view.flush()
            self._approvals.answer(event.id, self._ask_by_input(event.question))

    def _follow(self, event: Event) -> None:
        """Keep for %mcp_freeze how calls ended and what was said."""
        if isinstance(event, ToolResult):
            self._notebook.trail.ended(event.id, event.outcome)
        elif isinstance(event, TextDelta):
            self._run.words += event.text
        elif isinstance(event, TextDiscarded):
            self._run.words = self._run.words[: self._said]
        elif isinstance(event, Usage):  # a turn is over: its text stays
            self._run.words = self._run.words.rstrip() + "\n\n"
            self._said = len(self._run.words)

    def _finish(self) -> None:
        self._pump()
        self._notebook.ledger.close(self._cell)
        self._view.close()

    def _take_value(self) -> None:
        form = answering.form_of(self._notebook, self._ask.form)
        assert form is not None
        value = answering.value_of(self._notebook, form)
        if self._ask.into:
            self._notebook.shell.user_ns[self._ask.into] = value
        else:
            self._value = value

    def _name_last_table(self) -> None:
        into = self._ask.into
        if not into:
            return
        if not self._tables:
            self._view.show(Note(f"No table came back, so {into} was not set.", "warning"))
            return
        last = self._tables[-1]
        frame = self._notebook.shell.user_ns[last]
        self._notebook.bind(into, frame)
        self._notebook.trail.named(into, frame)
        if last != into:
            self._view.show(Note(f"{into} = {last}"))


def is_attended(shell: Any) -> bool:
    """Whether a person can answer a question: frontends send `allow_stdin`, nbclient and papermill do not."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return bool(sys.stdin and sys.stdin.isatty())
    return bool(getattr(kernel, "_allow_stdin", False))


def buttons_work(shell: Any) -> bool:
    """Whether clicks arrive while a cell is awaited: ipykernel 7.4 and later (ipython/ipykernel#1565)."""
    if getattr(shell, "kernel", None) is None:
        return False
    parts = getattr(sys.modules.get("ipykernel"), "__version__", "0.0").split(".")
    return parts[0].isdigit() and parts[1].isdigit() and (int(parts[0]), int(parts[1])) >= (7, 4)


def check_name(name: str) -> str:
    """A name for `--into`; raises ConfigError."""
    if name and not name.isidentifier():
        raise ConfigError(f"--into needs a Python name, not {name!r}.")
    return name
