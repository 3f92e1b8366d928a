"""Listings page by page, with a cap: a cursor that never ends must not hang a session."""

from collections.abc import Awaitable, Callable
from typing import Any

PAGES = 100
ITEMS = 5000


async def all_pages(
    fetch: Callable[[str | None], Awaitable[Any]], field: str
) -> tuple[list[Any], str]:
    """Items of every page and a note when the listing was cut (an empty one otherwise)."""
    items: list[Any] = []
    seen: set[str] = set()
    cursor: str | None = None
    for _ in range(PAGES):
        page = await fetch(cursor)
        items += getattr(page, field)
        cursor = page.next_cursor
        if not cursor:
            return items, ""
        if cursor in seen or len(items) >= ITEMS:
            break
        seen.add(cursor)
    return (
        items[:ITEMS],
        f"the listing of {field.replace('_', ' ')} does not end; it was cut at {len(items[:ITEMS])}",
    )
