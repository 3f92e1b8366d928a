"""Texts inside a text: fenced blocks (```csv) and one tag around a body, whose inside
is read for itself.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_FENCE = re.compile(r"[ \t]{0,80}(```+|~~~+)[ \t]*([\w+-]*)[^`]*")
_OPEN = re.compile(r"[ \t]{0,80}<([A-Za-z][\w.-]*)(?: [^<>]*)?>[ \t]*")
_CLOSE = re.compile(r"[ \t]{0,80}</([A-Za-z][\w.-]*)>[ \t]*")
_CODE = {
    "sql", "pgsql", "plsql", "tsql", "python", "py", "python3", "bash", "sh", "shell", "js", "javascript", "ts", "java",
    "typescript", "diff", "r", "go", "rust", "c", "cpp", "mermaid", "dockerfile", "toml", "ini", "regex", "graphql",
}  # fmt: skip
_MARKUP = {
    "table", "html", "body", "div", "tr", "td", "th", "thead", "tbody", "ul", "ol", "li", "p", "span", "head", "style",
    "script", "details", "summary", "pre", "code", "section", "article", "center", "row", "record",
    "meta", "schema", "columns",
}  # fmt: skip
_MANY = 50


class Inside(NamedTuple):
    """One inner text and how it was wrapped."""

    body: str
    wrapping: str


def bodies(text: str) -> tuple[list[Inside], str]:
    """The fenced blocks of a text, else the bodies of its tags; and what is left
    without them. Linear in the text.
    """
    for marks, pairs in ((("```", "~~~"), _fences), (("</",), _tags)):
        if any(mark in text for mark in marks):
            lines = text.splitlines(keepends=True)
            found = list(itertools.islice(pairs(lines), _MANY))
            if found:
                inside = [
                    Inside("".join(lines[start + 1 : end]), wrapping)
                    for start, end, wrapping in found
                ]
                outer = itertools.pairwise(
                    [
                        -1,
                        *(n for start, end, _ in found for n in (start, end)),
                        len(lines),
                    ]
                )
                return inside, "".join(
                    "".join(lines[a + 1 : b]) for a, b in list(outer)[::2]
                ).strip()
    return [], text


def _fences(lines: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """First and last line of each fence, and what its inside is called."""
    start, language = -1, ""
    for number, line in enumerate(lines):
        match = (
            _FENCE.fullmatch(line.rstrip("\r\n"))
            if "```" in line or "~~~" in line
            else None
        )
        if match is None:
            continue
        if start < 0:
            start, language = number, match[2]
            continue
        # a value that begins with the marks closes no fence
        if line.strip(" \t\r\n").strip(match[1][0]):
            continue
        if language.lower() not in _CODE:
            yield (
                start,
                number,
                f"a fenced block{f' of {language}' if language else ''}",
            )
        start = -1


def _tags(lines: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """The same for tags on lines of their own; the inside of a tag is not looked through again."""
    closing = {
        match[1]: n
        for n, line in enumerate(lines)
        if (match := _CLOSE.fullmatch(line.rstrip("\r\n")))
    }
    after = 0
    for number, line in enumerate(lines if closing else ()):
        match = (
            _OPEN.fullmatch(line.rstrip("\r\n"))
            if number >= after and "<" in line
            else None
        )
        if (
            match
            and match[1].lower() not in _MARKUP
            and closing.get(match[1], 0) > number
        ):
            after = closing[match[1]]
            yield number, after, f"a tag <{match[1]}>"
