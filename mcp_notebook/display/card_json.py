"""What a live card is sent: plain JSON of visible text, at most 200 kB whatever a
server returned (images apart; a call that is asked for is shown whole up to 1 MB).

Values travel as strings, so that nothing is rounded by JavaScript, and are put on the
page as text nodes only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcp_notebook.display.call_view import (
    TEXT,
    Argument,
    CallView,
    preview_arguments,
    read_arguments,
)
from mcp_notebook.display.html_parts import picture
from mcp_notebook.display.questions import Choice, Question, approval_question
from mcp_notebook.display.shown_table import TableView
from mcp_notebook.display.sqltext import Part
from mcp_notebook.display.wording import (
    LABELS,
    MARKS,
    badges,
    missing_image,
    outcome,
    seen_by_claude,
    text_label,
    took,
)
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.untrusted_text import clip, visible

if TYPE_CHECKING:
    from mcp_notebook.charts.drawing import Drawing

ARGUMENTS = 60_000  # bytes of JSON of a call that runs; a longer one is shown cut
# the same of a call that is asked for; a longer one is shown cut too, and can only be
# denied
ASKED = 1_000_000
HISTORY = 20_000  # characters: what changed in a tool is shown as a difference
NAME = 120  # characters of a server's or a tool's name


def call_payload(record: CallView, *, buttons: bool) -> dict[str, Any]:
    """What is asked for: name, arguments in coloured parts, the approval's words.
    `whole`: nothing is left out.
    """
    shown, whole = argument_payload(record, record.arguments)
    return {
        "server": clip(visible(record.server), NAME),
        "tool": clip(visible(record.tool), NAME),
        "preview": preview_arguments(record, 200),
        "args": shown,
        "cell": _cell_line(record) if whole else "",
        "whole": whole and len(record.server) <= NAME and len(record.tool) <= NAME,
        "claims": clip(visible(record.claims, lines=True), 1000),
        "history": clip(visible(record.approval.history, lines=True), HISTORY),
        "hidden": [clip(visible(name), NAME) for name in record.approval.hidden],
        "buttons": buttons,
        **choices_payload(approval_question(record)),
    }


def choices_payload(question: Question) -> dict[str, Any]:
    """What may be answered, as buttons: (answer, label, meaning)."""

    def button(choice: Choice) -> list[str]:
        return [choice.answer, choice.label, choice.meaning]

    return {
        "choices": [button(choice) for choice in question.choices],
        "refusal": button(question.refusal),
        "reason": question.takes_reason,
    }


def _cell_line(record: CallView) -> str:
    """The first line of a cell that runs a call's SQL by hand; "" for a call that is
    more than its SQL.
    """
    read = read_arguments(record.arguments)
    if (
        len(read) != 1
        or read[0].kind != "sql"
        or not _is_word(record.server)
        or not _is_word(record.tool)
    ):
        return ""

    if record.server == OWN_SERVER:
        tool = ""
    else:
        tool = f" --tool {record.tool}"

    return f"%%mcp_sql {record.server}{tool}"


def _is_word(name: str) -> bool:
    return re.fullmatch(
        r"[\w.-]{1,120}", name, re.ASCII
    ) is not None and not name.startswith("-")


def argument_payload(
    record: CallView, values: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], bool]:
    """Arguments in coloured parts, and whether nothing of them is left out."""
    if record.status == "approval":
        limit = ASKED
    else:
        limit = ARGUMENTS

    read = read_arguments(values)
    shown = [_argument_json(argument, argument.parts) for argument in read]
    if not _fits(shown, limit):  # the colours cost more than the text
        shown = [_argument_json(argument, (("", argument.text),)) for argument in read]

    if _fits(shown, limit):
        return shown, True

    return [
        {
            "name": "arguments",
            "short": False,
            "parts": [("", preview_arguments(record, ARGUMENTS // 8))],
        }
    ], False


def head_payload(record: CallView) -> dict[str, Any]:
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


def result_payload(record: CallView) -> dict[str, Any]:
    """What came of the call; an empty mapping while it runs."""
    if record.seconds is None:
        return {}

    return {
        "tables": [_table_json(view) for view in record.tables],
        "text": _bound_text(record.plain),
        "text_label": text_label(record),
        "notes": record.notes,
        "error": _bound_text(record.error),
        "images": [
            {"url": picture(*image), "note": missing_image(*image)}
            for image in record.images
        ],
        "charts": [
            {"title": clip(visible(one.title), NAME), "code": one.code}
            for one in record.charts
        ],
        "seen": _bound_text(record.shown) if record.tables else "",
        "seen_label": f"What Claude saw · {seen_by_claude(record)}",
    }


def _argument_json(argument: Argument, parts: tuple[Part, ...]) -> dict[str, Any]:
    return {"name": argument.name, "short": argument.short, "parts": parts}


def _table_json(view: TableView) -> dict[str, Any]:
    return {
        "name": view.name,
        "shape": view.shape,
        "columns": [
            {"name": c.name, "kind": c.kind, "num": c.numeric, "origin": c.origin}
            for c in view.columns
        ],
        "rows": view.rows,
        "total": view.total,
        "badges": badges(view.truncated, view.approximate),
        "chart": _chart_json(view.chart),
        "partial": _first_rows(view),
        "notes": [
            *_first_columns(view),
            *([view.truncated] if view.truncated else []),
            *view.notes,
        ],
    }


def _chart_json(drawing: Drawing | None) -> dict[str, Any] | None:
    if drawing is None:
        return None

    return {
        "title": clip(visible(drawing.title), NAME),
        "alt": visible(drawing.alt),
        "url": drawing.url,
        "size": [drawing.width, drawing.height],
        "code": drawing.code,
    }


def _first_rows(view: TableView) -> str:
    """What is said where only the first rows can be looked at; "" when they are all."""
    if view.total == len(view.rows):
        return ""
    some = f"The first {len(view.rows):,} of {view.total:,} rows"
    return f"{some} are here; sorting and the filter see those."


def _first_columns(view: TableView) -> list[str]:
    if view.width == len(view.columns):
        return []
    return [f"The first {len(view.columns)} of {view.width:,} columns are here."]


def _bound_text(text: str) -> str:
    return clip(visible(clip(text, TEXT), lines=True), TEXT)


def _fits(shown: list[dict[str, Any]], limit: int) -> bool:
    return len(json.dumps(shown, ensure_ascii=False).encode()) <= limit
