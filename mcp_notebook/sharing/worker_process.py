"""The worker process that runs SQL which a model wrote: no secrets, no files but the
ones it is handed, killable.

It reads requests as JSON lines on stdin and answers each with one JSON line on stdout:
those of `sources.plan_request`, which come before a statement runs; `{"explain": sql}` ->
`{"plan": text}`; `{"run": sql, "tables": {name: path}, "rows", "bytes", "out": path}`
-> `{"types", "truncated"}` with the rows in `out`; in place of a path a table may be a
scan of files (`sources.files`), or `{"parts": [paths], "columns": [names]}`, files that
hold its columns between them. A failure that the model can mend is `{"error": text}`.
When stdin ends, the process removes its folder and ends at once, also amid a query. Its
arguments are the module search path as JSON, a database file or "", its folder, and the
one in it for what memory cannot hold, which its starter removes.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import sys
import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mcp_notebook.errors import ToolError
from mcp_notebook.sharing import sqlguard
from mcp_notebook.sharing.sources import plan_request

MEMORY = "1GB"  # DuckDB's own limit; a few functions allocate outside it
# bytes on top of the mapped tables; what DuckDB's limit misses ends here
ADDRESS_SPACE = 4 << 30


def main() -> None:
    """Serve requests until stdin ends."""
    limit_memory(0)
    try:
        connection = _connect(database=sys.argv[2])
    except duckdb.Error as error:
        _send_answer({"error": sqlguard.first_lines(error)})
        return

    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(
        target=_read_requests, args=(requests, sys.argv[3]), daemon=True
    ).start()
    _send_answer({"ready": True})
    while True:
        _send_answer(handle(connection, json.loads(requests.get())))


def handle(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request."""
    try:
        if request.keys() & plan_request.KINDS:
            return plan_request.answer(connection, request)
        if "explain" in request:
            return {"plan": sqlguard.explain(connection, request["explain"])}

        return _run(connection, request)
    except ToolError as error:
        return {"error": str(error)}
    except (MemoryError, pa.ArrowMemoryError):
        return {"error": sqlguard.OUT_OF_MEMORY}


def _run(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    paths = request["tables"]
    limit_memory(
        sum(
            Path(file).stat().st_size
            for path in paths.values()
            for file in _mapped_files(path)
        )
    )
    tables = {name: _open_table(path) for name, path in paths.items()}
    zone, note = sqlguard.session_zone(map(_typed_columns, tables.values()))
    answer = sqlguard.run(
        connection if zone == sqlguard.UTC else _connection_in(zone),
        request["run"],
        tables,
        rows=request["rows"],
        max_bytes=request["bytes"],
    )
    with (
        pa.OSFile(request["out"], "wb") as sink,
        pa.ipc.new_file(sink, answer.data.schema) as writer,
    ):
        writer.write_table(answer.data)

    notes = [note] if note else []
    return {"types": answer.types, "truncated": answer.truncated, "notes": notes}


@lru_cache(maxsize=2)
def _connection_in(zone: str) -> Any:
    return _connect(zone=zone)


def _connect(**options: str) -> Any:
    """Each connection has a place of its own, so that none removes another's files."""
    spill = tempfile.mkdtemp(dir=sys.argv[4])
    return sqlguard.connect(threads=2, memory=MEMORY, spill=spill, **options)


def _typed_columns(table: Any) -> list[tuple[str, Any]]:
    return [(field.name, field.type) for field in table.schema]


def _open_table(place: str | dict[str, Any]) -> Any:
    tables = [
        pa.ipc.open_file(pa.memory_map(file)).read_all()
        for file in _mapped_files(place)
    ]
    if isinstance(place, str):
        return tables[0]
    if tables:
        return _side_by_side(tables, place["columns"])

    # loads Arrow's datasets, which frames do not need
    from mcp_notebook.sharing.sources.local_tables import Scan

    try:
        return Scan.of(place).open()
    except (OSError, pa.ArrowException) as error:
        raise ToolError(f"A file of the table cannot be read: {error}") from error


def _mapped_files(place: str | dict[str, Any]) -> list[str]:
    """The files of a table that are mapped whole."""
    if isinstance(place, str):
        return [place]
    return place.get("parts", [])


def _side_by_side(tables: list[pa.Table], order: list[str]) -> pa.Table:
    columns = {
        name: table.column(name) for table in tables for name in table.column_names
    }
    return pa.table([columns[name] for name in order], names=order)


def limit_memory(mapped: int) -> None:
    """Limit the address space, where the system can (Linux); `mapped` bytes of tables
    come on top.
    """
    try:
        import resource  # not on Windows
    except ImportError:
        return

    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(
            resource.RLIMIT_AS, (ADDRESS_SPACE + mapped, resource.RLIM_INFINITY)
        )
    except (ValueError, OSError):
        # macOS has no such limit; DuckDB's own and the deadline remain
        return


def _read_requests(requests: queue.SimpleQueue[str], folder: str) -> None:
    for line in sys.stdin:
        requests.put(line)
    # the notebook is gone, and nobody else would remove its tables
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _send_answer(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
