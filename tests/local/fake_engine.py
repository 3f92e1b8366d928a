"""An engine without a model: it writes what it is told, and keeps what it was asked."""

from collections.abc import AsyncGenerator
from typing import Any

from tests.local.server.engine import Piece


class FakeEngine:
    """Writes one text a request, a character at a time; `done` "length" ends it at the
    limit of tokens.
    """

    def __init__(self, *texts: str | Exception, done: str = "stop") -> None:
        self._texts = list(texts)
        self._done = done
        self.asked: list[dict[str, Any]] = []

    async def write(
        self, messages: list[dict[str, Any]], *, max_tokens: int, **options: Any
    ) -> AsyncGenerator[Piece, None]:
        self.asked.append({"messages": messages, "max_tokens": max_tokens, **options})
        text = self._texts.pop(0)
        if isinstance(text, Exception):
            raise text
        for character in text:
            yield Piece(character)
        yield Piece("", self._done, 100, 40, len(text))

    async def count(self, messages: list[dict[str, Any]]) -> int:
        return sum(len(message["content"]) for message in messages)
