"""Structured content and text blocks of one result: which of the two holds more, and
blocks that are rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.results import readers, texts
from mcp_notebook.results.content import Parts
from mcp_notebook.results.texts import Found
from mcp_notebook.results.values import jsontext, large
from mcp_notebook.sql_words import selected_columns

_MANY = 200


def read(parts: Parts, sql: str, schema: Mapping[str, Any] | None) -> Found:
    """What structured content and text blocks hold together; structured content wins
    where they differ.
    """
    asked = selected_columns(sql) if sql else None
    names = tuple(name for name in asked if name) if asked and all(asked) else ()
    if parts.structured in (None, {}):
        return blocks(parts.texts, names)
    inner = texts.unwrapped(parts.structured)
    if isinstance(inner, str):
        found = texts.read(inner, selected=names)
        return (
            found
            if found.raws or found.error is not None
            else _other(found, blocks(parts.texts, names))
        )
    if _same(parts, inner):
        found = blocks(parts.texts, names)
        if found.raws or found.error is not None:
            return _declare(found, schema)
    found = texts.from_value(parts.structured, "structured content", selected=names)
    if found.error is None and not found.raws:
        return _other(found, blocks(parts.texts, names))
    found = replace(found, raws=tuple(replace(raw, json=True) for raw in found.raws))
    return _declare(_compared(found, parts, names), schema)


def _other(found: Found, second: Found) -> Found:
    return replace(second, rejected=(*found.rejected, *second.rejected))


def _compared(found: Found, parts: Parts, names: tuple[str, ...]) -> Found:
    """A note when the text blocks hold another number of rows."""
    other = blocks(parts.texts, names)
    if not other.raws or [raw.rows for raw in other.raws] == [
        raw.rows for raw in found.raws
    ]:
        return replace(found, rest=other.rest)
    counts = " and ".join(str(raw.rows) for raw in other.raws)
    note = f"the text beside the structured content has {counts} rows; the structured content was taken"
    return replace(found, raws=tuple(raw.noted(note) for raw in found.raws))


def _same(parts: Parts, inner: Any) -> bool:
    """Whether the text blocks say the same in their own JSON, which keeps digits that a
    parsed float has lost.
    """
    pieces = parts.texts
    if len(pieces) > 1 and isinstance(inner, list) and len(inner) == len(pieces):
        body = "[" + ",".join(pieces) + "]"
    else:
        body = pieces[0].strip() if pieces else ""
    if body[:1] not in ("[", "{"):
        return False
    for infinite in (float, _nothing):
        try:
            value = json.loads(body, parse_constant=infinite)
        except (ValueError, RecursionError):
            return False
        if (
            value in (parts.structured, inner)
            or _without_meta(value) == parts.structured
        ):
            return True
    return False


def _nothing(_: str) -> None:
    """Structured content has null where a text may have NaN or Infinity."""


def _without_meta(value: Any) -> Any:
    return (
        {key: sub for key, sub in value.items() if key != "_meta"}
        if isinstance(value, dict)
        else value
    )


def _declare(found: Found, schema: Mapping[str, Any] | None) -> Found:
    """Types from the tool's output schema: what it calls a string stays text."""
    if not schema or not found.raws:
        return found
    return replace(found, raws=tuple(_declared(raw, schema) for raw in found.raws))


def _declared(raw: texts.Raw, schema: Mapping[str, Any]) -> texts.Raw:
    properties = _properties(schema, set(raw.names or ()), 0)
    if properties is None or any(raw.declared):
        return raw
    return replace(
        raw, declared=tuple(_kind(properties.get(name)) for name in raw.names or ())
    )


def _properties(schema: Any, names: set[str], depth: int) -> Mapping[str, Any] | None:
    """The `properties` of a schema that describe these columns, at any depth."""
    if depth > 8 or not isinstance(schema, (Mapping, list)) or not names:
        return None
    if isinstance(schema, Mapping):
        own = schema.get("properties")
        if isinstance(own, Mapping) and names <= own.keys():
            return own
        schema = list(schema.values())
    for sub in schema:
        if (found := _properties(sub, names, depth + 1)) is not None:
            return found
    return None


