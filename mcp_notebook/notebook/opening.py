"""Connects servers side by side, each with a line of its own."""

from __future__ import annotations

import difflib
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mcp_notebook import config, loop
from mcp_notebook.config import (
    ConnectOptions,
    HttpServer,
    ServerSpec,
    StdioServer,
    describe,
    identity_parts,
    origin_of,
    spec_fingerprint,
)
from mcp_notebook.config.hosts import bundle_folder, is_bundle, unpack_bundle
from mcp_notebook.config.options import USAGE
from mcp_notebook.config.published import find as find_published
from mcp_notebook.config.published import is_published_name, spec_of
from mcp_notebook.config.specs import usable_names
from mcp_notebook.config.target import OWN_START, apply_options, expand
from mcp_notebook.display.call_view import saved_duration
from mcp_notebook.display.outputs import WorkingLine
from mcp_notebook.display.questions import Question
from mcp_notebook.errors import ConfigError, ConnectError
from mcp_notebook.events import Reply
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.notebook.asker import is_attended
from mcp_notebook.notebook.output import show_line, working_line
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.policy import Start, matches_any
from mcp_notebook.sessions import handover
from mcp_notebook.sessions.registry import bound_reply
from mcp_notebook.sessions.tools import suspicions
from mcp_notebook.untrusted_text import visible

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session, ToolInfo


# A server that just connected: what the person should know of it, and consent when its
# tools have changed.


Pins = dict[str, "ToolInfo"]
MASK_VARIABLE = "MCP_NOTEBOOK_MASK"
START = (*OWN_START, "serve")
MOST_LINES = 60  # of one tool's diff


def may_start(
    notebook: Notebook,
    start: Start,
    *,
    say: Callable[[str], None],
    ask: Callable[[Question], Reply],
    may_send: bool = False,
) -> None:
    """Show what a file's server is when it starts for the first time; raises
    ConnectError when it became another one, or would send a variable somewhere, and the
    person does not agree. `may_send`: unattended runs were given leave."""
    before = notebook.starts.before(start)
    unseen = notebook.starts.find_unseen(start)
    if notebook.starts.is_new(start):
        say(f"{start.name}: {start.path} starts {start.what}")
    # Asked only where it changed: a question at each start is soon answered unread.
    elif before is not None:
        changes = "".join(f"\n  changed: {c}" for c in notebook.starts.changes(start))
        say(
            f"{start.name}: {start.path} has changed\n"
            f"- {before}\n+ {start.what}{changes}"
        )
        question = Question(
            f"{start.name} is not what it was.", prompt="Start it as it is now?"
        )
        if ask(question).choice != "once":
            raise ConnectError(
                f"Server {start.name!r} of {start.path} is not what it was, and the "
                "change was not accepted; "
                "run the cell again and answer y, or correct the file."
            )

    if unseen and not may_send and not _may_send(start, unseen, ask):
        raise ConnectError(
            f"Server {start.name!r} of {start.path} would send {', '.join(unseen)}, and "
            "nobody agreed to that; run the cell again and answer y, or take the "
            "variable out of the file."
        )

    # Last: what was refused above must be asked again next time.
    notebook.starts.keep(start)


def unpack_bundle_of(
    path: Path,
    spec: ServerSpec,
    *,
    say: Callable[[str], None],
    ask: Callable[[Question], Reply],
) -> None:
    """Write a bundle's files where its command expects them, once, after the person has
    seen the command and agreed; raises ConnectError otherwise. Other files: nothing.
    """
    if not is_bundle(path) or bundle_folder(path).is_dir():
        return

    say(f"{path} starts {describe(spec)}")
    question = Question(
        f"The files of {path.name} are not unpacked yet; they would go to "
        f"{bundle_folder(path)}.",
        prompt="Unpack and start it?",
    )
    if ask(question).choice != "once":
        raise ConnectError(
            f"{path} was not unpacked, for nobody agreed to it; run the cell again and "
            "answer y."
        )

    unpack_bundle(path)


