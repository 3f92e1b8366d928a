"""Columns told apart by nothing but blanks: names above values, cut where every line is blank.

tabulate's plain tables, PowerShell, kubectl, rich without borders. Taken only when a
column is numbers or dates throughout, since prose in columns looks the same.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from mcp_notebook.results.columns import strings
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.raw_table import Answer, Taken, from_rows

_RULE = " \t-=─━═╺╸╶╴"  # what a line between names and rows consists of
_GAP = re.compile(r"[ \t]{2,}|[ \t]$")
_WIDEST = 20_000


def read(text: str) -> Answer:
    """The first block of lines in columns."""
    lines = (
        text.expandtabs(8).splitlines()
        if "\t" in text and len(text) < _WIDEST
        else text.splitlines()
    )
    reason = "no lines in columns"
    for start, end in _blocks(lines):
        body = [
            line for line in lines[start:end] if line.strip() and not _is_rule(line)
        ]
        answer = _table(body)
        if not isinstance(answer, str):
            return Taken(
                answer.raws, "\n".join([*lines[:start], *lines[end:]]).strip(), "low"
            )
        reason = answer
    return reason


def _blocks(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Runs of lines that have a gap of two blanks, or are blank or rules between such;
    a few of them at most.
    """
    found: list[tuple[int, int]] = []
    start = None
    for number, line in enumerate([*lines, "."]):
        inside = bool(_GAP.search(line.strip())) or (
            start is not None and (not line.strip() or _is_rule(line))
        )
        if inside and start is None:
            start = number
        elif not inside and start is not None:
            found.append((start, number))
            start = None
    return found[:8]


def _table(body: Sequence[str]) -> Answer:
    if len(body) < 3 or max(map(len, body)) > _WIDEST:
        return "fewer than two rows in columns"
    edges = _edges(body)
    if len(edges) < 2:
        return "no place where every line is blank"
    cells = [[line[a:b].strip() for a, b in edges] for line in body]
    names, *rows = cells
    if not all(names) or any(
        strings.is_number(name) or strings.is_temporal(name) or name[-1] in ".:;,!?|"
        for name in names
    ):
        return "no names above its columns"
    if not any(_typed(column) for column in zip(*rows, strict=True)):
        return "nothing but its alignment speaks for a table"
    raw = from_rows(names, rows, text="all", nulls=(*NULL_WORDS, ""))
    note = "columns are told apart by blanks alone: cells may be cut elsewhere, spaces at the ends of values are lost"
    return Taken((raw.noted(note, approximate=True),), confidence="low")


def _is_rule(line: str) -> bool:
    return not line.strip(_RULE) and len(line.strip()) > 2


def _edges(body: Sequence[str]) -> list[tuple[int, int]]:
    """Where each column begins and ends: between places that are blank in every line,
    of which the header shows two.
    """
    width = max(map(len, body))
    filled = bytearray(width)
    for line in body:
        for match in re.finditer(r"\S+", line):
            filled[match.start() : match.end()] = b"\1" * (match.end() - match.start())
    runs = [(key, len(list(group))) for key, group in itertools.groupby(filled)]
    columns, at = [], 0
    for key, length in runs:
        if key:
            columns.append((at, at + length))
        at += length
    merged: list[tuple[int, int]] = []
    for begin, end in columns:
        # a column without a name belongs to the one before
        lone = merged and not body[0][begin:end].strip()
        narrow = (
            merged and begin - merged[-1][1] < 2 and not _is_gap(body, merged[-1][1])
        )
        if lone or narrow:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return merged


def _is_gap(body: Sequence[str], at: int) -> bool:
    """Whether one blank parts two columns: in the header two words, and below values
    that are cut at it.
    """
    return all(len(line) <= at or line[at] == " " for line in body) and any(
        "  " in line[max(at - 3, 0) : at + 4] for line in body
    )


def _typed(column: Sequence[str]) -> bool:
    present = [cell for cell in column if cell and cell not in NULL_WORDS]
    if present and all(cell.lower() in ("true", "false") for cell in present):
        return True
    return len(present) > 1 and (
        all(map(strings.is_number, present)) or all(map(strings.is_temporal, present))
    )
