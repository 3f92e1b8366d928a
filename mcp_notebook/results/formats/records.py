"""Records between delimiters (RFC 4180), and what speaks for their being data."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_notebook.results.columns import strings
from mcp_notebook.results.columns.nulls import NULL_WORDS

END = re.compile(r"\r\n|\n|\r")
_TAG = re.compile(
    r"(?:BEGIN|COMMIT|ROLLBACK|SET|START TRANSACTION|SELECT \d+|\(\d+ rows?\)|"
    r"\d+ rows? (?:selected|affected|in set|retrieved)\b.*|Fetched \d+ rows?.*)\s*",
    re.IGNORECASE,
)


def read(text: str, delimiter: str) -> list[list[str | None]] | None:
    """RFC 4180 records; an empty cell is None where the text quotes empty ones. None
    when a quote is out of place.
    """
    if '"' not in text:
        return [list(line.split(delimiter)) for line in END.split(text)]
    cell = re.compile(
        rf'(?:"((?:[^"]|"")*)"|([^{re.escape(delimiter)}\r\n"]*))({re.escape(delimiter)}|\r\n|\n|\r|\Z)'
    )
    records: list[list[str | None]] = [[]]
    empty_quoted, at = False, 0
    while (match := cell.match(text, at)) is not None:
        records[-1].append(
            match[1].replace('""', '"') if match[1] is not None else match[2] or None
        )
        empty_quoted = empty_quoted or match[1] == ""
        at = match.end()
        if match[3] != delimiter:
            if at == len(text):
                # Who quotes an empty text leaves NULL unquoted (psql); elsewhere the
                # two cannot be told apart.
                return (
                    records
                    if empty_quoted
                    else [[cell or "" for cell in row] for row in records]
                )
            records.append([])
    return None


def without_tags(text: str) -> str:
    """Without the command tags that psql prints around a result."""
    lines = text.splitlines(keepends=True)
    while lines and (_TAG.fullmatch(lines[0]) or not lines[0].strip(" \r\n")):
        lines.pop(0)
    while lines and (_TAG.fullmatch(lines[-1]) or not lines[-1].strip(" \r\n")):
        lines.pop()
    if lines and text.rstrip("\r\n").endswith(lines[-1].rstrip("\r\n")):
        return "".join(lines)
    return "".join(lines).rstrip("\r\n")


def is_header(names: Sequence[str]) -> bool:
    """Names of columns: not empty, not numbers, no sentences."""
    return len(names) > 1 and all(_is_name(name.strip()) for name in names)


def _is_name(name: str) -> bool:
    if (
        not name
        or len(name) > 100
        or strings.is_number(name)
        or strings.is_temporal(name)
    ):
        return False
    return (
        name.count(" ") <= 5
        and not name.endswith((".", "!", "?", ":", ";"))
        and ": " not in name
    )


def has_typed(rows: Sequence[Sequence[str | None]]) -> bool:
    """Whether one column at least is numbers, dates or flags throughout."""
    for column in zip(*rows[:500], strict=True):
        present = [cell for cell in column if cell and cell not in NULL_WORDS]
        if present and any(
            all(map(test, present))
            for test in (strings.is_number, strings.is_temporal, _is_flag)
        ):
            return True
    return False


def _is_flag(cell: str) -> bool:
    return cell.lower() in ("true", "false")


def is_spaced(text: str, delimiter: str) -> bool:
    """Whether a blank follows every comma, as in prose."""
    return delimiter == "," and text.count(", ") == text.count(",")
