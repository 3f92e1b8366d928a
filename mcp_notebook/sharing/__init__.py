"""MCP servers of this package: read-only databases, and the notebook's own shared tables.

Importing this package imports none of mcp, duckdb and pandas.
"""

import importlib
import sys
import types
from typing import Any


class _Package(types.ModuleType):
    """`mcp_notebook.sharing("shop")` is a function for people; this package has its
    name, so it is both.
    """

    def __call__(self, name: str) -> Any:
        package = importlib.import_module(__name__.partition(".")[0])
        return package.__getattr__("server")(name)


sys.modules[__name__].__class__ = _Package
