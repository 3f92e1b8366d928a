"""mcp-notebook: ask any MCP server from a notebook cell and get typed pandas DataFrames.

    %load_ext mcp_notebook

or, without magics, `mcp_notebook.connect(...)` and `mcp_notebook.ask(...)`.

Importing it, or loading the extension, loads none of mcp, anthropic, pandas or duckdb:
they load at first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_notebook.errors import CheckFailed
    from mcp_notebook.freeze.compare import check, compare
    from mcp_notebook.notebook.ask_function import ask
    from mcp_notebook.notebook.functions import (
        acall,
        aconnect,
        asql,
        call,
        connect,
        disconnect,
        resource,
        result,
        server,
        share,
        sql,
        unshare,
    )
    from mcp_notebook.notebook.options import MCPNotebook
    from mcp_notebook.notebook.shells import enable_nested_asyncio
    from mcp_notebook.results import explain, read, to_dataframe

    settings: MCPNotebook

__version__ = "0.1.0"
__all__ = [
    "CheckFailed",
    "__version__",
    "acall",
    "aconnect",
    "ask",
    "asql",
    "call",
    "check",
    "compare",
    "connect",
    "disconnect",
    "enable_nested_asyncio",
    "explain",
    "load_ipython_extension",
    "read",
    "resource",
    "result",
    "server",
    "settings",
    "share",
    "sql",
    "to_dataframe",
    "unload_ipython_extension",
    "unshare",
]

_FUNCTIONS = tuple(
    """
    aconnect acall asql call connect disconnect resource result server settings share sql
    unshare
""".split()
)
_LAZY = {
    **dict.fromkeys(("explain", "read", "to_dataframe"), "mcp_notebook.results"),
    **dict.fromkeys(_FUNCTIONS, "mcp_notebook.notebook.functions"),
    "CheckFailed": "mcp_notebook.errors",
    "ask": "mcp_notebook.notebook.ask_function",
    "check": "mcp_notebook.freeze.compare",
    "compare": "mcp_notebook.freeze.compare",
    "enable_nested_asyncio": "mcp_notebook.notebook.shells",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext mcp_notebook`."""
    # IPython only; kept out of a plain `import mcp_notebook`
    from mcp_notebook.magics import extension

    extension.load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext mcp_notebook`: everything is undone, sessions are closed."""
    from mcp_notebook.magics import extension  # as above

    extension.unload(shell)
