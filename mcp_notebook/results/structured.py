"""Structured content and text blocks of one result: which of the two holds more, and
blocks that are rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.results import readers, texts
from mcp_notebook.results.content import ResultParts
from mcp_notebook.results.raw_table import Raw
from mcp_notebook.results.texts import Findings
from mcp_notebook.results.values import jsontext, large_lists
from mcp_notebook.sql_words import selected_columns

_MANY = 200  # blocks, from which on the fast readers are worth it
_SCHEMA_KINDS = frozenset({"string", "integer", "boolean"})
# A text of these formats is typed by what stands in it: a date-time has many spellings.
_SCHEMA_FORMATS = {"date-time": None, "date": "date", "time": "time"}
_SCHEMA_DEPTH = 8
_ROW_KEYS = frozenset("rows data records results result columns".split())


def read_structured(
    parts: ResultParts, sql: str, schema: Mapping[str, Any] | None
) -> Findings:
    """What structured content and text blocks hold together; structured content wins
    where they differ.
    """
    if sql:
        asked = selected_columns(sql)
    else:
        asked = None

    if asked and all(asked):
        names = tuple(name for name in asked if name)
    else:
        names = ()

    if parts.structured in (None, {}):
        return read_blocks(parts.texts, names)

    # FastMCP wraps what is no object, as a returned text, in `{"result": …}`.
    inner = texts.unwrap_blocks(parts.structured)
    if isinstance(inner, str):
        found = texts.read_text(inner, selected=names)
        if _found_anything(found):
            return found

        return _read_blocks_instead(found, parts, names)

    if _blocks_say_same(parts, inner):
        found = read_blocks(parts.texts, names)
        if _found_anything(found):
            return _declare_types(found, schema)

    found = texts.read_value(parts.structured, "structured content", selected=names)
    if not _found_anything(found):
        return _read_blocks_instead(found, parts, names)

    found = replace(found, raws=tuple(replace(raw, json=True) for raw in found.raws))
    return _declare_types(_compare_to_blocks(found, parts, names), schema)


def _found_anything(found: Findings) -> bool:
    return bool(found.raws) or found.error is not None


def _read_blocks_instead(
    found: Findings, parts: ResultParts, names: tuple[str, ...]
) -> Findings:
    second = read_blocks(parts.texts, names)
    return replace(second, rejected=(*found.rejected, *second.rejected))


def _compare_to_blocks(
    found: Findings, parts: ResultParts, names: tuple[str, ...]
) -> Findings:
    """A note when the text blocks hold another number of rows."""
    other = read_blocks(parts.texts, names)
    here = [raw.rows for raw in found.raws]
    there = [raw.rows for raw in other.raws]
    if not there or there == here:
        return replace(found, rest=other.rest)

    note = (
        f"the text beside the structured content has {' and '.join(map(str, there))} "
        "rows; the structured content was taken"
    )
    return replace(found, raws=tuple(raw.with_note(note) for raw in found.raws))


def _blocks_say_same(parts: ResultParts, inner: Any) -> bool:
    """Whether the text blocks say the same in their own JSON, which keeps digits that a
    parsed float has lost.
    """
    pieces = parts.texts
    # FastMCP sends the items of a returned list as a block each.
    if len(pieces) > 1 and isinstance(inner, list) and len(inner) == len(pieces):
        body = f"[{','.join(pieces)}]"
    else:
        if pieces:
            body = pieces[0].strip()
        else:
            body = ""

    if not body.startswith(("[", "{")):
        return False

    # Structured content has null where a text may have NaN or Infinity.
    for read_constant in (float, lambda _: None):
        try:
            value = json.loads(body, parse_constant=read_constant)
        except (ValueError, RecursionError):
            return False

        if value in (parts.structured, inner):
            return True

        if isinstance(value, dict):
            value.pop("_meta", None)
            if value == parts.structured:
                return True

    return False


# --- types from the tool's output schema


def _declare_types(found: Findings, schema: Mapping[str, Any] | None) -> Findings:
    """Types from the tool's output schema: what it calls a string stays text."""
    if not schema or not found.raws:
        return found
    return replace(found, raws=tuple(_declare(raw, schema) for raw in found.raws))


def _declare(raw: Raw, schema: Mapping[str, Any]) -> Raw:
    names = raw.names or ()
    properties = _find_properties(schema, set(names), 0)
    if properties is None or any(raw.declared):
        return raw
    kinds = tuple(_kind_of(properties.get(name)) for name in names)
    return replace(raw, declared=kinds)


def _find_properties(
    schema: Any, names: set[str], depth: int
) -> Mapping[str, Any] | None:
    """The `properties` of a schema that describe these columns, at any depth."""
    if depth > _SCHEMA_DEPTH or not isinstance(schema, (Mapping, list)) or not names:
        return None

    if isinstance(schema, Mapping):
        own = schema.get("properties")
        if isinstance(own, Mapping) and names <= own.keys():
            return own

        schema = list(schema.values())

    for sub in schema:
        found = _find_properties(sub, names, depth + 1)
        if found is not None:
            return found

    return None