def refuse_packed(options: ConnectOptions, spec: ServerSpec) -> None:
    """Raises ConfigError for a bundle whose files are not there, where nobody is asked."""
    if not options.config:
        return

    path = config_file(options)
    if is_bundle(path) and not bundle_folder(path).is_dir():
        raise ConfigError(
            f"{path} is not unpacked, and nobody is asked from here whether it may be: "
            f"%mcp_connect --config {path} in a cell asks. It starts {describe(spec)}"
        )


def _may_send(
    start: Start, unseen: tuple[str, ...], ask: Callable[[Question], Reply]
) -> bool:
    """A file of a project may come from anybody, and so may the address in it."""
    question = Question(
        f"{start.path} sends a variable of your environment with every request: "
        f"{', '.join(unseen)}.",
        prompt="Send it there?",
    )
    return ask(question).choice == "once"


def start_of(path: Path, name: str, spec: ServerSpec) -> Start:
    """What a file's server is, as the person is shown and asked."""
    sends = ()
    if isinstance(spec, HttpServer):
        # As written: the filled-in address may hold the variable itself.
        origin = origin_of(spec.written.get(spec.url, spec.url))
        sends = tuple(f"{variable} to {origin}" for variable in spec.sends)

    return Start(
        path,
        name,
        describe(spec),
        spec_fingerprint(spec),
        identity_parts(spec),
        sends,
    )


def pins_of(notebook: Notebook, name: str) -> Pins:
    """The tools of a server as the person knows them, before it is connected anew."""
    if name in notebook.sessions.names():
        return dict(notebook.sessions.get(name).pinned)

    return {}


def pin(session: Session, before: Pins) -> None:
    """Hold a session to the tools that were known under its name."""
    session.pinned.update(
        # Tools that are new have nothing to be compared with.
        {name: tool for name, tool in before.items() if name in session.pinned}
    )
    session.compare_with_pinned()


def mark_safe(session: Session, patterns: tuple[str, ...]) -> None:
    """Mark tools as safe to run twice when the connection is lost under them."""
    session.safe_tools |= {
        tool.name
        for tool in session.tools
        if matches_any(patterns, session.name, tool.name)
    }


def notes_on(session: Session, others: Iterable[Session] = ()) -> list[str]:
    """One line each for what is odd about its description or its tools; `others`: the
    servers that are there too.
    """
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


def changes_in(session: Session) -> str:
    """The tools that are not what they were, as diffs; an empty string when all are."""
    pieces = []
    for change in session.changed_tools:
        # A whole manual may have changed; the question must stay in sight.
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
    session: Session,
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


# What `%mcp_connect` and `mcp_notebook.connect` were asked for: the servers that it
# stands for.


def read_line(line: str) -> ConnectOptions:
    """What the magic's line asks for; everything after the name that is no option of
    ours belongs to the command.
    """
    options = ConnectOptions.from_line(line)
    if not options.names and not options.config:
        raise ConfigError(f"{USAGE}{_servers_here()} %mcp_connect --help says more.")

    return options


def _servers_here() -> str:
    """The servers that a project's file here or above names, as a sentence."""
    names = [
        found.name
        for found in config.discover(Path.cwd())
        if found.host == "project" and not found.problem
    ]
    if names:
        return f" The .mcp.json here names {', '.join(names[:10])}."

    return ""


def with_published_name(options: ConnectOptions) -> ConnectOptions:
    """`%mcp_connect io.github.owner/name` as what it stands for: a server `name` that is
    that one of the registry. Names of a project's file go first.
    """
    if options.words or options.config or not is_published_name(options.name):
        return options
    if config.find_file(options.name, Path.cwd()) is not None:
        return options

    (name,) = usable_names([options.name.rpartition("/")[2]]).values()
    return replace(options, names=(name,), words=(options.name,))


def published_name(options: ConnectOptions) -> str:
    """The name in the registry that the target is, else an empty string."""
    words = options.words
    return words[0] if len(words) == 1 and is_published_name(words[0]) else ""


