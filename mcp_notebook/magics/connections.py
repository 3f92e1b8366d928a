"""The magics: parse a line, call one thing, show what it returned."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import shlex
from collections.abc import Callable
from itertools import chain
from typing import Any

from IPython.core.magic import (
    Magics,
    cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from mcp_notebook import lint, loop
from mcp_notebook.config.options import describe_flags
from mcp_notebook.errors import ConfigError, Stopped
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.notebook import by_hand, opening, output
from mcp_notebook.notebook.options import check_name
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.untrusted_text import visible

Emit = Callable[[Any], None]


@magics_class
class MCPMagics(Magics):
    """Servers, tools and tables; the work is done elsewhere."""

    def __init__(self, shell: Any, notebook: Notebook) -> None:
        super().__init__(shell)
        self._notebook = notebook

    @no_var_expand
    @line_magic
    def mcp_connect(self, line: str) -> None:
        """Connect a server and keep its session open in this kernel.

        %mcp_connect NAME COMMAND ...        start a server as a subprocess (stdio)
        %mcp_connect NAME https://...        connect over Streamable HTTP, or legacy SSE
        %mcp_connect NAME                    connect the server of that name in .mcp.json
        %mcp_connect --config FILE [NAME ..] connect servers of a file with "mcpServers"

        Options, before the command:

        """
        options = opening.read_line(line)
        with interruptible():
            opening.connect(self._notebook, options)

    mcp_connect.__doc__ = (
        f"{inspect.cleandoc(mcp_connect.__doc__ or '')}\n{describe_flags()}"
    )

    @line_magic
    def mcp_disconnect(self, line: str) -> None:
        """Close sessions: %mcp_disconnect NAME [NAME ...], or --all.

        --forget also removes what was kept of a sign-in, so that the next connect asks
        for it again.
        """
        words = shlex.split(line)
        names = [word for word in words if word != "--forget"]
        if names == ["--all"]:
            names = self._notebook.sessions.names()

        if not names:
            raise ConfigError("Name the server to disconnect, or --all.")

        for name in names:
            loop.run(
                self._notebook.sessions.disconnect(name, forget="--forget" in words)
            )
            output.show_line(
                f"{name}: disconnected{', its sign-in is forgotten' if '--forget' in words else ''}"
            )

    @line_magic
    def mcp_tools(self, line: str) -> None:
        """List the tools of the connected servers: %mcp_tools [SERVER ...] [WORD ...].

        Words that name no server are looked for in names, titles and descriptions.
        """
        output.show_tools(self._notebook, shlex.split(line))

    @line_magic
    def mcp_status(self, line: str) -> None:
        """Show the sessions: state, transport, calls, restarts, last error; of named
        ones also what they logged.

        %mcp_status [SERVER ...]
        """
        output.show_status(self._notebook, shlex.split(line))

    @line_magic
    def mcp_doctor(self, line: str) -> None:
        """Say what is here, what is missing and what to do; of a connected server, what
        it offers and what is odd.

        %mcp_doctor [SERVER]
        """
        # Reads the metadata of every installed package, and nothing else needs it.
        from mcp_notebook import doctor

        name = line.strip()
        if name:
            findings = doctor.examine_session(self._notebook.sessions.get(name))
        else:
            findings = chain(doctor.check_shell(self.shell), doctor.examine())

        output.show_line("\n".join(map(str, findings)))

    @line_magic
    def mcp_lint(self, line: str) -> None:
        """Say what in a connected server's tools makes a model call them wrongly, with the
        reason and the fix of each; for those who write servers.

        %mcp_lint SERVER [--call]

        --call also calls tools that only read and need no argument, to see how large
        their results are.
        """
        words = line.split()
        names = [word for word in words if word != "--call"]
        if len(names) != 1:
            raise ConfigError("Name one server: %mcp_lint SERVER [--call].")

        session = self._notebook.sessions.get(names[0])
        with interruptible():
            answers = loop.run(lint.check_answers(session, call="--call" in words))

        remarks = [*lint.check_tools(session.tools), *answers]
        output.show_line(visible(lint.report(remarks, len(session.tools)), lines=True))

    @line_magic
    def mcp_discover(self, line: str) -> None:
        """List the servers that configuration files on this machine name. Connects to none."""
        output.show_discovered()

    @line_magic
    def mcp_search(self, line: str) -> None:
        """Look servers up in the registry by words in their names: %mcp_search postgres.

        %mcp_connect io.github.owner/name connects one of them, after a yes that shows its
        whole command. MCPNotebook.registry is where it is asked.
        """
        with interruptible():
            output.show_published(line.strip(), self._notebook.settings.registry)

    @no_var_expand
    @line_magic
    def mcp_call(self, line: str) -> Any:
        """Call one tool by hand: %mcp_call server.tool {"argument": "value"} [--into NAME]."""
        # Not split as a shell would: the quotes of JSON must come through.
        target, _, rest = line.strip().partition(" ")
        rest, into = _take_into(rest)
        server, tool = by_hand.split_target(target, self._notebook.sessions)
        with interruptible():
            arguments = by_hand.parse_arguments(rest)

            def work(emit: Emit) -> Any:
                return by_hand.call(
                    self._notebook, server, tool, arguments, into=into, emit=emit
                )

            return output.show_call(self._notebook, work, into)

    @no_var_expand
    @cell_magic
    @magic_arguments()
    @argument(
        "server",
        nargs="?",
        help="the server to ask; `notebook` for the notebook's own tables",
    )
    @argument("--into", default="", help="name for the DataFrame")
    @argument(
        "--tool",
        default="",
        help="the tool that takes the SQL, when the server has several",
    )
    @argument("--timeout", type=float, default=0, help="seconds")
    def mcp_sql(self, line: str, cell: str) -> Any:
        """Run SQL through a server's query tool, without a model; returns the DataFrame.

        `big << select ...` gives the DataFrame the name `big`, as `--into big` does. With
        `notebook` as the server every table that a variable holds can be named.
        """
        options = parse_argstring(self.mcp_sql, line)
        if not options.server:
            known = ", ".join(
                dict.fromkeys([*self._notebook.sessions.names(), OWN_SERVER])
            )
            raise ConfigError(
                f"Name the server: %%mcp_sql SERVER [--into NAME]; there are {known}."
            )

        name, sql = split_name(cell)
        into = check_name(options.into or name)

        def work(emit: Emit) -> Any:
            wanted = {
                "into": into,
                "tool": options.tool,
                "timeout": options.timeout,
                "emit": emit,
            }
            return by_hand.sql(self._notebook, options.server, sql, **wanted)

        with interruptible():
            return output.show_call(self._notebook, work, into)

    @line_magic
    def mcp_log(self, line: str) -> Any:
        """Every tool call of this kernel as a DataFrame, oldest first."""
        return self._notebook.ledger.frame()

    @no_var_expand
    @line_magic
    def mcp_show(self, line: str) -> Any:
        """Look at a table: %mcp_show FRAME, a variable, a shared table or an expression.

        It scrolls over all rows and columns, is searched, filtered and sorted. `view =
        %mcp_show orders` keeps it: `view.sql` is the statement of what is looked at,
        `view.pandas` the same as code, `view.frame` its rows.
        """
        return self._notebook.table_cards.show_named(self._notebook, line.strip())

    @line_magic
    def mcp_preview(self, line: str) -> None:
        """Show what Claude was, or would be, shown of a table: %mcp_preview NAME."""
        output.show_preview(self._notebook, line.strip())


@contextlib.contextmanager
def interruptible() -> Any:
    """An interrupt inside becomes one line, without a traceback."""
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise Stopped("Stopped. Servers stay connected.") from None


_NAMED = re.compile(r"\s*([^\W\d]\w*)\s*<<(?!<)(.*)", re.DOTALL)


def split_name(sql: str) -> tuple[str, str]:
    """`name << select 1` into the name and the statement; no statement begins so."""
    found = _NAMED.fullmatch(sql)
    return (found[1], found[2]) if found else ("", sql)


def _take_into(text: str) -> tuple[str, str]:
    """`{"a": 1} --into x` into the arguments and the name."""
    head, option, name = text.rpartition("--into ")
    if option and name.strip().isidentifier():
        return (head, check_name(name.strip()))
    return (text, "")
