"""The live card of one tool call: a widget while its cell runs; afterwards it wakes the
HTML that stays (alive.py).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anywidget
import traitlets

from mcp_notebook.display.consent import REASON
from mcp_notebook.display.payload import (
    argument_payload,
    call_payload,
    head_payload,
    result_payload,
)
from mcp_notebook.display.record import CallRecord

if TYPE_CHECKING:
    from mcp_notebook.display.explore import Explorer

_HERE = Path(__file__).parent


class Card(anywidget.AnyWidget):
    """Shows a `CallRecord`; a click calls `answer` with one that the question offers,
    possibly on another thread.

    The card's state holds secrets masked. When the person asks for them they go to the
    page in a message, which is kept nowhere: neither in the widget's state nor in the
    notebook.
    """

    _esm = "\n".join(
        (_HERE / f"{part}.js").read_text()
        for part in ("parts", "chart", "table", "alive", "card")
    )
    _css = _HERE / "card.css"
    # Trait names stay clear of Widget's methods: a trait called `open` would break it.
    call = traitlets.Dict().tag(sync=True)
    head = traitlets.Dict().tag(sync=True)
    result = traitlets.Dict().tag(sync=True)
    expanded = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        record: CallRecord,
        answer: Callable[[str], None],
        *,
        buttons: bool,
        expanded: bool,
    ) -> None:
        self._record = record
        self._answer = answer
        self._explorers: dict[int, Explorer] = {}
        self.place = f"mcpn-at-{uuid4().hex[:12]}"
        super().__init__(
            call={**call_payload(record, buttons=buttons), "place": self.place},
            head=head_payload(record),
            result={},
            expanded=expanded,
        )
        self.on_msg(self._clicked)

    def update(self, record: CallRecord) -> None:
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

    def _look(self, asked: object) -> None:
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

    def _clicked(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        if "look" in content:
            self._look(content["look"])
            return
        # The page may send anything at any time: only an answer to an open question
        # counts, and a call that is not
        # shown whole cannot be allowed.
        if not self.call["buttons"] or self._record.status != "approval":
            return
        if content.get("show") is True:
            self.send(
                {
                    "shown": argument_payload(
                        self._record, self._record.approval.arguments
                    )[0]
                }
            )
        elif self._is_offered(content.get("answer")):
            self._answer(content["answer"])

    def _is_offered(self, answer: object) -> bool:
        if not isinstance(answer, str):
            return False
        if answer == "deny" or answer.startswith("deny: "):
            return len(answer) <= REASON
        return self.call["whole"] and answer in [
            choice[0] for choice in self.call["choices"]
        ]