def _kind_of(schema: Any) -> str | None:
    """The column's type by the schema; `string` with a date format is that."""
    if not isinstance(schema, Mapping):
        return None

    options = schema.get("anyOf") or schema.get("oneOf") or [schema]
    real = []
    for option in options:
        if isinstance(option, Mapping) and option.get("type") != "null":
            real.append(option)

    # A union declares nothing; a type or null is that type.
    if len(real) != 1 or not isinstance(real[0].get("type"), str):
        return None

    kind, form = real[0]["type"], real[0].get("format") or ""
    if form in _SCHEMA_FORMATS:
        return _SCHEMA_FORMATS[form]
    if kind in _SCHEMA_KINDS:
        return kind

    return None


# --- text blocks


def read_blocks(pieces: Sequence[str], names: tuple[str, ...]) -> Findings:
    """Text blocks: one, one a row, a table and notes, or several tables."""
    pieces = [piece for piece in pieces if piece.strip()]
    if not pieces:
        return Findings()
    if len(pieces) == 1:
        return texts.read_text(pieces[0], selected=names)

    found = _read_many_rows(pieces, names)
    if found is not None:
        return found

    rows = _parse_rows(pieces)
    if rows is None:
        return _read_each(pieces, names)

    found = texts.read_value(rows, "json", selected=names)
    if found.raws:
        return replace(found, reader="one block a row")

    return found


def _read_many_rows(pieces: Sequence[str], names: tuple[str, ...]) -> Findings | None:
    """Very many blocks of one object each, by the fast reader."""
    if len(pieces) < _MANY or not all(piece[:1] == "{" for piece in pieces):
        return None

    cut = large_lists.cut_to_sample(f"[{','.join(pieces)}]")
    if cut is None:
        return None

    found = texts.read_value(jsontext.loads(cut.text), "json", selected=names)
    raw = large_lists.fill_sample(found.raws, cut.table)
    if raw is None or raw.rows != len(pieces):
        return None

    return replace(found, raws=(raw,), reader="one block a row")


def _parse_rows(pieces: Sequence[str]) -> list[Any] | None:
    """All blocks as values when each is one JSON object (or array) on its own."""
    first = pieces[0].lstrip()[:1]
    if first not in ("{", "["):
        return None
    if not all(piece.lstrip()[:1] == first for piece in pieces):
        return None

    values = _parse_each(pieces)
    if values is None or len(values) != len(pieces):
        return None

    # One envelope among the blocks, and they are results of their own.
    if first == "{":
        has_rows = any(len(value) > 1 and _is_envelope(value) for value in values)
        if has_rows:
            return None

        return values

    are_flat = all(value and not isinstance(value[0], (dict, list)) for value in values)
    if are_flat:
        return values

    return None


def _parse_each(pieces: Sequence[str]) -> list[Any] | None:
    """Each block as a value; a framework that finds no JSON for one writes that one as
    Python does.
    """
    try:
        return jsontext.loads(f"[{','.join(pieces)}]")
    except ValueError:
        parsed = [jsontext.parse(piece) for piece in pieces]

    if all(isinstance(item, str) for item in parsed):
        return None

    values = []
    for piece, item in zip(pieces, parsed, strict=True):
        if isinstance(item, str):
            item = readers.parse_python(piece)

        if isinstance(item, str) or item.rest:
            return None

        values.append(item.value)

    return values


def _is_envelope(value: dict[str, Any]) -> bool:
    """An object that holds rows of its own under a usual name is no row."""
    for key, sub in value.items():
        is_row_key = key.lower() in _ROW_KEYS
        if isinstance(sub, list) and sub:
            first = sub[0]
        else:
            first = None

        if is_row_key and isinstance(first, (dict, list)):
            return True

    return False


def _read_each(pieces: Sequence[str], names: tuple[str, ...]) -> Findings:
    """Each block on its own; those that are no table are notes, and an error among
    notes is the error.
    """
    found = [texts.read_text(piece, selected=names) for piece in pieces]
    failed = [item for item in found if item.error is not None]
    taken = [item for item in found if item.raws]
    if not taken:
        if failed:
            return failed[0]
        return _read_joined(pieces, found[0], names)

    raws: list[Raw] = []
    meta: dict[str, Any] = {}
    for item in found:
        raws += item.raws
        meta |= item.meta

    if failed:
        note = (
            f"{len(failed)} of {len(pieces)} blocks are errors, so rows are missing: "
            f"{str(failed[0].error)[:120]}"
        )
        raws = [raw.with_note(note, approximate=True) for raw in raws]

    rest = [piece for piece, item in zip(pieces, found, strict=True) if not item.raws]
    rest += [item.rest for item in taken if item.rest]
    return replace(taken[0], raws=tuple(raws), rest="\n".join(rest), meta=meta)


def _read_joined(
    pieces: Sequence[str], first: Findings, names: tuple[str, ...]
) -> Findings:
    """Blocks that are a table only together, such as one line each."""
    joined = texts.read_text("\n".join(pieces), selected=names)
    if joined.raws:
        return joined
    return replace(joined, rejected=(*first.rejected, *joined.rejected))
