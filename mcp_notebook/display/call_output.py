"""Tool calls on the screen, in the three forms: static output, a live card, text.

A live card outlives its cell while there is room, so that its tables can still be sorted
and read. What is saved of it is static HTML; `alive.js` puts the live card in its place
on the page, as long as the kernel knows the card. Of too many the oldest go, and their
HTML stands there again.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from mcp_notebook.display.call_view import CallView
from mcp_notebook.display.card_html import render_call
from mcp_notebook.display.card_text import card_text
from mcp_notebook.display.outputs import Bundle, Slots
from mcp_notebook.events import Reply

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
        from mcp_notebook.display.widgets import Card, widget_bundle

        call_id = self.record.id
        self._card = Card(
            self.record,
            lambda reply: decide(call_id, reply),
            buttons=buttons,
            expanded=self._expanded,
        )
        bundle = widget_bundle(self._card, card_text(self.record))
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


_kept: "OrderedDict[str, KeptCard]" = OrderedDict()


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
