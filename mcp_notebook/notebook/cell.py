"""One question on its way: run on the background loop, shown and answered in the thread
of the cell that waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import queue
import re
from concurrent.futures import Future
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mcp_notebook import loop
from mcp_notebook.display.html_parts import safe_markdown
from mcp_notebook.display.outputs import LONG, PATIENCE, choose_mode
from mcp_notebook.display.view import View
from mcp_notebook.errors import Stopped
from mcp_notebook.events import (
    Event,
    Footer,
    Note,
    Stop,
    TextDelta,
    TextDiscarded,
    ThinkingDelta,
    ToolCall,
    ToolProgress,
    ToolResult,
    ToolStarted,
    Usage,
    Working,
)
from mcp_notebook.freeze.call_log import Run
from mcp_notebook.ledger import agent_span
from mcp_notebook.naming import ASK, OWN_SERVER, PART
from mcp_notebook.notebook import stale
from mcp_notebook.notebook.asker import (
    CallApprovals,
    buttons_work,
    is_attended,
    takes_cells,
)
from mcp_notebook.notebook.call_path import NotebookCalls
from mcp_notebook.notebook.options import AskOptions, split_names
from mcp_notebook.notebook.state import Notebook, cell_id, execution_id
from mcp_notebook.policy import Budget
from mcp_notebook.secrets import seal_text
from mcp_notebook.untrusted_text import visible

if TYPE_CHECKING:
    from mcp_notebook.agent.conversation import Conversation


# A view that shows nothing but the calls that a person must answer for and, when it
# takes long, that it goes on.


class Questions:
    """Passes on a view's events of calls that ask; of the rest of a run only its state
    line, and what it took.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._asked: set[str] = set()

    def show(self, event: Event) -> None:
        """Show an event that belongs to a question."""
        if isinstance(event, ToolCall) and event.needs_approval:
            self._asked.add(event.id)

        if (
            isinstance(event, ToolCall | ToolStarted | ToolProgress | ToolResult)
            and event.id in self._asked
        ):
            self._view.show(event)
        elif isinstance(event, Working | ThinkingDelta) or (
            isinstance(event, Footer) and self._view.has_waited
        ):
            self._view.show(event)  # the footer stands where the line was

    def flush(self) -> None:
        """Draw what is due."""
        self._view.flush()

    def close(self) -> None:
        """End the view."""
        self._view.close()


Shown = Literal["all", "state", "none"]
QUESTION = 60  # characters by which a cell is known in %claude_cost


