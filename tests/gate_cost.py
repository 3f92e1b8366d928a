"""What the gate at the exits costs: `python -m tests.gate_cost`.

A result of 100 kB is searched with 30 secrets known, in milliseconds of CPU; and the part
that all searching takes of the CPU of a cell's turns, with calls of a listening server.
"""

import json
import random
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import mcp_notebook
from mcp_notebook import secrets
from mcp_notebook.agent import sealing
from mcp_notebook.agent.conversation import Conversation
from mcp_notebook.notebook.cell import CellRun
from mcp_notebook.notebook.options import AskOptions
from mcp_notebook.secrets import KNOWN, hide, learn_secret
from tests.fake_messages import FakeMessages, Reply, text, use
from tests.notebook.scripted import notebook
from tests.servers.listener import Listener

ROUNDS, TURNS = 20, 12


def cost_of_text() -> float:
    """Milliseconds of CPU for 100 kB, the least of some rounds."""
    rng = random.Random(1)
    letters = string.ascii_letters + string.digits
    for number in range(30):
        learn_secret(f"KEY_{number}", "".join(rng.choices(letters, k=32)))
    rows = [
        {"id": n, "name": "".join(rng.choices(letters, k=20))} for n in range(2_300)
    ]
    found = json.dumps(rows)[:100_000]
    return min(_measure(lambda: hide(found)) for _ in range(ROUNDS)) * 1000


def _measure(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


class Meter:
    """The CPU that wrapped functions take; a call inside another counts once.

    `calls`: how many were measured. Reading the clock is a system call, which takes
    longer than the search of a short text: `cost_of_measuring` tells how long.
    """

    def __init__(self) -> None:
        self.seconds, self._depth, self.calls = 0.0, 0, 0

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*args: Any, **named: Any) -> Any:
            self._depth += 1
            started = time.thread_time()
            try:
                return function(*args, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.calls += 1
                    self.seconds += time.thread_time() - started

        return measured


def cost_of_measuring() -> float:
    """Seconds that a meter sees where nothing is done."""
    meter = Meter()
    nothing = meter.wrap(lambda: None)
    for _ in range(1_000):
        nothing()

    return meter.seconds / meter.calls


# all ways into the search; each is wrapped wherever a module holds it
GATES = (
    *(secrets.mask, secrets.mask_json, secrets.mask_named, secrets.hide),
    *(secrets.seal, secrets.seal_arguments, secrets.seal_text),
    *(sealing.seal_request, sealing.seal_result, sealing.seal_block),
    *(sealing.veil_table, sealing.veil_text),
)


@contextmanager
def measure_gate(meter: Meter) -> Iterator[None]:
    """All searching inside goes through the meter."""
    own = [
        module
        for name, module in sys.modules.items()
        if name.startswith("mcp_notebook")
    ]
    with ExitStack() as wrapped:
        for gate, module in product(GATES, own):
            if vars(module).get(gate.__name__) is gate:
                place = mock.patch.object(module, gate.__name__, meter.wrap(gate))
                wrapped.enter_context(place)

        yield


def cost_of_turns() -> float:
    """Percent of the CPU of a cell's turns, without what measuring takes."""
    empty = cost_of_measuring()
    shares = []
    replies: list[Any] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeMessages(lambda body, n: replies.pop(0)) as model,
        notebook(
            Path(folder),
            {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": model.api_key},
        ) as state,
    ):
        mcp_notebook.connect("listener", Listener().server, allow=["fetch"])
        for turn in range(TURNS):
            meter = Meter()
            replies += [
                Reply([use("listener__fetch", {"note": f"turn {turn}"})]),
                Reply([text("Done.")]),
            ]
            with measure_gate(meter):
                started = time.process_time()
                asked = AskOptions(prompt=f"Fetch {turn}.")
                run = CellRun(state, asked, conversation=Conversation(), shown="none")
                run.start()
                run.run_blocking()
                whole = time.process_time() - started
                shares.append(100 * (meter.seconds - empty * meter.calls) / whole)
    return statistics.median(shares[2:])


def main() -> None:
    """Print both figures."""
    print(f"{cost_of_text():.2f} ms of CPU for a result of 100 kB (at most 5)")
    print(f"{cost_of_turns():.2f} % of the CPU of a turn (at most 3)")
    KNOWN.forget()


if __name__ == "__main__":
    main()
