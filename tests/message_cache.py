"""Prompt caching as the fake Messages API counts it: what of a request was read from,
and written to, the cache.

A token is four characters of JSON. A prefix is tools, then system, then messages up to
a breakpoint; a later request reads the longest stored prefix that ends at most 20
blocks before one of its breakpoints (API reference, prompt caching).
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from tests.message_rules import blocks_of

LOOKBACK = 20  # blocks


class PromptCache:
    """The prefixes stored so far; nothing expires, and there is no least size."""

    def __init__(self) -> None:
        self._stored: set[str] = set()

    def usage(self, body: dict[str, Any]) -> dict[str, int]:
        """Input tokens of this request by kind; stores the prefixes at its breakpoints."""
        digests, sizes, marks = [], [], []
        running, size = hashlib.sha256(), 0
        for block in _prefix(body):
            text = json.dumps(
                {k: v for k, v in block.items() if k != "cache_control"}, sort_keys=True
            )
            running.update(text.encode())
            size += len(text) // 4 + 1
            digests.append(running.hexdigest())
            sizes.append(size)
            if block.get("cache_control"):
                marks.append(len(digests) - 1)
        if body.get("cache_control") and digests:
            marks.append(len(digests) - 1)
        read = max(
            (sizes[hit] for mark in marks for hit in self._hits(digests, mark)),
            default=0,
        )
        end = max((sizes[mark] for mark in marks), default=0)
        self._stored |= {digests[mark] for mark in marks}
        return {
            "input_tokens": size - max(end, read),
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": max(end - read, 0),
        }

    def _hits(self, digests: list[str], mark: int) -> Iterator[int]:
        return (
            i
            for i in range(max(0, mark - LOOKBACK), mark + 1)
            if digests[i] in self._stored
        )


def _prefix(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from body.get("tools") or ()
    system = body.get("system") or []
    yield from [{"type": "text", "text": system}] if isinstance(system, str) else system
    for message in body.get("messages") or ():
        for block in blocks_of(message):
            yield {"role": message["role"], **block}
