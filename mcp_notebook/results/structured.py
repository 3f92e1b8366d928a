"""Structured content and text blocks of one result: which of the two holds more, and
blocks that are rows.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.results import content, readers, texts
from mcp_notebook.results.columns import strings
from mcp_notebook.results.content import ResultParts
from mcp_notebook.results.reading import Raw, note_beside
from mcp_notebook.results.texts import Findings
from mcp_notebook.results.values import jsontext, large_lists
from mcp_notebook.sql_words import selected_columns

# A line in which a text speaks of itself and of the structured content beside it
_OF_THE_TEXT = re.compile(
    r"^.*\b(?:this|the) text\b.*\bstructured content\b.*$", re.IGNORECASE | re.MULTILINE
)
_TAIL = 400  # characters at the end of a text in which it may speak of itself
_SHORT = 4000  # characters, and scalars, up to which a repetition is looked for
_ROW_COUNT = re.compile(r"\(?[\d,]+ rows?\b[^\n]{0,20}\)?|-{2,}")
_WHOLE_COUNT = re.compile(r"\(?(\d[\d,]{0,20}) rows?\)?")

# a text that is no number, flag, date or mark for nothing
_WORDS = re.compile(r"[^\W\d_]{3,}[^\w:]+[^\W\d_]{2,}")
_COMPARED = 50  # rows of a text's table that are looked for in structured content
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
        if _found_anything(found) or found.pictures:
            return _declare_types(found, schema)

    found = texts.read_value(parts.structured, "structured content", selected=names)
    if not _found_anything(found):
        return _read_blocks_instead(found, parts, names)

    found = replace(found, raws=tuple(replace(raw, json=True) for raw in found.raws))
    return _declare_types(_compare_to_blocks(found, parts, names), schema)


def _found_anything(found: Findings) -> bool:
    return bool(found.raws or found.pictures) or found.error is not None


def _read_blocks_instead(
    found: Findings, parts: ResultParts, names: tuple[str, ...]
) -> Findings:
    second = read_blocks(parts.texts, names)
    return replace(second, rejected=(*found.rejected, *second.rejected))


def _compare_to_blocks(
    found: Findings, parts: ResultParts, names: tuple[str, ...]
) -> Findings:
    """Structured content together with what only the text blocks say: their words, and
    a table with values that the structured content does not have. The longer of two
    such tables comes first.
    """
    without = tuple(map(_without_self, parts.texts))
    is_shorter = without != parts.texts
    parts = replace(parts, texts=without)
    if len(found.raws) == len(without) == 1 and prints_table(without[0], found.raws[0]):
        return found

    other = read_blocks(parts.texts, names)
    pictures = (*found.pictures, *other.pictures)
    if not other.raws:
        words = _words_of_blocks(parts)
        if len(words) <= _SHORT and _repeats(words, parts.structured):
            words = ""

        return replace(found, rest=words, pictures=pictures)

    known = frozenset(map(_as_printed, content.scalars_in(parts.structured)))
    new = [raw for raw in other.raws if not _is_known(raw, known)]
    here = sum(raw.rows for raw in found.raws)
    there = sum(raw.rows for raw in other.raws)
    found = replace(found, rest=other.rest, pictures=pictures)
    found = _note_words(found, _new_words(other.raws, new, known))
    if is_shorter and here > there and not new:
        # The text says itself that it is the shorter one; nothing was cut from the rows.
        return found
    if not new:
        return found if here == there else _note_rows(found, other)

    # the same columns with other rows: two versions, of which the typed one is believed
    new = [replace(raw, json=False) for raw in new]
    if new[0].names == found.raws[0].names:
        found = _note_rows(found, other)
        return replace(found, raws=(*found.raws, *new))
    if other.confidence != "high":
        return _note_rows(found, other) if here != there else found

    return _add_tables(found, new, other.reader)


def _add_tables(found: Findings, new: Sequence[Raw], reader: str) -> Findings:
    """The tables of the structured content and those of the text beside it, the longer
    ones first.
    """
    note = "stood in the text beside the structured content"
    if new[0].rows > found.raws[0].rows:
        first = tuple(raw.with_note(note) for raw in new)
        return replace(found, raws=(*first, *found.raws), reader=reader)

    note = f"{note}, which is the table before"
    return replace(found, raws=(*found.raws, *(raw.with_note(note) for raw in new)))


class _Lines:
    """A file for `csv.writer`, which hands back what its file's `write` returns."""

    def write(self, line: str) -> str:
        """The line itself."""
        return line