def _kind(schema: Any) -> str | None:
    """The column's type by the schema; `string` with a date format is that."""
    if not isinstance(schema, Mapping):
        return None
    options = schema.get("anyOf") or schema.get("oneOf") or [schema]
    kinds = [
        (sub.get("type"), sub.get("format"))
        for sub in options
        if isinstance(sub, Mapping)
    ]
    real = [(kind, form) for kind, form in kinds if kind != "null"]
    if len(real) != 1 or not isinstance(real[0][0], str):
        return None
    kind, form = real[0]
    return {"date-time": None, "date": "date", "time": "time"}.get(
        form or "", kind if kind in _SCHEMA_KINDS else None
    )


_SCHEMA_KINDS = {"string", "integer", "boolean"}


def blocks(pieces: Sequence[str], names: tuple[str, ...]) -> Found:
    """Text blocks: one, one a row, a table and notes, or several tables."""
    pieces = [piece for piece in pieces if piece.strip()]
    if not pieces:
        return Found()
    if len(pieces) == 1:
        return texts.read(pieces[0], selected=names)
    if (found := _many_rows(pieces, names)) is not None:
        return found
    rows = _rows(pieces)
    if rows is not None:
        found = texts.from_value(rows, "json", selected=names)
        return replace(found, reader="one block a row") if found.raws else found
    return _several(pieces, names)


def _many_rows(pieces: Sequence[str], names: tuple[str, ...]) -> Found | None:
    """Very many blocks of one object each, by the fast reader."""
    if len(pieces) < _MANY or not all(piece[:1] == "{" for piece in pieces):
        return None
    cut = large.columns("[" + ",".join(pieces) + "]")
    found = (
        texts.from_value(jsontext.loads(cut[0]), "json", selected=names)
        if cut
        else None
    )
    raw = (
        large.filled(found.raws, cut[1])
        if cut and found and cut[1].num_rows == len(pieces)
        else None
    )
    return (
        replace(found, raws=(raw,), reader="one block a row") if raw and found else None
    )


def _rows(pieces: Sequence[str]) -> list[Any] | None:
    """All blocks as values when each is one JSON object (or array) on its own."""
    first = pieces[0].lstrip()[:1]
    if first not in ("{", "[") or not all(
        piece.lstrip()[:1] == first for piece in pieces
    ):
        return None
    values = _each(pieces)
    if values is None:
        return None
    if len(values) != len(pieces):
        return None
    if first == "{" and not any(
        len(value) > 1 and _envelope(value) for value in values
    ):
        return values
    flat = first == "[" and all(
        value and not isinstance(value[0], (dict, list)) for value in values
    )
    return values if flat else None


def _each(pieces: Sequence[str]) -> list[Any] | None:
    """Each block as a value; a framework that finds no JSON for one writes that one as
    Python does.
    """
    try:
        return jsontext.loads("[" + ",".join(pieces) + "]")
    except ValueError:
        parsed = [jsontext.parse(piece) for piece in pieces]
    if all(isinstance(item, str) for item in parsed):
        return None
    values = []
    for piece, item in zip(pieces, parsed, strict=True):
        item = readers.parse_python(piece) if isinstance(item, str) else item
        if isinstance(item, str) or item.rest:
            return None
        values.append(item.value)
    return values


def _envelope(value: dict[str, Any]) -> bool:
    """An object that holds rows of its own under a usual name is no row."""
    return any(
        key.lower() in ("rows", "data", "records", "results", "result", "columns") and isinstance(sub, list) and sub
        and isinstance(sub[0], (dict, list)) for key, sub in value.items()
    )  # fmt: skip


def _several(pieces: Sequence[str], names: tuple[str, ...]) -> Found:
    """Each block on its own; those that are no table are notes, and an error among
    notes is the error.
    """
    found = [texts.read(piece, selected=names) for piece in pieces]
    taken = [item for item in found if item.raws]
    if not taken:
        errors = [item for item in found if item.error is not None]
        if errors:
            return errors[0]
        joined = texts.read("\n".join(pieces), selected=names)
        return (
            joined
            if joined.raws
            else replace(joined, rejected=(*found[0].rejected, *joined.rejected))
        )
    rest = [piece for piece, item in zip(pieces, found, strict=True) if not item.raws]
    first = taken[0]
    meta = {key: value for item in found for key, value in item.meta.items()}
    raws = tuple(raw for item in taken for raw in item.raws)
    failed = [item.error for item in found if item.error is not None]
    if failed:
        note = f"{len(failed)} of {len(pieces)} blocks are errors, so rows are missing: {failed[0][:120]}"
        raws = tuple(raw.noted(note, approximate=True) for raw in raws)
    rest += [item.rest for item in taken if item.rest]
    return replace(first, raws=raws, rest="\n".join(rest), meta=meta)
