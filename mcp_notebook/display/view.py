"""One live view a cell: takes the cell's events in order, and leaves static output behind.

It is used in the cell's own thread and context only, because output of another thread lands in whichever cell runs.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from mcp_notebook.display.footer import footer_line, stop_line
from mcp_notebook.display.inline import COLOURS
from mcp_notebook.display.plain import card_text
from mcp_notebook.display.prose import prose
from mcp_notebook.display.record import CallRecord, call_record, finished, progressed
from mcp_notebook.display.safe import visible
from mcp_notebook.display.screen import Bundle, CellScreen, Screen
from mcp_notebook.display.static import render_call, small_line
from mcp_notebook.display.wording import MARKS
from mcp_notebook.events import (
    Event,
    Footer,
    Note,
    Stop,
    TextDelta,
    TextDiscarded,
    ToolCall,
    ToolProgress,
    ToolResult,
    ToolStarted,
)

INTERVAL = 0.1  # seconds between two updates of one thing
PACE = 40_000  # characters of a block a second: a long block is sent less often


class View:
    """Draws the events of one cell.

    `decide(call id, "once"|"always"|"deny")` is called when a card's button is clicked, possibly on another thread.
    `buttons=False`: the question is asked elsewhere (a blocking cell), so cards have none.
    `expanded`: cards start open.
    """

    def __init__(
        self,
        *,
        mode: Literal["widget", "static", "text"],
        decide: Callable[[str, str], None],
        buttons: bool = True,
        expanded: bool = False,
        screen: Screen | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._screen = screen or CellScreen()
        self._clock = clock
        make = _TextCall if mode == "text" else _WidgetCall if mode == "widget" else _Call
        self._make = lambda record: make(record, self._screen, decide, buttons=buttons, expanded=expanded)
        self._block: _TextBlock | _MarkdownBlock | None = None
        self._text_mode = mode == "text"
        self._calls: dict[str, _Call] = {}
        self._drawn = 0.0  # when progress was last drawn

    def show(self, event: Event) -> None:
        """Draw one event. Text and progress may wait for the next `flush`."""
        match event:
            case TextDelta(text):
                self._open_block().add(text)
            case TextDiscarded(reason):
                self._discard(reason)
            case ToolCall():
                self._end_block()
                self._calls[event.id] = self._make(call_record(event))
            case ToolStarted() | ToolProgress() | ToolResult() if event.id in self._calls:
                self._advance(self._calls[event.id], event)
            case Note(text, level):
                self._line(text, "!" if level == "warning" else "")
            case Stop():
                self._stop(event)
            case Footer():
                self._line(footer_line(event))
            case _:
                pass  # Usage is summed up in the footer

    def flush(self) -> None:
        """Draw what is due; call it at every heartbeat."""
        if self._block is not None:
            self._block.draw(self._clock())
        if self._clock() - self._drawn >= INTERVAL:
            self._drawn = self._clock()
            for call in self._calls.values():
                call.draw()

    def close(self) -> None:
        """End the view: text is drawn whole, each card becomes static; a call without an end counts as cancelled."""
        self._end_block()
        for call in self._calls.values():
            call.freeze()
        self._calls.clear()

    def _advance(self, call: "_Call", event: ToolStarted | ToolProgress | ToolResult) -> None:
        if isinstance(event, ToolProgress):
            call.record = progressed(call.record, event)  # drawn at the next flush
            return
        running = isinstance(event, ToolStarted)
        call.record = replace(call.record, status="running") if running else finished(call.record, event)
        call.draw()

    def _open_block(self) -> "_TextBlock | _MarkdownBlock":
        if self._block is None:
            self._block = _TextBlock(self._screen) if self._text_mode else _MarkdownBlock(self._screen)
        return self._block

    def _end_block(self) -> None:
        if self._block is not None:
            self._block.end()
            self._block = None

    def _discard(self, reason: str) -> None:
        if self._block is not None:
            self._block.discard(reason)
            self._block = None

    def _stop(self, event: Stop) -> None:
        for call in self._calls.values():
            call.end()
        line = stop_line(event)
        if line:
            self._line(line, MARKS["error"] if event.reason == "error" else MARKS["cancelled"])

    def _line(self, text: str, mark: str = "") -> None:
        self._end_block()
        bundle = small_line(text, mark=mark, colour=COLOURS["error" if mark == MARKS["error"] else "approval"])
        if self._text_mode:
            self._screen.write(bundle["text/plain"] + "\n")
        else:
            self._screen.show(bundle)


class _MarkdownBlock:
    """Claude's text between two tool calls: one display, updated as it grows."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._pieces: list[str] = []
        self._length = 0
        self._fresh = False  # whether something is not drawn yet
        self._shown = ""
        self._due = 0.0

    def add(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)
        self._fresh = True

    def draw(self, now: float) -> None:
        if not self._fresh or now < self._due:
            return
        self._draw()
        self._due = now + max(INTERVAL, self._length / PACE)

    def end(self) -> None:
        if self._fresh:
            self._draw()

    def discard(self, reason: str) -> None:
        if self._shown:
            self._screen.update(self._shown, small_line(reason))

    def _draw(self) -> None:
        self._fresh = False
        text = "".join(self._pieces)
        if not text.strip():
            return
        bundle = {"text/markdown": prose(text), "text/plain": visible(text, lines=True)}
        if self._shown:
            self._screen.update(self._shown, bundle)
        else:
            self._shown = self._screen.show(bundle)


