"""What Claude's own service looks up (`--web`), and the sources that an answer cites, as
footnotes.

The service runs these tools itself within a turn: their calls and results are blocks of
the reply (https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool
and web-fetch-tool). What it found is encrypted for it alone, and goes back as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from mcp_notebook.agent.conversation import Block
from mcp_notebook.errors import BackendError, ConfigError
from mcp_notebook.events import Note, TextDelta
from mcp_notebook.untrusted_text import clip, visible

SEARCH, FETCH = "web_search", "web_fetch"
MOST_SEARCHES, MOST_PAGES = 8, 8  # of one turn; a search costs a cent
PAGE_TOKENS = 20_000  # of a page that the model reads
# Called by the model itself: in a sandbox of the service their results would be code's.
_DIRECT = ["direct"]
_QUOTED = 100  # characters of a passage below an answer
_NAMED = re.compile(r"web[ _-]?(?:search|fetch)", re.IGNORECASE)
_OF_A_MESSAGE = re.compile(r"\bmessages[.\[]\d")
# What would be more than words in markdown.
_SIGNS = re.compile(r"([\\`*_\[\]])")
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def web_tools(*, cites: bool) -> list[Block]:
    """The service's own tools. `cites`: pages are cited by passages, which an answer in
    a form cannot be.

    A page is read only where the person or a search named its address: what a server's
    result names may be a way out for data.
    """
    return [
        {
            "type": "web_search_20260318",
            "name": SEARCH,
            "max_uses": MOST_SEARCHES,
            "allowed_callers": _DIRECT,
        },
        {
            "type": "web_fetch_20260318",
            "name": FETCH,
            "max_uses": MOST_PAGES,
            "max_content_tokens": PAGE_TOKENS,
            "citations": {"enabled": cites},
            "allowed_callers": _DIRECT,
            "url_sources": {
                "user_input": {"type": "all"},
                "server_tool_results": {"type": "all"},
                "client_tool_results": {"type": "none"},
            },
        },
    ]


def check_web(kind: str, label: str) -> None:
    """Raises ConfigError where no service of Claude's answers, which alone has the tools."""
    if kind == "local":
        raise ConfigError(
            f"--web lets Claude's own service search, and {label} is not that: leave it "
            "out, or connect a server that fetches (mcp-notebook serve fetch)."
        )


def web_refusal(said: str, tools: Iterable[Block], label: str) -> BackendError | None:
    """What the person is told when the service takes no web tools; None where its words
    are about something else.
    """
    index = re.search(r"\btools[.\[](\d+)", said)
    names = [tool.get("name") for tool in tools]
    if SEARCH not in names or _OF_A_MESSAGE.search(said):
        return None

    is_named = _NAMED.search(said) is not None
    if index is not None and int(index[1]) < len(names):
        is_named = names[int(index[1])] in (SEARCH, FETCH)

    if not is_named:
        return None

    words = _one_line(said)
    return BackendError(
        f"{label} does not search the web ({words}): leave --web out, choose another "
        "model, or have it switched on for your organization."
    )


def tell_block(block: Mapping[str, Any]) -> Note | None:
    """A line for the person on what the service looked up, or could not."""
    given = block.get("input") or {}
    if block["type"] == "server_tool_use" and block.get("name") == SEARCH:
        return Note(f"Web search: {_one_line(given.get('query'))}")
    if block["type"] == "server_tool_use" and block.get("name") == FETCH:
        return Note(f"Web page: {_one_line(given.get('url'))}")

    content = block.get("content")
    failed = isinstance(content, dict) and content.get("error_code")
    if block["type"] in ("web_search_tool_result", "web_fetch_tool_result") and failed:
        words = str(failed).replace("_", " ")
        return Note(f"The web could not be read: {_one_line(words)}.", "warning")

    return None


def _one_line(text: Any) -> str:
    return clip(visible(" ".join(str(text or "").split())), 200)


class Footnotes:
    """The sources that the answer of one cell cites, numbered as they come."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._lines: list[str] = []

    def mark(self, block: Mapping[str, Any]) -> str:
        """What stands behind a passage that cites: `¹·³`; "" where it cites nothing."""
        found = [self._number(one) for one in block.get("citations") or ()]
        # signs that mean nothing in markdown, whatever comes after them
        return "·".join(_raise(number) for number in dict.fromkeys(found))

    def list_sources(self) -> TextDelta | None:
        """The notes below the answer, once; None where nothing was cited."""
        lines, self._lines = self._lines, []
        if not lines:
            return None

        return TextDelta("\n\n" + "\n".join(lines) + "\n")

    def _number(self, citation: Mapping[str, Any]) -> int:
        source, place = _source_of(citation)
        number = self._numbers.get((source, place))
        if number is None:
            number = self._numbers[source, place] = len(self._numbers) + 1
            quoted = _one_line(citation.get("cited_text"))
            passage = f": “{_plain(clip(quoted, _QUOTED))}”" if quoted else ""
            self._lines.append(f"- {_raise(number)} {source}{place}{passage}")

        return number


def _raise(number: int) -> str:
    return str(number).translate(_RAISED)


def _source_of(citation: Mapping[str, Any]) -> tuple[str, str]:
    """What is cited, as markdown, and where in it."""
    title = citation.get("title") or citation.get("document_title")
    url = str(citation.get("url") or "")
    if urlsplit(url).scheme in ("http", "https"):
        words = clip(_one_line(title) or url, 120)
        address = quote(url, safe=":/?#@!$&'*+,;=%~-._")
        return f"[{_plain(words)}]({address})", ""

    number = citation.get("document_index", citation.get("search_result_index"))
    named = title or citation.get("source") or f"document {(number or 0) + 1}"
    return _plain(clip(_one_line(named), 120)), _place_of(citation)


def _place_of(citation: Mapping[str, Any]) -> str:
    first, end = citation.get("start_page_number"), citation.get("end_page_number")
    if first is None:
        return ""
    # the end is the page after the last one
    if end is None or end - 1 <= first:
        return f", page {first}"

    return f", pages {first}–{end - 1}"


def _plain(text: str) -> str:
    """Words of others as markdown shows them, whatever signs are in them."""
    return _SIGNS.sub(r"\\\1", text)
