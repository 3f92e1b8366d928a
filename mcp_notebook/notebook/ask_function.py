"""`mcp_notebook.ask`: what `%%claude` does, as a function that returns a value."""

from __future__ import annotations

import concurrent.futures
import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec

from mcp_notebook.agent.conversation import Conversation
from mcp_notebook.display.outputs import choose_mode
from mcp_notebook.display.view import View
from mcp_notebook.errors import DataError
from mcp_notebook.events import Footer, Reply, Stop, TextDelta, TextDiscarded, ToolCall
from mcp_notebook.notebook import current
from mcp_notebook.notebook.cell import CellRun, Shown
from mcp_notebook.notebook.options import AskOptions, list_options, signature_of
from mcp_notebook.notebook.state import cell_id

if TYPE_CHECKING:
    from mcp_notebook.ledger import CallRecord
    from mcp_notebook.notebook.state import Notebook

P = ParamSpec("P")


class Answer:
    """What a question gave. The run begins at once, on a thread of its own.

    Looking at an answer waits for its end; `await answer` waits without blocking and
    gives the answer itself. Whatever ended the run early, ours or an interrupt, is
    raised there. In a notebook it shows like a `%%claude` cell.
    """

    def __init__(
        self, notebook: Notebook, run: CellRun, *, typed: bool, shown: bool
    ) -> None:
        self._notebook, self._run, self._typed, self._shown = (
            notebook,
            run,
            typed,
            shown,
        )
        self._over = self._failed = False
        run.start()

    @property
    def text(self) -> str:
        """Everything that the model said, markdown; the texts of its turns are apart by
        an empty line.
        """
        return "\n\n".join(_texts(self._wait_for_end().seen))

    @property
    def tables(self) -> dict[str, Any]:
        """The tables that came, {name in the notebook: DataFrame}, in their order."""
        return {
            name: self._notebook.shell.user_ns[name]
            for name in self._wait_for_end().tables
        }

    @property
    def value(self) -> Any:
        """The value of `form`; without one the last table, else the text. Raises
        DataError where `form` was not met.
        """
        run = self._wait_for_end()
        # After another end than "done" a value would be that of half an answer.
        if self._typed:
            if self.stop.reason != "done":
                raise DataError(
                    "There is no value: the run ended otherwise "
                    f"({self.stop.message or self.stop.reason})."
                )

            return run.value

        if run.tables:
            # as in a cell: `--into` takes the last one, too
            return list(self.tables.values())[-1]

        return self.text

    @property
    def calls(self) -> tuple[CallRecord, ...]:
        """The tool calls as the ledger holds them: server, tool, arguments (masked),
        outcome, seconds, rows, bytes.
        """
        run = self._wait_for_end()
        return tuple(call for call in self._notebook.ledger if call.cell == run.cell)

    @property
    def cost(self) -> float | None:
        """Dollars; None where no price is known, 0.0 where nothing is paid."""
        return self.usage.dollars

    @property
    def usage(self) -> Footer:
        """What answered and what it took: turns, calls, tokens by kind, seconds, dollars."""
        return self._wait_for_end().footer() or Footer("")

    @property
    def stop(self) -> Stop:
        """Why it ended: done, limit, refused; and the sentence that says so."""
        found = [
            event for event in self._wait_for_end().seen if isinstance(event, Stop)
        ]
        if found:
            return found[-1]

        return Stop("error", "the run has no end")

    def __await__(self) -> Generator[Any, None, Answer]:
        return self._wait().__await__()

    def __repr__(self) -> str:
        # A repr must not wait for a model: debuggers and tracebacks make them unasked.
        if self._over:
            return self.text
        return f"<Answer: {'there is none' if self._failed else 'not looked at yet'}>"

    def _ipython_display_(self) -> None:
        """Show the run as a cell does, once: with `show=True` it was shown while it came."""
        run = self._wait_for_end()
        if self._shown:
            return

        mode = choose_mode(self._notebook.settings.cards, self._notebook.shell)
        # It is over: a widget that is drawn now would have nothing to wait for.
        shown = "static" if mode == "widget" else mode
        view = View(mode=shown, decide=_decide_nothing)
        for event in run.seen:
            view.show(event)

        view.close()

    async def _wait(self) -> Answer:
        if not self._over:
            with self._looked_at():
                await self._run.run_awaited()
        return self

    def _wait_for_end(self) -> CellRun:
        if not self._over:
            with self._looked_at():
                self._run.run_blocking()
        return self._run

    @contextmanager
    def _looked_at(self) -> Generator[None]:
        """Until the end of the run. One that was cancelled before says so when it is
        looked at again.
        """
        # Set first, for whatever is raised in between.
        self._failed = True
        try:
            yield
        except concurrent.futures.CancelledError:
            raise DataError(
                "The question was cancelled, so there is no answer."
            ) from None

        self._over, self._failed = True, False


