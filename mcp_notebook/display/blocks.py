"""Claude's text on the screen: the text between two tool calls is one block."""

from mcp_notebook.display.prose import prose
from mcp_notebook.display.safe import visible
from mcp_notebook.display.screen import Screen
from mcp_notebook.display.static import small_line

INTERVAL = 0.1  # seconds between two updates of one thing
PACE = 40_000  # characters of a block a second: a long block is sent less often


class MarkdownBlock:
    """A block of markdown: one display, updated as it grows."""

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

    def discard(self, reason: str) -> str:
        """Take back what is shown; returns where it stood."""
        if self._shown:
            self._screen.update(self._shown, small_line(reason))
        return self._shown

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


class TextBlock:
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

    def discard(self, reason: str) -> str:
        self._rest = ""
        self._screen.write(f"[{small_line(reason)['text/plain']}]\n")
        return ""