class Shows(Protocol):
    """What a run is shown by; `View` is one."""

    def show(self, event: Event) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class CellRun:
    """One run from its start to its end. `seen` are its events so far, `value` that of
    `--as` without `--into`.

    `owner`: the id of the notebook's cell whose turns these are; `by_code`: it cannot be
    asked again without that cell.

    `shown`: "all"; "state": only that it goes on, when it takes long; "none". Questions
    that a person must answer are shown in any case.
    """

    def __init__(
        self,
        notebook: Notebook,
        options: AskOptions,
        *,
        conversation: Conversation | None = None,
        shown: Shown = "all",
        owner: str = "",
        by_code: bool = False,
        execution: str = "",
    ) -> None:
        self._notebook, self._shown = notebook, shown
        self._options = options.settle(notebook.settings)
        # Not the one of the moment it starts: %claude_fork may switch meanwhile.
        self._conversation = (
            notebook.conversation if conversation is None else conversation
        )
        self._owner, self._asked = owner, None if by_code else options
        self._execution = execution or execution_id(notebook.shell)
        self._named: tuple[str, ...] = ()  # the tables that the question names
        # the same when the notebook runs again, for it is in what the log shows
        said = f"{next(notebook.numbers)} {options.prompt}".encode("utf-8", "replace")
        self._cell = hashlib.sha256(said).hexdigest()[:8]
        self._said = 0  # characters of finished turns
        self._turn_began = 0  # where the words of the last finished turn begin
        self._run = Run(self._cell, options.prompt, options.into)
        notebook.questions[self._cell] = seal_text(
            " ".join(options.prompt.split())[:QUESTION]
        )
        # drawn in the cell's own thread, so what happens waits there
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._calls = NotebookCalls(notebook, cell=self._cell, show=self._queue.put)
        self._approvals = CallApprovals(notebook.asker)
        self._attended = is_attended(notebook.shell)
        self._view: Shows | None = None
        self._buttons = False
        self._mode = ""  # how it is shown
        self._future: Future[None] | None = None
        # the composing module, once the run has loaded it with the model's SDK
        self._compose: Any = None
        # the tables of each call, in the order of the calls
        self._tables: dict[str, tuple[str, ...]] = {}
        self.seen: list[Event] = []
        self.value: Any = None

    @property
    def cell(self) -> str:
        """What the run is called in the ledger."""
        return self._cell

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables that came, in the order of the calls that gave them
        last.
        """
        names = [name for names in self._tables.values() for name in names]
        return tuple(reversed(dict.fromkeys(reversed(names))))

    async def in_awaited_cell(self) -> Any:
        """Drive the run from a cell that IPython awaits; returns the value of `--as`.
        An interrupt raises Stopped.
        """
        try:
            await self.run_awaited()
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise Stopped from None

        return self.value

    def in_blocking_cell(self) -> Any:
        """Drive the run from a nested, synchronous magic; returns the value of `--as`."""
        try:
            self.run_blocking()
        except KeyboardInterrupt:
            raise Stopped from None
        return self.value

    async def run_awaited(self) -> None:
        """Wait for the end without blocking this thread's loop; raises what ended the run."""
        future = self.start(awaited=True)
        with self._notebook.asker.in_cell(
            attended=self._attended, buttons=self._buttons
        ):
            try:
                await loop.wait_in_cell(future, self._pump)
            finally:
                self._finish()

    def run_blocking(self) -> None:
        """Wait for the end; raises what ended the run."""
        future = self.start(awaited=False)
        with self._notebook.asker.in_cell(attended=self._attended, buttons=False):
            try:
                loop.wait(future, self._pump)
            finally:
                self._finish()

    def start(self, *, awaited: bool | None = None) -> Future[None]:
        """Start the run unless it runs. `awaited`: the cell waits from now on, and how,
        so it can be drawn.
        """
        if awaited is not None and self._view is None:
            self._view = self._make_view(awaited)

        if self._future is None:
            if not self._options.dry_run:
                self._notebook.trail.note_question(self._run)

            self._future = loop.submit(self._work())

        return self._future

    def _make_view(self, awaited: bool) -> Shows:
        mode = self._mode = choose_mode(
            self._notebook.settings.cards, self._notebook.shell
        )
        self._buttons = (
            awaited and mode == "widget" and buttons_work(self._notebook.shell)
        )
        whole = self._shown == "all"
        view = View(
            mode=mode,
            decide=self._approvals.answer,
            buttons=self._buttons,
            live=self._attended and self._shown != "none",
            patience=PATIENCE if whole else LONG,
            thinking=self._notebook.settings.thinking,
            tell=self._tell_claude,
        )
        if whole:
            return view

        return Questions(view)

    def _tell_claude(self, *looked_at: Any) -> str:
        """Put what is looked at of a table into the next question."""
        return self._notebook.table_cards.tell_claude(self._notebook, *looked_at)

    async def _work(self) -> None:
        with agent_span(self._cell, self._options.model):
            # another question to the same conversation is answered first
            async with self._conversation.busy:
                await self._take_turns()

    async def _take_turns(self) -> None:
        """Run in the place of the cell's own turns before, where they are known."""
        conversation = self._conversation
        if not self._owner or self._options.dry_run:
            await self._tell_events()
            return

        # A cell that runs again replaces its own turns, as its output is replaced.
        before = conversation.begin_cell(
            self._owner, execution=self._execution, new=self._options.new
        )
        began = conversation.snapshot()
        try:
            await self._tell_events()
        except BaseException:
            # what came is the cell's; where nothing did, the next one goes on from before
            if conversation.messages == began:
                conversation.restore(before)
            else:
                self._end_cell()

            raise

        after = self._end_cell()
        if after:
            said = "; ".join(conversation.runs[name].question for name in after)
            self._calls.tell(
                Note(
                    f"Stale now, for they went on from an older run of this cell: {said}. "
                    "%claude_rerun asks them again."
                )
            )

    def _end_cell(self) -> list[str]:
        words = self._notebook.questions[self._cell]
        return self._conversation.end_cell(
            self._owner, words, self._asked, execution=self._execution
        )

    async def _tell_events(self) -> None:
        self._calls.tell(Working("starting"))
        self._compose = await self._notebook.load_compose()
        stream = self._compose.events_of(
            self._notebook,
            self._options,
            self._conversation,
            self._make_caller,
            self._attended,
        )
        async with aclosing(stream) as events:
            async for event in events:
                self._calls.tell(event)

    def _make_caller(
        self, toolset: Any, rules: Any, budget: Budget, named: tuple[str, ...]
    ) -> Any:
        # loads pyarrow, wanted at the first question
        from mcp_notebook.agent.caller import Caller

        self._named = named
        clock = self._approvals.clock
        before = clock.seconds()
        budget.waited = lambda: clock.seconds() - before
        return Caller(
            toolset,
            self._calls,
            self._approvals,
            rules=rules,
            grants=self._notebook.grants,
            shaping=self._notebook.make_shaping(self._options.rows_to_model),
            timeout=self._notebook.settings.tool_timeout,
            budget=budget,
            promise=self._notebook.promise_name,
        )

    def _pump(self) -> None:
        assert self._view is not None
        while True:
            try:
                event = self._queue.get_nowait()
            except queue.Empty:
                break

            self._take_event(event)

        self._view.flush()
        self._notebook.asker.pump()

    def _take_event(self, event: Event) -> None:
        self._keep_words(event)
        # Before the Stop is shown: what is bound, or is not, is part of the answer.
        if isinstance(event, Stop):
            self._bind_value(event)

        if isinstance(event, Stop) and self._options.code and not self._options.dry_run:
            self._put_code_below()

        self._show(event)
        if isinstance(event, ToolCall):
            self._add_call(event.id)
        elif isinstance(event, ToolResult):
            self._tables[event.id] = event.names
            self._keep_choice(event)

        # The card first, then the box: input() blocks this thread.
        if isinstance(event, ToolCall) and event.needs_approval and not self._buttons:
            assert self._view is not None
            self._view.flush()
            self._approvals.ask_in_box(event)

    def _add_call(self, call_id: str) -> None:
        """Know a call in its order: what another one needs first comes before it."""
        needing = call_id.partition(PART)[0]
        later = self._tables.pop(needing, None) if needing != call_id else None
        self._tables[call_id] = ()
        if later is not None:
            self._tables[needing] = later

    def _put_code_below(self) -> None:
        """Put the answer's code into a cell below, as text: the person runs it."""
        code = code_in(self._run.words[self._turn_began :])
        shell = self._notebook.shell
        if not code:
            self._show(Note("No code came back, so no cell is put below.", "warning"))
        elif takes_cells(shell):
            shell.set_next_input(code, replace=False)
            self._show(Note("The code is in the cell below; it has not run."))
        else:
            self._show(Note("No cell can be made here: copy the code above into one."))

    def _keep_choice(self, result: ToolResult) -> None:
        """Keep for %mcp_freeze what the person was asked, and what they chose."""
        calls = (e for e in self.seen if isinstance(e, ToolCall) and e.id == result.id)
        call = next(calls, None)
        if call is None or (call.server, call.tool) != (OWN_SERVER, ASK):
            return

        if result.outcome == "ok":
            question = str(call.arguments.get("question", ""))
            self._run.choices.append((question, result.shown))

    def _show(self, event: Event) -> None:
        assert self._view is not None
        self.seen.append(event)
        self._view.show(event)

    def _keep_words(self, event: Event) -> None:
        """Keep for %mcp_freeze what was said."""
        if isinstance(event, TextDelta):
            self._run.words += event.text
        elif isinstance(event, TextDiscarded):
            self._run.words = self._run.words[: self._said]
        elif isinstance(event, Usage):  # a turn is over: its text stays
            self._turn_began = self._said
            self._run.words = self._run.words.rstrip() + "\n\n"
            self._said = len(self._run.words)

    def _finish(self) -> None:
        # What came after the last beat, also when an interrupt ended the wait.
        assert self._view is not None
        self._pump()
        for call_id in self._tables:  # an interrupted call has no end that is told
            self._notebook.release_name(call_id)

        self._mark_tables()
        self._notebook.ledger.close(self._cell)
        self._view.close()
        self._offer_code()

    def _offer_code(self) -> None:
        """Let the page put a block of the answer's code into a cell, where it can."""
        cell = cell_id(self._notebook.shell)
        is_seen = self._shown == "all" and not self._options.dry_run
        if self._mode != "widget" or not cell or not is_seen:
            return

        # loads ipywidgets, which a front end of widgets has by then
        widgets = importlib.import_module("mcp_notebook.display.widgets")
        widgets.offer_code(cell, code_blocks(self._run.words))

    def _mark_tables(self) -> None:
        """Know the tables as they are now that the cell has its names, and say which
        cells before rest on tables that have changed.
        """
        if not self._owner or self._options.dry_run:
            return

        run = self._conversation.runs.get(self._owner)
        if run is not None and run.execution == self._execution:
            names = (*self._named, *self.tables, *split_names(self._options.into))
            marks = stale.mark_tables(self._notebook, self._cell, names)
            run.tables = {**run.tables, **marks}

        line = stale.tell_changed(self._notebook, self._conversation)
        if line:
            self._show(Note(line))

    def _bind_value(self, stop: Stop) -> None:
        """Give the cell's value or last table its name."""
        if not self._options.form:
            self._name_last_table()
        elif stop.reason == "done" and not self._options.dry_run:
            form = self._compose.form_of(self._notebook, self._options.form)
            assert form is not None
            self.value = self._compose.value_of(self._conversation, form)
            if self._options.into:
                self._notebook.shell.user_ns[self._options.into] = self.value
                self.value = None

    def _name_last_table(self) -> None:
        wanted = split_names(self._options.into)
        tables = self.tables[-len(wanted) :] if wanted else ()
        missing = wanted[len(tables) :]
        if missing:
            words = "No table" if not tables else f"Only {len(tables)} tables"
            unset = ", ".join(missing)
            self._show(Note(f"{words} came back, so {unset} was not set.", "warning"))

        # Looked up before any is bound: a name wanted may be that of another table.
        space = self._notebook.shell.user_ns
        frames = [space[table] for table in tables]
        for name, table, frame in zip(wanted, tables, frames, strict=False):
            self._notebook.bind(name, frame)
            self._notebook.trail.note_name(name, frame)
            if table != name:
                self._show(Note(f"{name} = {table}"))

    def footer(self) -> Footer | None:
        """The footer, when the run came to its end."""
        return next((e for e in reversed(self.seen) if isinstance(e, Footer)), None)


