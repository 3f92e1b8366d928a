"""A question as a live form in the cell; gone, but for one line, when it is answered."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from mcp_notebook.display.asking import Answer, Question
from mcp_notebook.display.fields import Field, filled
from mcp_notebook.untrusted_text import visible

_HERE = Path(__file__).parent


class Form(anywidget.AnyWidget):
    """Shows a Question; `answer` is called once, possibly on another thread, with what
    holds against its fields.
    """

    _esm = _HERE / "form.js"
    _css = _HERE / "form.css"
    ask = traitlets.Dict().tag(sync=True)
    wrong = traitlets.Dict().tag(sync=True)

    def __init__(self, question: Question, answer: Callable[[Answer], None]) -> None:
        self._question, self._answer = question, answer
        self._answered = False
        super().__init__(ask=payload(question), wrong={})
        self.on_msg(self._clicked)

    def _clicked(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        # The page may send anything at any time: only the first whole answer counts.
        if self._answered or content.get("action") not in ("accept", "decline"):
            return
        answer = self._checked(content["action"], content.get("values"))
        if answer is not None:
            self._answered = True
            self._answer(answer)

    def _checked(self, action: str, sent: Any) -> Answer | None:
        if action == "decline":
            return Answer("decline")
        values = sent if isinstance(sent, dict) else {}
        if self._question.kind == "form":
            values, self.wrong = filled(self._question.fields, values)
            return None if self.wrong else Answer("accept", values)
        if self._question.kind == "choice":
            return Answer(
                "accept", {"always": True} if values.get("always") is True else {}
            )
        return Answer(
            "accept",
            {"address": str(values.get("address", ""))} if self._question.paste else {},
        )


def payload(question: Question) -> dict[str, Any]:
    """What the page is given; every text of the server's with nothing hidden in it."""
    return {
        "kind": question.kind,
        "title": visible(question.title),
        "message": visible(question.message, lines=True),
        "detail": visible(question.detail, lines=True),
        "url": question.url,
        "shown_url": visible(question.url),
        "host": visible(question.host),
        "paste": question.paste,
        "warning": question.warning,
        "fields": [_field(one) for one in question.fields],
    }


def _field(one: Field) -> dict[str, Any]:
    told = {
        **asdict(one),
        "title": visible(one.title),
        "description": visible(one.description),
    }
    return {
        **told,
        "secret": one.is_secret,
        "choices": [[value, visible(label)] for value, label in one.choices],
        "limits": dict(one.limits),
    }
