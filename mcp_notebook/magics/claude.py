"""`%%claude` and what belongs to its conversation."""

from __future__ import annotations

import argparse
import re
import shlex
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.display import display

from mcp_notebook.agent import backends
from mcp_notebook.agent.conversation import transcript
from mcp_notebook.display.listing import history_bundle, status_table_html
from mcp_notebook.errors import ConfigError
from mcp_notebook.notebook import output
from mcp_notebook.notebook.cell import CellRun
from mcp_notebook.notebook.options import OPTIONS, AskOption, AskOptions
from mcp_notebook.notebook.stale import stale_cells
from mcp_notebook.notebook.state import Notebook, cell_id

# A word of a line: in quotes, or up to the next space, with the space before it.
_WORD = re.compile(r"""\s*(?:"[^"]*"(?=\s|$)|'[^']*'(?=\s|$)|\S+)""")
_OPTION = re.compile(r"--[a-zA-Z][\w-]*|-h")
_LIST = re.compile(r"--into[ =]\s*\w+(?:\s*,\s*\w+)+")
_FLAGS = {flag: option for option in OPTIONS.values() for flag in option.flags}


def question_arguments(magic: Any) -> Any:
    """Declares the options of a question as arguments of a magic."""
    # IPython lists arguments from the outermost decorator inwards.
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

    told["type"] = _comma_separated if option.commas else _strip_quotes
    if option.choices:
        told["choices"] = option.choices

    if option.adds:
        told["action"] = "append"

    return told


def question(parser: Any, line: str, cell: str) -> AskOptions:
    """The question of a line and its cell; raises ConfigError and UsageError."""
    words, said = split_line(line)
    found: argparse.Namespace = parser.parse_args(words)
    # What is not on the line stays open, for the setting of its name.
    given = {n: v for n, v in vars(found).items() if v is not None}
    # Declared for the help; the words are taken as written by `split_line`.
    given.pop("prompt", None)
    options = AskOptions(f"{said} {cell}".strip(), **given)
    if not options.prompt:
        raise ConfigError("The cell holds no question; write it below %%claude.")

    return options


def split_line(line: str) -> tuple[list[str], str]:
    """The options of a line, for its parser, and the question on it: every other word,
    as it is written. An apostrophe is a letter there.
    """
    options: list[str] = []
    said: list[str] = []
    words = [(m[0].strip(), m[0]) for m in _WORD.finditer(_close_lists(line))]
    while words:
        word, written = words.pop(0)
        flag, equals, _ = word.partition("=")
        known = _FLAGS.get(flag)
        if known is None and not _OPTION.fullmatch(flag):
            said.append(written)
            continue

        options.append(word)
        if known is not None and known.kind is not bool and not equals and words:
            options.append(words.pop(0)[0])

    return options, _strip_quotes("".join(said).strip())


def _close_lists(line: str) -> str:
    """The line with its lists of names without spaces: `--into a, b`."""
    return _LIST.sub(lambda m: re.sub(r"\s*,\s*", ",", m[0]), line)


def _strip_quotes(word: str) -> str:
    # IPython's magic_arguments keeps the quotes of a quoted word.
    quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "'\""
    if quoted:
        return word[1:-1]
    return word


def _comma_separated(text: str) -> tuple[str, ...]:
    return tuple(name for name in _strip_quotes(text).split(",") if name)


