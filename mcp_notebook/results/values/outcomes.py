"""Objects that report how a statement went, which are no rows."""

from __future__ import annotations

from typing import Any

_ABOUT_ROWS = {
    "rowsaffected",
    "rows_affected",
    "affectedrows",
    "affected_rows",
    "rows",
    "rowcount",
    "row_count",
}
OUTCOME = {
    "success", "ok", "status", "message", "msg", "rowsaffected", "rows_affected", "affectedrows", "affected_rows",
    "changes", "rowcount", "row_count", "lastinsertid", "last_insert_id", "lastinsertrowid", "insertid",
    "insert_id", "command", "error", "executiontime", "execution_time", "executiontimems", "execution_time_ms",
    "duration", "elapsed", "acknowledged", "note", "warning", "warnings", "info", "changedrows", "fieldcount",
    "warningstatus", "serverstatus", "_meta", "deletedcount", "insertedcount", "matchedcount", "modifiedcount",
    "done", "completed", "code", "hint", "sql", "query", "columns", "data", "rows", "truncated",
}  # fmt: skip


def is_record(value: dict[str, Any]) -> bool:
    """A lone object is a row, unless it only reports an outcome (`{"success": true,
    "rowsAffected": 3}`).
    """
    keys = {str(key).lower() for key in value}
    return bool(value) and not keys <= OUTCOME and not _reports(keys)


def _reports(keys: set[str]) -> bool:
    """A message about rows: it says how it went, to how many, and most of its keys are
    of that kind.
    """
    told = keys & OUTCOME
    return "message" in told and len(told) * 2 > len(keys) and bool(told & _ABOUT_ROWS)
