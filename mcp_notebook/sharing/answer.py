"""One answer of a server that serves tables: typed columns and rows, as structured
content and as compact text.

The structured form is `{"columns": [{"name", "type", "declared"}], "rows": [[...]],
"row_count", "truncated", "notice"?}`. Types are SQL words (INTEGER, DECIMAL(10,2),
DATE, ...); `declared` says whether the database itself vouches for the type (a column
of a table) or whether it was read off the values (an expression). Integers stay JSON
integers of any size, exact decimals and dates are text, bytes are `{"base64": ...}`,
infinities "Infinity" and "-Infinity".
"""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pyarrow as pa

from mcp_notebook.values import column_values


class AnswerSize(NamedTuple):
    """How much of an answer goes out at most."""

    rows: int
    bytes: int


# By what carries an answer, for every server of ours and every door to it: JSON is for
# clients anywhere, a file for the host on this machine, which maps it.
AS_JSON = AnswerSize(10_000, 5_000_000)
AS_FILE = AnswerSize(1_000_000, 500_000_000)

TEXT_BYTES = 20_000  # what a host that reads only text gets of a result
# JSON readers that hold numbers as doubles, as JavaScript does, round beyond this.
SAFE_INTEGER = 2**53
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

OUTPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "columns": {
            "type": "array",
            "description": "One entry per column, in the order of the values in each row.",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "type": {
                        "type": "string",
                        "description": "SQL type, e.g. INTEGER, DECIMAL(10,2), DATE, TEXT",
                    },
                    "declared": {
                        "type": "boolean",
                        "description": (
                            "true: the type is declared in the schema; false: it was "
                            "read off the values"
                        ),
                    },
                },
                "required": ["name", "type", "declared"],
            },
        },
        # The rows carry no schema of their own: validating every cell costs a client
        # more than the call.
        "rows": {
            "type": "array",
            "description": "Each row is an array of values, null where SQL has NULL.",
        },
        "row_count": {
            "type": "integer",
            "description": "Number of rows in this answer.",
        },
        "truncated": {
            "type": "boolean",
            "description": "true: there are more rows than this answer holds.",
        },
        "notice": {
            "type": "string",
            "description": "What a reader must know, e.g. how the answer was cut.",
        },
        "next_cursor": {
            "type": "string",
            "description": "Cursor for the next rows of the same statement.",
        },
    },
    "required": ["columns", "rows", "row_count", "truncated"],
}


@dataclass(frozen=True, slots=True)
class AnswerColumn:
    """A result column. `type` is an SQL word; `declared` tells a schema's word from one
    read off the values.
    """

    name: str
    type: str
    declared: bool = False


@dataclass(frozen=True, slots=True)
class RowsAnswer:
    """A bounded table: `truncated` means that more rows exist, `notice` says it in words."""

    columns: tuple[AnswerColumn, ...]
    rows: Sequence[Sequence[Any]]
    truncated: bool = False
    notice: str = ""
    # words that stand before the table in the text form
    preface: str = field(default="", compare=False)
    cursor: str = ""  # for the next rows, where the server has cursors

    def with_cursor(self, cursor: str) -> RowsAnswer:
        """The same answer with the cursor for its next rows ("" for none)."""
        return replace(self, cursor=cursor)


def structured_content(answer: RowsAnswer) -> dict[str, Any]:
    """The answer as JSON-ready structured content that follows `OUTPUT_SCHEMA`."""
    content: dict[str, Any] = {
        "columns": [
            {"name": c.name, "type": c.type, "declared": c.declared}
            for c in answer.columns
        ],
        "rows": [[to_json(value) for value in row] for row in answer.rows],
        "row_count": len(answer.rows),
        "truncated": answer.truncated,
    }
    if answer.notice:
        content["notice"] = answer.notice

    if answer.cursor:
        content["next_cursor"] = answer.cursor

    return content


