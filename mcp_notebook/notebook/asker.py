"""The one that asks the person: every question is opened on the background loop and
shown in the cell that waits, as buttons or a form where clicks arrive, else in its
input box.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from IPython.display import display

from mcp_notebook import loop
from mcp_notebook.display.questions import (
    approval_question,
    ask_in_box,
    link_bundle,
    outcome_bundle,
)
from mcp_notebook.events import Reply, ToolCall

# Display's parts load with the first question, not with the extension.
if TYPE_CHECKING:
    from mcp_notebook.display.questions import Question

NOBODY = Reply("deny")  # what is answered where nobody is there to ask


class WaitingClock:
    """Seconds during which at least one question was open: two that overlap count once."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._open = 0
        self._since = 0.0
        self._sum = 0.0

    def begin(self) -> None:
        """A question is open from now on."""
        with self._lock:
            if not self._open:
                self._since = self._now()

            self._open += 1

    def end(self) -> None:
        """A question is open no more."""
        with self._lock:
            self._open -= 1
            if not self._open:
                self._sum += self._now() - self._since

    def seconds(self) -> float:
        """The seconds until now."""
        with self._lock:
            return self._sum + (self._now() - self._since if self._open else 0.0)


class OpenQuestion:
    """A question that waits for its reply: made on the background loop, replied to from
    any thread. The first reply counts, whatever comes after it.
    """

    def __init__(self, clocks: list[WaitingClock]) -> None:
        self.reply: Reply | None = None
        self._loop = asyncio.get_running_loop()
        self._replied = asyncio.Event()
        self._lock = threading.Lock()
        self._clocks = clocks
        for clock in clocks:
            clock.begin()

    def answer(self, reply: Reply) -> bool:
        """Reply to the question; whether this reply counts."""
        with self._lock:
            if self.reply is not None:
                return False

            self.reply = reply
            for clock in self._clocks:
                clock.end()

        self._loop.call_soon_threadsafe(self._replied.set)
        return True

    def count_on(self, clock: WaitingClock) -> None:
        """Let a clock that came later count the rest of this question."""
        with self._lock:
            if self.reply is None:
                self._clocks.append(clock)
                clock.begin()

    async def wait(self, seconds: float | None = None) -> Reply:
        """The reply; after `seconds` that nobody answered. A cancellation ends the
        question and may say why.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._replied.wait()
        except TimeoutError:
            self.answer(Reply("cancel", f"not answered within {seconds:g} s"))
        except asyncio.CancelledError as end:
            # Who ends the question may say how: a sign-in that came back another way
            # was not left open.
            if end.args and end.args[0]:
                why = str(end.args[0])
            else:
                why = "no longer asked"

            self.answer(Reply("cancel", why))
            raise

        assert self.reply is not None
        return self.reply


@dataclass
class _Waiting:
    """A cell that waits: `attended`, a person is there; `buttons`, clicks arrive while it waits."""

    attended: bool
    buttons: bool


@dataclass
class _Shown:
    """A question on its way to the person, or on the screen already."""

    question: Question
    opened: OpenQuestion
    widget: Any = None
    handle: Any = None


class Asker:
    """Asks the person in the cell that runs. Without a cell, or without a person, every
    question is denied at once.
    """

    def __init__(self) -> None:
        self._cells: list[_Waiting] = []
        self._incoming: queue.SimpleQueue[_Shown] = queue.SimpleQueue()
        self._shown: list[_Shown] = []
        self._open: set[OpenQuestion] = set()
        self._clocks: WeakSet[WaitingClock] = WeakSet()
        self._lock = threading.Lock()

    @contextmanager
    def in_cell(self, *, attended: bool, buttons: bool) -> Iterator[None]:
        """A cell waits and calls `pump`; questions that are still open when the last one
        ends are not answered any more.
        """
        cell = _Waiting(attended, buttons)
        self._cells.append(cell)
        try:
            yield
        finally:
            # Cells that are awaited side by side end in any order.
            self._cells = [other for other in self._cells if other is not cell]
            if not self._cells:
                self._leave()

    def new_clock(self) -> WaitingClock:
        """A clock that counts from now on while a question of the servers' is open."""
        clock = WaitingClock()
        with self._lock:
            for opened in self._open:
                opened.count_on(clock)

            self._clocks.add(clock)

        return clock

    async def ask(self, question: Question) -> Reply:
        """The person's reply to a server's question, on the background loop: `cancel`
        after its seconds, a denial where nobody can answer.
        """
        # The last cell decides: that is where the person looks.
        if not (self._cells and self._cells[-1].attended):
            return NOBODY

        with self._lock:
            opened = OpenQuestion(list(self._clocks))
            self._open.add(opened)

        self._incoming.put(_Shown(question, opened))
        if not self._cells:  # it ended meanwhile, and may not have seen the question
            opened.answer(Reply("cancel"))

        try:
            return await opened.wait(question.seconds)
        finally:
            with self._lock:
                self._open.discard(opened)

    def ask_now(self, question: Question, *, attended: bool) -> Reply:
        """Ask in the input box of a cell that does nothing else meanwhile; a denial where
        nobody is there.
        """
        if not attended:
            return NOBODY

        with self._lock:
            clocks = list(self._clocks)

        for clock in clocks:
            clock.begin()

        try:
            return ask_in_box(question)
        finally:
            for clock in clocks:
                clock.end()

    def pump(self) -> None:
        """Show what came in and close what ended; called by the waiting cell, in its
        own thread, at each beat.
        """
        # It may have been cancelled before this beat, by the server or the clock.
        for shown in self._drain():
            if shown.opened.reply is None:
                self._show(shown)

        for shown in [one for one in self._shown if one.opened.reply is not None]:
            self._close(shown)

    def _drain(self) -> Iterator[_Shown]:
        while True:
            try:
                yield self._incoming.get_nowait()
            except queue.Empty:
                return

    def _show(self, shown: _Shown) -> None:
        if self._cells and self._cells[-1].buttons:
            # loads anywidget, wanted at the first question
            from mcp_notebook.display.widgets import QuestionForm

            shown.widget = QuestionForm(shown.question, shown.opened.answer)
            shown.handle = display(shown.widget, display_id=True)
            self._shown.append(shown)
        elif shown.question.comes_back:
            # The answer comes from the browser to a listener: nothing is typed here.
            bundle = link_bundle(shown.question)
            shown.handle = display(bundle, raw=True, display_id=True)
            self._shown.append(shown)
        else:
            shown.opened.answer(ask_in_box(shown.question))
            display(_outcome(shown), raw=True)

    def _close(self, shown: _Shown) -> None:
        self._shown.remove(shown)
        shown.handle.update(_outcome(shown), raw=True)
        if shown.widget is not None:
            shown.widget.close()

    def _leave(self) -> None:
        """The last cell ends: what is still open is not answered any more."""
        for shown in self._drain():
            shown.opened.answer(Reply("cancel"))

        for shown in self._shown:
            shown.opened.answer(Reply("cancel"))

        self.pump()