class _TextBlock:
    """The same in a terminal: written line by line as it comes, never taken back."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._rest = ""

    def add(self, text: str) -> None:
        self._rest += text

    def draw(self, now: float) -> None:
        lines, newline, self._rest = self._rest.rpartition("\n")
        if newline:
            self._screen.write(visible(lines, lines=True) + "\n")

    def end(self) -> None:
        if self._rest:
            self._screen.write(visible(self._rest, lines=True) + "\n")
            self._rest = ""

    def discard(self, reason: str) -> None:
        self._rest = ""
        self._screen.write(f"[{small_line(reason)['text/plain']}]\n")


class _Call:
    """One call on the screen, as static output from the start."""

    def __init__(
        self, record: CallRecord, screen: Screen, decide: Callable[[str, str], None], *, buttons: bool, expanded: bool
    ) -> None:
        self.record = record
        self._screen = screen
        self._drawn = record
        self._expanded = expanded
        self._start(decide, buttons)

    def _start(self, decide: Callable[[str, str], None], buttons: bool) -> None:
        self._shown = self._screen.show(self._static())

    def draw(self) -> None:
        """Draw the record when it changed."""
        if self.record is not self._drawn:
            self._drawn = self.record
            self._update()

    def end(self) -> None:
        """A call that has no outcome will not get one."""
        if self.record.status in ("running", "approval"):
            self.record = replace(self.record, status="cancelled")
            self.draw()

    def freeze(self) -> None:
        """Leave the last state behind as static output."""
        self.end()
        self.draw()

    def _update(self) -> None:
        self._screen.update(self._shown, self._static())

    def _static(self) -> Bundle:
        return render_call(self.record, expanded=self._expanded)


class _WidgetCall(_Call):
    """One call as a live card, replaced by static output at the end: a saved widget is blank without its kernel."""

    def _start(self, decide: Callable[[str, str], None], buttons: bool) -> None:
        from mcp_notebook.display.card import Card  # ipywidgets is slow to import and not wanted when headless

        call_id = self.record.id
        self._card = Card(self.record, lambda answer: decide(call_id, answer), buttons=buttons, expanded=self._expanded)
        bundle = self._card._repr_mimebundle_() or {}
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        self._shown = self._screen.show({**data, "text/plain": card_text(self.record)})

    def _update(self) -> None:
        self._card.update(self.record)

    def freeze(self) -> None:
        self.end()
        self._expanded = self._card.expanded
        self._screen.update(self._shown, self._static())
        self._card.close()


class _TextCall(_Call):
    """One call in a terminal: a line when it starts, the whole card when it ends."""

    def _start(self, decide: Callable[[str, str], None], buttons: bool) -> None:
        if self.record.status == "approval":
            self._screen.write(card_text(self.record) + "\n")

    def _update(self) -> None:
        if self.record.status not in ("running", "approval"):
            self._screen.write(card_text(self.record) + "\n")

    def _static(self) -> Bundle:
        return {}
