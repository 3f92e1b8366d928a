"""Magics for what servers have beside tools: resources and prompts."""

from __future__ import annotations

import re
import shlex
from typing import Any

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from mcp_notebook import loop
from mcp_notebook.errors import ConfigError
from mcp_notebook.magics.connections import interruptible
from mcp_notebook.notebook import by_hand, output, resources
from mcp_notebook.notebook.cell import CellRun
from mcp_notebook.notebook.options import AskOptions, check_name
from mcp_notebook.notebook.state import Notebook


@magics_class
class ServerMagics(Magics):
    """Resources and prompts."""

    def __init__(self, shell: Any, notebook: Notebook) -> None:
        super().__init__(shell)
        self._notebook = notebook

    @line_magic
    def mcp_resources(self, line: str) -> None:
        """List the resources and templates of the connected servers: %mcp_resources
        [SERVER ...].
        """
        with interruptible():
            rows = loop.run(resources.list_resources(self._notebook, shlex.split(line)))
            output.show_rows(rows, empty="No connected server has resources.")

    @no_var_expand
    @line_magic
    def mcp_read(self, line: str) -> Any:
        """Read a resource: %mcp_read SERVER URI [--into NAME]. A table comes back as a
        DataFrame, a text is printed.
        """
        server, uri, into = _to_read(line)
        with interruptible():
            keep = by_hand.keep_into(self._notebook, into)
            result = loop.run(
                resources.read_resource(self._notebook, server, uri, keep=keep)
            )
            value = output.show_resource(
                self._notebook, result.names, result.reading, into
            )
            # A picture or a document is shown where it has no table to stand behind.
            if not (result.images or result.files) or into:
                return value

            frames = [self._notebook.shell.user_ns[name] for name in result.names]
            source = by_hand.ResultSource(self._notebook, server, "read")
            return by_hand.give_result(result, frames, source)

    @no_var_expand
    @line_magic
    def mcp_prompt(self, line: str) -> None:
        """Put a server's prompt into the next cell: %mcp_prompt SERVER.NAME argument=value ...

        --ask asks it at once instead. Without a name the prompts are listed:
        %mcp_prompt [SERVER ...].
        """
        ask, rest = _take_flag(line, "--ask")
        with interruptible():
            # `%mcp_prompt shop` lists; a prompt is always named with its server and a
            # dot.
            if not rest or all(
                word in self._notebook.sessions.names() for word in rest.split()
            ):
                rows = loop.run(resources.rows(self._notebook, rest.split()))
                output.show_rows(rows, empty="No connected server has prompts.")
                return

            target, arguments = resources.parse(rest)
            text = loop.run(resources.text_of(self._notebook, target, arguments))

        if ask:
            CellRun(self._notebook, AskOptions(text)).in_blocking_cell()
        else:
            # The words are a server's: the person reads them before they are asked.
            self._notebook.shell.set_next_input(f"%%claude\n{text}", replace=False)


def _to_read(line: str) -> tuple[str, str, str]:
    # Not by the rules of a shell: an address may hold quotes and backslashes.
    words = line.split()
    into = ""
    if len(words) >= 2 and words[-2] == "--into":
        words, into = words[:-2], check_name(words[-1])

    if len(words) != 2:
        raise ConfigError(
            "Write %mcp_read SERVER URI [--into NAME]; %mcp_resources lists them."
        )

    return words[0], words[1], into


def _take_flag(line: str, flag: str) -> tuple[bool, str]:
    """Whether a flag stands at the line's beginning or end, and the rest."""
    rest = re.sub(rf"^\s*{flag}(?=\s|$)|\s{flag}\s*$", " ", line)
    return rest != line, rest.strip()
