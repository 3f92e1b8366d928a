"""What was allowed, what it cost, and the branches of the conversation, as the person sees them."""

from collections.abc import Sequence
from typing import Any

from IPython.display import display

from mcp_notebook.errors import ConfigError
from mcp_notebook.surface.notebook import Notebook
from mcp_notebook.surface.showing import line


def approvals(notebook: Notebook, words: Sequence[str]) -> None:
    """The tools that are allowed for the user, or with `forget`, those taken back."""
    from mcp_notebook.display import status_table_html

    if words[:1] == ["forget"] and len(words) == 2:
        server, _, tool = words[1].partition(".")
        count = notebook.grants.forget("" if server == "all" else server, tool)
        line(f"{count} allowed tool{'s' * (count != 1)} forgotten.")
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
        line(
            f"Kept in {notebook.grants.path}; %mcp_approvals forget SERVER[.TOOL] takes one back."
        )
    else:
        line(
            "No tool is allowed for good: answer a question with `always`, or set MCPNotebook.allow."
        )


def costs(notebook: Notebook, by: str) -> Any:
    """The sums of the ledger as a DataFrame."""
    if by not in ("cell", "server", "tool"):
        raise ConfigError(
            "Write %claude_cost, or %claude_cost server, or %claude_cost tool."
        )
    line(_summary(notebook))
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
    share = f", {100 * cached // read} % of them from the cache" if cached else ""
    dollars = ledger.dollars()
    cost = (
        "cost unknown: a turn has no known price"
        if dollars is None
        else f"${dollars:.4f}"
    )
    tokens = f"{read:,} tokens in{share}, {sum(u.output for u in usages):,} out"
    return f"{len(usages)} turns, {len(ledger.calls)} tool calls, {tokens}, {cost}"


def history(notebook: Notebook) -> None:
    """The conversation as the model has it, one row a turn, and what it takes of the
    model's window.
    """
    from mcp_notebook.agent.conversation import transcript
    from mcp_notebook.display.history import history_bundle

    conversation = notebook.conversation
    pieces = transcript(conversation.messages)
    if not pieces:
        line("The conversation is empty.")
        return
    display(history_bundle(pieces, _length(notebook)), raw=True)


def _length(notebook: Notebook) -> str:
    conversation = notebook.conversation
    branch = f"branch {notebook.branch} · " if len(notebook.branches) > 1 else ""
    window = notebook.settings.context_window or _window_of(conversation.model)
    full = (
        f", {100 * conversation.tokens / window:.1f} % of the window of {conversation.model}"
        if window
        else ""
    )
    return f"{branch}{len(conversation.messages)} messages · {conversation.tokens:,} tokens{full}"


def _window_of(model: str) -> int | None:
    from mcp_notebook.agent import prices  # slow to load

    return (
        prices.window_of(model)
        if model.startswith("claude") or ".claude" in model
        else None
    )


def fork(notebook: Notebook, name: str) -> None:
    """Go on in the branch of this name: it starts where the conversation is now when
    there is none yet.
    """
    if name and not name.isidentifier():
        raise ConfigError(f"%claude_fork needs a plain name, not {name!r}.")
    if name:
        known = name in notebook.branches
        notebook.switch(name)
        said = "back in" if known else "forked into"
        line(f"{said} {name!r}, {len(notebook.conversation.messages)} messages")
        return
    for branch, conversation in notebook.branches.items():
        mark = "*" if branch == notebook.branch else " "
        line(f"{mark} {branch}: {len(conversation.messages)} messages")
