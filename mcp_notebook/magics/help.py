"""`--help` for every magic, and options that do not exist: said in a sentence, with the
one that was probably meant.
"""

from __future__ import annotations

import functools
import inspect
import shlex
from collections.abc import Callable, Iterable
from typing import Any

from IPython.core.error import UsageError

from mcp_notebook.errors import ConfigError, unknown_option
from mcp_notebook.notebook import output

ASKS = {"--help", "-h"}


def with_help(magic: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The magic called `name` (`%mcp_log`, `%%claude`), with `--help` alone on its line
    answered.
    """

    @functools.wraps(magic)
    def call_magic(line: str, *cell: str) -> Any:
        if line.strip() in ASKS:
            output.show_line(text_of(magic, name))
            return None

        try:
            return magic(line, *cell)
        except UsageError as error:
            raise _clear(str(error), name, options_of(magic)) from None

    return call_magic


def options_of(magic: Callable[..., Any]) -> list[str]:
    """The long options that a magic's own parser knows."""
    parser = getattr(magic, "parser", None)
    if parser is None:
        return []
    return sorted(one for one in parser._option_string_actions if one.startswith("--"))


def text_of(magic: Callable[..., Any], name: str) -> str:
    """A magic's docstring as it is read in a cell."""
    text = inspect.cleandoc(magic.__doc__ or "").removeprefix("::\n\n")
    if text.startswith("  %"):
        return inspect.cleandoc(text.replace(f"%{name.lstrip('%')}", name, 1))
    return text


def _clear(said: str, name: str, known: Iterable[str]) -> ConfigError:
    if name.startswith("%%"):
        more = f"{name}? lists what there is."
    else:
        more = f"{name} --help lists what there is."

    what, _, words = said.partition(": ")
    odd = [word for word in _words(words) if word.startswith("-")]
    if what == "unrecognized arguments" and odd:
        return ConfigError(f"{unknown_option(odd[0], known)} {more}")

    said = said.strip()
    return ConfigError(f"{said[:1].upper()}{said[1:]}. {more}")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
