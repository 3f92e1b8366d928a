"""The package's functions for plain Python, in notebooks and scripts: connect,
disconnect, server, call, sql, ...

They go through the same sessions, limits and log as the magics; a call is the person's
own, so nothing is asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from mcp_notebook.config import ConnectOptions, InProcessServer, ServerSpec
from mcp_notebook.config.options import connect_signature, describe_keywords
from mcp_notebook.errors import ConfigError, DataError
from mcp_notebook.notebook import by_hand, current, opening, resources, shared_tables
from mcp_notebook.notebook.asker import NOBODY
from mcp_notebook.notebook.call_path import NotebookCalls
from mcp_notebook.notebook.servers import Offer, Server
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.sharing.catalog import Catalog, PersonsCatalog

if TYPE_CHECKING:
    from mcp_notebook.agent.call_values import Keep, Origin
    from mcp_notebook.results import Table

Target = str | Sequence[str] | object


def connect(name: str, target: Target = "", **options: Any) -> Server:
    """Connect a server, keep its session open in this process, and return its object.

    `target`: a command line or a URL as in `%mcp_connect`, a list of words, or a server
    object of the MCP SDK; without one, the server of that name in .mcp.json. `${VAR}` in
    it, in headers and in paths is taken from the environment. Raises ConfigError or
    ConnectError.
    """
    state = current.notebook()
    current.run(state, _connect(state, name, target, options))
    return server(name)


async def aconnect(name: str, target: Target = "", **options: Any) -> Server:
    """`connect` for code that awaits."""
    state = current.notebook()
    await current.run_awaited(state, _connect(state, name, target, options))
    return server(name)


# The keywords and their meaning are those of the options, which are declared once.
for _door in (connect, aconnect):
    _door.__signature__ = connect_signature()  # type: ignore[attr-defined]
    _words = inspect.cleandoc(_door.__doc__ or "")
    _door.__doc__ = f"{_words}\n\nOptions:\n\n{describe_keywords()}"


def disconnect(name: str) -> None:
    """Close a server's session; its tables stay. Raises SessionError for an unknown name."""
    state = current.notebook()
    current.run(state, state.sessions.disconnect(name))


def server(name: str) -> Server:
    """The object of a connected server: a method for each of its tools. Raises
    SessionError for an unknown name.
    """
    # Asked for at once, so that a wrong name fails here and not at its first call.
    state = current.notebook()
    state.sessions.get(name)

    def do(server: str, tool: str, arguments: Mapping[str, Any]) -> Any:
        return current.run(
            state, _call(state, server, tool, arguments, 0, tables=False)
        )

    async def do_async(server: str, tool: str, arguments: Mapping[str, Any]) -> Any:
        return await current.run_awaited(
            state, _call(state, server, tool, arguments, 0, tables=False)
        )

    def close() -> None:
        current.run(state, state.sessions.disconnect(name))

    offers = {
        "resources": _resources_of(state, name),
        "prompts": _prompts_of(state, name),
    }
    return Server(name, lambda: state.sessions.get(name), do, do_async, close, offers)


def _resources_of(state: Notebook, name: str) -> Offer:
    def rows() -> list[dict[str, Any]]:
        return current.run(state, resources.list_resources(state, [name]))

    def read(uri: str) -> Any:
        """A resource of the server: its table as a DataFrame, else a `Result`."""
        frames: list[Any] = []
        keep = _keep_for_code(state, frames)
        work = resources.read_resource(state, name, uri, keep=keep)
        source = by_hand.ResultSource(state, name, "read")
        return by_hand.give_result(current.run(state, work), frames, source)

    return Offer("resources", rows, "uri", read)


def _prompts_of(state: Notebook, name: str) -> Offer:
    def rows() -> list[dict[str, Any]]:
        found = current.run(state, resources.rows(state, [name]))
        return [{**row, "name": row["name"].removeprefix(f"{name}.")} for row in found]

    def read(prompt: str, **arguments: str) -> str:
        """A prompt of the server with its arguments filled in, as a text."""
        work = resources.text_of(state, f"{name}.{prompt}", arguments)
        return current.run(state, work)

    return Offer("prompts", rows, "name", read)


def call(
    target: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    tables: bool = False,
    timeout: float = 0,
) -> Any:
    """Call `server.tool`: its table as a DataFrame, else a `Result`, which is the text
    with `.images`, `.files`, `.tables` and `.value`; with `tables=True` all tables.

    Arguments are Python's values, tables included: a DataFrame goes as the records,
    columns or CSV that the tool's schema asks for.

    `timeout` is in seconds, 0 is the setting's. Raises CallError when the tool says no.
    """
    state = current.notebook()
    return current.run(
        state,
        _call(
            state,
            *by_hand.split_target(target, state.sessions),
            arguments or {},
            timeout,
            tables=tables,
        ),
    )


async def acall(
    target: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    tables: bool = False,
    timeout: float = 0,
) -> Any:
    """`call` for code that awaits."""
    state = current.notebook()
    work = _call(
        state,
        *by_hand.split_target(target, state.sessions),
        arguments or {},
        timeout,
        tables=tables,
    )
    return await current.run_awaited(state, work)


def sql(text: str, /, *, limit: int | None = None, **tables: Any) -> Any:
    """One SELECT in the DuckDB dialect over tables of this process, as a DataFrame:
    `sql("from o", o=orders)`.

    In a notebook the tables that results and `%mcp_share` gave are there without being
    named. Raises DataError.
    """
    state = current.notebook()
    return current.run(state, _query(state, text, limit, tables))


async def asql(text: str, /, *, limit: int | None = None, **tables: Any) -> Any:
    """`sql` for code that awaits."""
    state = current.notebook()
    return await current.run_awaited(state, _query(state, text, limit, tables))


