"""The state line: what goes on while there is nothing to read yet, and for how long. It vanishes.

As a small widget it counts the time by itself; where there is none it is drawn once a
second; a terminal gets one line that is written over. A run that nobody watches has
none.
"""

import sys
from collections.abc import Callable
from typing import Any, Literal, Protocol

from mcp_notebook.display.slots import Slots
from mcp_notebook.display.static import small_line
from mcp_notebook.display.wording import duration
from mcp_notebook.events import Working
from mcp_notebook.untrusted_text import clip, visible

PATIENCE = 0.3  # seconds before something that goes on is worth a line
BEAT = 1.0  # seconds between two drawings of a line that does not count by itself
TAIL = 2_000  # characters of the model's thinking that are shown
_WORDS = {
    "starting": "Getting ready",
    "asking": "Asking {model}",
    "thinking": "{model} is thinking",
    "writing": "{model} writes a call of {subject}",
}


class Sign(Protocol):
    """One form of the line on the screen."""

    def draw(self, text: str, seconds: float, thinking: str) -> None:
        """Show what goes on since `seconds`; called at every beat."""

    def clear(self, last: str) -> None:
        """Take the line back; `last` is what it says where nothing takes its place."""

    def close(self) -> None:
        """The cell ends."""


class State:
    """What goes on, from the cell's events; drawn by a sign when it lasts."""

    def __init__(
        self, sign: Sign | None, clock: Callable[[], float], patience: float = PATIENCE
    ) -> None:
        self._sign = sign
        self._clock = clock
        self._patience = patience
        self.was_shown = False  # at any time
        self._text = ""
        self._model = ""
        self._since = 0.0
        self._thought = ""
        self._shown = False

    def begin(self, event: Working) -> None:
        """Something begins. The time counts on while the same request is answered."""
        if not self._text or event.what == "asking":
            self._since, self._thought = self._clock(), ""
        if event.what == "asking":
            self._model = clip(visible(event.subject), 80)
        self._text = _WORDS[event.what].format(
            model=self._model, subject=clip(visible(event.subject), 80)
        )

    def think(self, text: str) -> None:
        """The model says something of its thinking."""
        self._thought = (self._thought + text)[-TAIL:]

    def draw(self) -> None:
        """Show the line when it is due."""
        seconds = self._clock() - self._since
        if (
            self._sign is not None
            and self._text
            and (self._shown or seconds >= self._patience)
        ):
            self._shown = self.was_shown = True
            self._sign.draw(self._text, seconds, visible(self._thought, lines=True))

    def end(self) -> None:
        """There is something to read now."""
        if self._sign is not None and self._shown:
            self._sign.clear(
                f"{self._text} · {duration(self._clock() - self._since)} · no answer"
            )
        self._text, self._shown = "", False

    def close(self) -> None:
        """The cell ends."""
        self.end()
        if self._sign is not None:
            self._sign.close()


def sign_of(mode: Literal["widget", "static", "text"], slots: Slots) -> Sign | None:
    """The line in the form of a cell's output; None where it could not be taken back."""
    if mode == "text":
        return TerminalSign(slots) if sys.stdout.isatty() else None
    return WidgetSign(slots) if mode == "widget" else LineSign(slots)


class LineSign:
    """A line of static output, drawn once a second."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._shown = self._drawn = ""
        self._beat = -1

    def draw(self, text: str, seconds: float, thinking: str) -> None:
        if self._shown and text == self._drawn and int(seconds / BEAT) == self._beat:
            return
        self._drawn, self._beat = text, int(seconds / BEAT)
        said = f" · {clip(thinking.split(chr(10))[-1], 100)}" if thinking else ""
        bundle = small_line(f"{text} · {seconds:.0f} s{said}", mark="◌")
        if self._shown:
            self._slots.update(self._shown, bundle)
        else:
            self._shown = self._slots.show(bundle)

    def clear(self, last: str) -> None:
        shown, self._shown = self._shown, ""
        self._slots.vacate(
            shown, kept=lambda: self._slots.update(shown, small_line(last))
        )

    def close(self) -> None:
        pass


class WidgetSign:
    """A widget that counts by itself, one a cell; each time it stands where the output goes on."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._shown = ""
        self._widget: Any = None

    def draw(self, text: str, seconds: float, thinking: str) -> None:
        if self._widget is None:
            # ipywidgets is slow to import, and seldom wanted headless
            from mcp_notebook.display.sign import Progress

            self._widget = Progress()
        self._widget.tell(text, seconds, thinking)
        if not self._shown:
            self._shown = self._slots.show(self._widget.bundle(f"{text} …"))

    def clear(self, last: str) -> None:
        shown, self._shown = self._shown, ""
        # JupyterLab renders a widget over a widget in place, and loses track of the
        # first one: text comes between.
        self._slots.vacate(
            shown,
            taken=lambda: self._slots.update(shown, {"text/plain": ""}),
            kept=lambda: self._slots.update(shown, small_line(last)),
        )

    def close(self) -> None:
        if self._widget is not None:
            self._widget.close()


class TerminalSign:
    """The last line of a terminal, written over."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._drawn = ""

    def draw(self, text: str, seconds: float, thinking: str) -> None:
        line = f"{text} · {seconds:.0f} s"
        if line != self._drawn:
            self._drawn = line
            self._slots.write(f"\r\x1b[2K{line}")

    def clear(self, last: str) -> None:
        self._drawn = ""
        self._slots.write("\r\x1b[2K")

    def close(self) -> None:
        pass
