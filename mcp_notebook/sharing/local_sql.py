"""SQL that the person typed: in this process over the tables of this machine, else on
the tables' own engine.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError, ToolError
from mcp_notebook.kinds import kind_of
from mcp_notebook.results.frame_view import view_frame
from mcp_notebook.sharing import sqlguard
from mcp_notebook.sharing.answer import AS_FILE, TableAnswer
from mcp_notebook.sharing.arrow import for_duckdb, snapshot
from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.sharing.describing import look
from mcp_notebook.sharing.sources import plan_request
from mcp_notebook.sharing.sources.local_tables import (
    STORED,
    Spool,
    drop,
    ready,
    schema_of,
)
from mcp_notebook.sharing.sources.plan import named_columns
from mcp_notebook.sharing.sources.remote_route import (
    Bounds,
    Elsewhere,
    Here,
    Remembered,
)
from mcp_notebook.sql_words import split_sql, written_name

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# What a statement of the person's may take on another engine; interrupting the cell
# ends it earlier.
SECONDS = 3600.0


async def local_answer(
    catalog: Catalog, sql: str, *, limit: int | None = None
) -> TableAnswer:
    """The answer to SQL that the person typed; raises `DataError`.

    Tables of this machine are computed in this process, the frames read in place, and
    give all rows (`limit` None). Tables of another engine are computed there: the
    statement is checked, bounded and stopped as a model's is, with more time
    (`SECONDS`), and gives at most `AS_FILE` of rows.
    """
    elsewhere = Elsewhere(_ask_here, _known())
    most = Bounds(AS_FILE.rows if limit is None else limit, AS_FILE.bytes, SECONDS)
    try:
        routed = await elsewhere.route(catalog, sql, most)
        if isinstance(routed, TableAnswer):
            return routed

        return await asyncio.to_thread(_run_here, catalog, routed, limit)
    except ToolError as error:
        raise DataError(str(error)) from error


def run_local_query(
    catalog: Catalog, sql: str, *, limit: int | None = None
) -> pa.Table:
    """`local_answer` for callers outside an event loop, or inside one that may wait."""
    with ThreadPoolExecutor(1) as thread:
        return (
            thread.submit(asyncio.run, local_answer(catalog, sql, limit=limit))
            .result()
            .data
        )


def _run_here(catalog: Catalog, routed: Here, limit: int | None) -> TableAnswer:
    statement, notes = routed.checked, []
    named: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for name in statement["tables"]:
        if name in routed.brought:
            named[name] = routed.brought[name].data
            notes += routed.brought[name].notes
        elif name in routed.empty:
            named[name] = routed.empty[name].schema().empty_table()
        else:
            values[name] = catalog.resolve(name)
            named[name] = _scannable(values[name], name, statement["sql"])

    if statement["lists_tables"]:
        named |= {
            n: look(catalog.resolve(n)).schema.empty_table()
            for n in catalog.names()
            if n not in named
        }

    if limit is not None:
        rows = limit
    else:
        rows = 1 << 62

    sql = _spell_columns(statement["sql"], values.values())
    zone, note = sqlguard.session_zone(map(_typed_columns, named.values()))
    answer = sqlguard.run(
        _local_connection(zone), sql, named, rows=rows, max_bytes=1 << 62
    )
    notes += [note] if note else []
    return replace(answer, notes=(*answer.notes, *notes))


def _spell_columns(sql: str, values: Iterable[Any]) -> str:
    """The statement with columns that differ from another one in letter case only under
    the names that they have in SQL, which would take them for the other: `A` is `A_2`.
    """
    swaps: dict[str, str] = {}
    for value in values:
        if kind_of(value) != "frame":
            continue

        view = view_frame(value)
        swaps |= {
            label: name
            for label, name in view.renamed.items()
            if label not in view.names and name.lower().startswith(label.lower())
        }

    if not swaps:
        return sql

    pieces, before = [], ""
    for token in split_sql(sql):
        is_name = token.kind == "word" or token.text.startswith('"')
        if is_name and token.name in swaps and before != "as":
            pieces.append(written_name(swaps[token.name]))
        else:
            pieces.append(token.text)

        if token.kind not in ("space", "comment"):
            before = token.lower

    return "".join(pieces)


def _typed_columns(value: Any) -> list[tuple[str, Any]]:
    """The columns of what DuckDB registers, with the types that it has for them."""
    if kind_of(value) == "frame":
        return list(value.dtypes.items())

    schema = schema_of(value) if kind_of(value) == "lazy" else value.schema
    return [(field.name, field.type) for field in schema]


def _scannable(value: Any, name: str, sql: str) -> Any:
    """What DuckDB registers in this process; raises `DataError`."""

    def find_needed(names: Sequence[str]) -> Sequence[str]:
        return named_columns(sql, {name: names})[name]

    kind = kind_of(value)
    if kind == "lazy":
        return value  # DuckDB asks Polars for the columns and rows that it needs

    if kind not in STORED:
        return for_duckdb(snapshot(value), find_needed)[0]

    found = ready(value, _local_spool(), find_needed)
    if not found.passing:
        return found.scan.open()

    table = found.scan.open().to_table()  # only the columns that the statement names
    drop(found.scan)
    return table


async def _ask_here(request: dict[str, Any], seconds: float) -> dict[str, Any]:
    return await asyncio.to_thread(_answer_request, request)


def _answer_request(request: dict[str, Any]) -> dict[str, Any]:
    with contextlib.closing(_local_connection("UTC").cursor()) as cursor:
        return plan_request.answer(cursor, request)


@cache
def _known() -> Remembered[dict[str, Any]]:
    return Remembered()


@cache
def _local_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="mcp-notebook-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _local_spool() -> Spool:
    return Spool(_local_folder())


# a session's zone is locked with it; few notebooks have times of many zones
@lru_cache(maxsize=8)
def _local_connection(zone: str) -> duckdb.DuckDBPyConnection:
    spill = tempfile.mkdtemp(dir=_local_folder())
    return sqlguard.connect(
        threads=os.cpu_count() or 2, memory="80%", spill=spill, zone=zone
    )
