"""Lines that are meant as JSON-RPC and are not: whom they answer, as far as that can be
read, and what is wrong.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

MOST = 1_000_000  # bytes of a line that is looked at twice

ID = re.compile(rb'"id"\s*:\s*(-?\d{1,15}|"(?:[^"\\]|\\.){0,64}")')
LAST_ID = re.compile(ID.pattern + rb'\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\]?\s*$')
BODY = re.compile(rb'"(?:result|error|params)"\s*:')


def ids_in(head: bytes, tail: bytes) -> Iterator[int | str]:
    """The ids that the top level of a broken line names, before its body or at its very end."""
    for found in (*ID.findall(_before_body(head)), *LAST_ID.findall(tail)):
        yield (
            found[1:-1].decode("utf-8", "replace")
            if found.startswith(b'"')
            else int(found)
        )


def is_asking(line: bytes) -> bool:
    """Whether it is a notification or a request: no call of ours waits for it."""
    return b'"method"' in _before_body(line)


def is_like_a_message(line: bytes) -> bool:
    """Whether a line that is no message was meant to be one."""
    # Servers print banners and logs on stdout, some of them as JSON: only what names
    # the protocol counts as a reply.
    return b"\0" in line[:100] or any(
        mark in line[:4096] or mark in line[-512:]
        for mark in (b'"jsonrpc"', b"'jsonrpc'")
    )


def reply_without_version(line: bytes) -> dict[str, Any] | None:
    """A reply that lacks nothing but the "jsonrpc" of the protocol, else None."""
    if (
        b'"jsonrpc"' in line[:4096]
        or line[:1] != b"{"
        or not BODY.search(line[:4096])
        or len(line) > MOST
    ):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    good = isinstance(found.get("id"), int | str) and (
        "result" in found or "error" in found
    )
    return found if good and "jsonrpc" not in found else None


def why_unreadable(line: bytes) -> str:
    """A few words on why a line is no JSON-RPC message, without its content."""
    if line.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark"
    if b"\0" in line[:100]:
        return "it is not UTF-8"
    if line.lstrip()[:1] == b"[":
        return "it is a batch, which the protocol no longer has"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "it is not UTF-8"
    if line.count(b"{", 0, 1 << 20) > 120 or line.count(b"[", 0, 1 << 20) > 120:
        return "it is nested too deeply or is not valid JSON-RPC"
    return "it is not valid JSON-RPC"


def _before_body(line: bytes) -> bytes:
    start = line[:4096]
    body = BODY.search(start)
    return start[: body.start()] if body else start