def as_text(answer: RowsAnswer, max_bytes: int = TEXT_BYTES) -> str:
    """The answer as CSV below a line of types, capped at `max_bytes` with a notice that says so."""
    lines, used = [], 0
    for row in answer.rows:
        line = _csv_line([to_json(value) for value in row])
        used += len(line.encode())
        if used > max_bytes:
            break

        lines.append(line)

    if answer.preface:
        head = [answer.preface]
    else:
        head = []

    head.append(_csv_line([c.name for c in answer.columns]))
    return "\n".join([*head, *lines, *_closing_lines(answer, len(lines))])


def to_json(value: Any) -> Any:
    """A database value as JSON keeps it without loss."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(bytes(value)).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no words for these; a reader of ours knows them by the column's type
        return _NOT_FINITE[str(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner) for inner in value]

    return str(value)  # decimals keep every digit, dates and times are ISO 8601


def size_of(value: Any) -> int:
    """About how many bytes the value takes in JSON."""
    if isinstance(value, str):
        # asking whether a text is ASCII costs nothing: it is a flag of the object
        if value.isascii():
            length = len(value)
        else:
            length = len(value.encode("utf-8", "replace"))

        return length + 3  # two quotes and a comma

    if isinstance(value, bytes):
        return len(value) * 4 // 3 + 16

    return 8


def within(
    rows: Iterable[Sequence[Any]], max_rows: int, max_bytes: int
) -> tuple[list[Sequence[Any]], str]:
    """The rows that fit both caps, and why the rest was left out ("" when nothing was)."""
    kept: list[Sequence[Any]] = []
    used = 0
    for row in rows:
        used += sum(map(size_of, row)) + 2
        if len(kept) == max_rows:
            return (
                kept,
                f"cut after {max_rows:,} rows, there are more: aggregate, filter or "
                "use LIMIT and OFFSET",
            )
        if used > max_bytes:
            return kept, (
                f"cut after {len(kept):,} rows because the answer reached "
                f"{max_bytes / 1e6:g} MB, there are more: "
                "select fewer columns, aggregate or filter"
            )

        kept.append(row)

    return kept, ""


def big_integer_notice(
    columns: Sequence[AnswerColumn], rows: Sequence[Sequence[Any]]
) -> str:
    """A warning that names the columns whose integers a JavaScript client would round."""
    big = [
        column.name
        for index, column in enumerate(columns)
        if any(_is_big(row[index]) for row in rows)
    ]
    if not big:
        return ""

    return (
        f"integers beyond 2^53 in {', '.join(big)}: clients that read JSON numbers as "
        "doubles round them"
    )


def _is_big(value: Any) -> bool:
    return type(value) is int and abs(value) > SAFE_INTEGER


def _closing_lines(answer: RowsAnswer, shown: int) -> list[str]:
    total = len(answer.rows)
    lines = [
        f"({total:,} row{'' if total == 1 else 's'}{', ' + answer.notice if answer.notice else ''})"
    ]
    if shown < total:
        lines.append(
            f"(this text holds the first {shown:,} of them, the structured content "
            f"holds all {total:,})"
        )

    if answer.cursor:
        lines.append(f"(for the next rows: the same sql with cursor {answer.cursor})")

    return lines


def _csv_line(values: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(
        ["" if value is None else value for value in values]
    )
    return line.getvalue()


@dataclass(frozen=True, eq=False)
class TableAnswer:
    """A query's answer: the rows up to the limits, DuckDB's type of each column, why it
    was cut ("" when whole).
    """

    data: pa.Table
    types: tuple[str, ...]
    truncated: str = ""
    notes: tuple[str, ...] = ()


def as_answer(answer: TableAnswer, *, rows: int, max_bytes: int) -> RowsAnswer:
    """The answer as rows of plain values under DuckDB's types, within both caps."""
    columns = tuple(
        AnswerColumn(name, kind, declared=True)
        for name, kind in zip(answer.data.column_names, answer.types, strict=True)
    )
    values = zip(*map(column_values, answer.data.columns), strict=True)
    kept, cut = within(values, rows, max_bytes)
    truncated = cut or answer.truncated
    notices = [truncated, *answer.notes, big_integer_notice(columns, kept)]
    return RowsAnswer(
        columns,
        kept,
        truncated=bool(truncated),
        notice="; ".join(filter(None, notices)),
    )
