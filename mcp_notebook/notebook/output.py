"""What the line magics show: a line, a table, a preview."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.display import display

from mcp_notebook import config, loop
from mcp_notebook.config.published import search as search_published
from mcp_notebook.display.call_view import saved_duration
from mcp_notebook.display.listing import status_table_html, tools_table_html
from mcp_notebook.display.outputs import (
    CellScreen,
    EndLine,
    Slots,
    WorkingLine,
    line_form,
)
from mcp_notebook.errors import ConfigError
from mcp_notebook.events import ToolProgress
from mcp_notebook.kinds import kind_of
from mcp_notebook.notebook.asker import is_attended
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.replay.sidecar import describe
from mcp_notebook.secrets import hide
from mcp_notebook.untrusted_text import visible

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session, ToolInfo


def working_line(shell: Any) -> WorkingLine:
    """A line of output that says what goes on, and that its end may stand for."""
    slots = Slots(CellScreen())
    is_notebook = getattr(shell, "kernel", None) is not None
    form = line_form("static" if is_notebook else "text", slots)
    return WorkingLine(form or EndLine(slots))


def show_line(text: str) -> None:
    """Show one line of plain text."""
    display({"text/plain": visible(hide(text), lines=True)}, raw=True)


Work = Callable[[Callable[[Any], None]], Coroutine[Any, Any, tuple[Any, Any]]]


def show_call(notebook: Notebook, work: Work, into: str) -> Any:
    """Run a call by hand, show how far it is when it takes long, and return its value.

    `work` gets what takes the call's events, for example the progress that its server reports.
    """
    status = working_line(notebook.shell)
    started = time.monotonic()
    status.say("running")

    def hear(event: Any) -> None:
        if isinstance(event, ToolProgress):
            if event.fraction is None:
                part = ""
            else:
                part = f"{100 * event.fraction:.0f} %"

            words = (part, visible(event.message)[:120])
            status.say("running", detail=" · ".join(word for word in words if word))

    attended = is_attended(notebook.shell)

    def pump() -> None:
        # A line for nobody would be saved when the call was slow, else not.
        if attended:
            status.draw()

        notebook.asker.pump()

    try:
        with notebook.asker.in_cell(attended=attended, buttons=False):
            result, value = loop.wait(loop.submit(work(hear)), pump)
    except BaseException:
        # an interrupt, too: a line that says "running" must not stay
        if status.was_shown:
            status.leave(f"ended after {time.monotonic() - started:.1f} s")

        raise

    tables = list(
        zip(result.reading.tables if result.reading else (), result.names, strict=False)
    )
    lines = [_table_line(table, name) for table, name in tables]
    took = saved_duration(time.monotonic() - started)
    # The first table takes the place of the line that was there, so that nothing jumps.
    said = [word for word in (*lines[:1], took) if word]
    if status.was_shown:
        status.leave(" · ".join(said) or "done")
        del lines[:1]

    for said in lines:
        show_line(said)

    # As an assignment: what got a name is not shown once more as the cell's value.
    if into:
        return None

    return value


def _table_line(table: Any, name: str) -> str:
    rows, columns = table.data.shape
    said = [
        f"{name}: {rows:,} row{'s' * (rows != 1)} × {columns} column{'s' * (columns != 1)}"
    ]
    if table.truncated:
        said.append(f"cut by the server: {table.truncated}")

    if table.approximate:
        said.append("approximate")

    return " · ".join([*said, *table.notes])


def show_tools(notebook: Notebook, words: Sequence[str]) -> None:
    """The table of tools of the sessions that the first words name, or of all; further
    words are looked for in names, titles and descriptions.
    """
    names = list(takewhile(notebook.knows_server, words))
    wanted = [word.casefold() for word in words[len(names) :]]
    sessions = [loop.run(notebook.session(n)) for n in names] or list(notebook.sessions)
    if not sessions and not wanted:
        show_line("No server is connected yet: %mcp_connect NAME COMMAND ...")
        return

    # A word that fits nothing may be a server's name that is not quite right.
    if wanted and not names and not any(_tools_with(sessions, wanted)):
        notebook.sessions.get(words[0])

    rows = [
        {
            "server": session.name,
            "tool": tool.name,
            "arguments": _arguments(tool.input_schema),
            "description": " ".join(
                [*([f"{tool.title}:"] if tool.title else []), *tool.description.split()]
            ),
        }
        for session, tool in _tools_with(sessions, wanted)
    ]
    display(tools_table_html(rows), raw=True)
    if wanted:
        total = sum(len(session.tools) for session in sessions)
        show_line(f"{len(rows)} of {total} tools hold {' and '.join(wanted)}.")
    for session in sessions:
        # Said here as well: the note of the cell in which it happened scrolled away.
        for tool, words in session.left_out.items():
            show_line(
                visible(f"{session.name}.{tool} is not offered to the model: {words}")
            )

        for notice in session.notices:
            show_line(visible(f"{session.name}: {notice}"))


def _tools_with(
    sessions: Iterable[Session], words: Sequence[str]
) -> Iterator[tuple[Session, ToolInfo]]:
    """The tools whose name, title or description holds all of the words."""
    for session in sessions:
        for tool in session.tools:
            said = f"{tool.name} {tool.title} {tool.description}".casefold()
            if all(word in said for word in words):
                yield session, tool


def _arguments(schema: dict[str, Any]) -> str:
    required = set(schema.get("required") or ())
    # `name?`: may be left out
    return ", ".join(
        n if n in required else f"{n}?" for n in schema.get("properties") or {}
    )


def show_status(notebook: Notebook, names: Sequence[str] = ()) -> None:
    """The table of sessions; of those that are named also the last lines of their private log."""
    sessions = [notebook.sessions.get(name) for name in names] or list(
        notebook.sessions
    )
    if not sessions:
        show_line("No server is connected yet: %mcp_connect NAME COMMAND ...")
        return

    display(
        status_table_html([status_row(session.status()) for session in sessions]),
        raw=True,
    )
    # A log may be long and private: of those that are named only.
    usual = notebook.settings.tool_timeout
    for session in sessions if names else ():
        show_line(
            f"{session.name}: a call may take {session.seconds_for(None, usual):g} s"
        )
        words = visible(session.log.last_words(), lines=True)
        show_line(
            f"{session.name} logged:\n{words}"
            if words
            else f"{session.name} logged nothing."
        )


def status_row(told: dict[str, Any]) -> dict[str, Any]:
    """A session's status in the words and units of the table."""
    return {
        "server": told["name"],
        "state": told["state"],
        "transport": told["transport"],
        "era": told["era"],
        "version": told["server"],
        "tools": f"{told['tools']}, {told['changed']} changed"
        if told["changed"]
        else str(told["tools"]),
        "uptime": _span(told["uptime"]),
        "restarts": told["restarts"],
        "calls": told["calls"],
        "p50 (ms)": told["p50_ms"],
        "last error": told["last_error"],
    }


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"

    if minutes:
        return f"{minutes} min {rest} s"

    return f"{rest} s"


