"""One live view a cell: takes the cell's events in order, and leaves static output behind.

It is used in the cell's own thread and context only, because output of another thread
lands in whichever cell runs.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Protocol

from mcp_notebook.display.call_view import (
    CallView,
    finish_view,
    report_progress,
    view_call,
)
from mcp_notebook.display.card_html import render_call, small_line
from mcp_notebook.display.card_text import card_text
from mcp_notebook.display.html_parts import COLOURS
from mcp_notebook.display.outputs import Bundle, CellScreen, Screen, Slots
from mcp_notebook.display.text_blocks import INTERVAL, MarkdownBlock, TextBlock
from mcp_notebook.display.wording import MARKS, footer_line, stop_line
from mcp_notebook.display.working_line import PATIENCE, WorkingLine, line_form
from mcp_notebook.events import (
    Event,
    Footer,
    Note,
    Reply,
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

# Tool calls on the screen, in the three forms: static output, a live card, text.
#
# A live card outlives its cell while there is room, so that its tables can still be
# sorted and read. What is saved of it is static HTML; `alive.js` puts the live card in
# its place on the page, as long as the kernel knows the card. Of too many the oldest
# go, and their HTML stands there again.


# Takes a call's id and the person's reply, perhaps on another thread.
Decide = Callable[[str, Reply], None]

MOST_KEPT = 60  # cards; each weighs at most a few hundred kilobytes in the page

# of whole tables; of more, the oldest can only be looked at in their first rows
MOST_KEPT_BYTES = 400_000_000


class StaticCall:
    """One call on the screen, as static output from the start."""

    def __init__(
        self,
        record: CallView,
        slots: Slots,
        decide: Decide,
        *,
        buttons: bool,
        expanded: bool,
    ) -> None:
        self.record = record
        self._slots = slots
        self._drawn = record
        self._expanded = expanded
        self._start(decide, buttons)

    def _start(self, decide: Decide, buttons: bool) -> None:
        self._shown = self._slots.show(self._static())

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

    @property
    def has_table(self) -> bool:
        """Whether the call ended well with a table."""
        return self.record.status == "ok" and bool(self.record.tables)

    def freeze(self, *, expanded: bool = False) -> None:
        """Leave the last state behind as static output; `expanded` opens it."""
        self.end()
        if expanded and not self._expanded:
            self._expanded = True
            self._update()
        self.draw()

    def _update(self) -> None:
        self._slots.update(self._shown, self._static())

    def _static(self) -> Bundle:
        return render_call(self.record, expanded=self._expanded)


class WidgetCall(StaticCall):
    """One call as a live card, replaced by static output at the end: a saved widget is
    blank without its kernel.

    The card itself lives on and wakes that output on the page.
    """

    def _start(self, decide: Decide, buttons: bool) -> None:
        # ipywidgets is slow to import and not wanted when headless
        from mcp_notebook.display import widgets

        call_id = self.record.id
        self._card = widgets.Card(
            self.record,
            lambda reply: decide(call_id, reply),
            buttons=buttons,
            expanded=self._expanded,
        )
        bundle = widgets.widget_bundle(self._card, card_text(self.record))
        self._shown = self._slots.show(bundle)

    def _update(self) -> None:
        self._card.update(self.record)

    def freeze(self, *, expanded: bool = False) -> None:
        self.end()
        self._expanded = self._card.expanded = self._card.expanded or expanded
        self._slots.update(
            self._shown,
            render_call(self.record, expanded=self._expanded, place=self._card.place),
        )
        keep_card(self._card)


class TextCall(StaticCall):
    """One call in a terminal: the whole card when it ends; a question is written by who asks it."""

    def freeze(self, *, expanded: bool = False) -> None:
        self.end()  # what is written stays as it is

    def _start(self, decide: Decide, buttons: bool) -> None:
        pass

    def _update(self) -> None:
        if self.record.status not in ("running", "approval"):
            self._slots.write(card_text(self.record) + "\n")

    def _static(self) -> Bundle:
        return {}


class KeptCard(Protocol):
    """A live card of a cell that has ended."""

    place: str

    @property
    def nbytes(self) -> int: ...
    def forget(self) -> None: ...
    def close(self) -> None: ...


_kept: OrderedDict[str, KeptCard] = OrderedDict()


def keep_card(card: KeptCard) -> None:
    """Keep a card of a cell that ended."""
    _kept[card.place] = card
    while len(_kept) > MOST_KEPT:
        _, oldest = _kept.popitem(last=False)
        oldest.close()

    held = 0
    for one in reversed(_kept.values()):
        held += one.nbytes
        if held > MOST_KEPT_BYTES:
            one.forget()


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
        if isinstance(event, ToolResult) and not self._text_mode:
            for drawing in call.record.charts:
                self._slots.add(*drawing.bundle())

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
