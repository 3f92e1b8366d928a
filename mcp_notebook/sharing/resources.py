"""Each offered table as MCP resources: `notebook://tables/NAME` is its schema as JSON,
`.../rows.csv` and `.../rows.arrow` are its first 100,000 rows, with tokens in masked
columns."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

import mcp_types as types
import pyarrow as pa
from mcp.shared.exceptions import MCPError
from pyarrow import csv

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import kind_of
from mcp_notebook.sharing.arrow import snapshot, to_arrow
from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.sharing.masks import Masks
from mcp_notebook.sharing.sources.describe import look
from mcp_notebook.sharing.sources.local_tables import STORED, sample
from mcp_notebook.values import column_values, value_kind

SCHEME = "notebook://tables/"
ROWS = 100_000
_ARROW = "application/vnd.apache.arrow.file"


class Resources:
    """The handlers of `resources/list`, `resources/templates/list` and `resources/read`
    over a catalog.
    """

    def __init__(self, catalog: Catalog, masks: Callable[[], Masks] = Masks) -> None:
        self._catalog = catalog
        self._masks = masks

    async def list(self, context: Any, params: Any) -> types.ListResourcesResult:
        """One resource a table: its schema."""
        return types.ListResourcesResult(
            resources=[
                types.Resource(
                    uri=SCHEME + quote(entry.name, safe=""),
                    name=entry.name,
                    description=entry.description
                    or f"Schema of the table {entry.name}",
                    mime_type="application/json",
                )
                for entry in self._catalog.entries()
            ]
        )

    async def templates(
        self, context: Any, params: Any
    ) -> types.ListResourceTemplatesResult:
        """Where a table's rows are."""
        kinds = (("rows.csv", "text/csv"), ("rows.arrow", _ARROW))
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(
                    uri_template=f"{SCHEME}{{name}}/{leaf}",
                    name=leaf,
                    description=f"The first {ROWS:,} rows of a table",
                    mime_type=mime,
                )
                for leaf, mime in kinds
            ]
        )

    async def read(
        self, context: Any, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """The schema or the rows of one table; an unknown address is the protocol's
        invalid-params error.
        """
        name, _, leaf = str(params.uri).removeprefix(SCHEME).partition("/")
        if not str(params.uri).startswith(SCHEME) or leaf not in (
            "",
            "rows.csv",
            "rows.arrow",
        ):
            raise MCPError(
                types.INVALID_PARAMS,
                f"There is no resource {params.uri}.",
                {"uri": str(params.uri)},
            )

        try:
            value = self._catalog.resolve(unquote(name))
        except DataError as error:
            raise MCPError(
                types.INVALID_PARAMS, error.message, {"uri": str(params.uri)}
            ) from error

        entry = self._catalog.find(unquote(name))
        if entry:
            scope = entry.name
        else:
            scope = unquote(name)

        try:
            contents = await asyncio.to_thread(
                _contents, str(params.uri), value, leaf, self._masks(), scope
            )
        except DataError as error:
            raise MCPError(
                types.INVALID_PARAMS, error.message, {"uri": str(params.uri)}
            ) from error

        return types.ReadResourceResult(contents=[contents])


def arrow_bytes(table: pa.Table) -> bytes:
    """The table as an Arrow IPC file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _contents(
    uri: str, value: object, leaf: str, masks: Masks, name: str
) -> types.TextResourceContents | types.BlobResourceContents:
    if not leaf:
        return types.TextResourceContents(
            uri=uri, mime_type="application/json", text=_schema(value, masks)
        )

    if kind_of(value) in STORED:
        whole = sample(value, ROWS)
    else:
        whole = to_arrow(snapshot(value), rows=ROWS)[0]

    table = masks.apply(whole, name)
    if leaf == "rows.arrow":
        blob = base64.b64encode(arrow_bytes(table)).decode("ascii")
        return types.BlobResourceContents(uri=uri, mime_type=_ARROW, blob=blob)

    return types.TextResourceContents(uri=uri, mime_type="text/csv", text=_csv(table))


def _schema(value: object, masks: Masks) -> str:
    schema = look(value).schema
    hidden = masks.columns(schema.names)
    fields = [
        {
            "name": f.name,
            "type": str(f.type),
            "nullable": f.nullable,
            **({"masked": True} if f.name in hidden else {}),
        }
        for f in schema
    ]
    return json.dumps({"columns": fields})


def _csv(table: pa.Table) -> str:
    """CSV; nested columns, which CSV cannot hold, as JSON text."""
    for index, field in enumerate(table.schema):
        if value_kind(field.type).nested:
            texts = [
                None if v is None else json.dumps(v, default=str)
                for v in column_values(table.column(index))
            ]
            table = table.set_column(index, field.name, pa.array(texts, pa.string()))

    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink)
    return sink.getvalue().to_pybytes().decode()
