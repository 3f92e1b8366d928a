"""Everything behind the magics of one shell, put together at their first use."""

from dataclasses import dataclass
from typing import Any

from mcp_notebook import loop
from mcp_notebook.surface.awaiting import AwaitTransformer
from mcp_notebook.surface.claude_magics import ClaudeMagics
from mcp_notebook.surface.completion import complete
from mcp_notebook.surface.freeze_magics import FreezeMagics
from mcp_notebook.surface.help import helped
from mcp_notebook.surface.magics import MCPMagics
from mcp_notebook.surface.notebook import Notebook
from mcp_notebook.surface.offers import Offers
from mcp_notebook.surface.server_magics import ServerMagics
from mcp_notebook.surface.serving import ServingMagics
from mcp_notebook.surface.settings import MCPNotebook


@dataclass
class Parts:
    """The kernel's state, its magics and what completes in them."""

    notebook: Notebook
    serving: ServingMagics
    magics: list[Any]
    offers: Offers

    def complete(self, context: Any) -> Any:
        """Completions at a place of a cell, for IPython's matcher interface."""
        return complete(
            self.notebook,
            context.full_text,
            context.cursor_line,
            context.cursor_position,
            self.offers,
        )

    def close(self) -> None:
        """Stop serving and close the sessions and the connections to models."""
        self.serving.stop()
        loop.run(self.notebook.sessions.close_all())
        loop.run(self.notebook.clients.close())


def build(shell: Any, settings: MCPNotebook, awaiting: AwaitTransformer) -> Parts:
    """Make the state and the magics, and register the magics in place of those that
    waited for their first use.
    """
    notebook = Notebook(shell, settings)
    serving = ServingMagics(shell, notebook)
    claude = ClaudeMagics(shell, notebook, awaiting)
    magics: list[Any] = [
        claude,
        MCPMagics(shell, notebook),
        ServerMagics(shell, notebook),
        serving,
    ]
    magics.append(FreezeMagics(shell, notebook))
    shell.register_magics(*magics)
    known = shell.magics_manager.magics
    for one in magics:
        for kind, sign in (("line", "%"), ("cell", "%%")):
            for name in one.magics[kind]:
                known[kind][name] = helped(known[kind][name], sign + name)
    return Parts(notebook, serving, magics, Offers(notebook))
