"""What is live in a cell, as widgets: the card of a call, a question's form, the line
that says what goes on. They load when the first one is shown: anywidget is slow to import.

Everything that a page sends may come at any time and hold anything: only what is offered
at the moment counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anywidget
import traitlets

from mcp_notebook.display.call_view import CallView
from mcp_notebook.display.card_json import (
    argument_payload,
    call_payload,
    choices_payload,
    head_payload,
    result_payload,
)
from mcp_notebook.display.form_fields import Field, check_fields
from mcp_notebook.display.questions import DENY, Question, approval_question
from mcp_notebook.events import Reply
from mcp_notebook.untrusted_text import visible

if TYPE_CHECKING:
    from mcp_notebook.display.explore import Explorer

_HERE = Path(__file__).parent
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
    ) -> None:
        self._record = record
        self._question = approval_question(record)
        self._answer = answer
        self._explorers: dict[int, Explorer] = {}
        self.place = f"mcpn-at-{uuid4().hex[:12]}"
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
        self._explorers.clear()
        with self.hold_sync():
            self.head = head_payload(record)
            if record.seconds is not None:
                self.result = result_payload(record)

    @property
    def nbytes(self) -> int:
        """Bytes of the tables that the card can show whole."""
        return sum(table.nbytes for table in self._record.whole)

    def forget(self) -> None:
        """Let go of the tables: the card has their first rows."""
        self._record = replace(self._record, whole=())
        self._explorers.clear()

    def _hear(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        if "look" in content:
            self._send_page(content["look"])
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
        shown, _ = argument_payload(self._record, self._question.secrets)
        self.send({"shown": shown})

    def _send_page(self, asked: object) -> None:
        """Send a page of a whole table, or nothing where it is not there any more."""
        if not isinstance(asked, dict) or not isinstance(asked.get("table"), int):
            return

        at, found = asked["table"], None
        if 0 <= at < len(self._record.whole):
            # pyarrow is there: it made the table
            from mcp_notebook.display.explore import Explorer

            if at not in self._explorers:
                self._explorers[at] = Explorer(self._record.whole[at])

            found = self._explorers[at].page(asked)

        self.send({"looked": asked.get("id"), "page": found})


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
