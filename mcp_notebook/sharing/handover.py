"""Large answers for a host on this machine that offers a folder: an Arrow file and a
link to it, instead of JSON.

The host names the folder in the environment (`MCP_NOTEBOOK_HANDOVER`) and removes each
file when it has read it; what is left goes when the server ends.
"""

from __future__ import annotations

import atexit
import os
import stat
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import mcp_types as types
import pyarrow as pa

from mcp_notebook.errors import ConfigError
from mcp_notebook.results.columns import declared
from mcp_notebook.sharing.answer import RowsAnswer, TableAnswer, size_of, to_json
from mcp_notebook.values import column_values

VARIABLE = "MCP_NOTEBOOK_HANDOVER"
STANDS_IN = "mcp_notebook/stands_in"  # of a text: the file says it all
ARROW = "application/vnd.apache.arrow.file"
SMALL_ROWS = 1_000  # answers up to both sizes are worth no file
SMALL_BYTES = 100_000
PREVIEW_ROWS = 5


class Handover:
    """Writes answers into the folder that the host offered."""

    def __init__(self, folder: Path) -> None:
        """Raises `ConfigError` when the folder is not there, not this user's, or open to others."""
        try:
            told = folder.stat()
        except OSError as error:
            raise ConfigError(
                f"{VARIABLE} names {folder}, which is not there."
            ) from error

        others = os.name == "posix" and (
            told.st_uid != os.getuid() or told.st_mode & 0o077
        )
        if not stat.S_ISDIR(told.st_mode) or others:
            raise ConfigError(
                f"{VARIABLE} must name a folder that only this user can open."
            )

        self._folder = folder
        self._written: set[Path] = set()
        atexit.register(self.clean)

    @classmethod
    def find_offered(cls, environ: Mapping[str, str] = os.environ) -> Handover | None:
        """The host's folder, None when it offers none."""
        if environ.get(VARIABLE):
            return cls(Path(environ[VARIABLE]))
        return None

    def write_answer(self, answer: TableAnswer) -> types.CallToolResult:
        """The answer as a file, with a preview in words and a link."""
        # for a host that follows no links; who maps the file leaves it out
        words = types.TextContent(text=preview(answer), _meta={STANDS_IN: True})
        notices = [line for line in (answer.truncated, *answer.notes) if line]
        texts = [types.TextContent(text=f"Notice: {line}.") for line in notices]
        link = self.write_table(answer.data)
        return types.CallToolResult(content=[words, *texts, link])

    def write_table(self, table: pa.Table) -> types.ResourceLink:
        """A table as a file, and the link to it."""
        path = self._folder / f"{uuid.uuid4().hex}.arrow"
        self._written = {known for known in self._written if known.exists()} | {path}
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with (
            os.fdopen(handle, "wb") as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table)

        return types.ResourceLink(
            uri=path.as_uri(),
            name="rows",
            mime_type=ARROW,
            size=path.stat().st_size,
            description="All rows, as Arrow",
        )

    def clean(self) -> None:
        """Remove the files that the host left."""
        for path in self._written:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        self._written.clear()


def preview(answer: TableAnswer) -> str:
    """Shape, columns and first rows as prose: the host must not take it for a second table."""
    data = answer.data
    columns = ", ".join(
        f"{n} {k}" for n, k in zip(data.column_names[:40], answer.types, strict=False)
    )
    said = [
        f"{data.num_rows:,} rows of {data.num_columns} columns ({columns}), handed "
        "over as an Arrow file."
    ]
    head = data.slice(0, PREVIEW_ROWS)
    first = zip(*map(column_values, head.columns[:12]), strict=True)
    for number, row in enumerate(first, 1):
        values = ", ".join(
            f"{name} {str(to_json(value))[:40]}"
            for name, value in zip(head.column_names, row, strict=False)
        )
        said.append(f"Row {number} holds {values}.")

    return " ".join(said)


def is_small(answer: RowsAnswer | TableAnswer) -> bool:
    """Whether JSON carries the answer as well."""
    if isinstance(answer, TableAnswer):
        return answer.data.num_rows <= SMALL_ROWS and answer.data.nbytes <= SMALL_BYTES

    return (
        len(answer.rows) <= SMALL_ROWS
        and sum(sum(map(size_of, row)) for row in answer.rows) <= SMALL_BYTES
    )


def as_table(answer: RowsAnswer) -> TableAnswer:
    """Rows of Python values as Arrow columns, in the types that the database declares
    where every value has them.
    """
    if answer.rows:
        columns = zip(*answer.rows, strict=True)
    else:
        columns = ((),) * len(answer.columns)

    pairs = zip(columns, answer.columns, strict=True)
    arrays = [_array(list(values), column.type) for values, column in pairs]
    fields = [
        pa.field(column.name, array.type)
        for column, array in zip(answer.columns, arrays, strict=True)
    ]
    notice = answer.notice
    return TableAnswer(
        pa.Table.from_arrays(arrays, schema=pa.schema(fields)),
        tuple(column.type for column in answer.columns),
        notice if answer.truncated else "",
        () if answer.truncated or not notice else (notice,),
    )


def _array(values: list, type_: str) -> pa.Array:
    family = declared.kind(type_)
    if family is not None:
        converted = declared.convert(values, family, type_)
        if converted is not None:
            return converted

    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array(
            [None if value is None else str(to_json(value)) for value in values],
            pa.string(),
        )
