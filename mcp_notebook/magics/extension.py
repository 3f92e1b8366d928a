"""Registers magics with their help, settings, completion and the await hook with IPython,
and takes them all back.

Loading costs a few milliseconds: every magic is registered as one that makes the real
ones at its first use.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from IPython.core.completer import context_matcher
from IPython.core.error import UsageError
from IPython.display import display
from traitlets.config import Config

from mcp_notebook.config.options import split_words
from mcp_notebook.errors import ConfigError, unknown_option
from mcp_notebook.notebook import shells
from mcp_notebook.notebook.options import MCPNotebook, options_of

if TYPE_CHECKING:
    from mcp_notebook.magics.families import Families
    from mcp_notebook.notebook.state import Notebook

LINE_MAGICS = tuple(
    """
    claude claude_cost claude_fork claude_history claude_record claude_rerun
    mcp_about mcp_approvals mcp_call mcp_connect mcp_disconnect mcp_discover mcp_doctor
    mcp_freeze mcp_lint mcp_log mcp_preview mcp_prompt
    mcp_read mcp_resources mcp_search mcp_serve mcp_share mcp_shared mcp_show mcp_status mcp_tools
    mcp_unshare
""".split()
)
CELL_MAGICS = ("claude", "mcp_sql")
_NAMES = (("line", "%", LINE_MAGICS), ("cell", "%%", CELL_MAGICS))
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

            self._families = Families(self._shell, self._settings, self._awaiting.take)
            self._families.register()
            self._add_help()

        return self._families

    def register(self) -> None:
        """Hook everything into IPython."""
        shell = self._shell
        for kind, _, names in _NAMES:
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

    def _add_help(self) -> None:
        """Let the magics that are there now answer `--help`."""
        known = self._shell.magics_manager.magics
        for kind, sign, names in _NAMES:
            for name in names:
                known[kind][name] = with_help(known[kind][name], sign + name)

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

        for kind, _, names in _NAMES:
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
        # Before the families are made: Tab in plain code must not pay for them.
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
            # Two frames up, as the caller of `run_line_magic` sees its variables.
            words = (
                self._extension.families.notebook.shell.var_expand(words[0], 2),
                *words[1:],
            )

        return real(*words)


_loaded: dict[int, Extension] = {}


def load(shell: Any) -> None:
    """Register everything; loading twice does nothing."""
    # `%load_ext` twice, or by `mcp_notebook.call` before the magic, is no error.
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


# Lets a whole-cell `%%claude` be awaited by IPython, so that buttons and interrupts work
# while it runs.
#
# IPython decides by the transformed text whether a cell is async, so a text transformer
# puts the `await` there. Only a cell that is nothing but `run_cell_magic('claude', ...)`
# (what IPython makes of `%%claude`) is rewritten: nested in `%%time`, functions or loops
# the magic stays synchronous.

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
        # A cell that raised before its magic took the mark must not leave it to the
        # next.
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
    # Every cell comes by here: most are told by a search, without a parser.
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


# `--help` for every magic, and options that do not exist: said in a sentence, with the one
# that was probably meant.

ASKS = {"--help", "-h"}


def with_help(magic: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The magic called `name` (`%mcp_log`, `%%claude`), with `--help` alone on its line
    answered.
    """

    @functools.wraps(magic)
    def call_magic(line: str, *cell: str) -> Any:
        if line.strip() in ASKS:
            display({"text/plain": text_of(magic, name)}, raw=True)
            return None

        try:
            return magic(line, *cell)
        except UsageError as error:
            raise _clear(str(error), name, options_of(magic)) from None

    return call_magic


def text_of(magic: Callable[..., Any], name: str) -> str:
    """A magic's docstring as it is read in a cell."""
    text = inspect.cleandoc(magic.__doc__ or "").removeprefix("::\n\n")
    # IPython's magic_arguments puts the usage first, with one % whatever the kind.
    if text.startswith("  %"):
        return inspect.cleandoc(text.replace(f"%{name.lstrip('%')}", name, 1))
    return text


def _clear(said: str, name: str, known: Iterable[str]) -> ConfigError:
    if name.startswith("%%"):
        more = f"{name}? lists what there is."
    else:
        more = f"{name} --help lists what there is."

    what, _, words = said.partition(": ")
    odd = [word for word in split_words(words) if word.startswith("-")]
    if what == "unrecognized arguments" and odd:
        return ConfigError(f"{unknown_option(odd[0], known)} {more}")

    said = said.strip()
    return ConfigError(f"{said[:1].upper()}{said[1:]}. {more}")
