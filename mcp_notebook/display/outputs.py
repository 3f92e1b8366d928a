"""Where a cell's output stands: in which form it is shown, the one place that talks to
IPython's display machinery, places that what vanishes leaves to what comes next, and
the quiet lines in them: what goes on, what answered, why it stopped.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol
from uuid import uuid4

from IPython.display import display, update_display

from mcp_notebook.display.call_view import byte_size, count_of, saved_duration
from mcp_notebook.display.html_parts import NO_MATH, SANS, dim, escape, tag
from mcp_notebook.events import Footer, Stop, Working
from mcp_notebook.secrets import seal_text
from mcp_notebook.untrusted_text import clip, visible

Bundle = dict[str, Any]

Mode = Literal["widget", "static", "text"]

MODES = ("auto", "widget", "static", "text")


def choose_mode(setting: str, shell: object) -> Mode:
    """The form of the output. `setting` is one of MODES; "auto" takes live cards only
    where a person is at a notebook.

    Headless runs (nbclient, papermill, Voilà) start the kernel with `allow_stdin`
    False: nobody answers there, and a saved widget would be blank. A terminal gets text
    whatever the setting says.
    """
    if setting not in MODES:
        raise ValueError(f"cards is one of {', '.join(MODES)}, not {setting!r}")

    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "text"
    if setting in ("widget", "static", "text"):
        return setting
    if _has_person(kernel):
        return "widget"

    return "static"


def _has_person(kernel: object) -> bool:
    return getattr(kernel, "_allow_stdin", False) is True


class Screen(Protocol):
    """Where a view draws. `show` returns the id by which `update` replaces what was
    shown; `about` is the output's metadata.
    """

    def show(self, bundle: Bundle, about: Bundle | None = None) -> str: ...
    def update(self, shown: str, bundle: Bundle) -> None: ...
    def write(self, text: str) -> None: ...


class CellScreen:
    """The output of the running cell. Use it only in the cell's own thread and context."""

    def show(self, bundle: Bundle, about: Bundle | None = None) -> str:
        shown = uuid4().hex
        display(bundle, raw=True, display_id=shown, metadata=about)
        return shown

    def update(self, shown: str, bundle: Bundle) -> None:
        update_display(bundle, raw=True, display_id=shown)

    def write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def load_widgets() -> Any:
    """The module of what is live in a cell: slow to import, and not wanted headless."""
    from mcp_notebook.display import widgets

    return widgets


def _do_nothing() -> None:
    """What usually is to be done about a vacated place."""


