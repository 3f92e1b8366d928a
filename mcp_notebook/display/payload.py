"""What a live card is sent: plain JSON of visible text, at most 200 kB whatever a server returned (images apart).

Values travel as strings, so that nothing is rounded by JavaScript, and are put on the page as text nodes only.
"""

import json
from typing import Any

from mcp_notebook.display.record import TEXT, Argument, CallRecord, arguments, preview
from mcp_notebook.display.safe import clip, picture, visible
from mcp_notebook.display.sqltext import Part
from mcp_notebook.display.tableview import TableView
from mcp_notebook.display.wording import LABELS, MARKS, badges, outcome, seen_by_claude, took, unshown

ARGUMENTS = 60_000  # bytes of JSON; a longer call is shown cut, and cannot be allowed on the card
NAME = 120  # characters of a server's or a tool's name


def call_payload(record: CallRecord, *, buttons: bool) -> dict[str, Any]:
    """What is asked for: name, arguments in coloured parts, the approval's words. `whole`: nothing is left out."""
    read = arguments(record)
    shown = [_argument(argument, argument.parts) for argument in read]
    if not _fits(shown):  # the colours cost more than the text
        shown = [_argument(argument, (("", argument.text),)) for argument in read]
    whole = _fits(shown) and len(record.server) <= NAME and len(record.tool) <= NAME
    if not _fits(shown):
        cut = preview(record, ARGUMENTS // 8)
        shown = [{"name": "arguments", "short": False, "parts": [("", cut)]}]
    return {
        "server": clip(visible(record.server), NAME),
        "tool": clip(visible(record.tool), NAME),
        "preview": preview(record, 200),
        "args": shown,
        "whole": whole,
        "claims": clip(visible(record.claims, lines=True), 1000),
        "buttons": buttons,
    }


def head_payload(record: CallRecord) -> dict[str, Any]:
    """What changes while the call runs; small, because progress notices come often."""
    return {
        "status": record.status,
        "mark": MARKS[record.status],
        "label": LABELS[record.status],
        "outcome": outcome(record),
        "time": took(record),
        "fraction": record.fraction,
        "message": clip(visible(record.message), 300),
    }


def result_payload(record: CallRecord) -> dict[str, Any]:
    """What came of the call; an empty mapping while it runs."""
    if record.seconds is None:
        return {}
    return {
        "tables": [_table(view) for view in record.tables],
        "text": _bounded(record.plain),
        "notes": record.notes,
        "error": _bounded(record.error),
        "images": [{"url": picture(*image), "note": unshown(*image)} for image in record.images],
        "seen": _bounded(record.shown) if record.tables else "",
        "seen_label": f"What Claude saw · {seen_by_claude(record)}",
    }


def _argument(argument: Argument, parts: tuple[Part, ...]) -> dict[str, Any]:
    return {"name": argument.name, "short": argument.short, "parts": parts}


def _table(view: TableView) -> dict[str, Any]:
    return {
        "name": view.name,
        "shape": view.shape,
        "columns": [{"name": c.name, "kind": c.kind, "num": c.numeric, "origin": c.origin} for c in view.columns],
        "rows": view.rows,
        "total": view.total,
        "badges": badges(view.truncated, view.approximate),
        "notes": [*_left_out(view), *([view.truncated] if view.truncated else []), *view.notes],
    }


def _left_out(view: TableView) -> list[str]:
    notes = []
    if view.total > len(view.rows):
        notes.append(f"The first {len(view.rows):,} of {view.total:,} rows are here; sorting and the filter see those.")
    if view.width > len(view.columns):
        notes.append(f"The first {len(view.columns)} of {view.width:,} columns are here.")
    return notes


def _bounded(text: str) -> str:
    return clip(visible(clip(text, TEXT), lines=True), TEXT)


def _fits(shown: list[dict[str, Any]]) -> bool:
    return len(json.dumps(shown, ensure_ascii=False).encode()) <= ARGUMENTS
