"""Cursors for the rest of an answer, without anything kept on the server.

A cursor holds how many rows were served and a digest of them. For the next page the
statement runs again and its first rows are compared with the digest: what follows equal
rows is exactly the rest, and rows that are not equal any more (the table changed, or
the statement leaves the order open) end the paging with a sentence instead of a page
that does not fit.
https://modelcontextprotocol.io/specification/2025-11-25/server/utilities/pagination
asks for opaque cursors.
"""

import base64
import hashlib
import hmac
import json
import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from mcp_notebook.sharing.answer import to_json
from mcp_notebook.sharing.tool_errors import ToolError
from mcp_notebook.values import column_values

SECONDS = 3_600.0
# rows: the statement runs anew for each page, so the way to its end grows
MAX_OFFSET = 1_000_000
_BATCH = 10_000
_SIGNATURE = 12  # bytes
_BODY = struct.Struct(">QI8s16s")  # good until, rows served, the statement, the rows

_AGAIN = "Ask again with the same sql and without a cursor."


@dataclass(frozen=True, slots=True)
class Position:
    """Where an answer goes on: rows served so far, and the digest of exactly these."""

    offset: int = 0
    digest: str = ""

    def check(self, data: pa.Table) -> None:
        """Raise `ToolError` when the rows before this place are not those that were served."""
        if self.offset and digest(data.slice(0, self.offset)) != self.digest:
            raise ToolError(
                "The rows that this cursor comes after are not the same any more: the "
                "data changed, or the statement "
                f"has no ORDER BY that fixes the order. {_AGAIN}"
            )


class Cursors:
    """Makes cursors and reads them back; one is good for an hour and for this server alone.

    With `seconds` None it is good as long as the rows are the same, and the same rows
    give the same cursor: what is said to a model in this notebook must not differ from
    run to run.
    """

    def __init__(
        self, seconds: float | None = SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        self._key = b"notebook" if seconds is None else secrets.token_bytes(32)
        self._seconds = seconds
        self._clock = clock

    def after(self, sql: str, offset: int, served: pa.Table) -> str:
        """The cursor for what follows the first `offset` rows of the statement, which
        are `served`.
        """
        if self._seconds is None:
            until = 0
        else:
            until = int(self._clock() + self._seconds)

        body = _BODY.pack(until, offset, _hash(sql), bytes.fromhex(digest(served)))
        return base64.urlsafe_b64encode(self._sign(body) + body).decode("ascii")

    def place(self, cursor: str, sql: str) -> Position:
        """Where the statement goes on; raises `ToolError` for a cursor that is not
        ours, too old or of another one.
        """
        if not cursor:
            return Position()

        try:
            raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        except ValueError:
            raw = b""

        signed, body = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if len(body) != _BODY.size or not hmac.compare_digest(signed, self._sign(body)):
            raise ToolError(
                f"This cursor was not made by this server since it started. {_AGAIN}"
            )

        until, offset, of, known = _BODY.unpack(body)
        if until and self._clock() > until:
            raise ToolError(f"This cursor has expired. {_AGAIN}")
        if of != _hash(sql):
            raise ToolError(
                "This cursor belongs to another statement: give the sql that it came "
                "with, unchanged."
            )

        return Position(offset, known.hex())

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_SIGNATURE]


def digest(rows: pa.Table) -> str:
    """A fingerprint of the rows' values, the same whatever pieces of memory they lie in."""
    whole = hashlib.blake2b(digest_size=16)
    for start in range(0, rows.num_rows, _BATCH):
        values = [column_values(column) for column in rows.slice(start, _BATCH).columns]
        for row in zip(*values, strict=True):
            whole.update(json.dumps([to_json(value) for value in row]).encode())

    return whole.hexdigest()


def _hash(sql: str) -> bytes:
    return hashlib.blake2b(sql.encode("utf-8", "replace"), digest_size=8).digest()
