"""Rows in XML: `<rows><row><id>1</id></row></rows>`, `<row id="1"/>` and `<field
name="id">1</field>` (mysql --xml).

Read with the standard library's expat; a document type, and with it every entity of
one's own, is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree

from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.raw_table import Answer, Raw, Taken, from_records

_OPEN = re.compile(r"<(?:\?xml|[A-Za-z_][\w.:-]*[\s>/])")
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_MANY = 64  # levels below which no rows are looked for


def read(text: str) -> Answer:
    """The rows of the one XML document in a text."""
    start = _OPEN.search(text)
    end = text.rfind(">") + 1
    if start is None or end <= start.end():
        return "no XML"
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return "XML with a document type is not read"
    try:
        root = ElementTree.fromstring(text[start.start() : end])  # noqa: S314 - no document type, so no entities
    except (ElementTree.ParseError, ValueError) as error:
        return f"no XML: {str(error)[:60]}"
    raws = tuple(_tables(root, 0))
    if not raws:
        return "its elements are no rows"
    return Taken(raws, f"{text[: start.start()]}\n{text[end:]}".strip())


def _tables(element: ElementTree.Element, depth: int) -> Iterator[Raw]:
    """The first level on which elements repeat and hold nothing but fields."""
    children = list(element)
    tags = Counter(child.tag for child in children)
    for tag, count in tags.items():
        rows = [_record(child) for child in children if child.tag == tag]
        if all(rows) and (
            count > 1
            or _name(tag).lower() in ("row", "record", "item", "entry", "result")
        ):
            yield _table([row for row in rows if row])
            return
    for child in children if depth < _MANY else ():
        yield from _tables(child, depth + 1)


def _table(rows: list[dict[str, str | None]]) -> Raw:
    raw = from_records(rows, text="all", nulls=NULL_WORDS)
    blank = any(value == "" for row in rows for value in row.values())
    return (
        raw.noted("an empty element may stand for NULL", approximate=True)
        if blank
        else raw
    )


def _record(row: ElementTree.Element) -> dict[str, str | None] | None:
    """One row as fields, None when it is something else."""
    fields = list(row)
    if not fields:
        return dict(row.attrib) if row.attrib and not (row.text or "").strip() else None
    if any(len(field) for field in fields) or (row.text or "").strip():
        return None
    named = [field.get("name", _name(field.tag)) for field in fields]
    if len(set(named)) < len(named):
        return None
    return {name: _value(field) for name, field in zip(named, fields, strict=True)}


def _value(field: ElementTree.Element) -> str | None:
    return None if field.get(_NIL) in ("true", "1") else field.text or ""


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]
