"""`%%claude` and what belongs to its conversation."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from IPython.core.magic import (
    Magics,
    cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from mcp_notebook.errors import ConfigError
from mcp_notebook.surface import accounts, showing
from mcp_notebook.surface.awaiting import AwaitTransformer
from mcp_notebook.surface.cell import CellRun
from mcp_notebook.surface.notebook import Notebook
from mcp_notebook.surface.options import OPTIONS, AskOption, AskOptions


def question_arguments(magic: Any) -> Any:
    """Declares the options of a question as arguments of a magic."""
    for option in reversed(OPTIONS.values()):
        if option.flags:
            magic = argument(*option.flags, **_argument_of(option))(magic)
    return magic


def _argument_of(option: AskOption) -> dict[str, Any]:
    """What argparse is told. Without a default: what is not on the line stays open."""
    told: dict[str, Any] = {
        "dest": option.name,
        "default": None,
        "help": option.help.replace("%", "%%"),
    }
    if option.kind is bool:
        return {**told, "action": "store_true"}
    if option.unit:
        return {**told, "type": option.kind, "metavar": option.unit.upper()}
    told["type"] = _comma_separated if option.commas else _unquoted
    if option.choices:
        told["choices"] = option.choices
    if option.adds:
        told["action"] = "append"
    return told


def question(found: argparse.Namespace, cell: str) -> AskOptions:
    """The question of a line and its cell; raises ConfigError."""
    given = {n: v for n, v in vars(found).items() if v is not None}
    words = [_unquoted(word) for word in given.pop("prompt", ())]
    options = AskOptions(" ".join([*words, cell]), **given)
    if not options.prompt:
        raise ConfigError("The cell holds no question; write it below %%claude.")
    return options


def _unquoted(word: str) -> str:
    # IPython's magic_arguments keeps the quotes of a quoted word.
    quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "'\""
    return word[1:-1] if quoted else word


def _comma_separated(text: str) -> tuple[str, ...]:
    return tuple(name for name in _unquoted(text).split(",") if name)


@magics_class
class ClaudeMagics(Magics):
    """Asking, the conversation, its cost."""

    def __init__(
        self, shell: Any, notebook: Notebook, awaiting: AwaitTransformer
    ) -> None:
        super().__init__(shell)
        self._notebook = notebook
        self._awaiting = awaiting

    @no_var_expand
    @cell_magic
    @magic_arguments()
    @argument("prompt", nargs="*", help="a short prompt may stand on the line itself")
    @question_arguments
    def claude(self, line: str, cell: str) -> Any:
        """Ask Claude; it may call the tools of the connected servers, whose tables come
        into the notebook.
        """
        awaited = self._awaiting.take()
        options = question(parse_argstring(self.claude, line), cell)
        if options.new:
            self._notebook.conversation.clear()
        run = CellRun(self._notebook, options)
        return run.in_awaited_cell() if awaited else run.in_blocking_cell()

    @line_magic
    def claude_history(self, line: str) -> None:
        """Show the conversation so far, one row a turn, as the model has it."""
        accounts.history(self._notebook)

    @line_magic
    def claude_fork(self, line: str) -> None:
        """Go on in a branch of the conversation, or back in one: %claude_fork NAME;
        alone it lists them.
        """
        accounts.fork(self._notebook, line.strip())

    @line_magic
    def claude_cost(self, line: str) -> Any:
        """What was taken, as a DataFrame: %claude_cost, %claude_cost server, %claude_cost tool."""
        return accounts.costs(self._notebook, line.strip() or "cell")

    @line_magic
    def mcp_approvals(self, line: str) -> None:
        """List the tools that are allowed for good, or take them back: %mcp_approvals
        forget SERVER[.TOOL].
        """
        accounts.approvals(self._notebook, shlex.split(line))

    @line_magic
    def claude_record(self, line: str) -> None:
        """Record the model's turns for a replay without a key: %claude_record on
        [FILE], off, or nothing for status.
        """
        words = shlex.split(line)
        if words[:1] == ["on"]:
            self._notebook.recording = (
                Path(words[1]) if len(words) > 1 else self._notebook.record_file()
            )
        elif words == ["off"]:
            self._notebook.recording = None
        elif words:
            raise ConfigError(
                "Write %claude_record on [FILE], %claude_record off or %claude_record."
            )
        showing.recording(self._notebook)
