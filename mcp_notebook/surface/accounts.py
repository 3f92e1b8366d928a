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
        raise ConfigError("Write %mcp_approvals, or %mcp_approvals forget SERVER[.TOOL], or forget all.")
    rows = [{"server": g.server, "tool": g.tool, "allowed": g.when} for g in notebook.grants]
    if rows:
        display(status_table_html(rows), raw=True)
        line(f"Kept in {notebook.grants.path}; %mcp_approvals forget SERVER[.TOOL] takes one back.")
    else:
        line("No tool is allowed for good: answer a question with `always`, or set MCPNotebook.allow.")


def costs(notebook: Notebook, by: str) -> Any:
    """The sums of the ledger as a DataFrame."""
    if by not in ("cell", "server", "tool"):
        raise ConfigError("Write %claude_cost, or %claude_cost server, or %claude_cost tool.")
    dollars = notebook.ledger.dollars()
    known = "unknown: a turn has no known price" if dollars is None else f"${dollars:.4f}"
    line(f"{len(notebook.ledger.turns)} turns, {len(notebook.ledger.calls)} tool calls, {known}")
    return notebook.ledger.costs(by)  # type: ignore[arg-type]


def fork(notebook: Notebook, name: str) -> None:
    """Go on in the branch of this name: it starts where the conversation is now when there is none yet."""
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
