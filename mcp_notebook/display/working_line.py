"""The working line: what goes on while there is nothing to read yet, and for how long. It vanishes.

As a small widget it counts the time by itself; where there is none it is drawn once a
second; a terminal gets one line that is written over. A run that nobody watches has
none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from mcp_notebook.display.card_html import small_line
from mcp_notebook.display.outputs import Mode, Slots
from mcp_notebook.display.wording import duration
from mcp_notebook.events import Working
from mcp_notebook.untrusted_text import clip, visible

PATIENCE = 0.3  # seconds before something that goes on is worth a line
LONG = 2.0  # the same for a run that was asked to show nothing else
BEAT = 1.0  # seconds between two drawings of a line that does not count by itself
TAIL = 2_000  # characters of the model's thinking that are shown
_WORDS = {
    "starting": "Getting ready",
    "asking": "Asking {model}",
    "thinking": "{model} is thinking",
    "writing": "{model} writes a call of {subject}",
}


class LineForm(Protocol):
    """One form of the line on the screen."""

    def draw(self, text: str, seconds: float, detail: str) -> None:
        """Show what goes on since `seconds`; called at every beat."""

    def clear(self, last: str) -> None:
        """Take the line back; `last` is what it says where nothing takes its place."""

    def leave(self, text: str) -> None:
        """Let a text stand for good where the line was, or would have been."""

    def close(self) -> None:
        """The cell ends."""


class WorkingLine:
    """What goes on, drawn when it lasts; without a form, nobody watches."""

    def __init__(
        self,
        form: LineForm | None,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._form = form
        self._clock = clock
        self._patience = patience
        self.was_shown = False  # at any time
        self._text = ""
        self._model = ""
        self._since = 0.0
        self._detail = ""
        self._shown = False

    def begin(self, event: Working) -> None:
        """Something of a run begins. The time counts on while the same request is answered."""
        if event.what == "asking":
            self._text = ""
            self._model = clip(visible(event.subject), 80)
        subject = clip(visible(event.subject), 80)
        self.say(_WORDS[event.what].format(model=self._model, subject=subject))

    def say(self, text: str, detail: str | None = None) -> None:
        """What goes on, in words of ours; the time counts since the first of them."""
        if not self._text:
            self._since, self._detail = self._clock(), ""
        self._text = text
        if detail is not None:
            self._detail = detail

    def think(self, text: str) -> None:
        """The model says something of its thinking."""
        self._detail = (self._detail + text)[-TAIL:]

    def draw(self) -> None:
        """Show the line when it is due."""
        if self._form is None or not self._text:
            return

        seconds = self._clock() - self._since
        if self._shown or seconds >= self._patience:
            self._shown = self.was_shown = True
            self._form.draw(self._text, seconds, visible(self._detail, lines=True))

    def end(self) -> None:
        """There is something to read now."""
        if self._form is not None and self._shown:
            took = duration(self._clock() - self._since)
            self._form.clear(f"{self._text} · {took} · no answer")
        self._text, self._shown = "", False

    def leave(self, text: str) -> None:
        """The end: a text stands for good where the line was, or would have been."""
        if self._form is not None:
            self._form.leave(text)
        self._text, self._shown = "", False

    def close(self) -> None:
        """The cell ends."""
        self.end()
        if self._form is not None:
            self._form.close()


def line_form(mode: Mode, slots: Slots) -> LineForm | None:
    """The line in the form of a cell's output; None where it could not be taken back."""
    if mode == "text":
        if sys.stdout.isatty():
            return TerminalLine(slots)
        return None

    if mode == "widget":
        return WidgetLine(slots)

    return StaticLine(slots)


class StaticLine:
    """A line of static output, drawn once a second."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._shown = self._drawn = ""
        self._beat = -1

    def draw(self, text: str, seconds: float, detail: str) -> None:
        beat = int(seconds / BEAT)
        if self._shown and text == self._drawn and beat == self._beat:
            return

        self._drawn, self._beat = text, beat
        last = detail.rpartition("\n")[2]
        if last:
            said = f" · {clip(last, 100)}"
        else:
            said = ""

        self._place(small_line(f"{text} · {seconds:.0f} s{said}", mark="◌"))

    def clear(self, last: str) -> None:
        shown, self._shown = self._shown, ""
        self._slots.vacate(
            shown, kept=lambda: self._slots.update(shown, small_line(last))
        )

    def leave(self, text: str) -> None:
        self._place({"text/plain": text})
        self._shown = ""

    def close(self) -> None:
        pass

    def _place(self, bundle: dict[str, str]) -> None:
        if self._shown:
            self._slots.update(self._shown, bundle)
        else:
            self._shown = self._slots.show(bundle)


class WidgetLine:
    """A widget that counts by itself, one a cell; each time it stands where the output goes on."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._shown = ""
        self._widget: Any = None

    def draw(self, text: str, seconds: float, detail: str) -> None:
        # ipywidgets is slow to import, and seldom wanted headless
        from mcp_notebook.display import widgets

        if self._widget is None:
            self._widget = widgets.Progress()

        self._widget.tell(text, seconds, detail)
        if not self._shown:
            self._shown = self._slots.show(
                widgets.widget_bundle(self._widget, f"{text} …")
            )

    def clear(self, last: str) -> None:
        self._vacate(lambda shown: self._slots.update(shown, small_line(last)))

    def leave(self, text: str) -> None:
        if self._shown:
            self._vacate(lambda shown: None)
        self._slots.show({"text/plain": text})

    def close(self) -> None:
        if self._widget is not None:
            self._widget.close()

    def _vacate(self, keep: Callable[[str], None]) -> None:
        shown, self._shown = self._shown, ""
        # JupyterLab renders a widget over a widget in place, and loses track of the
        # first one: text comes between.
        self._slots.vacate(
            shown,
            taken=lambda: self._slots.update(shown, {"text/plain": ""}),
            kept=lambda: keep(shown),
        )


class EndLine:
    """Nothing but what is left for good: for output that is read afterwards."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def draw(self, text: str, seconds: float, detail: str) -> None:
        pass

    def clear(self, last: str) -> None:
        pass

    def leave(self, text: str) -> None:
        self._slots.write(f"{text}\n")

    def close(self) -> None:
        pass


class TerminalLine:
    """The last line of a terminal, written over."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._drawn = ""

    def draw(self, text: str, seconds: float, detail: str) -> None:
        line = f"{text} · {seconds:.0f} s"
        if line != self._drawn:
            self._drawn = line
            self._slots.write(f"\r\x1b[2K{line}")

    def clear(self, last: str) -> None:
        self._drawn = ""
        self._slots.write("\r\x1b[2K")

    def leave(self, text: str) -> None:
        self.clear("")
        self._slots.write(f"{text}\n")

    def close(self) -> None:
        pass
