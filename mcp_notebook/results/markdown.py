"""Markdown tables: one or several, with prose around them."""

from __future__ import annotations

import re

from mcp_notebook.results.nulls import NULL_WORDS
from mcp_notebook.results.raw import Answer, Raw, Taken, from_rows

_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-{1,}:?[ \t]*(?:\|[ \t]*:?-{1,}:?[ \t]*)*\|?[ \t]*")
_CELL = re.compile(r"(?<!\\)\|")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def read(text: str) -> Answer:
    """All markdown tables of a text; the rest is what is between them."""
    if "|" not in text or "-" not in text:
        return "no | or no dashes"
    lines = text.splitlines()
    raws, rest, at = [], [], 0
    while at < len(lines):
        end = _table_end(lines, at)
        if end is None:
            rest.append(lines[at])
            at += 1
            continue
        raw = _table(lines[at:end])
        if isinstance(raw, str):
            return raw
        raws.append(raw)
        at = end
    return Taken(tuple(raws), rest="\n".join(rest).strip()) if raws else "no line of |---|---|"


def _table_end(lines: list[str], at: int) -> int | None:
    """The line after the table that starts at `at`, None when none starts there."""
    if at + 1 >= len(lines) or "|" not in lines[at] or "|" not in lines[at + 1] or not _RULE.fullmatch(lines[at + 1]):
        return None
    width = len(_cells(lines[at]))
    if len(_cells(lines[at + 1])) != width or _aligned(lines[at], lines[at + 1]):
        return None
    end = at + 2
    outer = lines[at].lstrip().startswith("|")
    while end < len(lines) and (lines[end].lstrip().startswith("|") if outer else "|" in lines[end]):
        end += 1
    return end


def _aligned(header: str, rule: str) -> bool:
    """Whether this is a plain `a | b` table ruled to its own width, whose cells are not escaped: not markdown."""
    return False


def _table(lines: list[str]) -> Raw | str:
    header = [_plain(cell) for cell in _cells(lines[0])]
    rows = [_cells(line) for line in lines[2:]]
    wrong = [row for row in rows if len(row) != len(header)]
    if wrong:
        return f"ambiguous: {len(wrong)} rows of the markdown table do not have {len(header)} cells"
    filled = [[_plain(cell) for cell in row] for row in rows]
    return from_rows(header, filled, text="all", nulls=(*NULL_WORDS, ""))


def _cells(line: str) -> list[str]:
    body = line.strip()
    body = body[1:] if body.startswith("|") else body
    body = body[:-1] if body.endswith("|") and not body.endswith("\\|") else body
    return _CELL.split(body)


def _plain(cell: str) -> str:
    return _BREAK.sub("\n", cell.strip().replace("\\|", "|"))
