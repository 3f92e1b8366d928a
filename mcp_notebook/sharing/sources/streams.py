"""Objects that hand over Arrow: streams that can be read once are read into memory and
kept for their lifetime.
"""

import weakref
from typing import Any

import pyarrow as pa

from mcp_notebook.errors import DataError

MOST_BYTES = 500_000_000
"""How much of a stream is kept in memory."""

_READ: "weakref.WeakKeyDictionary[Any, pa.Table]" = weakref.WeakKeyDictionary()


def once(reader: Any) -> pa.Table:
    """All rows of a stream that can be read once; later calls give the same table.

    Raises `DataError` when it is longer than `MOST_BYTES`, or when nothing could be kept for it.
    """
    try:
        known = _READ.get(reader)
    except TypeError:
        raise DataError(
            "This stream can be read once only: share a table made of it."
        ) from None

    if known is not None:
        return known

    batches, size = [], 0
    stream = pa.RecordBatchReader.from_stream(reader)
    for batch in stream:
        size += batch.nbytes
        if size > MOST_BYTES:
            raise DataError(
                f"The stream holds more than {MOST_BYTES / 1e6:g} MB and is used up "
                "now: write it to a Parquet file "
                "and share that."
            )

        batches.append(batch)

    table = pa.Table.from_batches(batches, stream.schema)
    _READ[reader] = table
    return table


def read_interchanged(value: Any) -> pa.Table:
    """A table by the dataframe interchange protocol; raises `DataError`."""
    import pyarrow.interchange

    try:
        return pyarrow.interchange.from_dataframe(value)
    except (
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
        pa.ArrowException,
    ) as error:
        raise DataError(
            f"This {type(value).__name__} cannot be handed over as a table: {error}"
        ) from error
