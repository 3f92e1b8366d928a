"""From a tool result to a reading: the parts in order of trust, the readers in order of
certainty, errors first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mcp_notebook.results import (
    content,
    empty_answers,
    error_detection,
    resources,
    structured,
    texts,
    truncation,
)
from mcp_notebook.results.columns import build
from mcp_notebook.results.raw_table import Raw
from mcp_notebook.results.reading import Confidence, Reading, Rejected, Table
from mcp_notebook.results.values.json_tables import MAX_COLUMNS
from mcp_notebook.sql_words import is_query

log = logging.getLogger(__name__)
MAX_CELLS = 100_000_000


@dataclass(frozen=True)
class Options:
    """The arguments of `read`, see there."""

    output_schema: Mapping[str, Any] | None = None
    sql: str = ""
    fetch: Callable[[str], object] | None = None
    allowed_dirs: tuple[str, ...] = ()
    max_bytes: int = 256 * 1024 * 1024
    infer: bool = True
    arguments: Mapping[str, Any] | None = None


def read_result(result: object, options: Options) -> Reading:
    """Read one result; whatever a server sent, the answer is a `Reading` and not an exception."""
    try:
        parts = content.parts_of(result)
        return _read(parts, options)
    except (RecursionError, MemoryError) as error:
        return Reading(
            error=f"The result could not be read: {type(error).__name__}.",
            reader="none",
        )
    except Exception as error:
        # boundary: no server's answer may break the cell that asked
        log.exception("a tool result could not be read")
        return Reading(
            text=_plain_text(result),
            notes=(f"The result could not be read as a table: {error}",),
        )


def _plain_text(result: object) -> str:
    return "\n".join(content.parts_of(result).texts)


def _read(parts: content.Parts, options: Options) -> Reading:
    size = parts.size
    text = "\n".join(parts.texts)
    base = Reading(
        text=text, images=parts.images, received_bytes=size, notes=_unknown(parts)
    )
    if parts.broken:
        return replace(
            base, error=parts.broken[0].upper() + parts.broken[1:] + ".", reader="guard"
        )
    if size > options.max_bytes:
        return replace(
            base,
            text=text[:2000],
            error=_too_large(size, options.max_bytes),
            reader="guard",
        )
    if parts.is_error:
        return replace(
            base, error=_error_text(parts), reader="guard", confidence="high"
        )
    found = structured.read(parts, options.sql, options.output_schema)
    if found.error is not None:
        return replace(
            base,
            error=found.error,
            reader=found.reader,
            confidence="high",
            rejected=found.rejected,
        )
    tables, rejected = _tables(found, parts, options)
    linked = resources.read(parts.resources, options)
    if not tables and not linked.tables:
        return _no_table(base, found, linked, rejected)
    reader = found.reader if tables else linked.reader
    confidence: Confidence = found.confidence if tables else "high"
    if any(table.approximate for table in tables):
        confidence = "low"
    rest = found.rest if tables else text
    return Reading(
        (*tables, *linked.tables), _joined(rest, linked.text), None, reader, confidence,
        (*rejected, *linked.rejected), parts.images, size, (*base.notes, *found.notes, *linked.notes),
    )  # fmt: skip


def _no_table(
    base: Reading, found: texts.Found, linked: resources.Linked, rejected: Rejected
) -> Reading:
    """A text and nothing else: an error when it speaks of one."""
    error = error_detection.error_in_prose(base.text)
    doubts = tuple(
        f"looks like a table, but: {why}"
        for _, why in rejected
        if why.startswith("ambiguous")
    )
    return replace(
        base, text=_joined(base.text, linked.text), error=error, reader="guard" if error else "text",
        rejected=(*rejected, *linked.rejected), notes=(*base.notes, *found.notes, *linked.notes, *doubts),
    )  # fmt: skip


def _tables(
    found: texts.Found, parts: content.Parts, options: Options
) -> tuple[tuple[Table, ...], Rejected]:
    tables, rejected = [], list(found.rejected)
    for raw in found.raws:
        reason = (
            _too_wide(raw)
            or _not_a_result(raw, options.sql)
            or empty_answers.is_a_report(raw, options.sql)
        )
        if reason:
            rejected.append((found.reader, reason))
            continue
        raw = truncation.noticed(
            raw, found.meta, found.rest, options.sql, options.arguments
        )
        tables.append(
            build.table(
                raw, reader=found.reader, sql=options.sql, infer_types=options.infer
            )
        )
    if not tables and not parts.resources and empty_answers.is_told(parts):
        tables += empty_answers.table(parts, options.sql)
    return tuple(tables), tuple(rejected)


def _not_a_result(raw: Raw, sql: str) -> str:
    """An empty list without names is an answer only to a query."""
    if raw.rows or raw.names is not None or raw.columns:
        return ""
    if sql and not is_query(sql):
        return "an empty list after a statement that is no query"
    return ""


def _too_wide(raw: Raw) -> str:
    width = len(raw.columns)
    if width > MAX_COLUMNS:
        return f"{width:,} columns are more than the limit of {MAX_COLUMNS:,}"
    if width * raw.rows > MAX_CELLS:
        return f"{width * raw.rows:,} cells are more than the limit of {MAX_CELLS:,}"
    return ""


def _too_large(size: int, limit: int) -> str:
    told = f"The result has {size / 1e6:,.1f} MB, more than the limit of {limit / 1e6:,.1f} MB"
    return f"{told}; ask for fewer rows or columns."


def _error_text(parts: content.Parts) -> str:
    text = "\n".join(part for part in parts.texts if part.strip()).strip()
    if text.startswith("{") and (said := texts.error_of_json(text)):
        return said
    return (
        text
        or (
            error_detection.error_in_value(parts.structured)
            if parts.structured
            else None
        )
        or "The tool reports an error without a message."
    )


def _unknown(parts: content.Parts) -> tuple[str, ...]:
    return tuple(
        f"a block of unknown type {kind!r} was left out"
        for kind in dict.fromkeys(parts.unknown)
    )


def _joined(*pieces: str) -> str:
    return "\n".join(piece for piece in pieces if piece.strip())
