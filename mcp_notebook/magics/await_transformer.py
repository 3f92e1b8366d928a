"""Lets a whole-cell `%%claude` be awaited by IPython, so that buttons and interrupts
work while it runs.

IPython decides by the transformed text whether a cell is async, so a text transformer
puts the `await` there. Only a cell that is nothing but `run_cell_magic('claude', ...)`
(what IPython makes of `%%claude`) is rewritten: nested in `%%time`, functions or loops
the magic stays synchronous.
"""

from __future__ import annotations

import ast
import re
import threading
from typing import Any

AWAITED = frozenset({"claude"})
_QUESTION = re.compile(r"^%claude[ \t]+(.*\?)[ \t]*(\n?)$")


class AwaitTransformer:
    """An `input_transformers_post` hook with the two cell events that tell it whether a
    cell is running.
    """

    def __init__(self) -> None:
        self._state = threading.local()

    def __call__(self, lines: list[str]) -> list[str]:
        if getattr(self._state, "depth", 0) or not _is_whole_cell_magic("".join(lines)):
            return lines
        self._state.awaited = True
        return ["await " + _ask_on_line("".join(lines))]

    def take(self) -> bool:
        """Whether the magic that runs now was rewritten; true once a cell."""
        awaited, self._state.awaited = getattr(self._state, "awaited", False), False
        return awaited

    def before_cell(self, _: Any = None) -> None:
        """`pre_run_cell`: what is transformed from now on is nested in a cell."""
        self._state.depth = getattr(self._state, "depth", 0) + 1

    def after_cell(self, _: Any = None) -> None:
        """`post_run_cell`."""
        self._state.depth = max(0, getattr(self._state, "depth", 0) - 1)
        self._state.awaited = False


def ask_in_line(lines: list[str]) -> list[str]:
    """An `input_transformers_cleanup` hook: `%claude how many?` is a question, where
    IPython would look up the help of its last word.
    """
    return [_QUESTION.sub(_as_call, line) for line in lines]


def _as_call(found: re.Match[str]) -> str:
    said = found[1].strip()
    return f"get_ipython().run_line_magic('claude', {said!r}){found[2]}"


def _ask_on_line(source: str) -> str:
    """The call of a cell magic without a cell as that of the line magic: IPython refuses
    a cell magic whose question stands on its first line alone.
    """
    call = ast.parse(source).body[0].value  # type: ignore[attr-defined]
    values = [str(arg.value) for arg in call.args if isinstance(arg, ast.Constant)]
    is_empty = call.func.attr == "run_cell_magic" and len(values) == 3
    if not is_empty or values[2].strip():
        return source

    return f"get_ipython().run_line_magic({values[0]!r}, {values[1]!r})\n"


def _is_whole_cell_magic(source: str) -> bool:
    if "run_cell_magic" not in source and "run_line_magic" not in source:
        return False

    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False

    if (
        len(body) != 1
        or not isinstance(body[0], ast.Expr)
        or not isinstance(body[0].value, ast.Call)
    ):
        return False

    call = body[0].value
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr in ("run_cell_magic", "run_line_magic")
        and bool(call.args)
        and isinstance(call.args[0], ast.Constant)
        and call.args[0].value in AWAITED
    )
