"""The body of a web answer as text: types and character sets that are known, HTML
without its scripts.
"""

import codecs
from email.message import Message
from html.parser import HTMLParser

from mcp_notebook.server.tool_errors import ToolError

_TYPES = (
    "text/",
    "application/json",
    "application/xml",
    "application/xhtml",
    "application/javascript",
)
_CHARSETS = {
    "utf-8",
    "ascii",
    "iso8859-1",
    "iso8859-15",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "shift_jis",
    "gb18030",
}
_CHARSETS |= {f"cp{number}" for number in range(1250, 1259)} | {
    "euc_jp",
    "euc_kr",
    "big5",
    "gbk",
    "koi8-r",
}
_HIDDEN = {"script", "style", "noscript", "template", "svg", "iframe", "object", "head"}
_BLOCKS = {
    "p",
    "div",
    "br",
    "li",
    "tr",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "table",
    "section",
    "article",
    "pre",
    "hr",
}


def media_type(content_type: str) -> tuple[str, str]:
    """Type and charset of a Content-Type header, both lower case; raises `ToolError`
    for what is no text.
    """
    message = Message()
    message["content-type"] = content_type or "text/plain"
    kind, charset = (
        message.get_content_type(),
        (message.get_content_charset() or "utf-8"),
    )
    if not kind.startswith(_TYPES) and not kind.endswith(("+json", "+xml")):
        raise ToolError(f"The address gives {kind}, not text.")
    try:
        name = codecs.lookup(charset).name
    except LookupError:
        name = ""
    if name not in _CHARSETS:
        raise ToolError(
            f"The text is in the character set {charset!r}, which is not supported."
        )
    return kind, name


def decode(body: bytes, charset: str, *, cut: bool, certain: bool) -> str:
    """The body as text; a character that the cut split is dropped. Without a declared
    type it must be UTF-8.
    """
    decoder = codecs.getincrementaldecoder(charset)(
        "strict" if not certain else "replace"
    )
    try:
        return decoder.decode(body, final=not cut)
    except UnicodeDecodeError as error:
        raise ToolError(
            "The address gives no text (it has no type and is not UTF-8)."
        ) from error


def html_text(html: str) -> str:
    """The visible text of a page: no scripts, styles or comments, a line for each block."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).splitlines())
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden.append(tag)
        elif tag in _BLOCKS:
            self.pieces.append("\n")
        elif tag == "title":
            self._hidden.clear()

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        elif tag in _BLOCKS or tag == "title":
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)
