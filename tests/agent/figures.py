"""The figures of the loop: `python -m tests.agent.figures`.

1. Five parallel calls of 0.5 s, from the first to the last event of the cell.
2. The loop's own cost: a conversation of many turns through `agent.run`, against the same turns with nothing but
   `messages.stream`, both over sockets against the same fake API. The best of several rounds; at most 1.1.
"""

import asyncio
import time

from tests.agent.bench import Bench, shop
from tests.fake_messages import FakeMessages, Reply, text, use

CALLS, SLEEP = 5, 0.5
TURNS, ROUNDS, WORDS = 20, 7, 120


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


def turns() -> list[Reply]:
    """A long cell as the model would write it: some words, a call."""
    words = text("word " * WORDS)
    return [*(Reply([words, use("shop__page", {"sql": str(n)})]) for n in range(TURNS)), Reply([words])]


def page(sql: str = "") -> str:
    """What the tool says."""
    return f"Page {sql}: nothing to report."


async def drain(bench: Bench) -> None:
    """Run a cell to its end."""
    async for _ in bench.stream():
        pass


async def looped() -> tuple[float, float]:
    """Seconds of the cell through the loop: CPU of the client's thread, and wall."""
    with FakeMessages(turns()) as api:
        bench = Bench(api, shop(page=page))
        bench.caller.budget.cell = type(bench.caller.budget.cell)(iterations=TURNS + 2, calls=TURNS + 2)
        cpu, wall = time.thread_time(), time.perf_counter()
        await drain(bench)
        taken = time.thread_time() - cpu, time.perf_counter() - wall
        await bench.request.backend.client.close()
        return taken


async def bare() -> tuple[float, float]:
    """Seconds of the same requests with `messages.stream` alone, results written by hand."""
    with FakeMessages(turns()) as api:
        bench = Bench(api, shop(page=page))
        client, messages = api.client(max_retries=0), [{"role": "user", "content": "How many?"}]
        tools = bench.caller.toolset.definitions()
        cpu, wall = time.thread_time(), time.perf_counter()
        for _ in range(TURNS + 1):
            async with client.messages.stream(
                model="claude-x", max_tokens=4096, system="Be brief.", messages=messages, tools=tools
            ) as stream:
                async for _event in stream:
                    pass
                message = await stream.get_final_message()
            blocks = [b.model_dump(mode="json", exclude={"parsed_output"}, exclude_none=True) for b in message.content]
            messages.append({"role": "assistant", "content": blocks})
            results = [
                {"type": "tool_result", "tool_use_id": b["id"], "content": page(b["input"]["sql"])}
                for b in blocks
                if b["type"] == "tool_use"
            ]
            if results:
                messages.append({"role": "user", "content": results})
        taken = time.thread_time() - cpu, time.perf_counter() - wall
        await client.close()
        return taken


def main() -> None:
    """Print the figures."""
    seconds = asyncio.run(parallel())
    print(f"{CALLS} parallel calls of {SLEEP} s: {seconds:.2f} s (at most 0.8)")
    asyncio.run(looped())
    pairs = [(asyncio.run(bare()), asyncio.run(looped())) for _ in range(ROUNDS)]
    for index, what in enumerate(("CPU of the client", "wall")):
        plain, ours = (min(times) for times in zip(*((b[index], o[index]) for b, o in pairs), strict=True))
        print(f"{TURNS + 1} turns, {what}: bare {plain:.3f} s, the loop {ours:.3f} s, {ours / plain:.2f} times")


if __name__ == "__main__":
    main()
