"""`%%claude` and what belongs to its conversation."""

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
from mcp_notebook.surface.ask import Ask, check_name
from mcp_notebook.surface.awaiting import AwaitTransformer
from mcp_notebook.surface.cell import CellRun
from mcp_notebook.surface.notebook import Notebook


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
    @argument(
        "--into",
        default="",
        help="name for the cell's last table, or for its value with --as",
    )
    @argument(
        "--as",
        dest="form",
        default="",
        help="type of the answer, e.g. list[int] or a pydantic model of yours",
    )
    @argument("--new", action="store_true", help="start a new conversation")
    @argument(
        "--dry-run",
        action="store_true",
        help="print what would be sent, its tokens and cost",
    )
    @argument("-m", "--model", default="", help="model of this cell")
    @argument(
        "--effort",
        default="",
        choices=["", "low", "medium", "high", "xhigh", "max"],
        help="how hard to think",
    )
    @argument(
        "-s", "--servers", default="", help="comma separated; only these servers' tools"
    )
    @argument(
        "--allow",
        action="append",
        default=[],
        help="tools that run without asking, e.g. 'web.read_*'",
    )
    @argument(
        "--rows-to-model",
        type=int,
        default=None,
        help="rows of each table that the model is shown",
    )
    @argument("--max-iterations", type=int, default=None, help="model turns at most")
    @argument("--max-calls", type=int, default=None, help="tool calls at most")
    @argument("--max-seconds", type=float, default=None, help="seconds at most")
    @argument(
        "--max-tokens",
        type=int,
        default=None,
        help="tokens at most, in and out together",
    )
    @argument("--max-usd", type=float, default=None, help="dollars at most")
    @argument(
        "--replay",
        action="store_true",
        help="take the recorded turns even if a model could answer",
    )
    def claude(self, line: str, cell: str) -> Any:
        """Ask Claude; it may call the tools of the connected servers, whose tables come
        into the notebook.
        """
        awaited = self._awaiting.take()
        options = parse_argstring(self.claude, line)
        ask = Ask(
            prompt=" ".join([*(_unquoted(w) for w in options.prompt), cell]).strip(),
            into=check_name(options.into),
            form=_unquoted(options.form),
            dry_run=options.dry_run,
            model=options.model,
            effort=options.effort,
            servers=tuple(s for s in options.servers.split(",") if s),
            allow=tuple(_unquoted(p) for p in options.allow),
            rows_to_model=options.rows_to_model,
            max_iterations=options.max_iterations,
            max_calls=options.max_calls,
            max_seconds=options.max_seconds,
            max_tokens=options.max_tokens,
            max_usd=options.max_usd,
            replay=options.replay,
        )
        if not ask.prompt:
            raise ConfigError("The cell holds no question; write it below %%claude.")
        if options.new:
            self._notebook.conversation.clear()
        run = CellRun(self._notebook, ask)
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


def _unquoted(word: str) -> str:
    # IPython's magic_arguments keeps the quotes of a quoted word.
    quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "'\""
    return word[1:-1] if quoted else word
