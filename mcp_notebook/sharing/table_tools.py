"""The tools of the notebook's own server: `list_tables`, `describe_table`,
`profile_table`, `query` and `chart`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import mcp_types as types
import pyarrow as pa

from mcp_notebook.errors import DataError, ToolError
from mcp_notebook.kinds import kind_of
from mcp_notebook.sharing import profiles
from mcp_notebook.sharing.answer import (
    AS_FILE,
    AS_JSON,
    OUTPUT_SCHEMA,
    AnswerColumn,
    RowsAnswer,
    TableAnswer,
    as_answer,
    structured_content,
    to_json,
)
from mcp_notebook.sharing.arrow import arrow_bytes
from mcp_notebook.sharing.catalog import Catalog, Entry
from mcp_notebook.sharing.chart_tool import chart_tool
from mcp_notebook.sharing.database import Handover, is_small
from mcp_notebook.sharing.describing import (
    describe_elsewhere,
    describe_here,
    list_lines,
    list_meanings,
    summary,
)
from mcp_notebook.sharing.masks import Masks
from mcp_notebook.sharing.query import SqlRunner
from mcp_notebook.sharing.sources.engines import is_remote
from mcp_notebook.sharing.sources.local_tables import STORED
from mcp_notebook.sharing.tools import Tool
from mcp_notebook.values import column_values

# Cursors for the rest of an answer, without anything kept on the server.
#
# A cursor holds how many rows were served and a digest of them. For the next page the
# statement runs again and its first rows are compared with the digest: what follows
# equal rows is exactly the rest, and rows that are not equal any more (the table
# changed, or the statement leaves the order open) end the paging with a sentence
# instead of a page that does not fit.
# https://modelcontextprotocol.io/specification/2025-11-25/server/utilities/pagination
# asks for opaque cursors.


CURSOR_SECONDS = 3_600.0
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
        self,
        seconds: float | None = CURSOR_SECONDS,
        clock: Callable[[], float] = time.time,
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


ARROW = "application/vnd.apache.arrow.file"
SECONDS = 30.0

Form = Literal["arrow", "json"]

_SQL = {
    "type": "string",
    "description": (
        "One SELECT in the DuckDB dialect over the notebook's tables, named as "
        "list_tables names them; quote odd names "
        'with "double quotes". WITH, FROM-first, DESCRIBE and SUMMARIZE work; PIVOT, '
        "files and functions with effects "
        "do not. Inside the notebook a table of a connected SQL server is joined as "
        "server.table."
    ),
    "maxLength": 20_000,
    "examples": [
        "SELECT category, sum(revenue) AS revenue FROM sales GROUP BY category ORDER "
        "BY revenue DESC"
    ],
}
_COLUMNS = {
    "type": "string",
    "description": (
        "Only these columns, with commas between them; a * stands for any letters."
    ),
    "default": "",
    "examples": ["revenue, sensor_1*"],
}
_TABLE = {
    "type": "string",
    "description": "Name of a table as list_tables gives it.",
    "examples": ["sales"],
}
_CURSOR = {
    "type": "string",
    "description": (
        "For more rows of an answer that was cut: the cursor that came with it, "
        "together with the same sql. Good for "
        "an hour; give the sql an ORDER BY, so that the pages fit together."
    ),
    "default": "",
    "examples": ["p3Vb…"],
}
_PROFILE_SCHEMA: dict[str, Any] = {
    **OUTPUT_SCHEMA,
    "properties": {
        **OUTPUT_SCHEMA["properties"],
        "table_rows": {
            "type": "integer",
            "description": "Number of rows of the table.",
        },
        "duplicate_rows": {
            "type": ["integer", "null"],
            "description": "Rows equal to an earlier one; null: not counted.",
        },
        "candidate_keys": {
            "type": "array",
            "description": (
                "Columns, or pairs of columns, whose values are all there and all "
                "different."
            ),
            "items": {"type": "array", "items": {"type": "string"}},
        },
    },
}


class TableTools:
    """The tools over one catalog; `masks` gives the masks as they are set at each call."""

    def __init__(
        self,
        catalog: Catalog,
        runner: SqlRunner,
        form: Form,
        masks: Callable[[], Masks],
        timeout: float,
        handover: Handover | None = None,
    ) -> None:
        self._catalog = catalog
        self._runner = runner
        self._form = form
        self._masks = masks
        self._timeout = timeout
        self._handover = handover
        self._cursors = Cursors() if form == "json" else Cursors(seconds=None)

    def tools(self) -> list[Tool]:
        """The tools; in the json form they declare an output schema."""
        if self._form == "json":
            schema = OUTPUT_SCHEMA
        else:
            schema = None

        return [
            Tool(
                "query",
                "Query the notebook's tables",
                "Run one read-only SELECT in the DuckDB dialect over the notebook's "
                "tables and get the rows with their "
                f"column types. A statement may take {self._timeout:g} seconds; "
                "aggregate and filter in SQL.",
                self.query,
                {"sql": _SQL, "limit": self._limit(), "cursor": _CURSOR},
                schema,
            ),
            Tool(
                "list_tables",
                "List the notebook's tables",
                "List the tables that can be queried, with rows, columns and types; "
                "masked columns are marked. "
                "Takes no arguments.",
                self.list_tables,
                {},
                schema,
            ),
            Tool(
                "describe_table",
                "Describe a table of the notebook",
                "Describe one table: each column's type, nulls, range or most "
                "frequent values, and the first rows. Of a wide table name the "
                "columns that matter.",
                self.describe_table,
                {"table": _TABLE, "columns": _COLUMNS},
                schema,
            ),
            Tool(
                "profile_table",
                "Profile a table of the notebook",
                "Count over all rows of one table: per column nulls, distinct values, "
                "range, mean, quartiles or most "
                "frequent values; duplicate rows; columns that could be a key. Use it "
                "before the first query.",
                self.profile_table,
                {"table": _TABLE},
                _PROFILE_SCHEMA if self._form == "json" else None,
            ),
            chart_tool(
                self._find,
                self._ask,
                self._masks,
                _TABLE,
                inside=self._form == "arrow",
            ),
        ]

    def _limit(self) -> dict[str, Any]:
        if self._form == "json":
            most = AS_JSON.rows
        else:
            most = AS_FILE.rows

        return {
            "type": "integer",
            "description": (
                f"Rows of the answer at most (1 to {most}); the answer's cursor gives "
                "the next ones."
            ),
            "default": most,
            "minimum": 1,
            "maximum": most,
            "examples": [1000],
        }

    async def query(
        self, sql: str, limit: int = 0, cursor: str = ""
    ) -> RowsAnswer | types.CallToolResult:
        limit = limit or (AS_JSON.rows if self._form == "json" else AS_FILE.rows)
        place = self._cursors.place(cursor, sql)
        answer = await self._ask(sql, place.offset + limit)
        page = await asyncio.to_thread(_page, answer, place)
        if self._form == "arrow":
            following = await asyncio.to_thread(
                self._next_cursor, sql, answer, answer.data.num_rows, place
            )
            return await asyncio.to_thread(
                arrow_result, page, following, self._handover
            )

        return await asyncio.to_thread(self._as_json, sql, answer, page, place)

    def _as_json(
        self, sql: str, answer: TableAnswer, page: TableAnswer, place: Position
    ) -> RowsAnswer:
        shown = as_answer(page, rows=AS_JSON.rows, max_bytes=AS_JSON.bytes)
        if shown.truncated:
            following = self._next_cursor(
                sql, answer, place.offset + len(shown.rows), place
            )
        else:
            following = ""

        return shown.with_cursor(following)

    def _next_cursor(
        self, sql: str, answer: TableAnswer, served: int, place: Position
    ) -> str:
        """The cursor for the rows after those served, "" when there are none or it
        would not lead on.
        """
        more = answer.truncated or served < answer.data.num_rows
        if not more or served <= place.offset or served >= MAX_OFFSET:
            return ""

        return self._cursors.after(sql, served, answer.data.slice(0, served))

    async def _ask(
        self, sql: str, limit: int = AS_FILE.rows, timeout: float = 0
    ) -> TableAnswer:
        timeout = timeout or self._timeout
        return await self._runner.query(
            self._catalog, sql, limit=limit, timeout=timeout, masks=self._masks()
        )

    async def list_tables(self) -> types.CallToolResult:
        masks = self._masks()
        listed = [
            await asyncio.to_thread(summary, self._catalog, entry, masks)
            for entry in self._catalog.entries()
        ]
        columns = [
            AnswerColumn("table", "TEXT"),
            AnswerColumn("rows", "INTEGER"),
            AnswerColumn("columns", "TEXT"),
            AnswerColumn("about", "TEXT"),
        ]
        return self._describe_result(
            "\n".join(list_lines(listed)) or "There are no tables yet.",
            RowsAnswer(tuple(columns), listed),
        )

    async def describe_table(
        self, table: str, columns: str = ""
    ) -> types.CallToolResult:
        wanted = [part.strip() for part in columns.split(",") if part.strip()]
        entry, value = self._find(table)
        masks = self._masks().for_entry(entry)
        if is_remote(value) or kind_of(value) in STORED:
            text, fields = await describe_elsewhere(
                value, entry.name, masks, self._ask, wanted
            )
        else:
            text, fields = await asyncio.to_thread(
                describe_here, value, entry.name, masks, wanted
            )

        if entry.description:
            text = f"{masks.hide_text(entry.description)}\n{text}"

        meanings = {n: masks.hide_text(words) for n, words in entry.meanings.items()}
        told = list_meanings(meanings, (fact[0] for fact in fields))
        if told:
            text += f"\nWhat the columns mean:\n{told}"

        facts = (
            AnswerColumn("column", "TEXT"),
            AnswerColumn("type", "TEXT"),
            AnswerColumn("nulls", "INTEGER"),
            AnswerColumn("masked", "BOOLEAN"),
            AnswerColumn("sample", "TEXT"),
        )
        return self._describe_result(text, RowsAnswer(facts, fields))

    async def profile_table(self, table: str) -> types.CallToolResult:
        entry, _ = self._find(table)
        until = time.monotonic() + self._timeout

        async def ask(sql: str) -> TableAnswer:
            left = until - time.monotonic()
            if left < 0.05:
                raise ToolError(f"the {self._timeout:g} s for a profile are over")

            return await self._ask(sql, timeout=left)

        masks = self._masks().for_entry(entry)
        told = await profiles.profile(entry.name, ask, masks.columns)
        result = self._describe_result(
            profiles.as_text(told),
            RowsAnswer(
                profiles.COLUMNS, [profiles.row_of(column) for column in told.columns]
            ),
        )
        if result.structured_content is not None:
            result.structured_content |= {
                "table_rows": told.rows,
                "duplicate_rows": told.duplicates,
                "candidate_keys": [list(key) for key in told.keys],
            }
            if told.notes:
                result.structured_content["notice"] = "; ".join(told.notes)

        return result

    def _find(self, table: str) -> tuple[Entry, object]:
        """The entry of a table and its value; raises `ToolError`."""
        try:
            value = self._catalog.resolve(table)
        except DataError as error:
            raise ToolError(error.message) from error

        entry = self._catalog.find(table)
        assert entry is not None
        return entry, value

    def _describe_result(self, text: str, answer: RowsAnswer) -> types.CallToolResult:
        """Words for the model; in the json form the facts as structured content, too."""
        if self._form == "json":
            content = structured_content(answer)
        else:
            content = None

        return types.CallToolResult(
            content=[types.TextContent(text=text)], structured_content=content
        )


def _page(answer: TableAnswer, place: Position) -> TableAnswer:
    """The answer without the rows that were served before; raises `ToolError` when they changed."""
    if not place.offset:
        return answer

    place.check(answer.data)
    rest = answer.data.slice(place.offset)
    if not rest.num_rows and answer.truncated:
        raise ToolError(
            "The rows before this page fill the answer already: filter by a range of "
            "a column instead."
        )

    return TableAnswer(rest, answer.types, answer.truncated, answer.notes)


def arrow_result(
    answer: TableAnswer, cursor: str = "", handover: Handover | None = None
) -> types.CallToolResult:
    """The answer with its table as an embedded Arrow file, or a large one as a file on
    disk; notice and notes also stand in the schema's metadata.
    """
    about = {
        "types": list(answer.types),
        "truncated": answer.truncated,
        "notes": list(answer.notes),
    }
    table = answer.data.replace_schema_metadata({"mcp_notebook": json.dumps(about)})
    if handover is None or is_small(answer):
        blob = types.BlobResourceContents(
            uri="notebook://answer",
            mime_type=ARROW,
            blob=base64.b64encode(arrow_bytes(table)).decode("ascii"),
        )
        carrier = types.EmbeddedResource(resource=blob)
    else:
        carrier = handover.write_table(table)

    if cursor:
        following = f"; for the next rows: the same sql with cursor {cursor}"
    else:
        following = ""

    said = [
        types.TextContent(text=line)
        for line in (answer.truncated + following, *answer.notes)
        if line
    ]
    return types.CallToolResult(content=[carrier, *said])
