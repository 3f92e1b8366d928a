"""Any MCP tool result becomes typed tables, or an honest text.

`read` takes a result and says what it found, `to_dataframe` is its first table,
`explain` shows why. Importing this package costs nothing: pandas and pyarrow come with
the first result.
"""

from __future__ import annotations

from mcp_notebook.results.reading import (
    Explanation,
    Reading,
    Table,
    explain,
    read,
    to_dataframe,
)

__all__ = [
    "Explanation",
    "Reading",
    "Table",
    "explain",
    "read",
    "to_dataframe",
]
