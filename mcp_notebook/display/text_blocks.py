r"""Claude's text on the screen, as markdown that cannot run code or load anything: the
text between two tool calls is one block.

JupyterLab renders markdown of a trusted cell without sanitising it, and a remote image
in it would carry data out (the EchoLeak class, CVE-2025-32711). What is code or a
formula and what is prose is only guessed here, so every change is safe under both
readings: in code a space is put after `<` and `!` (`a<b` -> `a< b`), in prose `<`
becomes `&lt;`.
"""

from __future__ import annotations

import html
import re

from mcp_notebook.display.card_html import small_line
from mcp_notebook.display.outputs import Bundle, Slots
from mcp_notebook.untrusted_text import visible

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


_CODE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^(?P=fence)[`~]*[ \t]*$|\Z)"
    r"|(?<!`)(?P<tick>`+)(?!`)[^\n]*?[^`\n](?P=tick)(?!`)"
    r"|\$\$.+?\$\$|(?<![\\$])\$(?=\S)[^$\n]*?[\\^_{}=+*/][^$\n]*?(?<=\S)\$(?!\d)"
    r"|(?<![\\$])\$[A-Za-z]\$",
    re.M | re.S,
)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_AUTOLINK = re.compile(r"<(https?://[^\s<>]+)>")
_TARGET = re.compile(r"\](?=[(:]\s*<?([^\s)]{0,400}))")
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):", re.I)
_TEX = re.compile(
    r"\\(?=(?:require|style|href|class|cssId|data|unicode|includegraphics)\b)"
)
_DOLLAR = re.compile(r"\\?\$")
_ALLOWED = {"http", "https", "mailto"}


def safe_markdown(markdown: str) -> str:
    """Markdown without raw HTML, images, script links or TeX that loads; amounts in
    dollars stay text.
    """
    text = visible(markdown, lines=True)
    parts, at = [], 0
    for code in _CODE.finditer(text):
        parts += [_safe_prose(text[at : code.start()]), _safe_code(code[0])]
        at = code.end()

    return "".join([*parts, _safe_prose(text[at:])])


def _safe_code(text: str) -> str:
    return _safe_links(_TAG.sub("< ", text).replace("![", "! ["))


def _safe_prose(text: str) -> str:
    text = _AUTOLINK.sub(r"\1", text)
    text = _TAG.sub("&lt;", text).replace("![", "[")
    # MathJax looks at the finished page: only an element of its own keeps `$5 to $10`
    # from being a formula.
    return _DOLLAR.sub(r"<span>\\$</span>", _safe_links(text))


def _safe_links(text: str) -> str:
    return _TEX.sub(
        "",
        _TARGET.sub(lambda found: "]" if _is_harmless_link(found[1]) else "]\\", text),
    )


def _is_harmless_link(target: str) -> bool:
    plain = re.sub(r"[\x00-\x20\\]", "", html.unescape(target))
    scheme = _SCHEME.match(plain)
    return scheme is None or scheme[1].lower() in _ALLOWED
