"""Five questions on a small database, asked of a local model through the ordinary SDK; on demand, not in CI.

    python -m tests.local.questions MODEL.gguf

An answer counts when the rows of the model's last query hold the right values. Exit code 0 for at least three of five.
"""

import asyncio
import sqlite3
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import anthropic

from mcp_notebook.local import LocalServer, start_local

SCHEMA = """\
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, country TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id), order_date TEXT,
                     status TEXT, amount REAL);"""
CUSTOMERS = [(1, "Ada", "Norway"), (2, "Bo", "Sweden"), (3, "Cem", "Turkey"), (4, "Dag", "Norway")]
STATUSES = ("paid", "paid", "refunded", "shipped", "paid", "cancelled")
TOOL: Any = {
    "name": "shop__query_database",
    "description": "Run one read-only SELECT in the SQLite dialect.",
    "input_schema": {"type": "object", "properties": {"sql": {"type": "string"}}, "required": ["sql"]},
}
SYSTEM = (
    f"You answer questions about a shop's SQLite database.\n{SCHEMA}\nstatus is paid, refunded, shipped or cancelled."
)
QUESTIONS = {  # question -> the SQL whose rows are right
    "How many orders were refunded?": "SELECT count(*) FROM orders WHERE status = 'refunded'",
    "What is the total amount of all paid orders?": "SELECT sum(amount) FROM orders WHERE status = 'paid'",
    "Which customer has the highest total amount of orders?": (
        "SELECT c.name FROM orders o JOIN customers c ON c.id = o.customer_id "
        "GROUP BY c.name ORDER BY sum(o.amount) DESC LIMIT 1"
    ),
    "How many orders are there per country?": (
        "SELECT c.country, count(*) FROM orders o JOIN customers c ON c.id = o.customer_id GROUP BY c.country"
    ),
    "What was the total amount per month in 2026?": (
        "SELECT strftime('%Y-%m', order_date) m, sum(amount) FROM orders WHERE order_date >= '2026-01-01' GROUP BY m"
    ),
}
NEEDED = 3
MAX_TURNS = 6


@dataclass
class Answer:
    """What one question gave."""

    calls: list[str] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    text: str = ""


def database() -> sqlite3.Connection:
    """Sixty orders of four customers in 2025 and 2026, the same each time."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", CUSTOMERS)
    connection.executemany(
        "INSERT INTO orders VALUES (?, ?, ?, ?, ?)",
        [
            (n, n * 7 % 4 + 1, f"{2025 + n % 2}-{n % 5 + 1:02}-{n % 28 + 1:02}", STATUSES[n % 6], n * 3 % 50 + 9.5)
            for n in range(1, 61)
        ],
    )
    return connection


def right(rows: list[tuple[Any, ...]], gold: list[tuple[Any, ...]]) -> bool:
    """Whether each right row is among the rows, whatever other columns stand beside its values."""
    found = [{_plain(value) for value in row} for row in rows]
    return len(rows) == len(gold) and all(any({_plain(v) for v in row} <= f for f in found) for row in gold)


def _plain(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else str(value)


async def ask(server: LocalServer, connection: sqlite3.Connection, question: str) -> Answer:
    """One question with its tool calls."""
    answer, messages = Answer(), [{"role": "user", "content": question}]
    options: Any = {"model": "local", "max_tokens": 600, "system": SYSTEM, "tools": [TOOL], "messages": messages}
    async with anthropic.AsyncAnthropic(
        base_url=server.base_url, api_key=server.api_key, timeout=900, max_retries=0
    ) as client:
        for _ in range(MAX_TURNS):
            async with client.messages.stream(**options) as stream:
                message = await stream.get_final_message()
            content = [b.model_dump(exclude_none=True, exclude={"parsed_output"}) for b in message.content]
            messages.append({"role": "assistant", "content": content})  # type: ignore[dict-item]
            results = [_run(connection, block, answer) for block in content if block["type"] == "tool_use"]
            if not results:
                answer.text = "".join(block["text"] for block in content if block["type"] == "text")
                break
            messages.append({"role": "user", "content": results})  # type: ignore[dict-item]
    return answer


def _run(connection: sqlite3.Connection, use: dict[str, Any], answer: Answer) -> dict[str, Any]:
    answer.calls.append(use["input"]["sql"])
    try:
        cursor = connection.execute(use["input"]["sql"])
        answer.rows = cursor.fetchall()
    except sqlite3.Error as error:
        return {"type": "tool_result", "tool_use_id": use["id"], "content": f"SQLite says: {error}", "is_error": True}
    lines = [",".join(column[0] for column in cursor.description or ())]
    lines += [",".join(map(str, row)) for row in answer.rows[:20]]
    return {"type": "tool_result", "tool_use_id": use["id"], "content": "\n".join(lines)}


async def main(model: str) -> int:
    """Ask all, print what came, and the score."""
    score, connection = 0, database()
    with start_local(model) as server:
        print(server.label)
        for question, sql in QUESTIONS.items():
            started = time.monotonic()
            answer = await ask(server, connection, question)
            good = right(answer.rows, connection.execute(sql).fetchall())
            score += good
            print(f"{'right' if good else 'WRONG'}  {question}  ({time.monotonic() - started:.0f} s)")
            print("".join(f"       {call}\n" for call in answer.calls) + f"       {answer.text}", flush=True)
    print(f"{score} of {len(QUESTIONS)} right, {NEEDED} needed")
    return 0 if score >= NEEDED else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
