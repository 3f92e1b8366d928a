"""The state line as a widget: it counts the seconds in the browser, so that waiting
costs no messages.
"""

from pathlib import Path
from typing import Any

import anywidget
import traitlets

OFTEN = 0.5  # seconds between two pieces of thinking: each replaces the last
_HERE = Path(__file__).parent


class Progress(anywidget.AnyWidget):
    """What goes on, since when, and the end of what the model says of its thinking."""

    _esm = _HERE / "sign.js"
    _css = _HERE / "sign.css"
    line = traitlets.Dict().tag(sync=True)
    thinking = traitlets.Unicode("").tag(sync=True)
    _said = -OFTEN  # when the thinking was last sent

    def tell(self, text: str, seconds: float, thinking: str) -> None:
        """Show another text, counted from `seconds` on; the same one counts on by itself."""
        with self.hold_sync():
            if self.line.get("text") != text or seconds < self.line["seconds"]:
                self.line = {"text": text, "seconds": round(seconds, 1)}
            if thinking != self.thinking and (
                not thinking or not 0 <= seconds - self._said < OFTEN
            ):
                self.thinking, self._said = thinking, seconds

    def bundle(self, plain: str) -> dict[str, Any]:
        """The mime bundle that shows it."""
        made = self._repr_mimebundle_() or {}
        data = made[0] if isinstance(made, tuple) else made
        return {**data, "text/plain": plain}
