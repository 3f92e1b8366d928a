"""Cells for the browser tests: a view fed with scripted events, awaited like a real
`%%claude` cell.

Run in a notebook's kernel: `from tests.browser.scripted import *` and then `await
tour()` and so on.
"""

import asyncio
import base64
import datetime as dt
import json
import random
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
from IPython.display import display

from mcp_notebook.display.listing import (
    history_bundle,
    status_table_html,
    tools_table_html,
)
from mcp_notebook.display.view import View
from mcp_notebook.events import (
    Event,
    Footer,
    Note,
    Reply,
    Stop,
    TextDelta,
    ToolCall,
    ToolProgress,
    ToolResult,
    ToolStarted,
)
from mcp_notebook.results import Reading, Table

SQL = (
    "select strftime(o.ordered_at, '%Y-%m') as month, c.name as category, count(*) as orders, "
    "sum(i.quantity * i.price) as revenue from orders o join order_items i on i.order_id = o.id "
    "join products p on p.id = i.product_id join "
    "categories c on c.id = p.category_id where o.status <> 'cancelled' and o.ordered_at between '2026-05-01' and "
    "'2026-10-31' group by 1, 2 order by revenue desc"
)


def chart() -> str:
    """A small bar chart as base64 PNG."""
    heights = (40, 66, 52, 88, 74, 110, 96, 128)
    rows = [
        b"\x00"
        + b"".join(
            bytes((38, 110, 190) if 140 - y <= h else (236, 241, 247)) * 36
            + bytes((236, 241, 247)) * 8
            for h in heights
        )
        for y in range(140)
    ]
    return base64.b64encode(png(352, 140, b"".join(rows))).decode()


