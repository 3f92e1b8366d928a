"""Keeps secrets out of what leaves a call: the model's request, the card, the log. The
notebook's variables keep all.

A secret is known by its shape, as a value of the environment, or by the name of its
column, field or argument (`secrets`).
"""

import glob
import json
from dataclasses import replace
from typing import Any

import pyarrow as pa

from mcp_notebook.agent.conversation import Block
from mcp_notebook.events import ToolResult
from mcp_notebook.results import Reading, Table
from mcp_notebook.secrets import MASK, is_secret_name, seal, seal_arguments, seal_text
from mcp_notebook.values import column_values, plain_column, value_kind

# first rows of a table whose texts are searched: a card shows no more
LOOKED_AT = 2_000


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
            replace(table, data=_seal_table(table.data)) for table in reading.tables
        ),
        text=seal_text(reading.text),
        error=None if reading.error is None else seal_text(reading.error),
        notes=tuple(seal_text(note) for note in reading.notes),
    )


def _seal_table(data: pa.Table) -> pa.Table:
    # pyarrow is loaded by then, by whoever made the table

    for index, field in enumerate(data.schema):
        if is_secret_name(field.name):
            data = data.set_column(
                index, field.name, pa.repeat(pa.scalar(MASK), data.num_rows)
            )
        elif value_kind(field.type).text:
            data = _seal_texts(data, index, field)
        elif value_kind(field.type).nested:
            data = _seal_nested(data, index, field)

    return data


def _seal_texts(data: pa.Table, index: int, field: pa.Field) -> pa.Table:
    column = plain_column(data.column(index))
    first = column.slice(0, LOOKED_AT).to_pylist()
    whole = "\n".join(value for value in first if value)
    # one look for the whole column is the usual case
    if seal_text(whole, prose=False) == whole:
        return data

    sealed = pa.array(
        [value and seal_text(value, prose=False) for value in first], column.type
    )
    return data.set_column(
        index, field.name, pa.chunked_array([sealed, *column.slice(LOOKED_AT).chunks])
    )


def _seal_nested(data: pa.Table, index: int, field: pa.Field) -> pa.Table:
    first = column_values(data.column(index).slice(0, LOOKED_AT))
    sealed = [seal(value) for value in first]
    if sealed == first:
        return data

    texts = [
        None if value is None else json.dumps(value, default=str) for value in sealed
    ]
    rest = [MASK] * (data.num_rows - len(texts))
    return data.set_column(index, field.name, pa.array([*texts, *rest], pa.string()))
