"""Where servers' questions meet the person: asked on the background loop, shown in the
cell that waits.
"""

import asyncio
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_notebook.display.asking import Answer, Question


class Open:
    """One question on its way: made on the loop, shown and ended in the cell's thread."""

    def __init__(self, question: "Question") -> None:
        self.question = question
        self.outcome = ""  # how it ended, in words; "" while it is open
        self.widget: Any = None
        self.display: Any = None
        self._loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[Answer] = self._loop.create_future()

    def answer(self, answer: "Answer") -> None:
        """Give the answer from any thread; a later one does nothing."""
        from mcp_notebook.display.asking import outcome_of  # loaded with the question

        self.outcome = self.outcome or outcome_of(self.question, answer)
        self._loop.call_soon_threadsafe(
            lambda: self.answered.done() or self.answered.set_result(answer)
        )


class Desk:
    """Shows questions in the cell that runs. Without a cell, or without a person, each
    is declined at once.
    """

    def __init__(self) -> None:
        self._incoming: queue.SimpleQueue[Open] = queue.SimpleQueue()
        self._shown: list[Open] = []
        self._staffed = False
        self._forms = False
        self._asking = 0
        self._waited, self._since = 0.0, 0.0

    @contextmanager
    def staffed(self, *, attended: bool, forms: bool) -> Iterator[None]:
        """A cell waits for servers: `attended`, a person is there; `forms`, clicks
        arrive while it waits.
        """
        before = self._staffed, self._forms
        self._staffed, self._forms = attended, forms
        try:
            yield
        finally:
            self._staffed, self._forms = before
            self._leave()

    async def ask(self, question: "Question", limit: float) -> "Answer":
        """The person's answer; `cancel` after `limit` seconds, `decline` where nobody
        can answer.
        """
        from mcp_notebook.display.asking import Answer  # loads nothing slow

        if not self._staffed:
            return Answer("decline")
        asked = Open(question)
        self._begin()
        self._incoming.put(asked)
        try:
            async with asyncio.timeout(limit):
                return await asked.answered
        except TimeoutError:
            asked.outcome = asked.outcome or f"not answered within {limit:g} s"
            return Answer("cancel")
        except asyncio.CancelledError as end:
            # Who ends the question may say how: a sign-in that came back another way
            # was not left open.
            asked.outcome = asked.outcome or str(
                end.args[0] if end.args and end.args[0] else ""
            )
            raise
        finally:
            asked.outcome = asked.outcome or "no longer asked"
            self._end()

    def pump(self) -> None:
        """Show what came in and close what ended; called by the waiting cell, in its
        own thread, at each beat.
        """
        while True:
            try:
                asked = self._incoming.get_nowait()
            except queue.Empty:
                break
            if not asked.outcome:
                self._show(asked)
        for asked in [a for a in self._shown if a.outcome]:
            self._freeze(asked)

    def waited(self) -> float:
        """Seconds for which a person was asked something, in all."""
        return self._waited + (time.monotonic() - self._since if self._asking else 0.0)

    def _show(self, asked: Open) -> None:
        from IPython.display import display

        from mcp_notebook.display.asking import ask_in_box, link_bundle, outcome_bundle

        question = asked.question
        if self._forms:
            # loads anywidget, wanted at the first question
            from mcp_notebook.display.form import Form

            asked.widget = Form(question, asked.answer)
            asked.display = display(asked.widget, display_id=True)
            self._shown.append(asked)
        elif question.kind == "sign-in" and not question.paste:
            # The answer comes from the browser to a listener: nothing is typed here.
            asked.display = display(link_bundle(question), raw=True, display_id=True)
            self._shown.append(asked)
        else:
            asked.answer(ask_in_box(question))
            display(outcome_bundle(question, asked.outcome), raw=True)

    def _freeze(self, asked: Open) -> None:
        from mcp_notebook.display.asking import outcome_bundle

        self._shown.remove(asked)
        asked.display.update(outcome_bundle(asked.question, asked.outcome), raw=True)
        if asked.widget is not None:
            asked.widget.close()

    def _leave(self) -> None:
        """The cell ends: what is still open is not answered any more."""
        from mcp_notebook.display.asking import Answer

        while not self._incoming.empty():
            self._incoming.get_nowait().answer(Answer("cancel"))
        for asked in self._shown:
            asked.answer(Answer("cancel"))
        self.pump()

    def _begin(self) -> None:
        self._since = self._since if self._asking else time.monotonic()
        self._asking += 1

    def _end(self) -> None:
        self._waited, self._since = self.waited(), time.monotonic()
        self._asking -= 1
