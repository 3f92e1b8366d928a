"""The columns of a long table in two threads: Arrow works on them without the
interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

WORKERS = 2
MANY = 10_000

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def each(
    work: Callable[[Item], Answer], items: Iterable[Item], *, rows: int = MANY
) -> list[Answer]:
    """The answer for each item, in their order; a table of few rows is not worth a thread."""
    if rows < MANY:
        return [work(item) for item in items]
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, items))
