"""The live card of one tool call: a widget while its cell runs, gone when the cell ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from mcp_notebook.display.payload import call_payload, head_payload, result_payload
from mcp_notebook.display.record import CallRecord

ANSWERS = ("once", "always", "deny")
_HERE = Path(__file__).parent


class Card(anywidget.AnyWidget):
    """Shows a `CallRecord`; a click calls `answer` with one of ANSWERS, possibly on another thread."""

    _esm = _HERE / "card.js"
    _css = _HERE / "card.css"
    # Trait names stay clear of Widget's methods: a trait called `open` would break it.
    call = traitlets.Dict().tag(sync=True)
    head = traitlets.Dict().tag(sync=True)
    result = traitlets.Dict().tag(sync=True)
    expanded = traitlets.Bool(False).tag(sync=True)

    def __init__(self, record: CallRecord, answer: Callable[[str], None], *, buttons: bool, expanded: bool) -> None:
        self._record = record
        self._answer = answer
        super().__init__(
            call=call_payload(record, buttons=buttons), head=head_payload(record), result={}, expanded=expanded
        )
        self.on_msg(self._clicked)

    def update(self, record: CallRecord) -> None:
        """Show what is known now."""
        self._record = record
        with self.hold_sync():
            self.head = head_payload(record)
            if record.seconds is not None:
                self.result = result_payload(record)

    def _clicked(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        # The page may send anything at any time: only an answer to an open question counts, and a call that is not
        # shown whole cannot be allowed.
        answer = content.get("answer")
        whole = self.call["whole"] or answer == "deny"
        if answer in ANSWERS and whole and self.call["buttons"] and self._record.status == "approval":
            self._answer(answer)