class Slots:
    """A screen on which outputs can be vacated; a new output takes the first vacant place."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._order: list[str] = []
        self._vacant: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {}

    def show(self, bundle: Bundle) -> str:
        """Show something new, in a vacant place when there is one."""
        for shown in self._order:
            if shown in self._vacant:
                taken, _ = self._vacant.pop(shown)
                taken()
                self._screen.update(shown, bundle)
                return shown

        shown = self._screen.show(bundle)
        self._order.append(shown)
        return shown

    def add(self, bundle: Bundle, about: Bundle) -> None:
        """Show what has a place of its own and stays there, with its metadata."""
        self._order.append(self._screen.show(bundle, about))

    def update(self, shown: str, bundle: Bundle) -> None:
        """Show something else in a place that is taken."""
        self._screen.update(shown, bundle)

    def write(self, text: str) -> None:
        """Write plain text."""
        self._screen.write(text)

    def vacate(
        self,
        shown: str,
        taken: Callable[[], None] = _do_nothing,
        kept: Callable[[], None] = _do_nothing,
    ) -> None:
        """Give a place free. `taken` is called when something else takes it, `kept`
        when nothing did by the end.
        """
        self._vacant[shown] = taken, kept

    def close(self) -> None:
        """Nothing more comes: what stands in vacated places stays."""
        while self._vacant:
            _, kept = self._vacant.pop(next(iter(self._vacant)))
            kept()


# ---- quiet lines


def small_line(text: str, *, mark: str = "", colour: str = "") -> dict[str, str]:
    """The bundle of one quiet line: a note, a footer, why a cell stopped. `mark` is a
    coloured sign before it.
    """
    plain = clip(visible(" ".join(text.split())), 1_000)
    if mark:
        sign = tag("b", mark, f"color:{colour};font-size:12px") + " "
    else:
        sign = ""

    html = tag("div", sign + dim(escape(plain)), f"{SANS};margin:4px 0", NO_MATH)
    return {"text/html": html, "text/plain": f"{mark} {plain}" if mark else plain}


MOST_THINKING = 20_000  # characters of one turn that are kept


def thinking_fold(thinking: str) -> dict[str, str]:
    """The bundle of what a model said of its thinking, folded."""
    words = visible(clip(seal_text(thinking.strip()), MOST_THINKING), lines=True)
    count = len(words.split())
    heading = f"Thinking · {count:,} word{'s' * (count != 1)}"
    summary = tag("summary", dim(heading), "cursor:pointer")
    told = tag("div", escape(words), "white-space:pre-wrap;margin:4px 0 4px 14px")
    html = tag("details", summary + dim(told), f"{SANS};margin:4px 0", NO_MATH)
    first = clip(" ".join(words.split()), 200)
    return {"text/html": html, "text/plain": f"{heading}: {first}"}


_STOPS = {
    "limit": "Stopped at a limit",
    "interrupted": "Stopped by you",
    "refused": "Claude declined to go on",
    "error": "Stopped by an error",
}


def footer_line(footer: Footer) -> str:
    """`claude-sonnet-5-5 · live · 3 calls · 12.3k tokens in (8.0k cached), 512 out ·
    $0.012 · 8.4 s · 1.2 MB kept …`
    """
    pieces = [_short_hashes(footer.backend), _calls(footer), _tokens(footer)]
    if footer.web_searches:
        ending = "es" * (footer.web_searches != 1)
        pieces.append(f"{footer.web_searches:,} web search{ending}")

    if footer.web_pages:
        pieces.append(f"{footer.web_pages:,} web page{'s' * (footer.web_pages != 1)}")

    if footer.dollars:  # nothing is said where nothing is paid: a local model, a replay
        pieces.append(dollars(footer.dollars))

    pieces.append(saved_duration(footer.seconds))
    if footer.kept_bytes:
        pieces.append(f"{byte_size(footer.kept_bytes)} kept out of the model")

    return " · ".join(piece for piece in (*pieces, *footer.notes) if piece)


def stop_line(stop: Stop) -> str:
    """Why the cell ended before Claude was done; "" when it was done."""
    if stop.reason == "done":
        return stop.message

    opening = _STOPS[stop.reason]
    if stop.message:
        return f"{opening}: {stop.message}"

    return f"{opening}."


def dollars(amount: float) -> str:
    """Two figures that count: `$0.0042`, `$0.13`, `$2.40`."""
    if amount == 0:
        return "$0"
    if amount < 0.0001:
        return "less than $0.0001"
    if amount < 0.01:
        return f"${amount:.4f}"
    if amount < 0.1:
        return f"${amount:.3f}"

    return f"${amount:.2f}"


def _short_hashes(text: str) -> str:
    """A checksum by its first twelve digits; the recording holds it whole."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", text)


def _calls(footer: Footer) -> str:
    if footer.calls:
        return count_of(footer.calls, "call")
    return ""


def _tokens(footer: Footer) -> str:
    read = footer.input_tokens + footer.cached_tokens
    if not read and not footer.output_tokens:
        return ""

    if footer.cached_tokens:
        cached = f" ({_count(footer.cached_tokens)} cached)"
    else:
        cached = ""

    return f"{_count(read)} tokens in{cached}, {_count(footer.output_tokens)} out"


def _count(number: int) -> str:
    if number < 10_000:
        return f"{number:,}"
    if number < 1_000_000:
        return f"{number / 1000:.1f}k"
    return f"{number / 1e6:.1f}M"


# ---- the working line: what goes on while there is nothing to read yet, and for how
# long. It vanishes.
#
# As a small widget it counts the time by itself; where there is none it is drawn once a
# second; a terminal gets one line that is written over. A run that nobody watches has
# none.

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
            took = saved_duration(self._clock() - self._since)
            words = [self._text, took, "no answer"]
            self._form.clear(" · ".join(word for word in words if word))
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
        widgets = load_widgets()
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