def resolve(
    options: ConnectOptions,
    environ: Mapping[str, str] = os.environ,
    *,
    registry: str = "",
) -> dict[str, ServerSpec | ConfigError]:
    """The servers to connect, by name; raises ConfigError in one sentence that names the server.

    Of several in a file a wrong one is its error, which stops none of the others.
    `registry`: its address, for a person who will be asked; else it is not looked at.
    """
    found: dict[str, ServerSpec | ConfigError]
    if options.config:
        path = config_file(options, environ)
        found = config.load_each(path, environ, options)
        if not found:
            raise ConfigError(f"{path} names no server that is switched on.")
    elif published := published_name(options):
        found = {options.name: _find_published(published, options, environ, registry)}
    elif options.words:
        found = {options.name: config.build_server(options, environ)}
    else:
        spec = _find_by_name(options, environ)
        path = config.find_file(options.name, Path.cwd())
        name = config.usable_name(options.name, path) if path else options.name
        found = {name: spec}

    # Its tools are trusted: another server must not come under its name.
    if OWN_SERVER in found:
        found[OWN_SERVER] = ConfigError(
            f"The name {OWN_SERVER!r} belongs to the notebook's own server; choose another."
        )

    # Of one server the error is the answer; of several it is one line among others.
    first = next(iter(found.values()))
    if len(found) == 1 and isinstance(first, ConfigError):
        raise first

    return found


def sources(options: ConnectOptions) -> dict[str, Path]:
    """The files that the named servers come from; empty for a command or URL that the
    person wrote in the cell.
    """
    if options.config:
        path = config_file(options)
        return dict.fromkeys(config.load_each(path, options=options), path)

    if options.words:
        return {}

    path = config.find_file(options.name, Path.cwd())
    if path is None:
        return {}

    return {config.usable_name(options.name, path): path}


def config_file(
    options: ConnectOptions, environ: Mapping[str, str] = os.environ
) -> Path:
    """The path of --config."""
    return Path(expand(options.config, environ, where="--config")).expanduser()


def _find_published(
    name: str, options: ConnectOptions, environ: Mapping[str, str], registry: str
) -> ServerSpec:
    if not registry:
        raise ConfigError(
            f"{name} is a server of the registry, and nobody is asked from here whether it "
            f"may start: connect it in a cell, %mcp_connect {name}, or give its command."
        )

    spec = spec_of(find_published(name, registry), environ)
    return apply_options(spec, options, environ)


def confirm_published(
    notebook: Notebook,
    name: str,
    options: ConnectOptions,
    spec: ServerSpec,
    *,
    say: Callable[[str], None],
    ask: Callable[[Question], Reply],
) -> None:
    """Ask before a server of the registry starts for the first time, or as another one
    than before, with its whole command; raises ConnectError without a yes.
    """
    published = published_name(options)
    host = urlsplit(notebook.settings.registry).hostname or "registry"
    start = start_of(Path("/") / host / published, name, spec)
    if not notebook.starts.is_new(start) and notebook.starts.before(start) is None:
        return

    # Others' words, where the person decides.
    say(visible(f"{published} is {describe(spec)}"))
    for note in getattr(spec, "notes", ()):
        say(visible(f"{name}: {note}"))

    question = Question(
        f"{published} was published by its author alone; nobody has looked at it.",
        prompt="Start it?",
    )
    if ask(question).choice != "once":
        raise ConnectError(
            f"{published} was not started, for nobody agreed to it; run the cell again and "
            "answer y."
        )

    notebook.starts.keep(start)


def _find_by_name(options: ConnectOptions, environ: Mapping[str, str]) -> ServerSpec:
    name = options.name
    spec = config.find_server(name, Path.cwd(), environ, options)
    if spec is not None:
        return spec

    # What other programs on this machine know is offered, never taken unasked.
    known = config.discover(Path.cwd(), environ=environ)
    elsewhere = next((f for f in known if name in (f.name, f.alias)), None)
    if elsewhere is not None:
        raise ConfigError(
            f"No .mcp.json here or above names a server {name!r}, and the one of "
            f"{elsewhere.host} does: "
            f"%mcp_connect --config {shlex.quote(str(elsewhere.path))} {elsewhere.name}"
        )

    of_project = [found.name for found in known if found.host == "project"]
    near = difflib.get_close_matches(name, of_project, 1, 0.7)
    if near:
        guess = f"did you mean {near[0]!r}? Or "
    else:
        guess = ""

    raise ConfigError(
        f"No .mcp.json here or above names a server {name!r}; {guess}give its command or "
        f"URL: %mcp_connect {name} ..."
    )


