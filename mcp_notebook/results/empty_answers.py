"""Answers that say that no rows came: no block at all, a sentence, or a report of
success in place of rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_notebook.results import content
from mcp_notebook.results.columns import build
from mcp_notebook.results.raw_table import Raw
from mcp_notebook.results.reading import Table
from mcp_notebook.sql_words import is_query, names_among, selected_columns

_SENTENCE = re.compile(
    r"\b(?:no|zero|0) (?:\w+ ){0,2}(?:rows?|results?|records?|data|matches|entries|documents)\b|"
    r"\b(?:empty|blank) (?:set|result|results|table|data ?frame)\b|"
    r"\b(?:results?|set|table|data ?frame|output)(?: set)? (?:is|was|came back|are) empty\b|"
    r"\brows?(?: returned| count|count)?\W{0,6}0\b|\breturned (?:no|nothing|zero|0)\b|"
    r"没有(?:数据|结果)|無資料|查询结果为空|нет данных|keine (?:zeilen|ergebnisse|daten)|"
    r"aucun(?:e)? (?:ligne|résultat)|sin (?:filas|resultados)|nenhum(?:a)? (?:linha|resultado)",
    re.IGNORECASE,
)
_COUNTED = re.compile(
    r"[1-9]\d* (?:rows?|results?|records?)\b|\baffected\b", re.IGNORECASE
)
_NAMES = re.compile(
    r"^\W*(?:column names|columns?|fields|headers?)\W{1,6}(\w[^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
_COUNTS = {
    "affected_rows", "rows_affected", "affectedrows", "rowsaffected", "row_count", "rowcount", "changes",
    "changed_rows",
}  # fmt: skip
_LONGEST = 600
_REPORT = {"status", "success", "ok", "message", "msg"}


def is_told(parts: content.Parts) -> bool:
    """No block at all, or a short text that says that there are no rows."""
    text = "\n".join(parts.texts).strip()
    if not text:
        return not parts.structured
    return (
        len(text) < _LONGEST
        and _SENTENCE.search(_without_sql(text)) is not None
        and not _COUNTED.search(text)
    )


def _without_sql(text: str) -> str:
    """Without the statement that some servers repeat in backquotes."""
    return re.sub(r"`[^`\n]*`", "", text)


def table(parts: content.Parts, sql: str) -> list[Table]:
    """An empty table with the columns that the text or the statement names; none when
    neither does.
    """
    names = _selected(sql) or _listed("\n".join(parts.texts))
    if not names:
        return []
    raw = Raw(None if _selected(sql) else tuple(names), tuple(() for _ in names), 0)
    return [
        build.table(
            raw.noted("the server sent no table, which it does for no rows"),
            reader="nothing",
            sql=sql,
        )
    ]


def is_a_report(raw: Raw, sql: str) -> str:
    """Why one row that reports success and lacks a column of the statement is no row of it."""
    names = {name.lower() for name in raw.names or ()}
    if raw.rows != 1:
        return ""
    if names & _REPORT and _says_so(raw):
        return "it says in words that no rows came"
    if is_query(sql) and names and names <= _COUNTS and not names_among(sql, names):
        return "it counts rows in place of sending them"
    asked = {name.lower() for name in _selected(sql)}
    if not asked or not names & _REPORT or names >= asked:
        return ""
    return "it reports success and lacks columns of the statement"


def _says_so(raw: Raw) -> bool:
    """Whether its message, and nothing else of it, says that there are no rows."""
    cells = {
        name.lower(): column[0]
        for name, column in zip(raw.names or (), raw.columns, strict=False)
    }
    said = next(
        (
            cells[name]
            for name in ("message", "msg")
            if isinstance(cells.get(name), str)
        ),
        "",
    )
    return (
        bool(said) and _SENTENCE.search(said) is not None and not _COUNTED.search(said)
    )


def _selected(sql: str) -> tuple[str, ...]:
    asked = selected_columns(sql)
    return tuple(name for name in asked if name) if asked and all(asked) else ()


def _listed(text: str) -> Sequence[str]:
    found = _NAMES.search(text)
    names = [name.strip(" `'\"[]()*") for name in found[1].split(",")] if found else []
    return tuple(names) if all(names) and len(set(names)) == len(names) else ()
