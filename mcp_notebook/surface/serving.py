"""`%mcp_serve`: the shared tables for MCP clients outside the notebook."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class

from mcp_notebook import loop
from mcp_notebook.errors import ConfigError
from mcp_notebook.surface import showing
from mcp_notebook.surface.notebook import Notebook

if TYPE_CHECKING:
    from mcp_notebook.server.outside import OutsideServer


@magics_class
class ServingMagics(Magics):
    """The server for outside clients of one kernel, started when it is asked for."""

    def __init__(self, shell: Any, notebook: Notebook) -> None:
        super().__init__(shell)
        self._notebook = notebook
        self._server: OutsideServer | None = None

    @line_magic
    def mcp_serve(self, line: str) -> None:
        """Serve the tables that you shared to MCP clients outside, read-only, behind a token.

        %mcp_serve [--port N]    listens on this machine only and shows how clients connect
        %mcp_serve --stop
        """
        words = line.split()
        if words == ["--stop"]:
            self.stop()
            showing.line("The shared tables are no longer served outside.")
        elif not words or (len(words) == 2 and words[0] == "--port" and words[1].isdigit()):
            self._start(int(words[1]) if words else 0)
        else:
            raise ConfigError("Write %mcp_serve, %mcp_serve --port N or %mcp_serve --stop.")

    def _start(self, port: int) -> None:
        """Serve on loopback and show how clients connect; the token stands in a private file, never in the output."""
        from mcp_notebook.server.outside import OutsideServer, client_configuration  # loads mcp, uvicorn and duckdb

        if self._server is None:
            self._server = OutsideServer(self._notebook.catalog, mask=lambda: tuple(self._notebook.settings.mask))
        address = loop.run(self._server.start(connection_folder(), port=port))
        shared = ", ".join(self._notebook.catalog.only("shared").names()) or "none yet; %mcp_share NAME"
        showing.line(
            f"Serving on {address.url} (SSE: {address.sse_url}), read-only, with the token in "
            f"{address.connection_file}\nShared tables: {shared}\n\n"
            f"{json.dumps(client_configuration(address.connection_file), indent=2)}"
        )

    def stop(self) -> None:
        """Close the port and remove the token's file."""
        server, self._server = self._server, None
        if server is not None:
            loop.run(server.stop())


def connection_folder() -> Path:
    """A private folder of this user for connection files."""
    base = os.environ.get("XDG_RUNTIME_DIR") or Path.home() / ".cache"
    folder = Path(base) / "mcp-notebook"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