def _decide_nothing(call_id: str, reply: Reply) -> None:
    """Nobody waits for an answer: the run is over."""


def _texts(events: Sequence[Any]) -> list[str]:
    """The model's texts between its calls, without what was taken back."""
    texts: list[str] = []
    current = ""
    for event in events:
        if isinstance(event, TextDelta):
            current += event.text
        elif isinstance(event, TextDiscarded):
            current = ""
        elif isinstance(event, ToolCall | Stop) and current.strip():
            texts.append(current.strip())
            current = ""

    if current.strip():
        return [*texts, current.strip()]

    return texts


def _with_options(
    options: Callable[P, AskOptions],
) -> Callable[[Callable[[AskOptions], Answer]], Callable[P, Answer]]:
    """Gives a function of a question the parameters of `options`, for type checkers,
    `inspect.signature` and help alike; they are declared nowhere else.
    """

    def decorate(function: Callable[[AskOptions], Answer]) -> Callable[P, Answer]:
        def ask_for(*words: P.args, **given: P.kwargs) -> Answer:
            signature.bind(*words, **given)  # a TypeError tells of no class of ours
            return function(options(*words, **given))

        signature = signature_of(Answer)
        ask_for.__name__ = ask_for.__qualname__ = function.__name__
        ask_for.__dict__["__signature__"] = signature
        ask_for.__annotations__ = {
            **{p.name: p.annotation for p in signature.parameters.values()},
            "return": Answer,
        }
        ask_for.__doc__ = (
            f"{inspect.cleandoc(function.__doc__ or '')}\n\n{list_options()}"
        )
        return ask_for

    return decorate


@_with_options(AskOptions)
def ask(options: AskOptions) -> Answer:
    """Ask the model, with the tools of the connected servers: `%%claude` as a function.

        answer = mcp_notebook.ask("Revenue by month?")           # waits where it is looked at
        answer.text, answer.tables["by_month"], answer.cost
        answer = await mcp_notebook.ask("And by category?")      # the same, without blocking
        mcp_notebook.ask("Which ids?", form=list[int]).value

    It goes on with the notebook's conversation; `new=True` has one of its own, and such
    questions run side by side. `form`: the type of the value (a type, or its name as
    text). `show=True`: the answer streams into the cell; else a line says that it goes
    on when it takes long, unless `quiet=True`. What is left out the settings of the
    same names say (`%config MCPNotebook`). Raises BackendError, BudgetError,
    ConfigError or DataError, each in one sentence, where the answer is looked at.
    """
    notebook = current.notebook()
    # Not the notebook's: side by side needs one each.
    if options.new:
        conversation, owner = Conversation(), ""
    else:
        conversation, owner = None, cell_id(notebook.shell)

    run = CellRun(
        notebook,
        options,
        conversation=conversation,
        shown=_shown(options),
        owner=owner,
        by_code=True,
    )
    return Answer(notebook, run, typed=options.form is not None, shown=options.show)


def _shown(options: AskOptions) -> Shown:
    if options.show:
        return "all"
    if options.quiet:
        return "none"
    return "state"
