"""Any MCP tool result becomes typed tables, or an honest text.

`read` takes a result and says what it found, `to_dataframe` is its first table,
`explain` shows why. Importing this package costs nothing: pandas and pyarrow come with
the first result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from mcp_notebook.results.reading import (
    MAX_BYTES,
    Explanation,
    Reading,
    ReadOptions,
    Table,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["Explanation", "Reading", "Table", "explain", "read", "to_dataframe"]


def read(
    result: object,
    *,
    output_schema: Mapping[str, Any] | None = None,
    sql: str = "",
    fetch: Callable[[str], object] | None = None,
    allowed_dirs: tuple[Path | str, ...] = (),
    max_bytes: int = MAX_BYTES,
    infer: bool = True,
    arguments: Mapping[str, Any] | None = None,
) -> Reading:
    """All tables that a tool result holds, or its error, or its text; never raises for
    what a server sent.

    `result` is a `CallToolResult` or its JSON as a dict (`structuredContent` or
    `structured_content`). `output_schema` is the tool's, for declared types and empty
    tables. `sql` is the statement that was sent, if known: it tells of columns that did
    not come back. `fetch(uri)` reads a linked resource on demand; files below
    `allowed_dirs` are mapped without it. Above `max_bytes` nothing is parsed.
    `infer=False` keeps every text as text. `arguments` are those of the call: a result
    of exactly as many rows as its `limit` is said to be perhaps cut.
    """
    # pyarrow takes a third of a second to import: only the first result pays.
    from mcp_notebook.results.pipeline import read_result

    options = ReadOptions(
        output_schema,
        sql,
        fetch,
        tuple(map(str, allowed_dirs)),
        max_bytes,
        infer,
        arguments,
    )
    return read_result(result, options)


def to_dataframe(
    result: object,
    *,
    decimals: Literal["exact", "float"] | None = None,
    types: Literal["everyday", "exact"] = "everyday",
    **options: Any,
) -> pd.DataFrame | None:
    """The first table of a result as a DataFrame, None when it holds no table; options
    as in `read`.

    `types`: "everyday" gives dtypes that all of pandas works on (days are `datetime64`,
    decimals floats where no digit is lost, lists Python lists), "exact" Arrow's own.
    `decimals` says what becomes of decimals whatever the `types`.
    """
    tables = read(result, **options).tables
    if tables:
        return tables[0].to_pandas(decimals=decimals, types=types)

    return None


def explain(result: object, **options: Any) -> Explanation:
    """Which reader took the result, what it rejected and why; options as in `read`."""
    return Explanation(read(result, **options))
