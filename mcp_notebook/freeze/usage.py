"""Which names a cell of the person's code uses."""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

from IPython.core.inputtransformer2 import TransformerManager

from mcp_notebook.naming import OWN_SERVER

_WORD = re.compile(r"[^\W\d]\w*")
_TAKE_TABLES = ("mcp_preview", "mcp_share", "mcp_unshare")
_OTHERS_CODE = (
    "claude",
    "mcp_freeze",
    "mcp_call",
    "mcp_connect",
    "mcp_read",
    "mcp_prompt",
    "mcp_sql",
)


@lru_cache(maxsize=4096)  # every call looks through the cells after it
def names_in(source: str) -> frozenset[str]:
    """The names that a cell uses, in Python, in SQL over the notebook's own tables, and
    in magics that take tables.
    """
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError):
        # no Python: another language's cell, or one that failed
        return frozenset(_WORD.findall(source))
    return frozenset(name for node in ast.walk(tree) for name in _names(node))


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        texts = [
            a.value
            for a in node.args
            if isinstance(a, ast.Constant) and isinstance(a.value, str)
        ]
        if node.func.attr in ("run_line_magic", "run_cell_magic") and texts:
            yield from _in_magic(*texts)
        elif node.func.attr in ("sql", "asql", "query", "eval"):
            yield from (word for text in texts for word in _WORD.findall(text))


def _in_magic(name: str, line: str = "", body: str = "") -> Iterator[str]:
    if name in _TAKE_TABLES:
        yield from line.split()
    elif name == "mcp_sql" and line.split()[:1] == [OWN_SERVER]:
        yield from _WORD.findall(body)
    elif name not in _OTHERS_CODE:
        # %%time, %%capture: the code of a cell inside another magic
        yield from names_in(body) if body else _WORD.findall(line)
