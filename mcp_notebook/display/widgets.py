"""What is live in a cell, as widgets: the card of a call, a question's form, the line
that says what goes on; and the plain JSON that a card is sent. They load when the first
one is shown: anywidget is slow to import.

Everything that a page sends may come at any time and hold anything: only what is offered
at the moment counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from mcp_notebook.display.call_view import (
    LABELS,
    MARKS,
    TEXT,
    Argument,
    CallView,
    TableView,
    badges,
    missing_image,
    outcome,
    preview_arguments,
    read_arguments,
    seen_by_claude,
    text_label,
    took,
)
from mcp_notebook.display.form_fields import Field, check_fields
from mcp_notebook.display.html_parts import picture
from mcp_notebook.display.questions import DENY, Choice, Question, approval_question
from mcp_notebook.events import Reply
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.sql_words import Part
from mcp_notebook.untrusted_text import clip, visible

if TYPE_CHECKING:
    from mcp_notebook.charts.drawing import Drawing
    from mcp_notebook.display.explorer import Explorer, TableLook

_HERE = Path(__file__).parent
_places = itertools.count(1)
OFTEN = 0.5  # seconds between two pieces of thinking: each replaces the last


def _script(*names: str) -> str:
    """Several files as the one module that a widget's page loads."""
    return "\n".join((_HERE / f"{name}.js").read_text() for name in names)


def widget_bundle(widget: anywidget.AnyWidget, plain: str) -> dict[str, Any]:
    """The mime bundle that shows a widget, with what is read where there are none."""
    made = widget._repr_mimebundle_() or {}
    if isinstance(made, tuple):
        data = made[0]
    else:
        data = made

    return {**data, "text/plain": plain}