def _outcome(shown: _Shown) -> dict[str, str]:
    assert shown.opened.reply is not None
    outcome = shown.question.outcome_of(shown.opened.reply)
    return outcome_bundle(shown.question, outcome)


class CallApprovals:
    """Claude's calls in one run, asked for one by one: the `Approvals` of the agent.

    A card with buttons shows the question and answers it; without them the run's cell
    asks in its input box. `clock` counts the time for which the run's person was asked
    anything.
    """

    def __init__(self, asker: Asker) -> None:
        self.clock = asker.new_clock()
        self._open: dict[str, OpenQuestion] = {}

    def open(self, call: ToolCall) -> None:
        self._open[call.id] = OpenQuestion([self.clock])

    def is_open(self, call_id: str) -> bool:
        return call_id in self._open

    def withdraw(self, call_id: str) -> None:
        opened = self._open.pop(call_id, None)
        if opened is not None:
            opened.answer(Reply("cancel"))

    def answer(self, call_id: str, reply: Reply) -> None:
        opened = self._open.get(call_id)
        if opened is not None:
            opened.answer(reply)

    async def wait(self, call_id: str) -> Reply:
        try:
            return await self._open[call_id].wait()
        finally:
            self._open.pop(call_id, None)

    def ask_in_box(self, call: ToolCall) -> None:
        """Ask for a call in the input box, in the cell's thread, unless its question is settled."""
        loop.run(_let_answers_work())
        opened = self._open.get(call.id)
        if opened is not None and opened.reply is None:
            opened.answer(ask_in_box(approval_question(call)))


async def _let_answers_work() -> None:
    """An answer that was just given may settle other questions: that takes turns of the
    loop, no time.
    """
    for _ in range(4):
        await asyncio.sleep(0)


# Whether a person is there to answer, and how they can.


def is_attended(shell: Any) -> bool:
    """Whether a person can answer a question: frontends send `allow_stdin`, nbclient
    and papermill do not.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return bool(sys.stdin and sys.stdin.isatty())

    return bool(getattr(kernel, "_allow_stdin", False))


def takes_cells(shell: Any) -> bool:
    """Whether a front end is there that makes a cell of what `set_next_input` says."""
    if not hasattr(shell, "set_next_input"):
        return False

    return getattr(shell, "kernel", None) is None or is_attended(shell)


def buttons_work(shell: Any) -> bool:
    """Whether clicks arrive while a cell is awaited: ipykernel 7.4 and later
    (ipython/ipykernel#1565).
    """
    if getattr(shell, "kernel", None) is None:
        return False

    parts = getattr(sys.modules.get("ipykernel"), "__version__", "0.0").split(".")
    return (
        parts[0].isdigit()
        and parts[1].isdigit()
        and (int(parts[0]), int(parts[1])) >= (7, 4)
    )