def result(of: int | str = -1) -> Any:
    """What a call gave, also one of Claude's: a `Result`, which is the text with
    `.images`, `.files` and `.tables`.

    `of` is the number of its row in `%mcp_log`, -1 for the last call, or the name of a
    table that it gave. Secrets in it are hidden; a result's pictures and files are kept
    of the last 50 calls. Raises DataError for a call that is not there.
    """
    return by_hand.find_result(current.notebook(), of)


def resource(server: str, uri: str, *, tables: bool = False) -> Any:
    """Read a server's resource: its first table as a DataFrame, else its text; with
    `tables=True` all tables.
    """
    state = current.notebook()
    return current.run(state, _read(state, server, uri, tables=tables))


def share(
    table: Any,
    as_: str = "",
    *,
    description: str = "",
    about_columns: str = "",
    follow: bool = False,
) -> str:
    """Share a table with Claude, and with clients outside when `%mcp_serve` runs;
    returns the name to query it by.

    `table` is the name of a variable, a table object, or the path of a data file; `as_`
    names it otherwise. `about_columns` is a file that says what the columns mean (CSV,
    TSV or JSON: name, description). With `follow` what the variable holds later is
    shared, too.
    Raises ConfigError for what is no table.
    """
    return shared_tables.share(
        current.notebook(),
        table,
        as_=as_,
        description=description,
        about_columns=about_columns,
        follow=follow,
    )[0]


def unshare(*names: str) -> None:
    """Take shared tables back. Raises DataError for a name that is not shared."""
    shared_tables.unshare(current.notebook(), names)


def __getattr__(name: str) -> Any:
    """`settings`: those of `%config MCPNotebook`, for scripts too."""
    if name == "settings":
        return current.notebook().settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


async def _connect(
    state: Notebook, name: str, target: Target, given: Mapping[str, Any]
) -> None:
    options = ConnectOptions.from_call(name, target, given)
    if options.in_process:
        options.refuse_misplaced("server object", name)
        spec = InProcessServer(lambda: target, options)
    elif state.settings.offline:
        await opening.open_recorded(state, name, options)
        return
    else:
        # of one name, a wrong server is raised
        ((name, found),) = opening.resolve(options).items()
        spec = cast("ServerSpec", found)
        opening.refuse_packed(options, spec)

    session = await opening.open_session(state, name, spec, options, {name: ""})
    for note in opening.notes_on(session, state.sessions):
        current.logger.warning("%s: %s", name, note)

    # Nobody is asked from code: tools that are not what they were are refused.
    try:
        opening.accept(
            session,
            say=lambda text: current.logger.warning("%s", text),
            ask=lambda _: NOBODY,
        )
    except Exception:
        # whatever refused the server: one that is not accepted does not stay
        await state.sessions.disconnect(name)
        raise


async def _call(
    state: Notebook,
    server: str,
    tool: str,
    arguments: Mapping[str, Any],
    timeout: float,
    *,
    tables: bool,
) -> Any:
    frames: list[Any] = []
    calls = NotebookCalls(state, keep=_keep_for_code(state, frames))
    result = await by_hand.perform(calls, server, tool, arguments, timeout=timeout)
    if tables:
        return frames
    return by_hand.give_result(
        result, frames, by_hand.ResultSource(state, server, tool)
    )


def _keep_for_code(state: Notebook, frames: list[Any]) -> Keep:
    """Hands the tables of a call to the person's code, which names them."""

    def keep(
        tables: Sequence[Table],
        origin: Origin,
        write: Callable[[Sequence[str]], str],
    ) -> tuple[tuple[str, ...], str]:
        # They have no names yet: the person's code gives them, see `Notebook.adopt`.
        written = write([origin.tool] * len(tables))
        for index, table in enumerate(tables):
            frames.append(state.hand_out(table, origin, index))
            if table.truncated:
                place = f"{origin.server}.{origin.tool}"
                current.logger.warning("%s: %s", place, table.truncated)
        return (), written

    return keep


async def _query(
    state: Notebook, text: str, limit: int | None, tables: Mapping[str, Any]
) -> Any:
    if not text.strip():
        raise ConfigError("There is no SQL in the text.")

    if limit is None:
        arguments = {"sql": text}
    else:
        arguments = {"sql": text, "limit": limit}

    frames: list[Any] = []
    calls = NotebookCalls(state, keep=_keep_for_code(state, frames))
    catalog = _catalog(state, tables)
    try:
        await by_hand.perform_own_sql(state, calls, arguments, catalog, given=tables)
    except DataError as error:
        # A script has no namespace that we could look into.
        if current.is_interactive(state) or tables:
            hint = ""
        else:
            hint = " Name the tables: sql(..., orders=orders)."

        raise DataError(f"{error.message}{hint}") from None

    return frames[0]


def _catalog(state: Notebook, tables: Mapping[str, Any]) -> Catalog:
    """The notebook's tables and those that were named; a name that was given counts first."""
    # The cell may query what its own code was handed a line before.
    state.adopt()
    return PersonsCatalog(state.catalog, tables)


async def _read(state: Notebook, server: str, uri: str, *, tables: bool) -> Any:
    frames: list[Any] = []
    result = await resources.read_resource(
        state, server, uri, keep=_keep_for_code(state, frames)
    )
    reading = result.reading
    assert reading is not None  # a resource that was read has one
    if reading.error is not None:
        raise DataError(f"{uri} of {server} cannot be read: {reading.error}")

    if tables:
        return frames
    source = by_hand.ResultSource(state, server, "read")
    return by_hand.give_result(replace(result, shown=""), frames, source)
