"""One live view a cell: takes the cell's events in order, and leaves static output behind.

It is used in the cell's own thread and context only, because output of another thread
lands in whichever cell runs.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from mcp_notebook.display.call_output import Decide, StaticCall, TextCall, WidgetCall
from mcp_notebook.display.call_view import finish_view, report_progress, view_call
from mcp_notebook.display.card_html import small_line
from mcp_notebook.display.html_parts import COLOURS
from mcp_notebook.display.outputs import CellScreen, Screen, Slots
from mcp_notebook.display.text_blocks import INTERVAL, MarkdownBlock, TextBlock
from mcp_notebook.display.wording import MARKS, footer_line, stop_line
from mcp_notebook.display.working_line import PATIENCE, WorkingLine, line_form
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


class View:
    """Draws the events of one cell.

    `decide(call id, reply)` is called when a card's button is clicked, possibly on
    another thread. `buttons=False`: the question is asked elsewhere (a blocking cell),
    so cards have none. `expanded`: cards start open. `live`: somebody watches, so a
    line says what goes on while there is nothing to read for longer than `patience`
    seconds.
    """

    def __init__(
        self,
        *,
        mode: Literal["widget", "static", "text"],
        decide: Decide,
        buttons: bool = True,
        expanded: bool = False,
        live: bool = False,
        patience: float = PATIENCE,
        screen: Screen | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = Slots(screen or CellScreen())
        self._clock = clock
        forms = {"text": TextCall, "widget": WidgetCall, "static": StaticCall}
        make = forms[mode]
        self._make = lambda record: make(
            record, self._slots, decide, buttons=buttons, expanded=expanded
        )
        self._block: TextBlock | MarkdownBlock | None = None
        self._text_mode = mode == "text"
        self._calls: dict[str, StaticCall] = {}
        self._drawn = 0.0  # when progress was last drawn
        if live:
            form = line_form(mode, self._slots)
        else:
            form = None

        self._working = WorkingLine(form, clock, patience)

    @property
    def has_waited(self) -> bool:
        """Whether a line said at any time that something goes on."""
        return self._working.was_shown

    def show(self, event: Event) -> None:
        """Draw one event. Text and progress may wait for the next `flush`."""
        if not isinstance(event, Working | ThinkingDelta | ToolProgress | Usage):
            self._working.end()

        match event:
            case TextDelta(text):
                self._open_block().add(text)
            case Working():
                self._end_block()
                self._working.begin(event)
            case ThinkingDelta(text):
                self._working.think(text)
            case TextDiscarded(reason):
                self._discard(reason)
            case ToolCall():
                self._end_block()
                self._calls[event.id] = self._make(view_call(event))
            case ToolStarted() | ToolProgress() | ToolResult() if (
                event.id in self._calls
            ):
                self._advance(self._calls[event.id], event)
            case Note(text, level):
                self._draw_line(text, "!" if level == "warning" else "")
            case Stop():
                self._stop(event)
            case Footer():
                self._draw_line(footer_line(event))
            case _:
                pass  # Usage is summed up in the footer

    def flush(self) -> None:
        """Draw what is due; call it at every heartbeat."""
        self._working.draw()
        if self._block is not None:
            self._block.draw(self._clock())

        if self._clock() - self._drawn >= INTERVAL:
            self._drawn = self._clock()
            for call in self._calls.values():
                call.draw()

    def close(self) -> None:
        """End the view: text is drawn whole, each card becomes static; a call without
        an end counts as cancelled.

        The card of the last table stands open: it is what most cells were run for.
        """
        self._end_block()
        last = next(
            (call for call in reversed(self._calls.values()) if call.has_table), None
        )
        self._working.close()
        for call in self._calls.values():
            call.freeze(expanded=call is last)

        self._calls.clear()
        self._slots.close()

    def _advance(
        self, call: StaticCall, event: ToolStarted | ToolProgress | ToolResult
    ) -> None:
        if isinstance(event, ToolProgress):
            call.record = report_progress(call.record, event)  # drawn at the next flush
            return

        if isinstance(event, ToolStarted):
            call.record = replace(call.record, status="running")
        else:
            call.record = finish_view(call.record, event)

        call.draw()

    def _open_block(self) -> TextBlock | MarkdownBlock:
        if self._block is None:
            if self._text_mode:
                make = TextBlock
            else:
                make = MarkdownBlock

            self._block = make(self._slots)

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
        if event.reason == "error":
            status = "error"
        else:
            status = "cancelled"

        if line:
            self._draw_line(line, MARKS[status])

    def _draw_line(self, text: str, mark: str = "") -> None:
        self._end_block()
        colour = COLOURS["error" if mark == MARKS["error"] else "approval"]
        bundle = small_line(text, mark=mark, colour=colour)
        if self._text_mode:
            self._slots.write(bundle["text/plain"] + "\n")
        else:
            self._slots.show(bundle)
