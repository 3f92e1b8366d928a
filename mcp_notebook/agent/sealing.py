"""Keeps secrets out of what leaves a call: the model's request, the card, the log. The
notebook's variables keep all.

A secret is known by its shape, as a value of the environment, or by the name of its
column, field or argument (`secrets`).
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.agent.conversation import (
    Block,
    is_foreign,
    without_citations,
)
from mcp_notebook.events import ToolResult
from mcp_notebook.results import Reading, Table
from mcp_notebook.secrets import (
    MASK,
    hide,
    is_secret_name,
    seal,
    seal_arguments,
    seal_text,
)
from mcp_notebook.values import column_values, plain_column, value_kind
from mcp_notebook.veil import Veil, says_nothing

# first rows of a table whose texts are searched: a card shows no more
LOOKED_AT = 2_000
# A picture is no text.
UNTOUCHED = ("image", "document")
LEARNED = 50_000  # first values of a masked column that are known from then on


def seal_block(block: Block) -> Block:
    """A block of a reply as it is kept in the conversation: the arguments of a call
    without secrets.
    """
    if block.get("type") != "tool_use":
        return block

    return {**block, "input": seal_arguments(block["input"])}


def hidden_arguments(raw: dict[str, Any], shown: dict[str, Any]) -> tuple[str, ...]:
    """The arguments that are not shown as they are sent, each with its length:
    `password (12 characters)`.
    """
    return tuple(
        f"{name} ({len(str(raw[name]))} characters)"
        for name in raw
        if raw[name] != shown.get(name)
    )


def secret_columns(table: Table) -> tuple[str, ...]:
    """Patterns for the columns of a table that are named like secrets."""
    return tuple(
        glob.escape(name) for name in table.data.column_names if is_secret_name(name)
    )


def masked_values(
    data: pa.Table, masked: Iterable[str], covers: Callable[[str], bool]
) -> Iterator[list[Any]]:
    """The values of the masked columns of a table, and of masked fields in others."""
    for name, column in zip(data.column_names, data.columns, strict=True):
        if name in masked:
            yield column_values(column.slice(0, LEARNED))
        elif value_kind(column.type).nested:
            yield list(_fields_of(column_values(column.slice(0, LOOKED_AT)), covers))


def _fields_of(value: Any, covers: Callable[[str], bool]) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, inner in value.items():
            is_plain = not isinstance(inner, dict | list)
            if is_plain and covers(str(name)):
                yield inner
            else:
                yield from _fields_of(inner, covers)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields_of(inner, covers)


def veil_text(text: str, veil: Veil) -> str:
    """A text of a result as the model gets it; JSON field by field."""
    if not veil:
        return text

    if text.lstrip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            value = json.loads(text)
            hidden = veil.hide_json(value)
            if hidden == value:
                return text

            return json.dumps(hidden, ensure_ascii=False)

    return veil.hide(text)


def veil_table(data: pa.Table, veil: Veil) -> pa.Table:
    """A table as the model is shown it: without values of masked columns in other
    columns, and without what stands in a row beside a masked column's name.
    """
    if not veil:
        return data

    data = _veil_rows(data, veil)
    for index, field in enumerate(data.schema):
        if value_kind(field.type).text and not veil.covers(field.name):
            data = _veil_texts(data, index, field, veil)

    return data


def _veil_texts(data: pa.Table, index: int, field: pa.Field, veil: Veil) -> pa.Table:
    column = plain_column(data.column(index))
    different = [text for text in pc.unique(column).to_pylist() if text]
    whole = "\x1e\n\x1e".join(different)
    if veil.hide(whole) == whole:
        return data

    # a cell that names the column but is not read is hidden whole
    hidden = {text: MASK for text in different if veil_text(text, veil) != text}
    texts = [hidden.get(text, text) for text in column.to_pylist()]
    return data.set_column(index, field.name, pa.array(texts, pa.string()))


def _veil_rows(data: pa.Table, veil: Veil) -> pa.Table:
    """A row that names a masked column in a cell is about it (a description, a summary,
    a table of names and values).
    """
    texts = [f.name for f in data.schema if value_kind(f.type).text]
    naming: set[int] = set()
    for index, field in enumerate(data.schema):
        if field.name in texts and _names_one(data.column(index), veil):
            cells = plain_column(data.column(index)).to_pylist()
            naming |= {
                at for at, cell in enumerate(cells) if cell and veil.covers(cell)
            }

    if not naming:
        return data

    for index, field in enumerate(data.schema):
        cells = column_values(data.column(index))
        hidden = [
            MASK if at in naming and _is_told(cell, veil) else cell
            for at, cell in enumerate(cells)
        ]
        if hidden != cells:
            as_text = [None if c is None else str(c) for c in hidden]
            data = data.set_column(index, field.name, pa.array(as_text, pa.string()))

    return data


def _names_one(column: pa.ChunkedArray, veil: Veil) -> bool:
    different = pc.unique(plain_column(column)).to_pylist()[:LOOKED_AT]
    return any(text and len(text) < 100 and veil.covers(text) for text in different)


def _is_told(cell: Any, veil: Veil) -> bool:
    return not says_nothing(cell) and not veil.covers(str(cell))


def seal_request(body: dict[str, Any], veil: Veil) -> dict[str, Any]:
    """The arguments of a request as they leave: the last look, whatever came before.

    What servers say of themselves is searched for masked names, too. A model's own
    thinking is signed, and what its service found on the web is encrypted: both go back
    to the service that wrote them.
    """
    # one look at all of it is the usual case, and finds nothing
    leaving = [body["system"], body.get("tools"), *map(_open_blocks, body["messages"])]
    if not veil and hide(leaving) is leaving:
        return body

    sealed = {
        **body,
        "system": [_seal_words(block, veil) for block in body["system"]],
        "messages": [_seal_message(message, veil) for message in body["messages"]],
    }
    if "tools" in body:
        sealed["tools"] = [hide(veil.hide_schema(tool)) for tool in body["tools"]]

    return sealed


def _open_blocks(message: dict[str, Any]) -> Any:
    """What of a message is searched."""
    blocks = message["content"]
    if isinstance(blocks, str):
        return blocks

    return [without_citations(block) for block in blocks if not _is_untouched(block)]


def _is_untouched(block: Block) -> bool:
    # a call of the service's own tools may repeat what the person wrote
    kind = block.get("type")
    return kind in UNTOUCHED or (kind != "server_tool_use" and is_foreign(block))


def _seal_words(block: Block, veil: Veil) -> Block:
    return {**block, "text": hide(veil.hide(block["text"]))}


def _seal_message(message: dict[str, Any], veil: Veil) -> dict[str, Any]:
    blocks = message["content"]
    if isinstance(blocks, str):
        return {**message, "content": hide(veil.hide_values(blocks))}

    return {**message, "content": [_seal_content(block, veil) for block in blocks]}


def _seal_content(block: Block, veil: Veil) -> Block:
    if _is_untouched(block):
        return block

    sealed = hide(_map_texts(without_citations(block), veil.hide_values))
    if "citations" in block:
        sealed = {**sealed, "citations": block["citations"]}

    return sealed


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)

    if isinstance(value, dict):
        return {name: _map_texts(inner, change) for name, inner in value.items()}

    if isinstance(value, list):
        return [_map_texts(inner, change) for inner in value]

    return value


def seal_result(result: ToolResult) -> ToolResult:
    """A result as the model, the card and the log get it."""
    reading = result.reading
    if reading is None:
        sealed = None
    else:
        sealed = _seal_reading(reading)

    return replace(
        result,
        shown=seal_text(result.shown, prose=reading is None or not reading.tables),
        reading=sealed,
        value=None,  # for the person's code only
    )


def _seal_reading(reading: Reading) -> Reading:
    return replace(
        reading,
        tables=tuple(
            replace(table, data=seal_table(table.data)) for table in reading.tables
        ),
        text=seal_text(reading.text),
        error=None if reading.error is None else seal_text(reading.error),
        notes=tuple(seal_text(note) for note in reading.notes),
    )


def seal_table(data: pa.Table, first: int = LOOKED_AT) -> pa.Table:
    """The table without secrets in its first rows, nor in columns named like one."""
    for index, field in enumerate(data.schema):
        if is_secret_name(field.name):
            data = data.set_column(
                index, field.name, pa.repeat(pa.scalar(MASK), data.num_rows)
            )
        elif value_kind(field.type).text:
            data = _seal_texts(data, index, field, first)
        elif value_kind(field.type).nested:
            data = _seal_nested(data, index, field, first)

    return data


def _seal_texts(data: pa.Table, index: int, field: pa.Field, most: int) -> pa.Table:
    column = plain_column(data.column(index))
    first = column.slice(0, most).to_pylist()
    whole = "\n".join(value for value in first if value)
    # one look for the whole column is the usual case
    if seal_text(whole, prose=False) == whole:
        return data

    sealed = pa.array(
        [value and seal_text(value, prose=False) for value in first], column.type
    )
    return data.set_column(
        index, field.name, pa.chunked_array([sealed, *column.slice(most).chunks])
    )


def _seal_nested(data: pa.Table, index: int, field: pa.Field, most: int) -> pa.Table:
    first = column_values(data.column(index).slice(0, most))
    sealed = [seal(value) for value in first]
    if sealed == first:
        return data

    texts = [
        None if value is None else json.dumps(value, default=str) for value in sealed
    ]
    rest = [MASK] * (data.num_rows - len(texts))
    return data.set_column(index, field.name, pa.array([*texts, *rest], pa.string()))
