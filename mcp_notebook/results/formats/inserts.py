"""`INSERT INTO t (a, b) VALUES (1, 'x'), …` statements, as dumps and exports write rows."""

from __future__ import annotations

import re
from typing import Any

from mcp_notebook.results.raw_table import Answer, Taken, from_rows
from mcp_notebook.results.values import jsontext

_NAME = r"(?:\"(?:[^\"]|\"\")+\"|`[^`]+`|\[[^\]]+\]|[^\W\d][\w$]*)"
_HEAD = re.compile(
    rf"\s*INSERT\s+INTO\s+({_NAME}(?:\.{_NAME})*)\s*\(\s*({_NAME}(?:\s*,\s*{_NAME})*)\s*\)\s*VALUES\s*",
    re.IGNORECASE,
)
_FIRST = re.compile(r"^[ \t]{0,40}INSERT\s+INTO\b", re.IGNORECASE | re.MULTILINE)
_VALUE = re.compile(
    r"\s*(?:(?P<text>[NE]?'(?:[^']|'')*')|(?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)|"
    r"(?P<bytes>[xX]'[0-9a-fA-F]*')|(?P<word>NULL|TRUE|FALSE))\s*",
    re.IGNORECASE,
)
_WORDS = {"null": None, "true": True, "false": False}


def read(text: str) -> Answer:
    """The rows of all statements of a text, which are all of one table and one list of columns."""
    likely = any(word in text for word in ("INSERT", "insert", "Insert"))
    start = _FIRST.search(text) if likely else None
    if start is None:
        return "no INSERT statement"
    at, rows, columns = start.start(), [], ""
    escapes = "\\'" in text
    while head := _HEAD.match(text, at):
        if columns and head[2] != columns:
            return "its statements have different columns"
        columns, at = head[2], head.end()
        while row := _row(text, at):
            cells, at = row
            rows.append(cells)
            if text[at : at + 1] != ",":
                break
            at += 1
        at += text[at : at + 1] == ";"
    names = [_bare(name) for name in re.findall(_NAME, columns)]
    if not rows or any(len(row) != len(names) for row in rows):
        return "its rows are not as wide as its columns"
    if re.search(
        r"\bINSERT\s+INTO\b|^[ \t]{0,40}\(", text[at:], re.IGNORECASE | re.MULTILINE
    ):
        return "ambiguous: a statement does not end where its row does"
    raw = from_rows(names, rows)
    if escapes:
        raw = raw.noted(
            "a backslash before a quote may be an escape or a part of the text",
            approximate=True,
        )
    return Taken((raw,), rest=f"{text[: start.start()]}\n{text[at:]}".strip())


def _row(text: str, at: int) -> tuple[list[Any], int] | None:
    """One row in brackets and where it ends."""
    opening = re.compile(r"\s*\(").match(text, at)
    if opening is None:
        return None
    cells, at = [], opening.end()
    while match := _VALUE.match(text, at):
        cells.append(_value(match))
        at = match.end() + 1
        if text[match.end() : at] == ")":
            following = re.compile(r"\s*").match(text, at)
            return cells, following.end() if following else at
        if text[match.end() : at] != ",":
            return None
    return None


def _value(match: re.Match[str]) -> Any:
    token = match[match.lastgroup or 0]
    if match.lastgroup == "text":
        return token[token.index("'") + 1 : -1].replace("''", "'")
    if match.lastgroup == "bytes":
        return bytes.fromhex(token[2:-1]) if len(token) % 2 else token
    if match.lastgroup == "word":
        return _WORDS[token.lower()]
    return int(token) if re.fullmatch(r"-?\d+", token) else jsontext.number(token)


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name[0] in '"`[' else name