def show_rows(found: Sequence[dict[str, Any]], *, empty: str) -> None:
    """A short list as a table, or what to say when there is nothing."""
    if found:
        display(status_table_html(hide(found)), raw=True)
    else:
        show_line(empty)


def show_resource(
    notebook: Notebook, names: Sequence[str], reading: Any, into: str
) -> Any:
    """What a resource held: its tables are named and the first one returned, a text is printed."""
    for table, name in zip(reading.tables, names, strict=True):
        show_line(_table_line(table, name))

    if not reading.tables or reading.error is not None:
        show_line(visible(reading.error or reading.text, lines=True) or "(it is empty)")

    if into and not names:
        show_line(f"It holds no table, so {into} was not set.")

    if names and not into:
        return notebook.shell.user_ns[names[0]]

    return None


def show_discovered() -> None:
    """The servers that configuration files name."""
    rows = [
        {
            "server": f.name,
            "from": f.host,
            "file": str(f.path),
            "what": f.what or f.problem,
            "notes": "; ".join(f.notes),
        }
        for f in config.discover(Path.cwd())
    ]
    if not rows:
        show_line("No configuration file with MCP servers was found.")
        return

    display(status_table_html(rows), raw=True)


def show_published(words: str, registry: str) -> None:
    """The servers of the registry whose names hold the words."""
    if not words:
        raise ConfigError("Say what is looked for: %mcp_search postgres.")

    found = search_published(words, registry)
    if not found:
        show_line(f"{registry} has no server whose name holds {words!r}.")
        return

    if found[0].age:
        hours = found[0].age / 3600
        show_line(
            f"The registry cannot be reached; this is what it said {hours:.0f} h ago."
        )

    rows = [
        {
            "server": one.name,
            "version": one.version,
            "as": one.kinds,
            "description": one.description,
            "source": one.repository,
            "status": one.status,
        }
        for one in found
    ]
    display(status_table_html(rows), raw=True)
    show_line("Connect one: %mcp_connect NAME, with a name of this list.")


def show_preview(notebook: Notebook, name: str) -> None:
    """What Claude was shown of a table, or would be shown when nothing was sent yet."""
    from mcp_notebook.results.model_preview import preview as write  # loads pandas

    if not name:
        raise ConfigError("Name a table: %mcp_preview NAME; %mcp_shared lists them.")

    table = notebook.table(name)
    sent = notebook.shown.get(name)
    # A lazy table would have to be computed for it, on an engine that may cost money.
    if not sent and kind_of(table) not in ("frame", "arrow"):
        raise ConfigError(
            f"{name} is no table in memory: %mcp_call notebook.describe_table "
            f"table={name} describes it."
        )

    shaping = notebook.make_shaping()
    words = sent or write(
        table, name, rows=shaping.rows, whole=shaping.whole, mask=shaping.mask
    )
    show_line(words)


def show_recording(notebook: Notebook) -> None:
    """Whether turns are recorded, and what is there to replay."""
    if notebook.recording is not None:
        what = "the model's turns"
        if notebook.tape.is_keeping:
            what += " and the tools' results"

        show_line(
            f"Recording {what} into {notebook.recording}; %claude_record off ends it."
        )
        return

    own, others = notebook.replay_files()
    files = [own] if own is not None else others
    told = "\n".join(str(describe(path)) for path in files)
    show_line(
        f"Not recording. {told or 'There are no recorded turns for this notebook.'}"
    )
