"""Answers that say that no rows came: no block at all, a sentence, or a report of
success in place of rows.
"""

from __future__ import annotations

import re

from mcp_notebook.results import content
from mcp_notebook.results.columns import build
from mcp_notebook.results.raw_table import Raw
from mcp_notebook.results.reading import Table
from mcp_notebook.sql_words import is_query, names_among, selected_columns

_SENTENCE = re.compile(
    r"\b(?:no|zero|0) (?:\w+ ){0,2}"
    r"(?:rows?|results?|records?|data|matches|entries|documents)\b|"
    r"\b(?:empty|blank) (?:set|result|results|table|data ?frame)\b|"
    r"\b(?:results?|set|table|data ?frame|output)(?: set)? "
    r"(?:is|was|came back|are) empty\b|"
    r"\brows?(?: returned| count|count)?\W{0,6}0\b|"
    r"\breturned (?:no|nothing|zero|0)\b|"
    r"没有(?:数据|结果)|無資料|查询结果为空|нет данных|keine (?:zeilen|ergebnisse|daten)|"
    r"aucun(?:e)? (?:ligne|résultat)|sin (?:filas|resultados)|"
    r"nenhum(?:a)? (?:linha|resultado)",
    re.IGNORECASE,
)
# A text with a count, or about a change, is about rows that are.
_COUNTED = re.compile(
    r"[1-9]\d* (?:rows?|results?|records?)\b|\baffected\b", re.IGNORECASE
)
# Within its line: a run of blank lines would be searched anew from each of them.
_NAMES = re.compile(
    r"^[^\w\n]*(?:column names|columns?|fields|headers?)\W{1,6}(\w[^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
# Some servers repeat the statement in backquotes, whose words are not theirs.
_STATEMENT = re.compile(r"`[^`\n]*`")
_COUNTS = frozenset(
    "affected_rows rows_affected affectedrows rowsaffected row_count rowcount changes "
    "changed_rows".split()
)
_LONGEST = 600
_REPORT = frozenset({"status", "success", "ok", "message", "msg"})


def says_no_rows(parts: content.ResultParts) -> bool:
    """No block at all, or a short text that says that there are no rows."""
    text = "\n".join(parts.texts).strip()
    if not text:
        return not parts.structured
    return len(text) < _LONGEST and _is_about_no_rows(_STATEMENT.sub("", text), text)


def _is_about_no_rows(text: str, whole: str) -> bool:
    """Whether a text says that there are no rows, and the whole speaks of none that
    are.
    """
    return _SENTENCE.search(text) is not None and not _COUNTED.search(whole)


def empty_table(parts: content.ResultParts, sql: str) -> list[Table]:
    """An empty table with the columns that the text or the statement names; none when
    neither does.
    """
    selected = _selected_names(sql)
    names = selected or _listed_names("\n".join(parts.texts))
    if not names:
        return []

    # the names of the statement are put on the columns where all tables get theirs
    raw = Raw(None if selected else names, tuple(() for _ in names), 0)
    raw = raw.with_note("the server sent no table, which it does for no rows")
    return [build.table(raw, reader="nothing", sql=sql)]


def reject_report(raw: Raw, sql: str) -> str:
    """Why one row that reports success and lacks a column of the statement is no row of
    it; "" when it may be one.
    """
    names = {name.lower() for name in raw.names or ()}
    if raw.rows != 1 or not names:
        return ""

    reports = not names.isdisjoint(_REPORT)
    if reports and _message_says_no_rows(raw):
        return "it says in words that no rows came"
    if names <= _COUNTS and is_query(sql) and not names_among(sql, names):
        return "it counts rows in place of sending them"

    asked = {name.lower() for name in _selected_names(sql)}
    if not reports or names >= asked:
        return ""

    return "it reports success and lacks columns of the statement"


def _message_says_no_rows(raw: Raw) -> bool:
    cells: dict[str, object] = {}
    for name, column in zip(raw.names or (), raw.columns, strict=False):
        cells[name.lower()] = column[0]

    for key in ("message", "msg"):
        said = cells.get(key)
        if isinstance(said, str):
            return _is_about_no_rows(said, said)

    return False


def _selected_names(sql: str) -> tuple[str, ...]:
    """The columns of the statement, if all of them have a name."""
    selected = selected_columns(sql)
    if not selected or not all(selected):
        return ()
    return tuple(name for name in selected if name)


def _listed_names(text: str) -> tuple[str, ...]:
    """The names in a line such as `Columns: id, name`."""
    found = _NAMES.search(text)
    if found is None:
        return ()

    names = tuple(name.strip(" `'\"[]()*") for name in found[1].split(","))
    are_names = all(names) and len(set(names)) == len(names)
    if are_names:
        return names

    return ()
