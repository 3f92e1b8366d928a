"""Registers magics, settings, completion and the await hook with IPython, and takes them all back."""

from dataclasses import dataclass
from typing import Any

from traitlets.config import Config

from mcp_notebook import loop
from mcp_notebook.surface import nesting
from mcp_notebook.surface.awaiting import AwaitTransformer
from mcp_notebook.surface.claude_magics import ClaudeMagics
from mcp_notebook.surface.completion import matcher_for
from mcp_notebook.surface.magics import MCPMagics
from mcp_notebook.surface.notebook import Notebook
from mcp_notebook.surface.server_magics import ServerMagics
from mcp_notebook.surface.serving import ServingMagics
from mcp_notebook.surface.settings import MCPNotebook


@dataclass
class Loaded:
    """What was registered with one shell."""

    notebook: Notebook
    awaiting: AwaitTransformer
    matcher: Any
    magics: list[Any]
    serving: ServingMagics


_loaded: dict[int, Loaded] = {}


def load(shell: Any) -> None:
    """Register everything; loading twice does nothing."""
    if id(shell) in _loaded:
        return
    settings = _settings(shell)
    notebook = Notebook(shell, settings)
    awaiting = AwaitTransformer()
    matcher = matcher_for(notebook)
    serving = ServingMagics(shell, notebook)
    claude = ClaudeMagics(shell, notebook, awaiting)
    magics: list[Any] = [claude, MCPMagics(shell, notebook), ServerMagics(shell, notebook), serving]
    shell.register_magics(*magics)
    shell.configurables.append(settings)
    shell.input_transformers_post.append(awaiting)
    shell.events.register("pre_run_cell", awaiting.before_cell)
    shell.events.register("post_run_cell", awaiting.after_cell)
    # The cell that loads us is running: what it transforms from here on is nested in it.
    awaiting.before_cell()
    if getattr(shell, "Completer", None) is not None:
        shell.Completer.custom_matchers.append(matcher)
    _loaded[id(shell)] = Loaded(notebook, awaiting, matcher, magics, serving)


def unload(shell: Any) -> None:
    """Take everything back and close the sessions."""
    loaded = _loaded.pop(id(shell), None)
    if loaded is None:
        return
    shell.configurables.remove(loaded.notebook.settings)
    shell.input_transformers_post.remove(loaded.awaiting)
    shell.events.unregister("pre_run_cell", loaded.awaiting.before_cell)
    shell.events.unregister("post_run_cell", loaded.awaiting.after_cell)
    if getattr(shell, "Completer", None) is not None:
        shell.Completer.custom_matchers.remove(loaded.matcher)
    for registered in loaded.magics:
        for kind, names in registered.magics.items():
            for name in names:
                shell.magics_manager.magics[kind].pop(name, None)
    loaded.serving.stop()
    loop.run(loaded.notebook.sessions.close_all())


def notebook_of(shell: Any) -> Notebook | None:
    """The state behind a shell's magics, or None where the extension is not loaded."""
    loaded = _loaded.get(id(shell))
    return loaded.notebook if loaded else None


def _settings(shell: Any) -> MCPNotebook:
    """The settings; a bad value that an earlier `%config` left behind falls back to its default with a warning."""
    try:
        settings = MCPNotebook(parent=shell)
    except Exception as error:  # boundary: traitlets raises TraitError, and whatever a validator raises
        shell.log.warning("mcp-notebook: a setting is not valid and was ignored: %s", error)
        settings = MCPNotebook(config=Config())
    settings.observe(lambda change: nesting.enable() if change.new else None, names="nested_asyncio")
    if settings.nested_asyncio:
        nesting.enable()
    return settings
