"""The families of magics, and the state of one shell behind them, made at the first use
of any: loading this takes 60 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp_notebook import loop
from mcp_notebook.magics.claude import ClaudeMagics
from mcp_notebook.magics.completion import ServerCompletions, complete
from mcp_notebook.magics.connections import MCPMagics
from mcp_notebook.magics.freezing import FreezeMagics
from mcp_notebook.magics.resources import ServerMagics
from mcp_notebook.magics.sharing import ServingMagics
from mcp_notebook.notebook.options import MCPNotebook
from mcp_notebook.notebook.state import Notebook

_FRAME = ("pandas", "DataFrame")

FAMILIES = (ClaudeMagics, MCPMagics, ServerMagics, ServingMagics, FreezeMagics)


class Families:
    """The kernel's state, its magics and what completes in them."""

    def __init__(
        self, shell: Any, settings: MCPNotebook, take_await: Callable[[], bool]
    ) -> None:
        self.notebook = Notebook(shell, settings)
        self._shows: Any = None
        # one for the kernel: it remembers what servers listed
        self._offers = ServerCompletions(self.notebook)
        self._serving = ServingMagics(shell, self.notebook)
        self._magics = [
            ClaudeMagics(shell, self.notebook, take_await),
            MCPMagics(shell, self.notebook),
            ServerMagics(shell, self.notebook),
            self._serving,
            FreezeMagics(shell, self.notebook),
        ]

    def register(self) -> None:
        """Register the magics in place of those that waited for their first use, and how
        a table that a call gave is shown.
        """
        shell = self.notebook.shell
        shell.register_magics(*self._magics)
        formatter = shell.display_formatter.mimebundle_formatter
        show = self._show_frame
        # By name: pandas loads with the first table. What another package shows
        # DataFrames with goes first.
        if _FRAME not in formatter.deferred_printers:
            formatter.for_type_by_name(*_FRAME, show)
            self._shows = show

    def complete(self, context: Any) -> Any:
        """Completions at a place of a cell, for IPython's matcher interface."""
        text, line, column = (
            context.full_text,
            context.cursor_line,
            context.cursor_position,
        )
        return complete(self.notebook, text, line, column, self._offers)

    def close(self) -> None:
        """Stop serving and close the sessions and the connections to models."""
        # Nobody is let in any more before what is asked there closes.
        self._serving.stop()
        self._show_as_before()
        loop.run(self.notebook.sessions.close_all())
        loop.run(self.notebook.clients.close())

    def _show_frame(self, frame: Any) -> Any:
        return self.notebook.table_cards.frame_bundle(self.notebook, frame)

    def _show_as_before(self) -> None:
        formatter = self.notebook.shell.display_formatter.mimebundle_formatter
        deferred, known = formatter.deferred_printers, formatter.type_printers
        if deferred.get(_FRAME) == self._shows:
            deferred.pop(_FRAME, None)
        for kind in [kind for kind, show in known.items() if show == self._shows]:
            known.pop(kind)