def is_trusted(spec: ServerSpec) -> bool:
    """Whether a server is one of ours that can only read and reaches nobody, so that its
    tools run without asking.

    `serve fetch` is not: rows could leave in the address of a page.
    """
    if not isinstance(spec, StdioServer):
        return False

    kind = spec.args[len(START) : len(START) + 1]
    if kind not in (("database",), ("notebook",)):
        return False

    return is_bundled(spec)


def is_bundled(spec: ServerSpec) -> bool:
    """Whether a server is our own program, started as we start it."""
    return (
        isinstance(spec, StdioServer)
        and spec.command == sys.executable
        and tuple(spec.args[: len(START)]) == START
        # Each of these could put another package of our name in its place.
        and spec.cwd is None
        and not any(name.startswith(("PYTHON", "LD_", "DYLD_")) for name in spec.env)
    )


def connect(notebook: Notebook, options: ConnectOptions) -> None:
    """Connect what was asked for, side by side, each with its own line; the first
    failure is raised at the end.
    """
    if notebook.settings.offline:
        _connect_recorded(notebook, options)
        return

    options = with_published_name(options)
    resolved = resolve(options, registry=notebook.settings.registry)
    servers = {
        name: spec
        for name, spec in resolved.items()
        if not isinstance(spec, ConfigError)
    }
    attended = is_attended(notebook.shell)
    ask = partial(notebook.asker.ask_now, attended=attended)
    # One after the other and before any starts: the input box is for one question.
    for name, path in sources(options).items():
        if name in servers:
            unpack_bundle_of(path, servers[name], say=show_line, ask=ask)
            start = start_of(path, name, servers[name])
            free = not attended and notebook.settings.unattended == "allow"
            may_start(notebook, start, say=show_line, ask=ask, may_send=free)

    if published_name(options):
        for name, spec in servers.items():
            confirm_published(notebook, name, options, spec, say=show_line, ask=ask)

    lines = {name: working_line(notebook.shell) for name in servers}
    progress = dict.fromkeys(servers, "starting")
    started = time.monotonic()
    futures = {
        name: loop.submit(open_session(notebook, name, spec, options, progress))
        for name, spec in servers.items()
    }
    # A server may ask for a sign-in or fill a form while it connects.
    with notebook.asker.in_cell(attended=attended, buttons=False):
        _watch(futures, lines, progress, started, notebook.asker.pump)

    for name, future in futures.items():
        # After all are there: the tools of servers are compared with each other.
        if future.exception() is None:
            _welcome_session(notebook, name, future.result(), ask)

    wrong = {
        name: error
        for name, error in resolved.items()
        if isinstance(error, ConfigError)
    }
    for name, error in wrong.items():
        show_line(f"{name}: not connected · {error}")

    for future in futures.values():
        loop.wait(future)  # raises the first failure

    for error in wrong.values():
        raise error


def _connect_recorded(notebook: Notebook, options: ConnectOptions) -> None:
    """Connect what was asked for as it was recorded; nothing is started or reached."""
    for name in recorded_names(notebook, options):
        session = loop.run(open_recorded(notebook, name, options))
        count = len(session.tools)
        tools = f"{count} tool{'s' * (count != 1)}"
        show_line(f"{name}: from the recording, not started · {tools}")


def recorded_names(notebook: Notebook, options: ConnectOptions) -> list[str]:
    """The servers that a line means, as far as a recording can tell: the files that it
    names may not be here.
    """
    if options.config and not options.names:
        return notebook.tape.recorded_names()
    if is_published_name(options.name):
        return list(usable_names([options.name.rpartition("/")[2]]).values())

    return list(usable_names(options.names).values())


