"""What the display tests share: a list in place of the screen, a reading, and a reader
of HTML that is strict.
"""

from html.parser import HTMLParser

import pyarrow as pa
import pytest

from mcp_notebook.events import ToolCall, ToolResult
from mcp_notebook.results import Reading, Table
from tests.data import ATTACKS as ATTACKS

TAGS = {
    "details",
    "summary",
    "div",
    "span",
    "b",
    "i",
    "code",
    "pre",
    "small",
    "br",
    "img",
} | {
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
ATTRIBUTES = {
    "class",
    "style",
    "align",
    "open",
    "title",
    "src",
    "alt",
    "width",
    "height",
}


class FakeScreen:
    """Keeps what was drawn: `shown` is the last bundle of each output in order, `sent`
    everything that was sent.
    """

    def __init__(self) -> None:
        self.shown: list[dict] = []
        self.sent: list[dict] = []
        self.written = ""

    def show(self, bundle: dict) -> str:
        self.shown.append(bundle)
        self.sent.append(bundle)
        return str(len(self.shown) - 1)

    def update(self, shown: str, bundle: dict) -> None:
        self.shown[int(shown)] = bundle
        self.sent.append(bundle)

    def write(self, text: str) -> None:
        self.written += text


class Strict(HTMLParser):
    """Reads our HTML: only known tags and attributes, nothing that runs or loads;
    `text` is what a reader sees.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.titles: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, f"unknown element <{tag}>"
        for name, value in attrs:
            assert name in ATTRIBUTES, f"unknown attribute {name}={value!r} of <{tag}>"
            assert name != "src" or (value or "").startswith("data:image/")
            assert name != "style" or "url(" not in (value or "")
            if name == "title":
                self.titles.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl!r}")


def call(name: str = "a", *, asks: bool = False, **arguments: object) -> ToolCall:
    return ToolCall(
        name, "shop", "query", arguments or {"sql": "select 1"}, needs_approval=asks
    )


def result(
    name: str = "a", data: pa.Table | None = None, **about: object
) -> ToolResult:
    reading = (
        None
        if data is None
        else Reading(tables=(Table(data=data, **about),), reader="test")
    )  # type: ignore[arg-type]
    return ToolResult(name, "ok", "what Claude saw", 0.25, 9_000, ("sales",), reading)


@pytest.fixture
def screen() -> FakeScreen:
    return FakeScreen()