# A fenced block as CommonMark has it, whose fence is closed by one at least as long.
_CODE_BLOCK = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[ \t]*(?P<kind>[\w+-]*)[^\n`]*\n"
    r"(?P<code>.*?)(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_PYTHON = frozenset({"", "python", "python3", "py", "ipython"})


def code_in(answer: str) -> str:
    """The Python of an answer's code blocks, one after the other; "" where there is none.

    A block that begins with a cell magic takes a whole cell, so only that one is taken.
    """
    kept = _python_blocks(answer)
    magics = [block for block in kept if block.startswith("%%")]
    return magics[0] if magics else "\n\n".join(kept)


def code_blocks(answer: str) -> list[tuple[str, str]]:
    """Each block of Python of an answer: its text on the page, and the code that a
    person gets, in which nothing is hidden.
    """
    shown = _python_blocks(safe_markdown(answer))
    blocks = _python_blocks(answer)
    # what is shown may be no block any more: then it is not offered
    if len(shown) != len(blocks):
        return []

    return [
        (text.strip(), visible(code, lines=True))
        for text, code in zip(shown, blocks, strict=True)
    ]


def _python_blocks(answer: str) -> list[str]:
    blocks = [
        found["code"].strip("\n")
        for found in _CODE_BLOCK.finditer(answer)
        if found["kind"].lower() in _PYTHON
    ]
    return [block for block in blocks if block.strip()]