def _new_words(
    raws: Sequence[Raw], taken: Sequence[Raw], known: frozenset[str]
) -> list[str]:
    """Words in cells of the text's tables that are not taken, which the structured
    content does not have; a number or a flag may only be written in another way.
    """
    left = [raw for raw in raws if not any(raw is other for other in taken)]
    columns = itertools.chain.from_iterable(raw.columns for raw in left)
    cells = itertools.chain.from_iterable(column[:_COMPARED] for column in columns)
    return [
        cell
        for cell in cells
        if isinstance(cell, str)
        and _WORDS.search(cell)
        and _as_printed(cell) not in known
    ]


def _note_words(found: Findings, words: Sequence[str]) -> Findings:
    if not words:
        return found

    note = note_beside(words, "the text beside the structured content")
    first, *others = found.raws
    return replace(found, raws=(first.with_note(note), *others))


def prints_table(text: str, raw: Raw) -> bool:
    """Whether a text is one table as CSV, to the letter, with at most the count of its
    rows below: it says nothing that the table does not, and no reader need look.
    """
    # Where the rows are more than the lines, the text is a part or another thing.
    if not raw.names or text.count("\n") < raw.rows:
        return False

    text = f"{text}\n".replace("\r\n", "\n")
    writer = csv.writer(_Lines(), lineterminator="\n")
    at = 0
    for row in itertools.chain([raw.names], zip(*raw.columns, strict=True)):
        line = writer.writerow(row)
        if not text.startswith(line, at):
            return False

        at += len(line)

    rest = text[at:].strip()
    counted = _WHOLE_COUNT.fullmatch(rest)
    if counted is None:
        return not rest

    return int(counted[1].replace(",", "")) == raw.rows


def _note_rows(found: Findings, other: Findings) -> Findings:
    """A note on each table that the text blocks have another number of rows."""
    there = " and ".join(str(raw.rows) for raw in other.raws)
    note = (
        f"the text beside the structured content has {there} rows; the structured "
        "content was taken"
    )
    return replace(found, raws=tuple(raw.with_note(note) for raw in found.raws))


def _words_of_blocks(parts: ResultParts) -> str:
    """The text blocks that do not repeat the structured content as JSON."""
    return "\n".join(
        piece
        for piece in parts.texts
        if piece.strip() and not piece.lstrip().startswith(("{", "["))
    )


def _without_self(text: str) -> str:
    """A text without a last line in which it says that it is a part of the whole."""
    body, end = text[:-_TAIL], text[-_TAIL:]
    left = _OF_THE_TEXT.sub("", end)
    return text if left == end else f"{body}{left}".rstrip()


def _repeats(words: str, structured: Any) -> bool:
    """Whether a text is names and values of the structured content, one a line, with at
    most a count of rows after them: a table of one column is printed so.
    """
    lines = [line.strip() for line in words.splitlines()]
    few = itertools.islice(content.scalars_in(structured), _SHORT)
    known = frozenset(map(_as_printed, few))
    return all(
        not line or _as_printed(line) in known or _ROW_COUNT.fullmatch(line)
        for line in lines
    )


def _as_printed(value: Any) -> str:
    """A scalar as a print may show it: the case of words and the digits behind the
    fifth do not count.
    """
    text = str(value).strip().casefold()
    if strings.is_number(text):
        return f"{float(text):.4g}"

    return text


def _is_known(raw: Raw, known: frozenset[str]) -> bool:
    """Whether a table of the text holds only what the structured content says."""
    cells = itertools.chain.from_iterable(column[:_COMPARED] for column in raw.columns)
    new = [cell for cell in cells if _as_printed(cell) not in known]
    size = min(raw.rows, _COMPARED) * len(raw.columns)
    return len([cell for cell in new if cell not in (None, "")]) * 4 <= size


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
    if not names and not raw.rows:
        names = _names_of_items(schema, raw.path.rpartition(".")[2])
        if names:
            raw = replace(raw, names=names, columns=tuple(() for _ in names))
            raw = raw.with_note("no rows came: the tool declares these columns")
    properties = _find_properties(schema, set(names), 0)
    if properties is None or any(raw.declared):
        return raw
    kinds = tuple(_kind_of(properties.get(name)) for name in names)
    return replace(raw, declared=kinds)


