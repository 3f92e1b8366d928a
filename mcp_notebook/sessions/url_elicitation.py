"""Pages that a server wants visited before it runs a call (error -32042 of protocol 2025-11-25).

The person consents to each page once; the call, which did not run, is then tried again
until the server takes it.
https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-elicitation-required-error
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from mcp import MCPError
from mcp.shared.exceptions import UrlElicitationRequiredError
from mcp.types import URL_ELICITATION_REQUIRED
from pydantic import ValidationError

from mcp_notebook.errors import SessionError

# seconds before the call is tried again, unless the server says earlier that the page
# is done
AGAIN = 3.0
LIMIT = 300.0  # seconds that the person has for the pages
Elicit = Callable[[Any, Any], Awaitable[Any]]


class PagesNeeded(SessionError):
    """The call did not run: these pages (ElicitRequestURLParams) come first."""

    def __init__(self, message: str, pages: list[Any]) -> None:
        super().__init__(message)
        self.pages = pages


def find_pages(error: MCPError) -> list[Any]:
    """The pages that an error asks for, none when it is another error or names no page."""
    if error.code != URL_ELICITATION_REQUIRED:
        return []

    try:
        return list(UrlElicitationRequiredError.from_error(error.error).elicitations)
    except (ValidationError, ValueError, TypeError, AttributeError):
        return []


class PageVisits:
    """The pages of one call. `elicit`: the callback for questions; `done`: set when the
    server says a page is done.
    """

    def __init__(self, elicit: Elicit, done: asyncio.Event) -> None:
        self._elicit, self._done = elicit, done
        self._seen: set[str] = set()
        self._until = 0.0

    async def visit_pages(self, needed: PagesNeeded) -> bool:
        """Ask for consent to new pages and wait a moment for the old ones; whether to
        try the call again (False: declined, or it took too long).
        """
        now = asyncio.get_running_loop().time
        for page in needed.pages:
            if page.elicitation_id in self._seen:
                continue

            self._seen.add(page.elicitation_id)
            self._done.clear()
            answer = await self._elicit(None, page)
            # The hook may have failed: then the answer is an error without an action.
            if getattr(answer, "action", "decline") != "accept":
                return False

            self._until = now() + LIMIT

        # Not every server says that a page is done; it may then be asked again early.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AGAIN):
                await self._done.wait()

        self._done.clear()
        return now() < self._until
