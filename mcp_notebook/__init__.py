"""mcp-notebook: ask any MCP server from a notebook cell and get typed pandas DataFrames.

    %load_ext mcp_notebook

Importing it, or loading the extension, loads none of mcp, anthropic, pandas or duckdb: they load at first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_notebook.results import explain, read, to_dataframe

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "enable_nested_asyncio",
    "explain",
    "load_ipython_extension",
    "read",
    "share",
    "to_dataframe",
    "unload_ipython_extension",
    "unshare",
]

_LAZY = dict.fromkeys(("explain", "read", "to_dataframe"), "mcp_notebook.results")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext mcp_notebook`."""
    from mcp_notebook.surface import extension  # IPython only; kept out of a plain `import mcp_notebook`

    extension.load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext mcp_notebook`: everything is undone, sessions are closed."""
    from mcp_notebook.surface import extension

    extension.unload(shell)


def enable_nested_asyncio() -> None:
    """Let pasted `asyncio.run(...)` code work in a cell. The same as `%config MCPNotebook.nested_asyncio = True`."""
    from mcp_notebook.surface import nesting

    nesting.enable()


def share(table: Any, as_: str = "", *, description: str = "") -> str:
    """Share a table with Claude, and with clients outside when `%mcp_serve` runs; returns the name to query it by.

    `table` is the name of a variable, a table object, or the path of a data file; `as_` names it otherwise. Raises
    ConfigError for what is no table, and where the extension is not loaded.
    """
    from mcp_notebook.surface import sharing

    return sharing.share(_notebook(), table, as_=as_, description=description)[0]


def unshare(*names: str) -> None:
    """Take shared tables back. Raises DataError for a name that is not shared."""
    from mcp_notebook.surface import sharing

    sharing.unshare(_notebook(), names)


def _notebook() -> Any:
    from IPython.core.getipython import get_ipython

    from mcp_notebook.errors import ConfigError
    from mcp_notebook.surface import extension

    shell = get_ipython()
    notebook = extension.notebook_of(shell) if shell is not None else None
    if notebook is None:
        raise ConfigError("Load the extension first: %load_ext mcp_notebook.")
    return notebook