def _names_of_items(schema: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The columns of an empty list, by what the schema says of the items of the list of
    that name, or of its only list.
    """
    lists = list(_described_lists("", schema, schema, 0))
    named = [names for name, names in lists if name == key] or [
        names for _, names in lists
    ]
    return named[0] if len(named) == 1 else ()


def _described_lists(
    key: str, schema: Any, whole: Mapping[str, Any], depth: int
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each list of objects in a schema: its name and the names of its items."""
    schema = _follow_reference(schema, whole)
    if not isinstance(schema, Mapping) or depth > _SCHEMA_DEPTH:
        return

    items = _follow_reference(schema.get("items"), whole)
    if isinstance(items, Mapping) and isinstance(items.get("properties"), Mapping):
        yield key, tuple(map(str, items["properties"]))
        return

    for form in itertools.chain(schema.get("anyOf") or (), schema.get("oneOf") or ()):
        yield from _described_lists(key, form, whole, depth + 1)

    properties = schema.get("properties")
    for name, sub in properties.items() if isinstance(properties, Mapping) else ():
        yield from _described_lists(str(name), sub, whole, depth + 1)


def _follow_reference(schema: Any, whole: Mapping[str, Any]) -> Any:
    """What a `$ref` into the schema's own definitions points to."""
    for _ in range(_SCHEMA_DEPTH):
        if not (isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str)):
            break

        found: Any = whole
        for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
            found = found.get(part) if isinstance(found, Mapping) else None
        schema = found

    return schema


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
    real = [
        option
        for option in options
        if isinstance(option, Mapping) and option.get("type") != "null"
    ]

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
    rows = _read_rows_and_words(pieces, names)
    if rows is not None:
        return rows

    found = [texts.read_text(piece, selected=names) for piece in pieces]
    failed = [item for item in found if item.error is not None]
    taken = [item for item in found if item.raws]
    if not taken:
        if failed:
            return failed[0]
        if any(item.pictures for item in found):
            return _join_pictures(pieces, found)
        return _read_joined(pieces, found[0], names)

    raws: list[Raw] = []
    meta: dict[str, Any] = {}
    left: list[Any] = []
    pictures: list[content.Picture] = []
    for item in found:
        raws += item.raws
        meta |= item.meta
        left += item.left
        pictures += item.pictures

    if failed:
        note = (
            f"{len(failed)} of {len(pieces)} blocks are errors, so rows are missing: "
            f"{str(failed[0].error)[:120]}"
        )
        raws = [raw.with_note(note, approximate=True) for raw in raws]

    rest = [piece for piece, item in zip(pieces, found, strict=True) if not item.raws]
    rest += [item.rest for item in taken if item.rest]
    return replace(
        taken[0],
        raws=tuple(raws),
        rest="\n".join(rest),
        meta=meta,
        left=tuple(left),
        pictures=tuple(pictures),
    )


def _read_rows_and_words(
    pieces: Sequence[str], names: tuple[str, ...]
) -> Findings | None:
    """A block a row, and others with words around the rows."""
    rows = [piece for piece in pieces if piece.lstrip()[:1] == "{"]
    if len(rows) < 2 or len(rows) == len(pieces):
        return None

    values = _parse_rows(rows)
    if values is None or not _are_alike(values):
        return None

    words = [piece for piece in pieces if piece.lstrip()[:1] != "{"]
    others = [texts.read_text(piece, selected=names) for piece in words]
    if any(item.raws or item.error is not None for item in others):
        return None

    found = texts.read_value(values, "json", selected=names)
    if not found.raws:
        return None

    return replace(found, reader="one block a row", rest="\n".join(words))


def _are_alike(values: Sequence[Any]) -> bool:
    """Whether all are objects with half of the first one's keys."""
    first = values[0]
    if not all(type(value) is dict for value in values):
        return False
    return all(2 * len(first.keys() & value.keys()) >= len(first) for value in values)


def _join_pictures(pieces: Sequence[str], found: Sequence[Findings]) -> Findings:
    """Blocks without a table, of which some hold pictures."""
    told = [
        piece if item.told is None else item.told
        for piece, item in zip(pieces, found, strict=True)
    ]
    pictures = tuple(itertools.chain.from_iterable(item.pictures for item in found))
    return replace(found[0], pictures=pictures, told="\n".join(told))


def _read_joined(
    pieces: Sequence[str], first: Findings, names: tuple[str, ...]
) -> Findings:
    """Blocks that are a table only together, such as one line each."""
    joined = texts.read_text("\n".join(pieces), selected=names)
    if joined.raws:
        return joined

    # a hit a block: paragraphs that each hold names and values
    apart = texts.read_text("\n\n".join(pieces), selected=names)
    if apart.raws:
        return apart
    return replace(joined, rejected=(*first.rejected, *joined.rejected))
