"""A server that just connected: what the person should know of it, and consent when its
tools have changed.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from mcp_notebook.display.questions import Question
from mcp_notebook.errors import ConnectError
from mcp_notebook.events import Reply
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.policy import Start, matches_any

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session, ToolInfo

Pins = dict[str, "ToolInfo"]
MOST_LINES = 60  # of one tool's diff


def may_start(
    notebook: Notebook,
    start: Start,
    *,
    say: Callable[[str], None],
    ask: Callable[[Question], Reply],
) -> None:
    """Show what a file's server is when it starts for the first time; raises
    ConnectError when it became another one and the person does not agree."""
    before = notebook.starts.before(start)
    if notebook.starts.is_new(start):
        say(f"{start.name}: {start.path} starts {start.what}")
    elif before is not None:
        say(f"{start.name}: {start.path} has changed\n- {before}\n+ {start.what}")
        question = Question(
            f"{start.name} is not what it was.", prompt="Start it as it is now?"
        )
        if ask(question).choice != "once":
            raise ConnectError(
                f"Server {start.name!r} of {start.path} is not what it was, and the "
                "change was not accepted; "
                "run the cell again and answer y, or correct the file."
            )

    notebook.starts.keep(start)


def pins_of(notebook: Notebook, name: str) -> Pins:
    """The tools of a server as the person knows them, before it is connected anew."""
    if name in notebook.sessions.names():
        return dict(notebook.sessions.get(name).pinned)
    return {}


def pin(session: "Session", before: Pins) -> None:
    """Hold a session to the tools that were known under its name."""
    session.pinned.update(
        {name: tool for name, tool in before.items() if name in session.pinned}
    )
    session.compare_with_pinned()


def mark_safe(session: "Session", patterns: tuple[str, ...]) -> None:
    """Mark tools as safe to run twice when the connection is lost under them."""
    session.safe_tools |= {
        tool.name
        for tool in session.tools
        if matches_any(patterns, session.name, tool.name)
    }


def notes_on(session: "Session", others: Iterable["Session"] = ()) -> list[str]:
    """One line each for what is odd about its description or its tools; `others`: the
    servers that are there too.
    """
    # with the first server, not with the extension
    from mcp_notebook.sessions.tools import suspicions

    names = {
        other.name: [t.name for t in other.tools]
        for other in others
        if other.name != session.name
    }
    if session.trusted:
        odd = []
    else:
        odd = suspicions(session.tools, names)

    return [*getattr(session.spec, "notes", ()), *session.notices, *odd]


def changes_in(session: "Session") -> str:
    """The tools that are not what they were, as diffs; an empty string when all are."""
    pieces = []
    for change in session.changed_tools:
        lines = change.diff().splitlines()
        if len(lines) > MOST_LINES:
            cut = [f"… {len(lines) - MOST_LINES} more lines"]
        else:
            cut = []

        pieces.append(
            "\n".join(
                [
                    f"{session.name}.{change.name} has changed:",
                    *lines[:MOST_LINES],
                    *cut,
                ]
            )
        )

    return "\n\n".join(pieces)


def accept(
    session: "Session",
    *,
    say: Callable[[str], None],
    ask: Callable[[Question], Reply],
) -> None:
    """Show what changed and go on only when the person agrees; raises ConnectError otherwise."""
    changed = changes_in(session)
    if not changed:
        return

    say(changed)
    names = ", ".join(change.name for change in session.changed_tools)
    question = Question(
        f"The tools of {session.name} are not what they were.",
        prompt="Go on with the changed tools?",
    )
    if ask(question).choice != "once":
        raise ConnectError(
            f"The tools of {session.name!r} are not what they were ({names}), and "
            "the change was not accepted; "
            "it is disconnected."
        )

    session.accept_changes()
