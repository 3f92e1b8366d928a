"""From a tool result to a reading: the parts in order of trust, the readers in order of
certainty, errors first.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace

from mcp_notebook.charts.theirs import SCHEMA_ADDRESS, TheirChart, find_chart
from mcp_notebook.results import (
    account,
    bounds,
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
from mcp_notebook.results.reading import (
    Confidence,
    Reading,
    ReadOptions,
    Rejected,
    Table,
)
from mcp_notebook.results.values.json_tables import MAX_COLUMNS
from mcp_notebook.sql_words import is_query

log = logging.getLogger(__name__)


def read_result(result: object, options: ReadOptions) -> Reading:
    """Read one result; whatever a server sent, the answer is a `Reading` and not an exception."""
    try:
        parts = content.parts_of(result)
        return _read_parts(parts, options)
    except (RecursionError, MemoryError) as error:
        problem = f"The result could not be read: {type(error).__name__}."
        return Reading(error=problem, reader="none")
    except Exception as error:
        # boundary: no server's answer may break the cell that asked
        log.exception("a tool result could not be read")
        return Reading(
            text="\n".join(content.parts_of(result).texts),
            notes=(f"The result could not be read as a table: {error}",),
        )


def _read_parts(parts: content.ResultParts, options: ReadOptions) -> Reading:
    base = Reading(
        text="\n".join(parts.texts),
        images=parts.images,
        received_bytes=parts.size,
        notes=_note_unknown_blocks(parts),
    )
    if parts.broken:
        problem = parts.broken[0].upper() + parts.broken[1:] + "."
        return replace(base, error=problem, reader="guard")

    if parts.size > options.max_bytes:
        problem = _too_large(parts.size, options.max_bytes)
        return replace(base, text=base.text[:2000], error=problem, reader="guard")

    # Marked by the server: whatever else it sends belongs to the message.
    told = _write_structured(parts)
    if told:
        base = replace(base, text=texts.join(base.text, told))

    if parts.is_error:
        message = _error_message(parts)
        return replace(base, error=message, reader="guard", confidence="high")

    parts, pictures = _take_pictures(parts)
    if pictures:
        base = replace(base, images=(*base.images, *pictures))

    parts, charts = _take_charts(parts)
    if charts:
        base = replace(base, charts=charts, text="\n".join(parts.texts))

    found = structured.read_structured(parts, options.sql, options.output_schema)
    if found.error is not None:
        return replace(
            base,
            error=found.error,
            reader=found.reader,
            confidence="high",
            rejected=found.rejected,
        )

    tables, rejected = _build_tables(found, parts, options)
    linked = resources.read_resources(parts.resources, options)
    rejected = (*rejected, *linked.rejected)
    notes = (*base.notes, *found.notes, *linked.notes)
    base = replace(base, images=(*base.images, *found.pictures))
    if not tables and not linked.tables:
        if found.told is not None:
            base = replace(base, text=found.told)

        return _read_as_text(base, linked.text, rejected, notes)

    confidence: Confidence = found.confidence if tables else "high"
    # The reader was sure of the format; one doubt about a table outweighs that.
    if any(table.approximate for table in tables):
        confidence = "low"

    return replace(
        base,
        tables=(*tables, *linked.tables),
        text=texts.join(
            _text_beside(found, tables, options) if tables else base.text, linked.text
        ),
        reader=found.reader if tables else linked.reader,
        confidence=confidence,
        rejected=rejected,
        notes=notes,
    )


def _write_structured(parts: content.ResultParts) -> str:
    """Structured content as text, when the text blocks do not say the same: what is no
    table is told so.
    """
    value = parts.structured
    if value in (None, {}) or any(_starts_as_json(text) for text in parts.texts):
        return ""
    inner = texts.unwrap_blocks(value)
    if isinstance(inner, str):
        return "" if inner.strip() in "\n".join(parts.texts) else inner

    return account.write_left(value, -1)


def _starts_as_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def _take_pictures(
    parts: content.ResultParts,
) -> tuple[content.ResultParts, list[account.Picture]]:
    """The parts without drawings in SVG, which are no tables of their paths, and
    without the pictures in addresses (`data:image/png;base64,…`).
    """
    pictures: list[account.Picture] = []
    texts_left: list[str] = []
    for text in parts.texts:
        if account.is_svg(text):
            pictures.append(account.svg_picture(text))
            continue

        left, found = account.take_data_uris(text)
        pictures += found
        texts_left.append(left)

    return replace(parts, texts=tuple(texts_left)), pictures


def _take_charts(
    parts: content.ResultParts,
) -> tuple[content.ResultParts, tuple[TheirChart, ...]]:
    """The parts with the rows of charts in Vega-Lite in their place, and the charts."""
    if not _may_hold_chart(parts):
        return parts, ()

    structured = find_chart(parts.structured)
    in_texts = [find_chart(text) for text in parts.texts]
    in_resources = [find_chart(item.text) for item in parts.resources]
    charts = [one for one in (*in_texts, *in_resources) if one is not None]
    if structured is not None:
        # the texts beside structured content say the same once more
        in_texts = [TheirChart({}, {}) if one is not None else None for one in in_texts]
        charts = [structured]
        rows = list(structured.rows.values())
        parts = replace(parts, structured={"result": rows[0]} if rows else None)

    if not charts:
        return parts, ()

    texts_left: list[str] = []
    for text, chart in zip(parts.texts, in_texts, strict=True):
        texts_left += [text] if chart is None else map(json.dumps, chart.rows.values())

    resources_left = []
    for item, chart in zip(parts.resources, in_resources, strict=True):
        if chart is None:
            resources_left.append(item)
        elif structured is None:
            texts_left += map(json.dumps, chart.rows.values())

    left = replace(parts, texts=tuple(texts_left), resources=tuple(resources_left))
    return left, tuple(charts)


def _may_hold_chart(parts: content.ResultParts) -> bool:
    """A cheap look, since hardly any result does."""
    written = [*parts.texts, *(item.text or "" for item in parts.resources)]
    if any(SCHEMA_ADDRESS in text for text in written):
        return True

    # structured content comes with the same as a text, or alone
    return isinstance(parts.structured, dict) and not any(parts.texts)


def _text_beside(
    found: texts.Findings, tables: tuple[Table, ...], options: ReadOptions
) -> str:
    """What stands in no table: the words around, and what is left of the envelope."""
    sent = [options.sql, *(options.arguments or {}).values()]
    known = frozenset(text for text in sent if isinstance(text, str) and text)
    rows = tables[0].data.num_rows
    left = [account.write_left(item, rows, known) for item in found.left]
    return texts.join(found.rest, *left)


def _read_as_text(
    base: Reading, linked_text: str, rejected: Rejected, notes: tuple[str, ...]
) -> Reading:
    """A text and nothing else: an error when it speaks of one."""
    error = error_detection.error_in_prose(base.text)
    doubts = tuple(
        f"looks like a table, but: {why}"
        for _, why in rejected
        if why.startswith("ambiguous")
    )
    return replace(
        base,
        text=texts.join(base.text, linked_text),
        error=error,
        reader="guard" if error else "text",
        rejected=rejected,
        notes=(*notes, *doubts),
    )


def _build_tables(
    found: texts.Findings, parts: content.ResultParts, options: ReadOptions
) -> tuple[tuple[Table, ...], Rejected]:
    tables, rejected = [], list(found.rejected)
    together = sum(raw.rows for raw in found.raws)
    for raw in found.raws:
        reason = _reject(raw, options.sql)
        if reason:
            rejected.append((found.reader, reason))
            continue

        raw = truncation.mark_truncated(
            raw, found.meta, found.rest, options.sql, options.arguments, together
        )
        table = build.table(
            raw, reader=found.reader, sql=options.sql, infer_types=options.infer
        )
        tables.append(table)

    if not tables and not parts.resources and empty_answers.says_no_rows(parts):
        tables += empty_answers.empty_table(parts, options.sql)

    return tuple(tables), tuple(rejected)


def _reject(raw: Raw, sql: str) -> str:
    """Why something of the shape of a table is none; "" when it is one."""
    width = len(raw.columns)
    if width > MAX_COLUMNS:
        return f"{width:,} columns are more than the limit of {MAX_COLUMNS:,}"
    refused = bounds.refuse_cells(width * raw.rows)
    if refused is not None:
        return refused

    # an empty list without names is an answer only to a query
    is_blank = not raw.rows and not raw.columns and raw.names is None
    if is_blank and sql and not is_query(sql):
        return "an empty list after a statement that is no query"

    return empty_answers.reject_report(raw, sql)


def _too_large(size: int, limit: int) -> str:
    return (
        f"The result has {size / 1e6:,.1f} MB, more than the limit of "
        f"{limit / 1e6:,.1f} MB; ask for fewer rows or columns."
    )


def _error_message(parts: content.ResultParts) -> str:
    """The message of a result that is marked as an error."""
    text = "\n".join(part for part in parts.texts if part.strip()).strip()
    if text.startswith("{"):
        message = texts.error_of_json(text)
    else:
        message = None

    if not message and not text and parts.structured:
        message = error_detection.error_in_value(parts.structured)

    return message or text or "The tool reports an error without a message."


def _note_unknown_blocks(parts: content.ResultParts) -> tuple[str, ...]:
    return tuple(
        f"a block of unknown type {kind!r} was left out"
        for kind in dict.fromkeys(parts.unknown)
    )
