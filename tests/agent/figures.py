"""The figures of the loop: `python -m tests.agent.figures`.

1. Five parallel calls of 0.5 s, from the first to the last event of the cell.
2. The loop's own cost: a conversation of many turns through `agent.run`, against the same turns with nothing but
   `messages.stream`, both over sockets against the same fake API; at most 1.1. The two
   take turns, which goes first changes each round, and the best of all rounds counts:
   what else a machine does only ever adds.
"""

import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic

from tests.agent.bench import Bench, shop
from tests.fake_messages import FakeMessages, Reply, text, use

CALLS, SLEEP = 5, 0.5
TURNS, ROUNDS, WORDS = 20, 24, 120


async def parallel() -> float:
    """Seconds of a cell with five slow calls in one reply."""

    async def slow(sql: str = "") -> str:
        await asyncio.sleep(SLEEP)
        return f"done {sql}"

    calls = [use("shop__slow", {"sql": str(n)}) for n in range(CALLS)]
    ok = Reply([text("ok")])
    with FakeMessages([Reply([use("shop__query")]), ok, Reply(calls), ok]) as api:
        bench = Bench(api, shop(slow=slow))
        await drain(bench)  # the first cell loads what is loaded once
        started = time.perf_counter()
        await drain(bench)
        taken = time.perf_counter() - started
        await bench.request.backend.client.close()
        return taken


def turns(body: dict[str, Any], _: int) -> Reply:
    """A long cell as the model would write it, turn after turn: some words, a call; at
    last words alone.
    """
    said = sum(message["role"] == "assistant" for message in body["messages"])
    words = text("word " * WORDS)
    return Reply(
        [words, use("shop__page", {"sql": str(said)})] if said < TURNS else [words]
    )


@contextmanager
def server() -> Iterator[str]:
    """The fake API in a process of its own, so that what it takes is not counted;
    yields its address.
    """
    code = (
        "import sys; from tests.agent.figures import turns; from tests.fake_messages import FakeMessages\n"
        "with FakeMessages(turns) as api: print(api.url, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.communicate("")


def client_of(url: str) -> anthropic.AsyncAnthropic:
    """An ordinary client."""
    return anthropic.AsyncAnthropic(base_url=url, api_key="test-key", max_retries=0)


def page(sql: str = "") -> str:
    """What the tool says."""
    return f"Page {sql}: nothing to report."


async def drain(bench: Bench) -> None:
    """Run a cell to its end."""
    async for _ in bench.stream():
        pass


async def looped(url: str) -> tuple[float, float]:
    """Seconds of the cell through the loop: CPU of the client, and wall."""
    async with client_of(url) as client:
        bench = Bench(None, shop(page=page), client=client)
        bench.caller.budget.cell = type(bench.caller.budget.cell)(
            iterations=TURNS + 2, calls=TURNS + 2
        )
        cpu, wall = time.process_time(), time.perf_counter()
        await drain(bench)
        return time.process_time() - cpu, time.perf_counter() - wall


async def bare(url: str) -> tuple[float, float]:
    """Seconds of the same requests with `messages.stream` alone, results written by hand."""
    async with client_of(url) as client:
        tools = Bench(None, shop(page=page), client=client).caller.toolset.definitions()
        messages: list[Any] = [{"role": "user", "content": "How many?"}]
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(TURNS + 1):
            async with client.messages.stream(
                model="claude-x",
                max_tokens=4096,
                system="Be brief.",
                messages=messages,
                tools=tools,
            ) as stream:
                async for _event in stream:
                    pass
                message = await stream.get_final_message()
            blocks = [
                b.model_dump(mode="json", exclude={"parsed_output"}, exclude_none=True)
                for b in message.content
            ]
            messages.append({"role": "assistant", "content": blocks})
            results = [
                {
                    "type": "tool_result",
                    "tool_use_id": b["id"],
                    "content": page(b["input"]["sql"]),
                }
                for b in blocks
                if b["type"] == "tool_use"
            ]
            if results:
                messages.append({"role": "user", "content": results})
        return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Print the figures."""
    seconds = asyncio.run(parallel())
    print(f"{CALLS} parallel calls of {SLEEP} s: {seconds:.2f} s (at most 0.8)")
    with server() as url:  # the first two rounds load what is loaded once
        pairs = [
            _pair(url, first_bare=number % 2 == 0) for number in range(ROUNDS + 2)
        ][2:]
    for index, what in enumerate(("CPU of the client", "wall")):
        plain, ours = (
            [times[index] for times in side] for side in zip(*pairs, strict=True)
        )
        middle = statistics.median(o / p for o, p in zip(ours, plain, strict=True))
        print(
            f"{TURNS + 1} turns, {what}: bare {min(plain):.3f} s, the loop {min(ours):.3f} s, "
            f"{min(ours) / min(plain):.2f} times (median of {ROUNDS} pairs: {middle:.2f})"
        )


def _pair(
    url: str, *, first_bare: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    """One round of both, bare and looped."""
    gc.collect()
    if first_bare:
        return asyncio.run(bare(url)), asyncio.run(looped(url))
    ours = asyncio.run(looped(url))
    return asyncio.run(bare(url)), ours


if __name__ == "__main__":
    main()
