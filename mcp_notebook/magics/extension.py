"""Registers magics, settings, completion and the await hook with IPython, and takes them all back.

Loading costs a few milliseconds: every magic is registered as one that makes the real
ones at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.completer import context_matcher
from traitlets.config import Config

from mcp_notebook.magics.await_transformer import AwaitTransformer, ask_in_line
from mcp_notebook.notebook import shells
from mcp_notebook.notebook.options import MCPNotebook

if TYPE_CHECKING:
    from mcp_notebook.magics.families import Families
    from mcp_notebook.notebook.state import Notebook

LINE_MAGICS = tuple(
    """
    claude claude_cost claude_fork claude_history claude_record claude_rerun
    mcp_approvals mcp_call mcp_connect mcp_disconnect mcp_discover mcp_doctor mcp_freeze
    mcp_log mcp_preview mcp_prompt
    mcp_read mcp_resources mcp_serve mcp_share mcp_shared mcp_status mcp_tools
    mcp_unshare
""".split()
)
CELL_MAGICS = ("claude", "mcp_sql")
NO_EXPANSION = "_ipython_magic_no_var_expand"  # what IPython's @no_var_expand sets


class Extension:
    """What is registered with one shell, from `%load_ext` to `%unload_ext`."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._settings = _settings(shell)
        self._awaiting = AwaitTransformer()
        self._matcher = _matcher_for(self)
        self._families: Families | None = None

    @property
    def families(self) -> Families:
        """The magics and their state, made when they are first needed."""
        if self._families is None:
            # 60 ms of imports: only who uses a magic pays
            from mcp_notebook.magics.families import Families

            self._families = Families(self._shell, self._settings, self._awaiting)
            self._families.register()

        return self._families

    def register(self) -> None:
        """Hook everything into IPython."""
        shell = self._shell
        for kind, names in (("line", LINE_MAGICS), ("cell", CELL_MAGICS)):
            for name in names:
                shell.magics_manager.magics[kind][name] = FirstUse(self, kind, name)

        shell.configurables.append(self._settings)
        shell.input_transformers_post.append(self._awaiting)
        shell.input_transformers_cleanup.append(ask_in_line)
        shell.events.register("pre_run_cell", self._awaiting.before_cell)
        shell.events.register("post_run_cell", self._awaiting.after_cell)
        shell.events.register("post_run_cell", self._adopt)
        # The cell that loads us is running: what it transforms from here on is nested in it.
        self._awaiting.before_cell()
        if getattr(shell, "Completer", None) is not None:
            shell.Completer.custom_matchers.append(self._matcher)

    def remove(self) -> None:
        """Take everything back and close the sessions."""
        shell = self._shell
        shell.configurables.remove(self._settings)
        shell.input_transformers_post.remove(self._awaiting)
        shell.input_transformers_cleanup.remove(ask_in_line)
        shell.events.unregister("pre_run_cell", self._awaiting.before_cell)
        shell.events.unregister("post_run_cell", self._awaiting.after_cell)
        shell.events.unregister("post_run_cell", self._adopt)
        if getattr(shell, "Completer", None) is not None:
            shell.Completer.custom_matchers.remove(self._matcher)

        for kind, names in (("line", LINE_MAGICS), ("cell", CELL_MAGICS)):
            for name in names:
                shell.magics_manager.magics[kind].pop(name, None)

        if self._families is not None:
            self._families.close()

    def _adopt(self, _: Any = None) -> None:
        """`post_run_cell`: tables that the cell's own code was given can be queried by
        the names it gave them.
        """
        if self._families is not None:
            self._families.notebook.adopt()

    def complete(self, context: Any) -> Any:
        """Completions in a cell that begins with a magic; other cells are none of ours."""
        if not context.full_text.lstrip().startswith("%"):
            return {"completions": []}
        return self.families.complete(context)


def _matcher_for(extension: Extension) -> Any:
    def matcher(context: Any) -> Any:
        return extension.complete(context)

    # IPython types the decorator for its older matchers, which take a text.
    mark: Any = context_matcher(identifier="mcp_notebook", priority=100)
    return mark(matcher)


class FirstUse:
    """A magic that becomes the real one when it is called or asked for its help."""

    def __init__(self, extension: Extension, kind: str, name: str) -> None:
        self._extension, self._kind, self.__name__ = extension, kind, name
        # the real magic expands what it wants expanded
        setattr(self, NO_EXPANSION, True)

    @property
    def _real(self) -> Any:
        manager = self._extension.families.notebook.shell.magics_manager
        return manager.magics[self._kind][self.__name__]

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return self._real.__doc__

    def __call__(self, *words: str) -> Any:
        real = self._real
        if self._kind == "line" and not getattr(real, NO_EXPANSION, False):
            words = (
                self._extension.families.notebook.shell.var_expand(words[0], 2),
                *words[1:],
            )

        return real(*words)


_loaded: dict[int, Extension] = {}


def load(shell: Any) -> None:
    """Register everything; loading twice does nothing."""
    if id(shell) not in _loaded:
        extension = Extension(shell)
        _loaded[id(shell)] = extension
        extension.register()
        shells.provide_state(shell, lambda: extension.families.notebook)


def unload(shell: Any) -> None:
    """Take everything back and close the sessions."""
    shells.withdraw_state(shell)
    extension = _loaded.pop(id(shell), None)
    if extension is not None:
        extension.remove()


def notebook_of(shell: Any) -> Notebook | None:
    """The state behind a shell's magics, or None where the extension is not loaded."""
    return shells.find_state(shell)


def _settings(shell: Any) -> MCPNotebook:
    """The settings; a bad value that an earlier `%config` left behind falls back to its
    default with a warning.
    """
    try:
        settings = MCPNotebook(parent=shell)
    except Exception as error:
        # boundary: traitlets raises TraitError, and whatever a validator raises
        shell.log.warning(
            "mcp-notebook: a setting is not valid and was ignored: %s", error
        )
        settings = MCPNotebook(config=Config())

    settings.observe(
        lambda change: shells.enable_nested_asyncio() if change.new else None,
        names="nested_asyncio",
    )
    if settings.nested_asyncio:
        shells.enable_nested_asyncio()

    return settings
