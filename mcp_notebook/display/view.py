"""One live view a cell: takes the cell's events in order, and leaves static output behind.

It is used in the cell's own thread and context only, because output of another thread
lands in whichever cell runs.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol

from mcp_notebook.display.call_view import (
    MARKS,
    CallView,
    report_progress,
    view_call,
)
from mcp_notebook.display.card import card_text, render_call
from mcp_notebook.display.html_parts import COLOURS, safe_markdown
from mcp_notebook.display.outputs import (
    PATIENCE,
    Bundle,
    CellScreen,
    Screen,
    Slots,
    WorkingLine,
    footer_line,
    line_form,
    load_widgets,
    small_line,
    stop_line,
    thinking_fold,
)
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
from mcp_notebook.untrusted_text import visible

if TYPE_CHECKING:
    from mcp_notebook.display.explorer import Explorer, TableLook

# Tool calls on the screen, in the three forms: static output, a live card, text.
#
# A live card outlives its cell while there is room, so that its tables can still be
# sorted and read. What is saved of it is static HTML; `alive.js` puts the live card in
# its place on the page, as long as the kernel knows the card. Of too many the oldest
# go, and their HTML stands there again.


# (what answers for a table, what is looked at, its name) -> what the person is told
Tell = Callable[["Explorer", "TableLook", str], str]

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
        tell: Tell | None = None,
    ) -> None:
        self.record = record
        self._tell = tell
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
        self._count()
        if expanded and not self._expanded:
            self._expanded = True
            self._update()
        self.draw()

    def _count(self) -> None:
        """Say of the columns what they hold, once there is nothing more to wait for."""
        if self.has_table:
            self.record = self.record.with_counts()

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
        widgets = load_widgets()
        call_id = self.record.id
        self._card = widgets.Card(
            self.record,
            lambda reply: decide(call_id, reply),
            buttons=buttons,
            expanded=self._expanded,
            tell=self._tell,
        )
        bundle = widgets.widget_bundle(self._card, card_text(self.record))
        self._shown = self._slots.show(bundle)

    def _update(self) -> None:
        self._card.update(self.record)

    def freeze(self, *, expanded: bool = False) -> None:
        self.end()
        self._count()
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


# ---- Claude's text: the text between two tool calls is one block

INTERVAL = 0.1  # seconds between two updates of one thing
SHARE = 24  # of the tail: less that is new waits for more
LATEST = 0.4  # seconds for which it waits at most
PACE = 40_000  # characters that are sent again a second: more are sent less often
LEAST = 1_200  # characters of a tail that is worth settling
# times the square root of what is settled: where the two outputs together send least
GROWTH = 20
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t]*\n+(?=\S)")


class MarkdownBlock:
    """A block of markdown that grows: one output when it ends.

    While it comes, a long block stands in two outputs, finished paragraphs and the tail
    that still changes. Only the tail is sent at every beat; what is finished is sent
    again when enough was added. So the bytes that are sent grow with the length to the
    power of 1.5, not with its square. The first holds its text as text too: a kernel
    that dies leaves an answer that anything can read, but for its last paragraphs.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._pieces: list[str] = []
        self._fresh = False  # whether something is not drawn yet
        # characters that are shown at all, and in the first output
        self._drawn = self._settled = 0
        self._head = self._tail = ""  # where the two outputs are
        self._due = 0.0

    def add(self, text: str) -> None:
        self._pieces.append(text)
        self._fresh = True

    def draw(self, now: float) -> None:
        if not self._fresh or now < self._due:
            return

        text = self._join_pieces()
        rest = len(text) - self._settled
        if (len(text) - self._drawn) * SHARE < rest and now < self._due + LATEST:
            return

        self._fresh, self._drawn = False, len(text)
        self._settle(text)
        self._draw_tail(text)
        self._due = now + max(INTERVAL, (len(text) - self._settled) / PACE)

    def end(self) -> None:
        """Draw what is not drawn; a second output goes to what comes next, and then the
        first holds everything.
        """
        text = self._join_pieces()
        if not text.strip():
            return

        if not self._tail:
            self._head = self._place(self._head, _markdown_bundle(text))
        elif self._fresh:
            self._draw_tail(text)

        self._fresh = False
        if self._tail:
            self._slots.vacate(
                self._tail,
                taken=lambda: self._slots.update(self._head, _markdown_bundle(text)),
                kept=self._stay_apart,
            )

    def _stay_apart(self) -> None:
        """Nothing came after a long block: its two outputs stay, each whole."""
        text = self._join_pieces()
        self._slots.update(self._head, _markdown_bundle(text[: self._settled]))
        self._slots.update(self._tail, _markdown_bundle(text[self._settled :]))

    def discard(self, reason: str) -> None:
        """Take back what is shown: what comes next stands in its place."""
        for shown in filter(None, (self._head, self._tail)):
            self._slots.update(shown, small_line(reason))
            self._slots.vacate(shown)

    def _join_pieces(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        if self._pieces:
            return self._pieces[0]
        return ""

    def _settle(self, text: str) -> None:
        worth = max(LEAST, GROWTH * self._settled**0.5)
        if len(text) - self._settled < worth:
            return

        at = _end_of_finished(text, self._settled)
        if at > self._settled:
            self._settled = at
            closing = _open_fence(text, at)
            head = text[:at] + (f"\n{closing[1]}" if closing else "")
            self._head = self._place(
                self._head,
                {**_markdown_bundle(text[:at]), "text/markdown": safe_markdown(head)},
            )

    def _draw_tail(self, text: str) -> None:
        if not text.strip():
            return

        opening = _open_fence(text, self._settled)
        tail = (f"{opening[0]}\n" if opening else "") + text[self._settled :]
        # As text only while it is all there is: sent with every beat, twice the tail
        # would be half as much again.
        bundle = {
            "text/markdown": safe_markdown(tail),
            "text/plain": "" if self._settled else visible(text, lines=True),
        }
        if not self._settled:
            self._head = self._place(self._head, bundle)
        elif text[self._settled :].strip():
            self._tail = self._place(self._tail, bundle)

    def _place(self, shown: str, bundle: Bundle) -> str:
        if not shown:
            return self._slots.show(bundle)
        self._slots.update(shown, bundle)
        return shown


def _markdown_bundle(text: str) -> Bundle:
    return {
        "text/markdown": safe_markdown(text),
        "text/plain": visible(text, lines=True),
    }


def _end_of_finished(text: str, start: int) -> int:
    """Where the finished part of a text may end: before its last paragraph, else, in a
    long block of code, a line.
    """
    for found in reversed(list(_PARAGRAPH.finditer(text, start))):
        if not _open_fence(text, found.end()):
            return found.end()

    line = text.rfind("\n", start) + 1
    if line > start and _open_fence(text, line):
        return line

    return start


def _open_fence(text: str, at: int) -> tuple[str, str] | None:
    """The line that opens the block of code in which this place is, with the marks that
    close it.
    """
    opened: tuple[str, str] | None = None
    for found in _FENCE.finditer(text, 0, at):
        line, marks = found[0].strip(), found[1]
        if opened is None:
            opened = (line, marks)
        elif marks.startswith(opened[1]) and line == marks:
            opened = None

    return opened


class TextBlock:
    """The same in a terminal: written line by line as it comes, never taken back."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._rest = ""

    def add(self, text: str) -> None:
        self._rest += text

    def draw(self, now: float) -> None:
        lines, newline, self._rest = self._rest.rpartition("\n")
        if newline:
            self._slots.write(visible(lines, lines=True) + "\n")

    def end(self) -> None:
        if self._rest:
            self._slots.write(visible(self._rest, lines=True) + "\n")
            self._rest = ""

    def discard(self, reason: str) -> None:
        self._rest = ""
        self._slots.write(f"[{small_line(reason)['text/plain']}]\n")


class View:
    """Draws the events of one cell.

    `decide(call id, reply)` is called when a card's button is clicked, possibly on
    another thread. `buttons=False`: the question is asked elsewhere (a blocking cell),
    so cards have none. `expanded`: cards start open. `live`: somebody watches, so a
    line says what goes on while there is nothing to read for longer than `patience`
    seconds. `thinking`: what the model says of it stays, folded. `tell`: puts what is
    looked at of a table into the next question.
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
        thinking: bool = False,
        tell: Tell | None = None,
        screen: Screen | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = Slots(screen or CellScreen())
        self._clock = clock
        forms = {"text": TextCall, "widget": WidgetCall, "static": StaticCall}
        make = forms[mode]
        self._make = lambda record: make(
            record, self._slots, decide, buttons=buttons, expanded=expanded, tell=tell
        )
        self._block: TextBlock | MarkdownBlock | None = None
        self._text_mode = mode == "text"
        self._calls: dict[str, StaticCall] = {}
        self._drawn = 0.0  # when progress was last drawn
        self._keeps_thinking = thinking
        self._thinking = ""  # of the turn so far
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
            self._fold_thinking()

        match event:
            case TextDelta(text):
                self._open_block().add(text)
            case Working():
                self._end_block()
                self._working.begin(event)
            case ThinkingDelta(text):
                self._working.think(text)
                self._thinking += text if self._keeps_thinking else ""
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

    def _fold_thinking(self) -> None:
        """Let what the model thought before this stand, where the person wants it."""
        words, self._thinking = self._thinking, ""
        if not words.strip():
            return

        self._end_block()
        bundle = thinking_fold(words)
        if self._text_mode:
            self._slots.write(bundle["text/plain"] + "\n")
        else:
            self._slots.show(bundle)

    def _advance(
        self, call: StaticCall, event: ToolStarted | ToolProgress | ToolResult
    ) -> None:
        if isinstance(event, ToolProgress):
            call.record = report_progress(call.record, event)  # drawn at the next flush
            return

        if isinstance(event, ToolStarted):
            call.record = replace(call.record, status="running")
        else:
            # pyarrow is slow to import: a question has its line on the screen before
            from mcp_notebook.display.tables import finish_view

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