class Card(anywidget.AnyWidget):
    """Shows a `CallView`; a click calls `answer` with one that the question offers,
    possibly on another thread.

    The card's state holds secrets masked. When the person asks for them they go to the
    page in a message, which is kept nowhere: neither in the widget's state nor in the
    notebook.
    """

    _esm = _script("parts", "choices", "table", "alive", "card")
    _css = _HERE / "card.css"
    # Trait names stay clear of Widget's methods: a trait called `open` would break it.
    call = traitlets.Dict().tag(sync=True)
    head = traitlets.Dict().tag(sync=True)
    result = traitlets.Dict().tag(sync=True)
    expanded = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        record: CallView,
        answer: Callable[[Reply], Any],
        *,
        buttons: bool,
        expanded: bool,
        tell: Callable[[Explorer, TableLook, str], str] | None = None,
    ) -> None:
        self._record, self._tell = record, tell
        self._question = approval_question(record)
        self._answer = answer
        # Numbered and not random: the place is in the saved page, which is to be the
        # same when the notebook runs again.
        said = f"{record.id} {next(_places)}"
        self.place = f"mcpn-at-{hashlib.sha256(said.encode()).hexdigest()[:12]}"
        super().__init__(
            call={**call_payload(record, buttons=buttons), "place": self.place},
            head=head_payload(record),
            result={},
            expanded=expanded,
        )
        self.on_msg(self._hear)

    def update(self, record: CallView) -> None:
        """Show what is known now."""
        self._record = record
        with self.hold_sync():
            self.head = head_payload(record)
            if record.seconds is not None:
                self.result = result_payload(record, tells=self._tell is not None)

    @property
    def nbytes(self) -> int:
        """Bytes of the tables that the card can show whole."""
        return sum(table.nbytes for table in self._record.whole)

    def forget(self) -> None:
        """Let go of the tables: the card has their first rows."""
        self._record = replace(self._record, whole=())

    def _hear(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        if "look" in content:
            self._answer_look(content["look"])
            return

        if not self.call["buttons"] or self._record.status != "approval":
            return

        if content.get("show") is True:
            self._send_secrets()
            return

        reply = self._question.take_click(content)
        # a call that is not shown whole cannot be allowed
        if reply is not None and (self.call["whole"] or reply.choice == DENY):
            self._answer(reply)

    def _send_secrets(self) -> None:
        shown, _ = argument_payload(
            self._record, read_arguments(self._question.secrets)
        )
        self.send({"shown": shown})

    def _answer_look(self, asked: object) -> None:
        """Answer a question about a whole table, with nothing where it is not there any
        more. What takes long is counted beside the kernel's own thread.
        """
        if not isinstance(asked, dict) or not isinstance(asked.get("table"), int):
            return

        at = asked["table"]
        if not 0 <= at < len(self._record.whole):
            self.send({"looked": asked.get("id"), "page": None})
            return

        explorer = self._record.whole[at].explorer
        if asked.get("what") == "counts":
            _counting.submit(self._send_counts, explorer, asked)
            return

        found, buffers = self._find_answer(
            explorer, self._record.tables[at].name, asked
        )
        self.send({"looked": asked.get("id"), "page": found}, buffers)

    def _send_counts(self, explorer: Explorer, asked: dict[str, Any]) -> None:
        left, width = asked.get("left"), asked.get("width")
        found = []
        if isinstance(left, int) and isinstance(width, int):
            with contextlib.suppress(Exception):  # boundary: a header without counts
                found = explorer.tell_counts(left, width)

        self.send({"looked": asked.get("id"), "page": {"counts": found}})

    def _find_answer(
        self, explorer: Explorer, name: str, asked: dict[str, Any]
    ) -> tuple[dict[str, Any] | None, list[bytes]]:
        """What a page asks for, and the bytes of a file that goes with it."""
        look = explorer.read_look(asked)
        wrong = explorer.find_wrong(look) if asked.get("what") else ""
        if wrong:
            return {"said": wrong, "text": wrong}, []

        match asked.get("what"):
            case "cell":
                return explorer.cell(asked), []
            case "code":
                return explorer.code(look, name), []
            case "file":
                return explorer.file(look, name, asked.get("kind"))
            case "tell" if self._tell is not None:
                return {"said": self._tell(explorer, look, name)}, []

        return explorer.page(asked), []


_counting = ThreadPoolExecutor(1, "mcp-notebook-counts")


class QuestionForm(anywidget.AnyWidget):
    """Shows a Question; `answer` is called once, possibly on another thread, with what
    holds against its fields.
    """

    _esm = _script("parts", "choices", "form")
    _css = _HERE / "form.css"
    ask = traitlets.Dict().tag(sync=True)
    wrong = traitlets.Dict().tag(sync=True)

    def __init__(self, question: Question, answer: Callable[[Reply], Any]) -> None:
        self._question, self._answer = question, answer
        self._answered = False
        super().__init__(ask=question_payload(question), wrong={})
        self.on_msg(self._hear)

    def _hear(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        reply = self._question.take_click(content)
        if self._answered or reply is None:
            return

        if self._question.fields and reply.choice != DENY:
            sent = content.get("values")
            if isinstance(sent, Mapping):
                typed = sent
            else:
                typed = {}

            values, self.wrong = check_fields(self._question.fields, typed)
            if self.wrong:
                return

            reply = replace(reply, values=values)

        self._answered = True
        self._answer(reply)


def question_payload(question: Question) -> dict[str, Any]:
    """What the page is given; every text of the server's with nothing hidden in it."""
    return {
        "title": visible(question.title),
        "message": visible(question.message, lines=True),
        "detail": visible(question.detail, lines=True),
        "notes": [visible(note) for note in question.notes],
        "url": question.url,
        "shown_url": visible(question.url),
        "host": visible(question.host),
        "opens": question.opens,
        "comes_back": question.comes_back,
        "fields": [_field_payload(one) for one in question.fields],
        **choices_payload(question),
    }


def _field_payload(one: Field) -> dict[str, Any]:
    return {
        **asdict(one),
        "title": visible(one.title),
        "description": visible(one.description),
        "secret": one.is_secret,
        "choices": [[value, visible(label)] for value, label in one.choices],
        "limits": dict(one.limits),
    }


class Progress(anywidget.AnyWidget):
    """What goes on, since when, and the end of what the model says of its thinking. It
    counts the seconds in the browser, so that waiting costs no messages.
    """

    _esm = _script("working")
    _css = _HERE / "working.css"
    line = traitlets.Dict().tag(sync=True)
    thinking = traitlets.Unicode("").tag(sync=True)
    _said = -OFTEN  # when the thinking was last sent

    def tell(self, text: str, seconds: float, thinking: str) -> None:
        """Show another text, counted from `seconds` on; the same one counts on by itself."""
        with self.hold_sync():
            if self.line.get("text") != text or seconds < self.line["seconds"]:
                self.line = {"text": text, "seconds": round(seconds, 1)}

            soon = bool(thinking) and 0 <= seconds - self._said < OFTEN
            if thinking != self.thinking and not soon:
                self.thinking, self._said = thinking, seconds


class CodeCells(anywidget.AnyWidget):
    """Offers an answer's blocks of code on the page, each to be put into a cell below
    the one that asked. It is nowhere shown itself.
    """

    _esm = _script("parts", "code")
    cell = traitlets.Unicode().tag(sync=True)  # the id of the cell that asked
    # pairs: the block's text on the page, and the code that it stands for
    blocks = traitlets.List().tag(sync=True)


MOST_OFFERED = 60  # answers whose code is offered; the oldest go
_offered: dict[str, CodeCells] = {}


def offer_code(cell: str, blocks: Sequence[tuple[str, str]]) -> None:
    """Offer the code of a cell's answer, in the place of its answer before."""
    earlier = _offered.pop(cell, None)
    if earlier is not None:
        earlier.close()

    if blocks:
        _offered[cell] = CodeCells(cell=cell, blocks=[list(pair) for pair in blocks])

    while len(_offered) > MOST_OFFERED:
        _offered.pop(next(iter(_offered))).close()


# ---- what a live card is sent
#
# Plain JSON of visible text, at most 200 kB whatever a server returned (images apart; a
# call that is asked for is shown whole up to 1 MB). Values travel as strings, so that
# nothing is rounded by JavaScript, and are put on the page as text nodes only.

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
    shown, whole = argument_payload(record, record.read)
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
    read = record.read
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
    record: CallView, read: Sequence[Argument]
) -> tuple[list[dict[str, Any]], bool]:
    """Arguments in coloured parts, and whether nothing of them is left out."""
    if record.status == "approval":
        limit = ASKED
    else:
        limit = ARGUMENTS

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


def result_payload(record: CallView, *, tells: bool = False) -> dict[str, Any]:
    """What came of the call; an empty mapping while it runs. `tells`: a view of a table
    can be put into the next question.
    """
    if record.seconds is None:
        return {}

    return {
        "tables": [{**_table_json(view), "tells": tells} for view in record.tables],
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
        "width": view.width,
        "badges": badges(view.truncated, view.approximate),
        "chart": _chart_json(view.chart),
        "partial": _first_rows(view),
        "notes": [
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
    """What is said where only the first rows and columns can be looked at; "" when they
    are all.
    """
    parts = []
    if view.total > len(view.rows):
        parts.append(f"the first {len(view.rows):,} of {view.total:,} rows")
    if view.width > len(view.columns):
        parts.append(f"the first {len(view.columns)} of {view.width:,} columns")
    if not parts:
        return ""

    return f"The kernel has this table no more: {' and '.join(parts)} are here."


def _bound_text(text: str) -> str:
    return clip(visible(clip(text, TEXT), lines=True), TEXT)


def _fits(shown: list[dict[str, Any]], limit: int) -> bool:
    return (
        len(json.dumps(shown, ensure_ascii=False).encode("utf-8", "replace")) <= limit
    )
