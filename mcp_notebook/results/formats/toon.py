"""TOON tables: `items[2]{id,name}:` and below it one line a row, indented.

Values are JSON's, texts in quotes only where they need them; the delimiter (comma, tab
or bar) stands in the brackets. Source: the TOON specification, sections on tabular
arrays and quoting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.results.raw_table import Answer, Raw, Taken, from_rows
from mcp_notebook.results.values import jsontext

_HEADER = re.compile(
    r"^(?P<indent> *)(?:- )?(?P<key>\"(?:[^\"\\]|\\.)*\"|[\w.]+)?"
    r"\[#?(?P<count>\d+)(?P<mark>[,\t|])?\]\{(?P<names>.+)\}:[ \t]*$"
)
_QUOTED = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*") *')
_BLANKS = re.compile(" *")
_SCALAR = re.compile(r"^(\w[\w.]*): (.+)$")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_WORDS = {"null": None, "true": True, "false": False}


def read(text: str) -> Answer:
    """All tabular arrays of a text; other lines are the rest, scalars among them the envelope."""
    if "]{" not in text or "}:" not in text:
        return "no name[N]{columns}: in it"
    lines = text.splitlines()
    raws, rest, at = [], [], 0
    while at < len(lines):
        match = _HEADER.match(lines[at])
        if match is None:
            rest.append(lines[at])
            at += 1
            continue
        end = _end(lines, at + 1, len(match["indent"]))
        raw = _table(match, lines[at + 1 : end])
        if isinstance(raw, str):
            return raw
        raws.append(raw)
        at = end
    if not raws:
        return "no name[N]{columns}: in it"
    return Taken(tuple(raws), "\n".join(rest).strip(), meta=_scalars(rest))


def _end(lines: Sequence[str], start: int, indent: int) -> int:
    """The line behind the rows, which are indented deeper than their header."""
    end = start
    while end < len(lines) and lines[end].startswith(" " * (indent + 1)):
        end += 1
    return end


def _table(match: re.Match[str], lines: Sequence[str]) -> Raw | str:
    mark = match["mark"] or ","
    names = [_text(cell) for cell in _cells(match["names"], mark)]
    rows = [_cells(line.strip(" "), mark) for line in lines]
    if any(len(row) != len(names) for row in rows):
        return f"ambiguous: a row does not have {len(names)} values"
    raw = from_rows(
        names,
        [[_value(cell) for cell in row] for row in rows],
        path=(match["key"] or "").strip('"'),
    )
    count = int(match["count"])
    if count > len(rows):
        return replace(
            raw,
            truncated=f"the list has {count:,} rows and {len(rows):,} came",
            total_rows=count,
        )
    if count < len(rows):
        return raw.noted(
            f"the list announces {count:,} rows and {len(rows):,} came",
            approximate=True,
        )
    return raw


def _cells(line: str, mark: str) -> list[str]:
    """The line cut at the delimiter outside quotes; none when a quote does not end
    where a cell does.
    """
    if '"' not in line:
        return [cell.strip() for cell in line.split(mark)]
    cells, at = [], 0
    while at <= len(line):
        start = _BLANKS.match(line, at).end()  # type: ignore[union-attr]
        if line[start : start + 1] == '"':
            quoted = _QUOTED.match(line, start)
            if quoted is None or line[quoted.end() : quoted.end() + 1] not in (
                "",
                mark,
            ):
                return []
            cells.append(quoted[1])
            at = quoted.end() + 1
            continue
        end = line.find(mark, at)
        end = len(line) if end < 0 else end
        cells.append(line[at:end].strip())
        at = end + 1
    return cells


def _text(cell: str) -> str:
    return str(_quoted(cell)) if cell[:1] == '"' else cell


def _value(cell: str) -> Any:
    """A value as JSON has it; a text without quotes is itself."""
    if cell[:1] == '"':
        return _quoted(cell)
    if cell in _WORDS:
        return _WORDS[cell]
    return jsontext.loads(cell) if _NUMBER.fullmatch(cell) else cell


def _quoted(cell: str) -> Any:
    try:
        return json.loads(cell, strict=False)
    except ValueError:
        return cell


def _scalars(lines: Sequence[str]) -> dict[str, Any]:
    found = (_SCALAR.match(line) for line in lines)
    return {match[1]: _value(match[2].strip()) for match in found if match}