async def open_recorded(notebook: Notebook, name: str, options: ConnectOptions) -> Any:
    """The session of a recorded server; raises ConfigError where there is none."""
    spec, trusted = notebook.tape.recorded_server(name)
    session = await notebook.sessions.connect(name, spec, trusted=trusted)
    notebook.allowed[name] = options.allow
    notebook.trail.note_connection(options.for_server(name))
    return session


def _welcome_session(
    notebook: Notebook, name: str, session: Any, ask: Callable[[Question], Reply]
) -> None:
    """Notes on a new session, and consent to changed tools; raises ConnectError without it."""
    for note in notes_on(session, notebook.sessions):
        show_line(f"{name}: {note}")

    try:
        accept(session, say=show_line, ask=ask)
    except ConnectError:
        loop.run(notebook.sessions.disconnect(name))
        raise


def _told_of_host(notebook: Notebook, spec: ServerSpec) -> ServerSpec:
    """A server of ours with what it is told beside its command: where large answers may
    lie, and of which columns it shows no values in descriptions.
    """
    told = handover.offer_folder(spec)
    if not isinstance(told, StdioServer) or not notebook.veil:
        return told

    patterns = json.dumps(notebook.veil.patterns)
    return replace(told, env={**told.env, MASK_VARIABLE: patterns})


async def open_session(
    notebook: Notebook,
    name: str,
    spec: ServerSpec,
    options: ConnectOptions,
    progress: dict[str, str],
) -> Any:
    """The session of one server, with what was asked for it; runs on the background loop."""
    # Before the new session takes the place of the old one, which knows them.
    before = pins_of(notebook, name)
    # Both as the settings are now
    notebook.sessions.hooks = notebook.requests.hooks()
    notebook.sessions.cap = bound_reply(notebook.settings.max_reply)
    bundled = is_bundled(spec)
    session = await notebook.sessions.connect(
        name,
        _told_of_host(notebook, spec) if bundled else spec,
        # A server that is given long may start slowly too; one whose calls are to be
        # short still has to start, and npx or uvx may load it first.
        timeout=max(options.timeout or 0, notebook.settings.connect_timeout),
        legacy=options.legacy,
        trusted=is_trusted(spec),
        log_level=notebook.settings.server_log or None,
        on_progress=lambda text: progress.__setitem__(name, text),
    )
    pin(session, before)
    mark_safe(session, options.safe)
    notebook.allowed[name] = options.allow
    notebook.trail.note_connection(options.for_server(name))
    notebook.tape.forget_server(name)
    notebook.tape.keep_server(session)
    return session


def _watch(
    futures: dict[str, Future[Any]],
    lines: dict[str, WorkingLine],
    progress: dict[str, str],
    started: float,
    pump: Callable[[], None],
) -> None:
    """Keep the lines up to date until every server is connected or has failed; an
    interrupt cancels all.
    """
    ended: dict[str, float] = {}
    try:
        while len(ended) < len(futures):
            for name, future in futures.items():
                if name in ended:
                    continue

                if future.done():
                    ended[name] = time.monotonic() - started
                    lines[name].leave(
                        _outcome(name, future, ended[name], why=len(futures) > 1)
                    )
                else:
                    lines[name].say(f"{name}: {progress[name]}")
                    lines[name].draw()

            # The cell blocks here: questions of the servers are shown by nobody else.
            pump()
            time.sleep(loop.HEARTBEAT)
    except KeyboardInterrupt:
        for future in futures.values():
            future.cancel()

        raise


def _outcome(name: str, future: Future[Any], seconds: float, *, why: bool) -> str:
    """`why`: say the reason on the line, since only the first failure is raised."""
    failure = future.exception()
    if failure is not None:
        return f"{name}: not connected" + (f" · {failure}" if why else "")

    session = future.result()
    count = len(session.tools)
    if session.server_title and session.server_title != name:
        title = f"{session.server_title} · "
    else:
        title = ""

    words = f"{name}: connected · {title}{count} tool{'s' * (count != 1)}"
    took = saved_duration(seconds)
    return f"{words} · {took}" if took else words
