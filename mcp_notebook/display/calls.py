"""Tool calls on the screen, in the three forms: static output, a live card, text."""

from collections.abc import Callable
from dataclasses import replace

from mcp_notebook.display.alive import keep
from mcp_notebook.display.plain import card_text
from mcp_notebook.display.record import CallRecord
from mcp_notebook.display.screen import Bundle
from mcp_notebook.display.slots import Slots
from mcp_notebook.display.static import render_call
from mcp_notebook.events import Reply

# Takes a call's id and the person's reply, perhaps on another thread.
Decide = Callable[[str, Reply], None]


class StaticCall:
    """One call on the screen, as static output from the start."""

    def __init__(
        self,
        record: CallRecord,
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
        keep(self._card)


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