def png(width: int, height: int, rows: bytes) -> bytes:
    """An RGB image; each row begins with its filter byte."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    parts = (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def months(rows: int = 36) -> pa.Table:
    """A table of sales, one row a month and category."""
    names = ["Books", "Garden & outdoor", "Kitchen", "Música", "Spielzeug", "玩具"]
    return pa.table(
        {
            "month": [f"2026-{5 + n // 6 % 6:02d}" for n in range(rows)],
            "category": [names[n % 6] for n in range(rows)],
            "orders": pa.array(
                [None if n % 11 == 7 else 410 - 9 * n for n in range(rows)], pa.int64()
            ),
            "revenue": pa.array(
                [Decimal(9_000_000 - 137_219 * n).scaleb(-2) for n in range(rows)],
                pa.decimal128(18, 2),
            ),
            "growth": [None if n < 6 else round(0.31 - n / 97, 4) for n in range(rows)],
            "last_order": [
                dt.datetime(2026, 10, 1 + n % 28, 9, n % 60, 5) for n in range(rows)
            ],
        }
    )


def reading(data: pa.Table, **about: object) -> Reading:
    """A reading of one table."""
    types = {
        name: "declared: " + str(data.schema.field(name).type)
        for name in data.column_names
    }
    return Reading(
        tables=(Table(data=data, types=types, **about),),
        reader="structured content",
        received_bytes=48_213,
    )  # type: ignore[arg-type]


async def play(
    events: "Callable[[asyncio.Queue], AsyncIterator[Event]]",
    *,
    mode: str = "widget",
    **options: object,
) -> None:
    """Show the events as a cell does: draw, look at the answers, beat."""
    answers: asyncio.Queue[tuple[str, Reply]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    view = View(
        mode=mode,
        decide=lambda *answer: loop.call_soon_threadsafe(answers.put_nowait, answer),
        **options,
    )  # type: ignore[arg-type]
    beat = asyncio.ensure_future(_beat(view))
    try:
        async for event in events(answers):
            view.show(event)
    finally:
        beat.cancel()
        view.close()


async def _beat(view: View) -> None:
    while True:
        view.flush()
        await asyncio.sleep(0.04)


async def say(text: str, pause: float = 0.01) -> AsyncIterator[Event]:
    """Text as a model streams it."""
    for start in range(0, len(text), 12):
        yield TextDelta(text[start : start + 12])
        await asyncio.sleep(pause)


async def tour(answers: asyncio.Queue) -> AsyncIterator[Event]:
    """A whole cell: text, two calls, the answer, the footer."""
    async for event in say("I'll look at what is there first."):
        yield event
    yield ToolCall("a", "shop", "list_tables", {})
    yield ToolStarted("a")
    tables = pa.table(
        {
            "table": ["customers", "orders", "order_items", "products", "categories"],
            "rows": [812, 4310, 11904, 160, 6],
        }
    )
    yield ToolResult("a", "ok", "5 tables", 0.021, 310, ("tables",), reading(tables))
    yield ToolCall("b", "shop", "query_database", {"sql": SQL})
    yield ToolStarted("b")
    shown = "by_month: 36 rows x 6 columns\nmonth VARCHAR, 6 distinct\n…"
    yield ToolResult("b", "ok", shown, 0.143, 48_213, ("by_month",), reading(months()))
    answer = (
        "**Garden & outdoor** and **Kitchen** grew most over the six months: `Garden & outdoor` went from \\$61,200 to "
        "$84,120.50, `Kitchen` from $52,000 to $66,300.\n\n| category | May | October | growth |\n|---|--:|--:|--:|\n"
        "| Garden & outdoor | $61,200 | $84,120 | **37 %** |\n| Kitchen | $52,000 | $66,300 | 28 % |\n\n"
        "The table is in `by_month`:\n\n"
        '```python\nby_month.pivot(index="month", columns="category", values="revenue").plot()\n```\n'
    )
    async for event in say(answer):
        yield event
    yield Stop("done")
    yield Footer("claude-sonnet-5-5 · live", 2, 3, 2310, 512, 8120, 0.0123, 8.4, 47_600)


async def gallery(answers: asyncio.Queue) -> AsyncIterator[Event]:
    """Every state that a finished or running card has; ends when the answer "stop" call
    is answered.
    """
    for name in "abcdefg":
        yield ToolCall(name, *_GALLERY[name])
        yield ToolStarted(name)
    yield ToolResult(
        "a", "ok", "by_month: 36 rows", 0.143, 48_213, ("by_month",), reading(months())
    )
    cut = reading(
        months(9),
        truncated="the server stops at 9 rows",
        total_rows=4310,
        approximate=True,
        notes=("Numbers came as text and were read as numbers.",),
    )
    yield ToolResult("b", "ok", "sample: 9 rows", 1.2, 3_100, ("sample",), cut)
    yield ToolResult(
        "c",
        "error",
        'ERROR: column "revenu" does not exist\nLINE 1: select revenu from orders\n'
        'HINT: Perhaps you meant "orders.revenue".',
        0.034,
    )
    yield ToolResult("d", "denied", "The person denied this call.", 0.0)
    yield ToolResult(
        "e",
        "ok",
        "1 image",
        0.8,
        900,
        images=(("image/png", chart()), ("image/svg+xml", "PHN2Zz4=")),
    )
    yield ToolProgress("f", 0.45, "page 9 of 20: https://example.org/catalogue?page=9")
    yield Note("The stream was cut after 2.1 s and is tried again.", "warning")
    await answers.get()


_GALLERY = {
    "a": ("shop", "query_database", {"sql": SQL}),
    "b": (
        "warehouse",
        "run_query",
        {
            "query": "select * from stock limit 9",
            "parameters": {"schema": "public", "tags": ["a", "b"]},
            "limit": 9,
        },
    ),
    "c": ("shop", "query_database", {"sql": "select revenu from orders"}),
    "d": ("shop", "delete_rows", {"table": "orders", "where": "status = 'cancelled'"}),
    "e": ("plots", "draw", {"kind": "bar"}),
    "f": ("web", "crawl", {"url": "https://example.org/catalogue"}),
    "g": ("shop", "slow_report", {"month": "2026-10"}),
}


async def finished(answers: asyncio.Queue) -> AsyncIterator[Event]:
    """A cell that ends with two tables: one with a picture, one of 5,000 rows."""
    by_month = pa.table(
        {
            "month": [f"2026-{n:02d}" for n in range(1, 13)],
            "revenue": [100.5 * n for n in range(12)],
        }
    )
    rows = pa.table(
        {"id": range(5_000), "kind": [f"kind {n % 7}" for n in range(5_000)]}
    )
    for name, data in (("by_month", by_month), ("rows", rows)):
        yield ToolCall(name, "shop", "query_database", {"sql": f"select * from {name}"})
        yield ToolStarted(name)
        yield ToolResult(name, "ok", name, 0.1, 900, (name,), reading(data))
    yield Stop("done")


async def approve(answers: asyncio.Queue) -> AsyncIterator[Event]:
    """A call that waits for the person; the answer is printed."""
    sql = (
        "update orders set status = 'refunded', note = 'see\u202e ticket' "
        "where id in (select order_id from returns where received = true)"
    )
    claims = 'The tool says of itself that it changes data: "Runs any SQL."\nNot used in this notebook before.'
    yield ToolCall(
        "a",
        "shop",
        "execute",
        {"sql": sql, "commit": True},
        needs_approval=True,
        claims=claims,
    )
    call, reply = await answers.get()
    if reply.choice == "deny":
        yield ToolResult("a", "denied", "The person denied this call.", 0.0)
        return
    yield ToolStarted("a")
    yield ToolResult("a", "ok", f"3 rows changed ({reply.choice}, {call})", 0.2, 30)


def payloads(file: Path) -> list[str]:
    """The texts of an attack corpus, one JSON object a line."""
    return [json.loads(line)["payload"] for line in file.read_text().splitlines()]


# What a hostile reply is made of, and what may stand between its pieces.
HOSTILE = [
    "<script>window.__pwned=1</script>",
    "<img src=x onerror=window.__pwned=1>",
    "![x](http://127.0.0.1:9/leak)",
    '![x](x"onerror="window.__pwned=1)',
    "[x](javascript:window.__pwned=1)",
    "[x](jav&#x09;ascript:window.__pwned=1)",
    "[x](<&#106;avascript:window.__pwned=1>)",
    "[x](\njavascript&colon;window.__pwned=1)",
    "[x]: javascript:window.__pwned=1",
    "[x](data:text/html,<script>1</script>)",
    "![x][y]\n\n[y]: http://127.0.0.1:9/x",
    '<a href="jav&#x09;ascript:window.__pwned=1">x</a>',
    "<details open ontoggle=window.__pwned=1>",
    "<!-- <script>1</script> -->",
    "$\\style{background:url(http://127.0.0.1:9)}{x}$",
]
GLUE = [
    "`",
    "``",
    "```",
    "~~~",
    "\n",
    "\n\n",
    "\\",
    "> ",
    "- ",
    "  ",
    "    ",
    "1. ",
    "|",
    "$",
    "$$",
    "](",
    "[a]",
    ")",
    "x",
    "``` js",
    '"',
]


async def mixtures(answers: asyncio.Queue) -> AsyncIterator[Event]:
    """Replies in which attacks are mixed with code, lists and quotes; the same at every run."""
    choose = random.Random(7)
    for number in range(80):
        pieces = [choose.choice(choose.choice([HOSTILE, GLUE])) for _ in range(8)]
        yield TextDelta("".join(pieces))
        yield Note(f"mixture {number}")


async def attacks(
    answers: asyncio.Queue, file: str, cases: slice, *, hold: bool
) -> AsyncIterator[Event]:
    """Payloads of the attack corpus, each in every place that is shown."""
    for number, payload in enumerate(payloads(Path(file))[cases]):
        name = f"attack-{number}"
        columns = {payload: [payload], f"{payload} 2": [None]}
        yield ToolCall(
            name,
            payload,
            payload,
            {payload: payload, "sql": f"select '{payload}' from t -- {payload}"},
            claims=payload,
        )
        yield ToolStarted(name)
        yield ToolProgress(name, 0.5, payload)
        failed = number % 2
        yield ToolResult(
            name,
            "error" if failed else "ok",
            payload,
            0.1,
            10,
            (payload,),
            None
            if failed
            else reading(pa.table(columns), notes=(payload,), truncated=payload),
            images=((payload, "!!!"), ("image/png", payload)),
        )
        yield Note(payload)
        async for event in say(f"{payload}\n\n", 0):
            yield event
        yield Stop("error", payload)
        yield Footer(payload)
    if hold:  # until live cards were looked at
        yield ToolCall("last", "shop", "done", {}, needs_approval=True)
        await answers.get()


def lists() -> None:
    """The tables of `%mcp_tools`, `%mcp_status` and `%claude_history`."""
    query = "Run one read-only SQL statement and return its rows. " * 6
    tools = [
        {
            "server": "shop",
            "tool": "query_database",
            "arguments": "sql, limit?",
            "description": query,
        },
        {
            "server": "shop",
            "tool": "list_tables",
            "arguments": "",
            "description": "The tables and their sizes.",
        },
        {
            "server": "web",
            "tool": "fetch",
            "arguments": "url",
            "description": "A page as text <b>not markup</b>, $5.",
        },
    ]
    state = [
        {
            "server": "shop",
            "state": "ready",
            "era": "2025-11-25",
            "tools": 3,
            "calls": 12,
            "trusted": True,
        },
        {
            "server": "web",
            "state": "crashed",
            "era": "2025-06-18",
            "tools": 14,
            "calls": 0,
            "trusted": False,
        },
    ]
    said = [
        {
            "turn": 0,
            "role": "user",
            "kind": "text",
            "text": "How many orders were refunded?",
        },
        {
            "turn": 1,
            "role": "assistant",
            "kind": "tool_use",
            "text": f"shop.query(sql={SQL!r})",
        },
        {
            "turn": 2,
            "role": "user",
            "kind": "tool_result",
            "text": "orders: 955 rows\n" * 40,
        },
        {"turn": 3, "role": "assistant", "kind": "text", "text": "955 orders. " * 20},
    ]
    for bundle in (
        tools_table_html(tools),
        status_table_html(state),
        history_bundle(said, "4 messages"),
    ):
        display(bundle, raw=True)
