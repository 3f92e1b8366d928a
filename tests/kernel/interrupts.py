"""Interrupts at random moments of cells in a real kernel: `python -m
tests.kernel.interrupts [COUNT]`.

Half of them hit a `%%claude` cell (while the model streams, or while it waits for a
tool), half a `%mcp_call`. Held: the cell ends within 2 s of the interrupt, and the next
call is right.
"""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fake_messages import FakeMessages, Reply, text, use
from tests.kernel.driver import Kernel, kernel

LIMIT = 2.0  # seconds from the interrupt to the end of the cell
SLOW = Path(__file__).parents[1] / "servers" / "plain.py"
LONG_CALL = '%mcp_call plain.wait {"seconds": 60}'
WORDS = " ".join(f"word{n}" for n in range(400))


@dataclass(frozen=True)
class Hit:
    """One interrupt: which cell, after how long, when the cell ended, and whether all
    was right afterwards.
    """

    cell: str
    after: float
    seconds: float
    ended: bool  # the cell ended with an error, in one line
    right: bool  # the next call gave what it should


@contextmanager
def cells() -> Iterator[Kernel]:
    """A kernel with a slow server, whose model streams slowly or asks for a long call,
    by the prompt.
    """

    def reply(body: dict, number: int) -> Reply:
        said = str(body["messages"][-1])
        if "WAIT" in said:
            return Reply([use("plain__wait", {"seconds": 60})])
        return Reply([text("hello" if "HELLO" in said else WORDS)], delay=0.05)

    with tempfile.TemporaryDirectory() as folder, FakeMessages(reply) as api:
        environ = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": api.api_key}
        with kernel(Path(folder), environ) as running:
            running.run("%load_ext mcp_notebook")
            ran = running.run(f"%mcp_connect plain --allow '*' {sys.executable} {SLOW}")
            assert ran.status == "ok", ran.text
            # the first cell loads what the later ones are interrupted in
            running.run("%%claude\nHELLO")
            yield running


def hit(running: Kernel, cell: str, after: float) -> Hit:
    """Start a cell, interrupt it after some seconds, and call again."""
    message = running.start(cell)
    time.sleep(after)  # the moment is the point here
    running.interrupt()
    began = time.monotonic()
    ran = running.finish(message)
    seconds = time.monotonic() - began
    again = running.run("%mcp_call plain.echo text=again")
    ended = ran.status == "error" and "Traceback" not in ran.text
    return Hit(
        cell.split(maxsplit=1)[0],
        after,
        seconds,
        ended,
        again.status == "ok" and "again" in again.text,
    )


def hits(count: int, seed: int = 4) -> list[Hit]:
    """Interrupts of three kinds of cells in turn, 0.05 to 1.5 s after their start."""
    chance = random.Random(seed)
    kinds = [
        "%%claude --new\nTell me.",
        LONG_CALL,
        "%%claude --new\nWAIT for it.",
        LONG_CALL,
    ]
    with cells() as running:
        return [
            hit(running, kinds[n % 4], chance.uniform(0.05, 1.5)) for n in range(count)
        ]


def main(count: int) -> int:
    """Print the figures; 1 when one of them is not held."""
    found = hits(count)
    slowest = max(found, key=lambda h: h.seconds)
    wrong = [h for h in found if not h.ended or not h.right or h.seconds > LIMIT]
    times = sorted(h.seconds for h in found)
    print(
        f"{len(found)} interrupts: cell ended after {times[len(times) // 2]:.2f} s (median), {slowest.seconds:.2f} s"
    )
    print(
        f"(slowest, {slowest.cell}); next call right {sum(h.right for h in found)} of {len(found)}"
    )
    for bad in wrong:
        print(bad)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
