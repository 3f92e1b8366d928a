"""Connects servers side by side, each with a line of its own."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from mcp_notebook import config, loop
from mcp_notebook.config import ConnectOptions, ServerSpec
from mcp_notebook.display.questions import Question
from mcp_notebook.display.working_line import WorkingLine
from mcp_notebook.errors import ConfigError, ConnectError
from mcp_notebook.events import Reply
from mcp_notebook.notebook import connect_consent, connecting
from mcp_notebook.notebook.shells import is_attended
from mcp_notebook.notebook.output import show_line, working_line
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.policy import Start
from mcp_notebook.sessions import handover


def connect(notebook: Notebook, options: ConnectOptions) -> None:
    """Connect what was asked for, side by side, each with its own line; the first
    failure is raised at the end.
    """
    resolved = connecting.resolve(options)
    servers = {
        name: spec
        for name, spec in resolved.items()
        if not isinstance(spec, ConfigError)
    }
    attended = is_attended(notebook.shell)
    ask = partial(notebook.asker.ask_now, attended=attended)
    for name, path in connecting.sources(options).items():
        if name in servers:
            start = Start(
                path,
                name,
                config.describe(servers[name]),
                config.spec_fingerprint(servers[name]),
            )
            connect_consent.may_start(notebook, start, say=show_line, ask=ask)

    lines = {name: working_line(notebook.shell) for name in servers}
    progress = dict.fromkeys(servers, "starting")
    started = time.monotonic()
    futures = {
        name: loop.submit(open_session(notebook, name, spec, options, progress))
        for name, spec in servers.items()
    }
    with notebook.asker.in_cell(attended=attended, buttons=False):
        _watch(futures, lines, progress, started, notebook.asker.pump)

    for name, future in futures.items():
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


def _welcome_session(
    notebook: Notebook, name: str, session: Any, ask: Callable[[Question], Reply]
) -> None:
    """Notes on a new session, and consent to changed tools; raises ConnectError without it."""
    for note in connect_consent.notes_on(session, notebook.sessions):
        show_line(f"{name}: {note}")

    try:
        connect_consent.accept(session, say=show_line, ask=ask)
    except ConnectError:
        loop.run(notebook.sessions.disconnect(name))
        raise


async def open_session(
    notebook: Notebook,
    name: str,
    spec: ServerSpec,
    options: ConnectOptions,
    progress: dict[str, str],
) -> Any:
    """The session of one server, with what was asked for it; runs on the background loop."""
    before = connect_consent.pins_of(notebook, name)
    notebook.sessions.hooks = notebook.requests.hooks()  # as the settings are now
    bundled = connecting.is_bundled(spec)
    session = await notebook.sessions.connect(
        name,
        handover.offer_folder(spec) if bundled else spec,
        # A server that is given long may start slowly too; one whose calls are to be
        # short still has to start, and npx or uvx may load it first.
        timeout=max(options.timeout or 0, notebook.settings.connect_timeout),
        legacy=options.legacy,
        trusted=bundled,
        log_level=notebook.settings.server_log or None,
        on_progress=lambda text: progress.__setitem__(name, text),
    )
    connect_consent.pin(session, before)
    connect_consent.mark_safe(session, options.safe)
    notebook.allowed[name] = options.allow
    notebook.trail.note_connection(options.for_server(name))
    return session


def _watch(
    futures: dict[str, "Future[Any]"],
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

            pump()
            time.sleep(loop.HEARTBEAT)
    except KeyboardInterrupt:
        for future in futures.values():
            future.cancel()

        raise


def _outcome(name: str, future: "Future[Any]", seconds: float, *, why: bool) -> str:
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

    return (
        f"{name}: connected · {title}{count} tool{'s' * (count != 1)} · {seconds:.1f} s"
    )
