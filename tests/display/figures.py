"""What a long answer costs on the wire: `python -m tests.display.figures [CHARACTERS]
[CHARACTERS A SECOND]`.

Prints the bytes of all bundles that a view sends for one answer of paragraphs and code,
and of what is saved.
"""

import json
import sys

from mcp_notebook.display.view import View
from mcp_notebook.events import Footer, TextDelta

TOKEN = 5  # characters
PARAGRAPH = (
    "The revenue of `Garden` grew by **12 %** in May, mostly because of one large order in the north. "
    * 4
)
CODE = (
    "```python\n"
    + 'by_month.query("month > 3").plot(x="month", y="revenue")\n' * 6
    + "```"
)


class Counting:
    """A screen that counts what is sent."""

    def __init__(self) -> None:
        self.bytes = self.messages = 0
        self.last: dict[str, dict] = {}

    def show(self, bundle: dict) -> str:
        shown = str(len(self.last))
        self.update(shown, bundle)
        return shown

    def update(self, shown: str, bundle: dict) -> None:
        self.last[shown] = bundle
        self.bytes += len(json.dumps(bundle).encode())
        self.messages += 1

    def write(self, text: str) -> None:
        """Nothing is written in a notebook."""


def answer(characters: int) -> str:
    """A long answer."""
    pieces: list[str] = []
    while sum(map(len, pieces)) < characters:
        pieces += [f"## Part {len(pieces)}\n\n{PARAGRAPH}\n\n", f"{CODE}\n\n"]
    return "".join(pieces)[:characters]


def sent(text: str, pace: float) -> Counting:
    """The answer as a model streams it at `pace` characters a second, drawn at every
    beat of 40 ms.
    """
    screen, now = Counting(), [0.0]
    view = View(
        mode="static", decide=lambda *_: None, screen=screen, clock=lambda: now[0]
    )
    beat = 0.0
    for start in range(0, len(text), TOKEN):
        view.show(TextDelta(text[start : start + TOKEN]))
        now[0] += TOKEN / pace
        while beat < now[0]:
            beat += 0.04
            view.flush()
    view.show(Footer("m · live"))
    view.close()
    return screen


if __name__ == "__main__":
    size, pace = (float(word) for word in (*sys.argv[1:], "65536", "400")[:2])
    text = answer(int(size))
    screen = sent(text, pace)
    saved = sum(len(json.dumps(bundle).encode()) for bundle in screen.last.values())
    print(
        f"{len(text):,} characters at {pace:g} a second: {screen.messages} messages, {screen.bytes:,} bytes"
    )
    print(
        f"{screen.bytes / len(text):.1f} times the text on the wire, {saved / len(text):.2f} times in the file"
    )