@magics_class
class ClaudeMagics(Magics):
    """Asking, the conversation, its cost."""

    def __init__(
        self, shell: Any, notebook: Notebook, take_await: Callable[[], bool]
    ) -> None:
        super().__init__(shell)
        self._notebook = notebook
        self._take_await = take_await

    @no_var_expand
    @line_cell_magic
    @magic_arguments()
    @argument("prompt", nargs="*", help="a short prompt may stand on the line itself")
    @question_arguments
    def claude(self, line: str, cell: str = "") -> Any:
        """Ask Claude; it may call the tools of the connected servers, whose tables come
        into the notebook: %%claude, or %claude with the question on its line.
        """
        # Before anything can fail: the next magic must not take this one's turn.
        awaited = self._take_await()
        options = question(self.claude.parser, line, cell)  # type: ignore[attr-defined]
        run = CellRun(self._notebook, options, owner=_owner_of(self._notebook))
        if awaited:
            return run.in_awaited_cell()

        return run.in_blocking_cell()

    @line_magic
    def claude_history(self, line: str) -> None:
        """Show the conversation so far, one row a turn, as the model has it."""
        show_history(self._notebook)

    @line_magic
    def claude_rerun(self, line: str) -> None:
        """Ask the stale cells again, in their order: those that went on from an older run
        of a cell before them, and those whose tables have changed.
        """
        rerun_stale(self._notebook)

    @line_magic
    def claude_fork(self, line: str) -> None:
        """Go on in a branch of the conversation, or back in one: %claude_fork NAME;
        alone it lists them.
        """
        switch_branch(self._notebook, line.strip())

    @line_magic
    def claude_cost(self, line: str) -> Any:
        """What was taken, as a DataFrame: %claude_cost, %claude_cost server, %claude_cost tool."""
        return costs_table(self._notebook, line.strip() or "cell")

    @line_magic
    def mcp_approvals(self, line: str) -> None:
        """List the tools that are allowed for good, or take them back: %mcp_approvals
        forget SERVER[.TOOL].
        """
        show_approvals(self._notebook, shlex.split(line))

    @line_magic
    def claude_record(self, line: str) -> None:
        """Record the model's turns for a replay without a key: %claude_record on
        [FILE] [--tools], off, or nothing for status. --tools keeps what tools give,
        too, for a replay without servers.
        """
        words = shlex.split(line)
        keeps_tools = "--tools" in words
        words = [word for word in words if word != "--tools"]
        notebook = self._notebook
        if words[:1] == ["on"] and len(words) <= 2:
            notebook.recording = Path(words[1]) if words[1:] else notebook.record_file()
            notebook.tape.is_keeping = False
            if keeps_tools:
                notebook.tape.start_keeping()
        elif words == ["off"] and not keeps_tools:
            notebook.recording, notebook.tape.is_keeping = None, False
        elif words or keeps_tools:
            raise ConfigError(
                "Write %claude_record on [FILE] [--tools], %claude_record off or "
                "%claude_record."
            )

        output.show_recording(self._notebook)


def show_approvals(notebook: Notebook, words: Sequence[str]) -> None:
    """The tools that are allowed for the user, or with `forget`, those taken back."""
    if words[:1] == ["forget"] and len(words) == 2:
        server, _, tool = words[1].partition(".")
        count = notebook.grants.forget("" if server == "all" else server, tool)
        output.show_line(f"{count} allowed tool{'s' * (count != 1)} forgotten.")
        return

    if words:
        raise ConfigError(
            "Write %mcp_approvals, or %mcp_approvals forget SERVER[.TOOL], or forget all."
        )

    rows = [
        {"server": g.server, "tool": g.tool, "allowed": g.when} for g in notebook.grants
    ]
    if rows:
        display(status_table_html(rows), raw=True)
        output.show_line(
            f"Kept in {notebook.grants.path}; %mcp_approvals forget SERVER[.TOOL] takes one back."
        )
    else:
        output.show_line(
            "No tool is allowed for good: answer a question with `always`, or set "
            "MCPNotebook.allow."
        )


def costs_table(notebook: Notebook, by: str) -> Any:
    """The sums of the ledger as a DataFrame."""
    if by not in ("cell", "server", "tool"):
        raise ConfigError(
            "Write %claude_cost, or %claude_cost server, or %claude_cost tool."
        )

    output.show_line(_summary(notebook))
    table = notebook.ledger.costs(by)  # type: ignore[arg-type]
    if by == "cell":
        table.insert(
            1, "question", [notebook.questions.get(cell, "") for cell in table["cell"]]
        )

    return table


