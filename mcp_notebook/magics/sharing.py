"""`%mcp_share`, `%mcp_unshare`, `%mcp_shared`, `%mcp_serve`: the person's tables for
Claude and for other clients.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class

from mcp_notebook import loop
from mcp_notebook.errors import ConfigError
from mcp_notebook.notebook import output, shared_tables
from mcp_notebook.notebook.state import Notebook

if TYPE_CHECKING:
    from mcp_notebook.sharing.http_server import Address, OutsideServer


@magics_class
class ServingMagics(Magics):
    """What is shared, and the server for outside clients of one kernel, started when it
    is asked for.
    """

    def __init__(self, shell: Any, notebook: Notebook) -> None:
        super().__init__(shell)
        self._notebook = notebook
        self._server: OutsideServer | None = None

    @line_magic
    def mcp_share(self, line: str) -> None:
        """Let Claude, and with %mcp_serve clients outside, query tables of yours by name.

        %mcp_share orders customers          variables
        %mcp_share df --as sales             under another name
        %mcp_share data/sales.parquet        a data file
        --about 'Sales of May'               words that stand with the table in listings
        --about-columns columns.csv          what columns mean: CSV, TSV or JSON with a
                                             column's name and description
        --follow                             also what the variable holds later

        Without --follow that very table is shared: when the variable holds another one,
        the share pauses until you share it again.
        """
        wanted = shared_tables.parse(line)
        for number, name in enumerate(wanted.names):
            if wanted.shared_as:
                as_ = wanted.shared_as[number]
            else:
                as_ = ""

            _, note = shared_tables.share(
                self._notebook,
                name,
                as_=as_,
                description=wanted.about,
                about_columns=wanted.about_columns,
                follow=wanted.follow,
            )
            if note:
                output.show_line(note)

        self._list()

    @line_magic
    def mcp_about(self, line: str) -> None:
        """Tell Claude, in your words, what the tables of a connected server hold.

        %mcp_about shop.orders columns.csv   what columns mean: CSV, TSV or JSON with a
                                             column's name and its description
        %mcp_about shop columns.csv          of several tables: with a column `table`
        %mcp_about shop.orders --about 'Orders since 2019'
        %mcp_about shop --forget             take it back
        %mcp_about                           what is told

        It stands in the system prompt while the server is connected. A server's tables
        are not looked at for it, so names that they do not have are not noticed.
        """
        shared_tables.describe_server(self._notebook, line)
        found = shared_tables.server_rows(self._notebook)
        nothing = "Nothing is told of servers' tables: %mcp_about SERVER.TABLE FILE."
        output.show_rows(found, empty=nothing)

    @line_magic
    def mcp_unshare(self, line: str) -> None:
        """Take tables back: %mcp_unshare orders."""
        shared_tables.unshare(self._notebook, shlex.split(line))
        self._list()

    @line_magic
    def mcp_shared(self, line: str) -> None:
        """List the tables that can be queried: kind, rows, columns, masked columns, who
        sees them, when last used.
        """
        self._list()

    @line_magic
    def mcp_serve(self, line: str) -> None:
        """Serve the tables that you shared to MCP clients outside, read-only, behind a token.

        %mcp_serve [--port N]    listens on this machine only and shows how clients connect
        %mcp_serve --status      where it listens, what is shared
        %mcp_serve --stop
        """
        words = line.split()
        if words == ["--stop"]:
            served = self._address is not None
            self.stop()
            output.show_line(
                "The shared tables are no longer served outside."
                if served
                else "Nothing was served outside."
            )
        elif words == ["--status"]:
            self._status()
        elif not words or (
            len(words) == 2 and words[0] == "--port" and words[1].isdigit()
        ):
            self._start(int(words[1]) if words else 0)
        else:
            raise ConfigError(
                "Write %mcp_serve, %mcp_serve --port N, %mcp_serve --status or %mcp_serve --stop."
            )

    def _list(self) -> None:
        found = shared_tables.rows(self._notebook, served=self._address is not None)
        nothing = "Claude can query no table yet: ask a question, or %mcp_share NAME."
        output.show_rows(found, empty=nothing)

    @property
    def _address(self) -> Address | None:
        if self._server is not None:
            return self._server.address

        return None

    def _start(self, port: int) -> None:
        """Serve on loopback and show how clients connect; the token stands in a private
        file, never in the output.
        """
        # loads mcp, uvicorn and duckdb
        from mcp_notebook.sharing import http_server

        # Clients were told the old address: it is not changed under them.
        if port and self._address is not None and f":{port}/" not in self._address.url:
            raise ConfigError(
                f"The tables are served on {self._address.url} already: %mcp_serve --stop first."
            )

        if self._server is None:
            self._server = http_server.OutsideServer(
                self._notebook.catalog,
                mask=lambda: self._notebook.veil.patterns,
                known=self._notebook.veil.known,
            )

        # Several notebooks may serve: a client tells them by this name.
        path = self._notebook.path()
        address = loop.run(
            self._server.start(
                http_server.connection_folder(),
                port=port,
                notebook=str(path) if path else "",
            )
        )
        self._status()
        configured = http_server.client_configuration(
            address.connection_file, path.stem if path else ""
        )
        for client, (file, held) in configured.items():
            output.show_line(f"{client}: {file}\n{_write_json(held)}")

    def _status(self) -> None:
        address = self._address
        if address is None:
            output.show_line("Nothing is served outside: %mcp_serve does it.")
            return

        names = [
            entry.name for entry in self._notebook.catalog if entry.origin == "shared"
        ]
        shared = ", ".join(names) or "none yet; %mcp_share NAME"
        output.show_line(
            f"Serving on {address.url} (SSE: {address.sse_url}), read-only, with the token in "
            f"{address.connection_file}\nShared tables: {shared}"
        )

    def stop(self) -> None:
        """Close the port and remove the token's file."""
        # Taken away first: a stop that is interrupted is not tried on half a server.
        server, self._server = self._server, None
        if server is not None:
            loop.run(server.stop())


def _write_json(held: Any) -> str:
    """JSON over several lines, with each list on one."""
    return re.sub(
        r"\[[^\[\]{}]*\]",
        lambda found: json.dumps(json.loads(found[0])),
        json.dumps(held, indent=2),
    )
