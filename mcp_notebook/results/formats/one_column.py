"""Texts of one column: a name, and below it one value a line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_notebook.results.columns import strings
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats import records
from mcp_notebook.results.raw_table import Answer, Raw, Taken

_IDENTIFIER = re.compile(r"[^\W\d][\w$]*(?:[ .\-/][\w%()#$]+){0,5}")
_NULLS = (*NULL_WORDS, "")
_OPEN_END = "an empty last line may be a row with NULL"


def read(text: str, *, open_end: bool) -> Answer:
    """One name and below it nothing but numbers or dates; other single columns are
    prose. `open_end`: a blank line ends it, which may be a row.
    """
    lines = records.END.split(text)
    if len(lines) < 2 or not _IDENTIFIER.fullmatch(lines[0]) or " " in lines[0]:
        return "one column of text is prose"
    cells: list[str | None] = [line or None for line in lines[1:]]
    present = [cell for cell in cells if cell and cell not in NULL_WORDS]
    if not present or not (
        all(map(strings.is_number, present)) or all(map(strings.is_temporal, present))
    ):
        return "one column of text is prose"
    raw = Raw((lines[0],), (cells,), len(cells), text="all", nulls=_NULLS)
    raw = raw.noted(_OPEN_END, approximate=True) if open_end else raw
    return Taken((raw,), confidence="medium")


def named_lines(text: str, names: Sequence[str]) -> Answer:
    """A text whose first line is exactly the one column of the statement: each further
    line is a row.
    """
    lines = records.END.split(records.without_tags(text.strip("\ufeff").strip("\r\n")))
    if (
        len(names) != 1
        or lines[0] != names[0]
        or (len(lines) > 1 and not lines[1].strip("-") and lines[1])
    ):
        return "its first line is not the column of the statement"
    cells: list[str | None] = [line or None for line in lines[1:]]
    if (
        any(line[:1] == '"' for line in lines[1:])
        and (found := records.read("\n".join(lines), "\0")) is not None
    ):
        cells = [row[0] or None for row in found[1:]]
    raw = Raw((lines[0],), (cells,), len(cells), text="all", nulls=_NULLS)
    if not cells and text.endswith("\n"):
        return Taken((raw.noted(_OPEN_END, approximate=True),), confidence="low")
    if len(cells) > 1:
        raw = raw.noted(
            f"each line is a row of `{lines[0]}`; a value with a line break would be several",
            approximate=True,
        )
    return Taken((raw,), confidence="low")