def _summary(notebook: Notebook) -> str:
    """`6 turns, 4 tool calls, 12,310 tokens in, 78 % of them from the cache, 512 out, $0.0213`."""
    ledger, usages = notebook.ledger, [turn.usage for turn in notebook.ledger.turns]
    cached = sum(u.cache_read for u in usages)
    read = cached + sum(u.input + u.cache_write for u in usages)
    if cached:
        share = f", {100 * cached // read} % of them from the cache"
    else:
        share = ""

    dollars = ledger.dollars()
    if dollars is None:
        cost = "cost unknown: a turn has no known price"
    else:
        cost = f"${dollars:.4f}"

    tokens = f"{read:,} tokens in{share}, {sum(u.output for u in usages):,} out"
    return f"{len(usages)} turns, {len(ledger.calls)} tool calls, {tokens}, {cost}"


def show_history(notebook: Notebook) -> None:
    """The conversation as the model has it, one row a turn, and what it takes of the
    model's window.
    """
    conversation = notebook.conversation
    pieces = transcript(conversation.messages, conversation.tool_names)
    if pieces:
        display(history_bundle(pieces, _length_of(notebook)), raw=True)
    else:
        output.show_line("The conversation is empty.")

    for cell, why in stale_cells(notebook, conversation).items():
        output.show_line(f"stale: {conversation.runs[cell].question} ({why})")


def rerun_stale(notebook: Notebook) -> None:
    """Ask each stale cell again, once; its answer is shown here, its tables get their
    names. One that becomes stale by that is asked after it.
    """
    conversation = notebook.conversation
    done: dict[str, None] = {}
    while waiting := stale_cells(notebook, conversation).keys() - done.keys():
        cell = next(name for name in conversation.runs if name in waiting)
        done[cell] = None
        _ask_again(notebook, cell)

    if not done:
        output.show_line("No cell is stale.")


def _ask_again(notebook: Notebook, cell: str) -> None:
    run = notebook.conversation.runs[cell]
    if None in run.options:
        output.show_line(f"Asked by code, so run its cell again: {run.question}")
        return

    output.show_line(f"Asked again: {run.question}")
    execution = uuid.uuid4().hex  # several questions of a cell are one run of it
    for options in run.options:
        CellRun(notebook, options, owner=cell, execution=execution).in_blocking_cell()


def _owner_of(notebook: Notebook) -> str:
    """The cell that asks: by its id, else each question is a cell of its own."""
    return cell_id(notebook.shell) or f"question {len(notebook.conversation.runs)}"


def _length_of(notebook: Notebook) -> str:
    conversation = notebook.conversation
    if len(notebook.branches) > 1:
        branch = f"branch {notebook.branch} · "
    else:
        branch = ""

    # a person who runs a model of their own knows its window, a table of prices does
    # not
    window = notebook.settings.context_window or _window_of(conversation.model)
    if window:
        full = f", {100 * conversation.tokens / window:.1f} % of the window of {conversation.model}"
    else:
        full = ""

    return f"{branch}{len(conversation.messages)} messages · {conversation.tokens:,} tokens{full}"


def _window_of(model: str) -> int | None:
    # Only where it can be known: the search for an unknown name takes long.
    if model.startswith("claude") or ".claude" in model:
        return backends.window_of(model)
    return None


def switch_branch(notebook: Notebook, name: str) -> None:
    """Go on in the branch of this name: it starts where the conversation is now when
    there is none yet.
    """
    if name and not name.isidentifier():
        raise ConfigError(f"%claude_fork needs a plain name, not {name!r}.")

    if name:
        known = name in notebook.branches
        notebook.switch(name)
        if known:
            said = "back in"
        else:
            said = "forked into"

        output.show_line(
            f"{said} {name!r}, {len(notebook.conversation.messages)} messages"
        )
        return

    for branch, conversation in notebook.branches.items():
        if branch == notebook.branch:
            mark = "*"
        else:
            mark = " "

        output.show_line(f"{mark} {branch}: {len(conversation.messages)} messages")
