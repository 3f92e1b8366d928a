"""From a tool result to a reading: the parts in order of trust, the readers in order of
certainty, errors first; and answers that say that no rows came: no block at all, a
sentence, or a report of success in place of rows.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace

from mcp_notebook.charts.theirs import SCHEMA_ADDRESS, TheirChart, find_chart
from mcp_notebook.results import (
    bounds,
    content,
    error_detection,
    resources,
    structured,
    texts,
    truncation,
)
from mcp_notebook.results.columns import build
from mcp_notebook.results.reading import (
    Raw,
    Reading,
    ReadOptions,
    Rejected,
    Table,
    write_left,
)
from mcp_notebook.results.values.json_tables import MAX_COLUMNS
from mcp_notebook.sql_words import is_query, names_among, selected_columns

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
    base = replace(base, images=(*base.images, *pictures))
    parts, charts = _take_charts(parts)
    if charts:
        base = replace(base, charts=charts, text="\n".join(parts.texts))

    found, tables, rejected = _find_tables(parts, options)
    if found.error is not None:
        return replace(
            base,
            error=found.error,
            reader=found.reader,
            confidence="high",
            rejected=found.rejected,
        )

    linked = _read_linked(parts, options)
    rejected = (*rejected, *linked.rejected)
    notes = (*base.notes, *found.notes, *linked.notes)
    base = replace(base, images=(*base.images, *found.pictures))
    if not tables and not linked.tables:
        if found.told is not None:
            base = replace(base, text=found.told)

        return _read_as_text(base, linked.text, rejected, notes)

    base = replace(base, rejected=rejected, notes=notes)
    if not tables:
        text = texts.join(base.text, linked.text)
        base = replace(base, text=text, reader=linked.reader, confidence="high")
        return replace(base, tables=linked.tables)

    # The reader was sure of the format; one doubt about a table outweighs that.
    is_doubtful = any(table.approximate for table in tables)
    return replace(
        base,
        tables=(*tables, *linked.tables),
        text=texts.join(_text_beside(found, tables, options), linked.text),
        reader=found.reader,
        confidence="low" if is_doubtful else found.confidence,
    )


def _find_tables(
    parts: content.ResultParts, options: ReadOptions
) -> tuple[texts.Findings, tuple[Table, ...], Rejected]:
    """What the texts and the structured content hold; nothing, and a note, when that
    takes too long to find out.
    """
    try:
        with bounds.limit_time(parts.size):
            found = structured.read_structured(
                parts, options.sql, options.output_schema
            )
            if found.error is not None:
                return found, (), found.rejected
            return found, *_build_tables(found, parts, options)
    except bounds.TooSlow as slow:
        return texts.Findings(notes=(str(slow),)), (), ()


def _read_linked(parts: content.ResultParts, options: ReadOptions) -> resources.Linked:
    if not parts.resources:
        return resources.Linked()
    return resources.read_resources(parts.resources, options)


def _write_structured(parts: content.ResultParts) -> str:
    """Structured content as text, when the text blocks do not say the same: what is no
    table is told so.
    """
    value = parts.structured
    if value in (None, {}) or any(
        (text.lstrip()[:1] in ("{", "[")) for text in parts.texts
    ):
        return ""
    inner = texts.unwrap_blocks(value)
    if not isinstance(inner, (dict, list)):
        # one scalar, which frameworks print as the text, too: `true` or `True`
        told = inner if isinstance(inner, str) else json.dumps(inner, default=str)
        said = "\n".join(parts.texts)
        return "" if told.strip().lower() in said.lower() else told

    return write_left(value, -1)


def _take_pictures(
    parts: content.ResultParts,
) -> tuple[content.ResultParts, list[content.Picture]]:
    """The parts without drawings in SVG, which are no tables of their paths, and
    without the pictures in addresses (`data:image/png;base64,…`).
    """
    pictures: list[content.Picture] = []
    texts_left: list[str] = []
    for text in parts.texts:
        if content.is_svg(text):
            pictures.append(content.svg_picture(text))
            continue

        left, found = content.take_data_uris(text)
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
    left = [write_left(item, rows, known) for item in found.left]
    return texts.join(found.rest, *left)


def _read_as_text(
    base: Reading, linked_text: str, rejected: Rejected, notes: tuple[str, ...]
) -> Reading:
    """A text and nothing else: an error when it speaks of one."""
    error = error_detection.error_in_prose(base.text)
    # What a resource was refused for is a note of its own already.
    doubts = tuple(
        f"looks like a table, but: {why}"
        for _, why in rejected
        if why not in notes
        and (why.startswith("ambiguous") or "more than the limit" in why)
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

    if not tables and not parts.resources and says_no_rows(parts):
        tables += empty_table(parts, options.sql)

    return tuple(tables), tuple(rejected)


def _reject(raw: Raw, sql: str) -> str:
    """Why something of the shape of a table is none; "" when it is one."""
    if raw.problem:
        return raw.problem
    width = len(raw.columns)
    if width > MAX_COLUMNS:
        return f"{width:,} columns are more than the limit of {MAX_COLUMNS:,}"
    cells = width * raw.rows
    if cells > bounds.MAX_CELLS:
        return str(bounds.refuse_cells(cells))

    # an empty list without names is an answer only to a query
    is_blank = not raw.rows and not raw.columns and raw.names is None
    if is_blank and sql and not is_query(sql):
        return "an empty list after a statement that is no query"

    return reject_report(raw, sql)


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


# --- answers without rows


_SENTENCE = re.compile(
    r"\b(?:no|zero|0) (?:\w+ ){0,2}"
    r"(?:rows?|results?|records?|data|matches|entries|documents)\b|"
    r"\b(?:empty|blank) (?:set|result|results|table|data ?frame)\b|"
    r"\b(?:results?|set|table|data ?frame|output)(?: set)? "
    r"(?:is|was|came back|are) empty\b|"
    r"\brows?(?: returned| count|count)?\W{0,6}0\b|"
    r"\breturned (?:no|nothing|zero|0)\b|"
    r"没有(?:数据|结果)|無資料|查询结果为空|нет данных|keine (?:zeilen|ergebnisse|daten)|"
    r"aucun(?:e)? (?:ligne|résultat)|sin (?:filas|resultados)|"
    r"nenhum(?:a)? (?:linha|resultado)",
    re.IGNORECASE,
)
# A text with a count, or about a change, is about rows that are.
_COUNTED = re.compile(
    r"[1-9]\d* (?:rows?|results?|records?)\b|\baffected\b", re.IGNORECASE
)
# Within its line: a run of blank lines would be searched anew from each of them.
_NAMES = re.compile(
    r"^[^\w\n]*(?:column names|columns?|fields|headers?)\W{1,6}(\w[^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
# Some servers repeat the statement in backquotes, whose words are not theirs.
_STATEMENT = re.compile(r"`[^`\n]*`")
_COUNTS = frozenset(
    "affected_rows rows_affected affectedrows rowsaffected row_count rowcount changes "
    "changed_rows".split()
)
_LONGEST = 600
_REPORT = frozenset({"status", "success", "ok", "message", "msg"})


def says_no_rows(parts: content.ResultParts) -> bool:
    """No block at all, or a short text that says that there are no rows."""
    text = "\n".join(parts.texts).strip()
    if not text:
        return not parts.structured
    return len(text) < _LONGEST and _is_about_no_rows(_STATEMENT.sub("", text), text)


def _is_about_no_rows(text: str, whole: str) -> bool:
    """Whether a text says that there are no rows, and the whole speaks of none that
    are.
    """
    return _SENTENCE.search(text) is not None and not _COUNTED.search(whole)


def empty_table(parts: content.ResultParts, sql: str) -> list[Table]:
    """An empty table with the columns that the text or the statement names; none when
    neither does.
    """
    selected = _selected_names(sql)
    names = selected or _listed_names("\n".join(parts.texts))
    if not names:
        return []

    # the names of the statement are put on the columns where all tables get theirs
    raw = Raw(None if selected else names, tuple(() for _ in names), 0)
    said = " ".join(" ".join(parts.texts).split())
    words = f": {said}" if said else ""
    raw = raw.with_note(f"the server sent no table, which it does for no rows{words}")
    return [build.table(raw, reader="nothing", sql=sql)]


def reject_report(raw: Raw, sql: str) -> str:
    """Why one row that reports success and lacks a column of the statement is no row of
    it; "" when it may be one.
    """
    names = {name.lower() for name in raw.names or ()}
    if raw.rows != 1 or not names:
        return ""

    reports = not names.isdisjoint(_REPORT)
    if reports and _message_says_no_rows(raw):
        return "it says in words that no rows came"
    if names <= _COUNTS and is_query(sql) and not names_among(sql, names):
        return "it counts rows in place of sending them"

    asked = {name.lower() for name in _selected_names(sql)}
    if not reports or names >= asked:
        return ""

    return "it reports success and lacks columns of the statement"


def _message_says_no_rows(raw: Raw) -> bool:
    cells: dict[str, object] = {
        name.lower(): column[0]
        for name, column in zip(raw.names or (), raw.columns, strict=False)
    }

    for key in ("message", "msg"):
        said = cells.get(key)
        if isinstance(said, str):
            return _is_about_no_rows(said, said)

    return False


def _selected_names(sql: str) -> tuple[str, ...]:
    """The columns of the statement, if all of them have a name."""
    selected = selected_columns(sql)
    if not selected or not all(selected):
        return ()
    return tuple(name for name in selected if name)


def _listed_names(text: str) -> tuple[str, ...]:
    """The names in a line such as `Columns: id, name`."""
    found = _NAMES.search(text)
    if found is None:
        return ()

    names = tuple(name.strip(" `'\"[]()*") for name in found[1].split(","))
    are_names = all(names) and len(set(names)) == len(names)
    if are_names:
        return names

    return ()
