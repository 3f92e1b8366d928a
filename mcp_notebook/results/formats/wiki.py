"""Tables in wiki markup: Jira's `||names||`, MediaWiki's `{| … |}`, AsciiDoc's `|===`,
Textile's `|_. names|`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.raw_table import Answer, Raw, Taken, from_rows

_JIRA = re.compile(r"[ \t]*\|\|.*\|\|[ \t]*")
_TEXTILE = re.compile(r"[ \t]*\|_[<>=]*\..*\|[ \t]*")
_ALIGNED = re.compile(r"[_<>=^]{1,3}\.[ \t]*")
_ATTRIBUTES = re.compile(r'[ \t]*(?:[\w-]+="[^"]*"[ \t]*)+\|(?!\|)')
_RULE = re.compile(r"\|={3,}[ \t]*")
_NULLS = (*NULL_WORDS, "")


def read(text: str) -> Answer:
    """The one table in wiki markup of a text."""
    if "||" not in text and "{|" not in text and "|==" not in text and "|_" not in text:
        return "no wiki markup"
    lines = text.splitlines()
    for opens, rows_of in (
        (_starts_media, _media),
        (_starts_ascii, _ascii),
        (_JIRA.fullmatch, _jira),
        (_TEXTILE.fullmatch, _textile),
    ):
        at = next((number for number, line in enumerate(lines) if opens(line)), None)
        if at is not None:
            rows, end = rows_of(lines, at)
            if not end:
                return "ambiguous: its wiki table, or a row of it, does not end where its line does"
            return _table(rows, "\n".join([*lines[:at], *lines[end:]]).strip())
    return "no wiki markup"


def _table(rows: Sequence[Sequence[str]] | None, rest: str) -> Answer:
    if not rows or len(rows[0]) < 1 or not all(rows[0]):
        return "no names in its wiki markup"
    names, *body = rows
    if any(len(row) != len(names) for row in body):
        return "ambiguous: a row of the wiki table has another width; a value may hold its separator"
    raw: Raw = from_rows(names, body, text="all", nulls=_NULLS)
    return Taken(
        (
            raw.noted("spaces at the ends of values are lost in a drawn table")
            if body
            else raw,
        ),
        rest=rest,
    )


def _until(lines: Sequence[str], at: int, *, starts: str) -> int:
    """The line after the rows, each of which begins with this mark."""
    return next(
        (n for n in range(at, len(lines)) if not lines[n].lstrip().startswith(starts)),
        len(lines),
    )


def _jira(lines: Sequence[str], at: int) -> tuple[list[list[str]], int]:
    """`||id||name||` above `|1|x|`; MoinMoin writes two bars in every row and three
    quotes around names.
    """
    end = _until(lines, at, starts="|")
    rows = []
    for line in lines[at:end]:
        body = line.strip()
        if not body.endswith("|"):
            return [], 0
        bar = "||" if body.startswith("||") else "|"
        rows.append(
            [
                _unmarked(cell)
                for cell in body.removeprefix(bar).removesuffix(bar).split(bar)
            ]
        )
    return rows, end


def _unmarked(cell: str) -> str:
    return (
        re.sub(r"^<(?:[-|:()^v#]|\w+=)[^<>]*>", "", cell.strip())
        .strip()
        .strip("'")
        .strip()
        if "'''" in cell or "<" in cell
        else cell.strip()
    )


def _textile(lines: Sequence[str], at: int) -> tuple[list[list[str]], int]:
    end = _until(lines, at, starts="|")
    if not all(line.rstrip().endswith("|") for line in lines[at:end]):
        return [], 0
    cut = [
        line.strip().removeprefix("|").removesuffix("|").split("|")
        for line in lines[at:end]
    ]
    return [
        [_ALIGNED.sub("", cell.strip(), count=1).strip() for cell in row] for row in cut
    ], end


def _starts_media(line: str) -> bool:
    return line.lstrip().startswith("{|")


def _media(lines: Sequence[str], at: int) -> tuple[list[list[str]], int]:
    end = next((n + 1 for n in range(at, len(lines)) if lines[n].strip() == "|}"), 0)
    rows: list[list[str]] = [[]]
    for line in map(str.strip, lines[at + 1 : end - 1]):
        if line.startswith("|-"):
            rows.append([])
        elif line.startswith(("!", "|")) and not line.startswith("|+"):
            cells = re.split(r"!!|\|\|" if line[0] == "!" else r"\|\|", line[1:])
            rows[-1] += [
                cell[match.end() if (match := _ATTRIBUTES.match(cell)) else 0 :].strip()
                for cell in cells
            ]
        elif line and not line.startswith("|+"):
            return [], 0
    return [row for row in rows if row], end


def _starts_ascii(line: str) -> bool:
    return _RULE.fullmatch(line.strip()) is not None


def _ascii(lines: Sequence[str], at: int) -> tuple[list[list[str]], int]:
    end = next((n + 1 for n in range(at + 1, len(lines)) if _starts_ascii(lines[n])), 0)
    cut = [line.split("|")[1:] for line in lines[at + 1 : end - 1] if "|" in line]
    # psql writes an alignment before each bar: `^l|id ^l|name`.
    return [[_without_alignment(cell) for cell in row] for row in cut], end


def _without_alignment(cell: str) -> str:
    cell = cell.strip()
    return cell[:-2].rstrip() if re.fullmatch(r"[ \t]?[<>^][a-z]", cell[-3:]) else cell
