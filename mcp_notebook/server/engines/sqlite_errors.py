"""SQLite's error messages, completed with what a model needs to mend its statement."""

import re
from collections.abc import Sequence

from mcp_notebook.server.engines import TableInfo
from mcp_notebook.server.mend import did_you_mean

READ_ONLY = "This database is read-only: write one SELECT (or VALUES, WITH ... SELECT) over its tables."
_MONTH = "strftime('%Y-%m', column)"
_INSTEAD = {
    "date_trunc": f"{_MONTH} for months, date(column, 'start of year') for years",
    "date_part": "strftime('%Y', column) or strftime('%m', column)",
    "extract": "strftime('%Y', column) or strftime('%m', column)",
    "to_char": _MONTH,
    "date_format": _MONTH,
    "format_date": _MONTH,
    "year": "strftime('%Y', column)",
    "month": _MONTH,
    "now": "date('now') or datetime('now')",
    "current_date": "date('now')",
    "curdate": "date('now')",
    "date_sub": "date(column, '-6 months')",
    "date_add": "date(column, '+6 months')",
    "dateadd": "date(column, '-6 months')",
    "datediff": "julianday(a) - julianday(b)",
    "concat": "a || b",
    "left": "substr(text, 1, n)",
    "if": "CASE WHEN ... THEN ... ELSE ... END, or iif(condition, a, b)",
}
_INTERVAL = re.compile(r"\binterval\b\s*('|\d)", re.IGNORECASE)


def explain_error(
    error: Exception, tables: Sequence[TableInfo], sql: str, seconds: float
) -> str:
    """One or two sentences: what SQLite said, and what to change."""
    said = str(error)
    if said == "interrupted":
        return f"The statement was stopped after {seconds:g} s. Filter or aggregate earlier, or add LIMIT."
    if (
        said in ("not authorized", "attempt to write a readonly database")
        or "prohibited" in said
    ):
        return f"Refused ({said}). {READ_ONLY}"
    if "one statement at a time" in said:
        return f"Refused: more than one statement. {READ_ONLY}"
    return f"SQLite says: {said}.{_advice(said, tables, sql)}"


def _advice(said: str, tables: Sequence[TableInfo], sql: str) -> str:
    kind, _, name = said.partition(": ")
    if kind == "no such table":
        names = [table.name for table in tables]
        return f"{did_you_mean(name.rpartition('.')[2], names)} Tables: {', '.join(names)}."
    if kind == "no such column":
        return _column_advice(name.rpartition(".")[2], tables, sql)
    if kind == "no such function" and name.lower() in _INSTEAD:
        return f" In SQLite write {_INSTEAD[name.lower()]}."
    if _INTERVAL.search(sql):
        return " SQLite has no INTERVAL: write date(column, '-6 months')."
    if re.search(r"\bextract\s*\(", sql, re.IGNORECASE):
        return f" In SQLite write {_INSTEAD['extract']} in place of EXTRACT."
    return ""


def _column_advice(name: str, tables: Sequence[TableInfo], sql: str) -> str:
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    used = [table for table in tables if table.name.lower() in words] or list(tables)
    listing = "; ".join(
        f"{table.name}({', '.join(c.name for c in table.columns)})"
        for table in used[:5]
    )
    elsewhere = [
        t.name
        for t in tables
        if t not in used and any(c.name.lower() == name.lower() for c in t.columns)
    ]
    hint = f" {name} is a column of {', '.join(elsewhere)}." if elsewhere else ""
    return f"{hint}{did_you_mean(name, [c.name for t in used for c in t.columns])} Columns: {listing}."
