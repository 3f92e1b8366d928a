"""Columns of a table on their way between processes."""

import base64

import pyarrow as pa


def packed(schema: pa.Schema) -> str:
    """Names and types of columns, for a line of JSON."""
    return base64.b64encode(schema.serialize()).decode("ascii")


def unpacked(text: str) -> pa.Schema:
    """What `packed` packed."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
