"""Five questions on a small database, asked of a local model with `%%claude`; on demand, not in CI.

    python -m tests.weights models          fetch the weights, once (1.1 GB)
    python -m tests.local.questions models/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf

Everything else is what a person has: a kernel, the bundled database server, the magics. An answer counts when the rows of the model's last table
hold the right values. Exit code 0 for at least three of five.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.kernel import driver
from tests.kernel.driver import Kernel, kernel
from tests.local.server import start_local

SCHEMA = """\
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, country TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id), order_date TEXT,
                     status TEXT, amount REAL);"""
CUSTOMERS = [
    (1, "Ada", "Norway"),
    (2, "Bo", "Sweden"),
    (3, "Cem", "Turkey"),
    (4, "Dag", "Norway"),
]
STATUSES = ("paid", "paid", "refunded", "shipped", "paid", "cancelled")
TOLD = f"The server shop has these tables:\n{SCHEMA}\nstatus is paid, refunded, shipped or cancelled.\n"
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
SECONDS = 900.0  # a cell may take on a busy machine
LOAD = "%load_ext mcp_notebook\n%mcp_connect shop mcp-notebook serve database --url sqlite:///shop.db"
CELL = "%%claude --new --servers shop --max-iterations 6 --into found\n"
LOOK = "print('ROWS', __import__('json').dumps(globals().get('found').values.tolist(), default=str)); found = None"
CALLS = (
    "from mcp_notebook.magics.extension import notebook_of\n"
    "for call in [c for c in notebook_of(get_ipython()).ledger if c.cell != 'by hand']: print('CALL', call.arguments)"
)


def database(path: Path) -> sqlite3.Connection:
    """Sixty orders of four customers in 2025 and 2026, the same each time."""
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", CUSTOMERS)
    connection.executemany(
        "INSERT INTO orders VALUES (?, ?, ?, ?, ?)",
        [
            (
                n,
                n * 7 % 4 + 1,
                f"{2025 + n % 2}-{n % 5 + 1:02}-{n % 28 + 1:02}",
                STATUSES[n % 6],
                n * 3 % 50 + 9.5,
            )
            for n in range(1, 61)
        ],
    )
    connection.commit()
    return connection


def right(rows: list[Any], gold: list[tuple[Any, ...]]) -> bool:
    """Whether each right row is among the rows, whatever other columns stand beside its values."""
    found = [{_plain(value) for value in row} for row in rows]
    return len(rows) == len(gold) and all(
        any({_plain(v) for v in row} <= f for f in found) for row in gold
    )


def _plain(value: Any) -> str:
    try:
        return f"{float(value):.1f}"
    except (TypeError, ValueError):
        return str(value)


def ask(cells: Kernel, question: str) -> tuple[list[Any], str]:
    """One question in a cell of its own: the rows of its last table, and what the cell shows."""
    ran = cells.run(f"{CELL}{TOLD}\n{question}")
    rows = cells.run(LOOK).text.partition("ROWS ")[2]
    return json.loads(rows.splitlines()[0]) if rows else [], ran.text


def main() -> int:
    """Ask all, print what came, and the score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument(
        "--threads", type=int, default=0, help="of the engine; 0: its own choice"
    )
    parser.add_argument(
        "--only",
        type=int,
        nargs="*",
        default=[1, 2, 3, 4, 5],
        help="numbers of the questions",
    )
    options = parser.parse_args()
    driver.GUARD = SECONDS
    folder, score = Path(tempfile.mkdtemp(prefix="questions-")), 0
    started_with = {"threads": options.threads} if options.threads else {}
    with (
        closing(database(folder / "shop.db")) as gold,
        start_local(options.model, **started_with) as server,
        kernel(folder, server.environment) as cells,
    ):
        print(server.label, cells.run(LOAD).text, flush=True)
        for question, sql in (
            list(QUESTIONS.items())[number - 1] for number in options.only
        ):
            started = time.monotonic()
            rows, shown = ask(cells, question)
            good = right(rows, gold.execute(sql).fetchall())
            score += good
            print(
                f"{'right' if good else 'WRONG'}  {question}  ({time.monotonic() - started:.0f} s)"
            )
            print(
                "\n".join(f"       {line}" for line in shown.splitlines()[-12:]),
                flush=True,
            )
        print(cells.run(CALLS).text)
    needed = min(NEEDED, len(options.only))
    print(f"{score} of {len(options.only)} right, {needed} needed")
    return 0 if score >= needed else 1


if __name__ == "__main__":
    sys.exit(main())
