"""Texts inside a text: fenced blocks (```csv) and one tag around a body, whose inside is read for itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n`]*\r?\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_TAG = re.compile(r"^[ \t]*<([A-Za-z][\w.-]*)(?:\s[^<>]*)?>[ \t]*\r?\n(.*?)\r?\n?[ \t]*</\1>[ \t]*$", re.DOTALL | re.MULTILINE)
_CODE = {
    "sql", "pgsql", "plsql", "tsql", "python", "py", "python3", "bash", "sh", "shell", "js", "javascript", "ts", "java",
    "typescript", "diff", "r", "go", "rust", "c", "cpp", "mermaid", "dockerfile", "toml", "ini", "regex", "graphql",
}  # fmt: skip
_MARKUP = {
    "table", "html", "body", "div", "tr", "td", "th", "thead", "tbody", "ul", "ol", "li", "p", "span", "head", "style",
    "script", "details", "summary", "pre", "code", "section", "article", "center", "row", "record",
}  # fmt: skip
_MANY = 50


class Inside(NamedTuple):
    """One inner text and how it was wrapped; `rest` is the text without all of them."""

    body: str
    wrapping: str


def bodies(text: str) -> tuple[list[Inside], str]:
    """The fenced blocks of a text, else the bodies of its tags; and what is left without them."""
    if "```" in text or "~~~" in text:
        found = list(_fences(text))
        if found:
            return found, _FENCE.sub("", text).strip()
    if "</" in text:
        return list(_tags(text)), _TAG.sub("", text).strip()
    return [], text


def _fences(text: str) -> Iterator[Inside]:
    for number, match in enumerate(_FENCE.finditer(text)):
        if number >= _MANY:
            return
        if match[2].lower() not in _CODE:
            yield Inside(match[3], f"a fenced block{f' of {match[2]}' if match[2] else ''}")


def _tags(text: str) -> Iterator[Inside]:
    for number, match in enumerate(_TAG.finditer(text)):
        if number >= _MANY:
            return
        if match[1].lower() not in _MARKUP:
            yield Inside(match[2], f"a tag <{match[1]}>")
