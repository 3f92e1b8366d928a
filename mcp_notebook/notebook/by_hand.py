"""Tools called by hand, without a model: `%mcp_call` and `%%mcp_sql`."""

from __future__ import annotations

import asyncio
import base64
import json
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_notebook import loop
from mcp_notebook.agent.call_values import Origin, only_number
from mcp_notebook.display.html_parts import picture
from mcp_notebook.errors import CallError, ConfigError, DataError
from mcp_notebook.events import ToolCall, ToolResult
from mcp_notebook.freeze.call_log import Facts
from mcp_notebook.kinds import is_table
from mcp_notebook.naming import OWN_SERVER, free_path
from mcp_notebook.notebook import shared_tables
from mcp_notebook.notebook.call_path import (
    NotebookCalls,
    new_call,
    query_tool,
    split_parts,
)
from mcp_notebook.notebook.options import check_name
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.results.content import (
    Resource,
    contents_of,
    describe_file,
    file_name,
)
from mcp_notebook.results.reading import Reading, Table
from mcp_notebook.secrets import seal_text
from mcp_notebook.sharing.catalog import PersonsCatalog
from mcp_notebook.sql_words import tables_named

if TYPE_CHECKING:
    from pandas import DataFrame

    from mcp_notebook.agent.call_values import Keep, Origin
    from mcp_notebook.display.call_view import CallView
    from mcp_notebook.results import Table
    from mcp_notebook.sharing.catalog import Catalog

Emit = Callable[[Any], None]


def keep_into(notebook: Notebook, into: str) -> Keep:
    """Keeps the tables of a call in the notebook, the first one under the name `into`."""

    def keep(
        tables: Sequence[Table],
        origin: Origin,
        write: Callable[[Sequence[str]], str],
    ) -> tuple[tuple[str, ...], str]:
        return notebook.keep(tables, origin, write, into=into)

    return keep


async def call(
    notebook: Notebook,
    server: str,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    into: str = "",
    timeout: float = 0,
    emit: Emit = lambda event: None,
) -> tuple[ToolResult, Any]:
    """Call one tool; returns its result and what the person gets, see `give_result`.

    `emit` gets the call's events on the way.

    Raises CallError when the tool says no, SessionError when server or tool are unknown.
    """
    check_name(into)
    calls = NotebookCalls(notebook, keep=keep_into(notebook, into), show=emit)
    result = await perform(calls, server, tool, arguments, timeout=timeout)
    frames = [notebook.shell.user_ns[name] for name in result.names]
    source = ResultSource(notebook, server, tool)
    return result, give_result(result, frames, source)


async def perform(
    calls: NotebookCalls,
    server: str,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    timeout: float = 0,
) -> ToolResult:
    """Call one tool on this path; raises as `call` does."""
    result = await calls.call_tool(server, tool, arguments, timeout)
    if result.outcome != "ok":
        raise CallError(f"{server}.{tool}: {seal_text(result.shown)}")

    return result


@dataclass(frozen=True)
class ResultSource:
    """Where a result comes from: links in it are read there."""

    notebook: Notebook = field(repr=False)
    server: str
    tool: str


def give_result(
    result: ToolResult, frames: Sequence[DataFrame], source: ResultSource
) -> Any:
    """What the person gets by every door: the first table as a DataFrame, and where
    there is none, or pictures or files came as well, a `Result`.
    """
    if frames and not (result.images or result.files):
        return frames[0]
    return Result.of(result, frames, source)


def find_result(notebook: Notebook, of: int | str) -> Result:
    """The result of a call that was made: by its row in the log, or by a table that it
    gave. Raises DataError.
    """
    calls = notebook.ledger.calls
    if isinstance(of, str):
        maker = notebook.trail.of_frame(notebook.table(of))
        wanted = maker.id if maker is not None else ""
        record = next((call for call in calls if call.call_id == wanted), None)
    else:
        record = calls[of] if -len(calls) <= of < len(calls) else None

    kept = notebook.answers.get(record.call_id) if record is not None else None
    if record is None or kept is None:
        raise DataError(f"No result is kept of {of!r}: %mcp_log lists the calls.")

    made = notebook.trail.find(record.call_id)
    held = [table.frame() for table in made.kept()] if made is not None else []
    frames = [frame for frame in held if frame is not None]
    # a value by the output schema may hold secrets, and is for who called by hand
    kept = replace(kept, has_value=False)
    return Result.of(kept, frames, ResultSource(notebook, record.server, record.tool))


class Result(str):
    """What a tool returned, as a text that has everything else, too.

    `tables`: DataFrames, `table`: the first or None; `text`; `images` and `files`: each
    a `ResultFile` with `name`, `type`, `data` and `save()`; `value`: what the tool
    declares to return (`7` is an int), else the text; `error`: None; `notes`. Shown, it
    is the card of the call.
    """

    tables: list[DataFrame]
    text: str
    images: list[ResultFile]
    files: list[ResultFile]
    value: Any
    notes: tuple[str, ...]
    error: str | None
    _view: CallView
    _source: ResultSource
    _shows_more: bool

    @classmethod
    def of(
        cls, result: ToolResult, frames: Sequence[DataFrame], source: ResultSource
    ) -> Result:
        """The result of a call that was made."""
        self = cls(text_of(result))
        self.tables = list(frames)
        pictures = [Resource("", mime, blob=data) for mime, data in result.images]
        self.images = [ResultFile(file_name(item), item, source) for item in pictures]
        self.files = [
            ResultFile(file_name(item), item, source) for item in result.files
        ]
        reading = result.reading
        self.text, self.notes = str(self), ()
        if reading is not None:
            self.text, self.notes = reading.text, reading.notes

        # A declared value may be None or empty itself, so its being there is told
        # apart.
        self.value = self.text or None
        if result.has_value:
            self.value = result.value

        self.error = None
        if result.outcome != "ok":
            self.error = str(self)

        # The card of the result alone: what was sent may hold secrets.
        call = ToolCall(result.id, source.server, source.tool, {})
        # pyarrow is slow to import; whoever made a table has it
        from mcp_notebook.display.tables import view_result

        view = view_result(call, result)
        self._view, self._source = view, source

        self._shows_more = bool(
            self.images or self.files or self.tables or self.notes or view.charts
        )
        return self

    @property
    def table(self) -> DataFrame | None:
        """The first table."""
        if not self.tables:
            return None

        return self.tables[0]

    def _repr_mimebundle_(self, **options: Any) -> Any:
        # a text alone is shown as texts are
        if not self._shows_more:
            return {"text/plain": repr(str(self))}
        if self._view.charts:
            return self._view.charts[0].bundle()

        notebook = self._source.notebook
        return notebook.table_cards.show_finished(notebook, self._view)


@dataclass(frozen=True)
class ResultFile:
    """A picture, a document or sound of a result, or a link to one."""

    name: str
    _item: Resource = field(repr=False)
    _source: ResultSource = field(repr=False)

    @property
    def type(self) -> str:
        """Its MIME type as the server says it."""
        return self._item.mime

    @property
    def uri(self) -> str:
        """Its address on the server, "" for what has none."""
        return self._item.uri

    @property
    def data(self) -> bytes:
        """Its bytes; of a link they are read from its server now. Raises DataError."""
        item = self._item
        # Only now: a listing of a thousand links costs no thousand requests.
        if item.is_link:
            (item, *_) = self._read_link()
        if item.text is not None:
            return item.text.encode("utf-8", "replace")

        try:
            return base64.b64decode(item.blob or "", validate=True)
        except ValueError:
            raise DataError(f"{self.name} is not whole: ask the tool again.") from None

    def save(self, path: str | Path = "") -> Path:
        """Write it to `path`, by default under its own name in the present folder, and
        return where; a file that is there is replaced only where `path` names it.
        """
        if path:
            target = Path(path).expanduser()
            # a folder is meant as the place, not as the file
            target = target / self.name if target.is_dir() else target
        else:
            # The name is the server's: no folder of its choosing, nothing overwritten.
            target = free_path(Path(self.name).name or "file")

        target.write_bytes(self.data)
        return target

    def _read_link(self) -> tuple[Resource, ...]:
        notebook = self._source.notebook

        async def read() -> Any:
            session = await notebook.session(self._source.server)
            return await session.read_resource(self.uri)

        contents = contents_of(loop.run(read()))
        if not contents:
            raise DataError(f"{self.uri} is empty on {self._source.server}.")
        return contents

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        told = f"{describe_file(self._item)}: .save() writes it"
        url = picture(self.type, self._item.blob or "")
        if url is None:
            return {"text/plain": told}
        image = f'<img src="{url}" alt="image from the tool" style="max-width:100%">'
        return {"text/html": image, "text/plain": told}


def text_of(result: ToolResult) -> str:
    """What a call gave besides tables."""
    if result.reading is not None:
        text = result.reading.text
    else:
        text = ""

    return text or result.shown


async def own_sql(
    notebook: Notebook, text: str, *, into: str = "", emit: Emit = lambda event: None
) -> tuple[ToolResult, Any]:
    """SQL of the person's over the notebook's tables; the answer gets a name there.

    Every table that a variable holds can be named, shared or not: what is made of one
    that is not shared is kept from Claude.
    """
    calls = NotebookCalls(notebook, keep=keep_into(notebook, into), show=emit)
    own = _find_unshared(notebook, text)
    catalog = PersonsCatalog(notebook.catalog, own)
    result = await perform_own_sql(
        notebook, calls, {"sql": text}, catalog, given=own, unshared=tuple(own)
    )
    return result, notebook.shell.user_ns[result.names[0]]


def _find_unshared(notebook: Notebook, sql: str) -> dict[str, Any]:
    """The variables that a statement reads as tables and that nobody shared."""
    notebook.adopt()  # what the cell's own code was handed is offered already
    space = notebook.shell.user_ns
    names = [name for name in tables_named(sql) if name in space]
    return {
        name: space[name]
        for name in names
        if notebook.catalog.find(name) is None
        and not isinstance(space[name], str)
        and is_table(space[name])
    }


async def perform_own_sql(
    notebook: Notebook,
    calls: NotebookCalls,
    arguments: Mapping[str, Any],
    catalog: Catalog,
    *,
    given: Mapping[str, Any] | None = None,
    unshared: tuple[str, ...] = (),
) -> ToolResult:
    """SQL of the person's over the notebook's tables: in this process on the frames as
    they are, or on their engine.

    Claude's SQL over the same tables runs in a worker process that can be stopped; what
    the person types is trusted not to exhaust the kernel, and is checked all the same
    to be one SELECT. Raises DataError.

    `unshared`: tables of the person's that Claude may not see, nor what is made of them.
    """
    # DuckDB, at the first statement
    from mcp_notebook.sharing.local_sql import local_answer

    sql, said = await _bring_parts(notebook, arguments["sql"], catalog)
    arguments = {**arguments, "sql": sql}
    asked = new_call("hand", OWN_SERVER, "query", arguments)

    async def work(keep: Keep) -> ToolResult:
        started, stamp = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%S%z")
        answer = await local_answer(catalog, sql, limit=arguments.get("limit"))
        seconds = time.monotonic() - started
        # A column that SQL renames keeps its values: Claude must not query around a
        # mask.
        hidden = await asyncio.to_thread(shared_tables.masked_in, notebook, sql)
        notes = (*said, *answer.notes)
        if hidden:
            notes += (
                f"made from masked columns ({', '.join(hidden)}): "
                "Claude cannot query it until %mcp_share names it",
            )

        if unshared:
            notes += (
                f"made from {', '.join(unshared)}, which you did not share: "
                "Claude cannot query it until %mcp_share names it",
            )

        table = Table(answer.data, notes=notes, truncated=answer.truncated)
        origin = Origin(
            OWN_SERVER,
            "query",
            asked.arguments,
            asked.id,
            stamp,
            round(seconds, 4),
            arguments,
        )
        names, _ = keep((table,), origin, lambda names: "")
        if hidden or unshared:
            notebook.keep_back(names[0] if names else "", asked.id)

        reading = Reading(
            tables=(table,), reader=_name_engine(answer.notes), confidence="high"
        )
        size = answer.data.nbytes
        return ToolResult(asked.id, "ok", "", seconds, size, names, reading)

    facts = Facts(reads=True, sql="sql", only=True)
    return await calls.perform(asked, arguments, work, facts=facts, given=given)


async def _bring_parts(
    notebook: Notebook, sql: str, catalog: Catalog
) -> tuple[str, tuple[str, ...]]:
    """The statement with the tables of other servers that it names brought here, and
    what was asked for them; raises DataError where one did not come whole.
    """
    sessions = {session.name: session for session in notebook.sessions}
    split = split_parts(notebook, sql, sessions)
    if split is None:
        return sql, ()

    calls = NotebookCalls(notebook)
    names, said = {}, []
    for part in split.parts:
        tool, asked = split.call_of(part.server, part.sql)
        result = await perform(calls, part.server, tool, asked)
        if result.reading is None or not result.names:
            raise DataError(f"{part.server} gave no table for {part.sql}.")

        table = result.reading.tables[0]
        rows, why = table.data.num_rows, table.truncated
        if not why and split.looks_cut(rows):
            tool, asked = split.call_of(part.server, part.count)
            why = _miscount(rows, await perform(calls, part.server, tool, asked))
        if why:
            raise DataError(
                f"{part.table} of {part.server} did not come whole ({why}), so nothing "
                "was joined: add a condition on it."
            )

        names[part] = result.names[0]
        catalog.add(result.names[0])
        said.append(f"asked {part.server}: {part.sql}; {rows:,} rows")

    return split.write(names), tuple(said)


def _miscount(rows: int, counted: ToolResult) -> str:
    there = only_number(counted)
    return "" if there == rows else f"{rows:,} rows came, and it counts {there}"


def _name_engine(notes: tuple[str, ...]) -> str:
    """Where the answer was computed, as the card says it."""
    said = (note for note in notes if note.startswith("computed on"))
    return next(said, "DuckDB in this process")


def split_target(target: str, sessions: Iterable[Any] = ()) -> tuple[str, str]:
    """`server.tool` into its parts; the tool may hold dots itself, and so may what a
    file calls the server.
    """
    for session in sessions:
        alias = getattr(session.spec, "alias", "")
        if alias and target.startswith(f"{alias}."):
            return session.name, target[len(alias) + 1 :]

    # names of servers hold no dot
    server, dot, tool = target.partition(".")
    if not (server and dot and tool):
        raise ConfigError(
            f"Name the tool as server.tool, not {target!r}; %mcp_tools lists them."
        )

    return server, tool


def parse_arguments(text: str) -> dict[str, Any]:
    """Arguments written as a JSON object, or as `name=value` words; raises ConfigError."""
    text = text.strip()
    if not text:
        return {}

    if text.startswith("{"):
        try:
            value = json.loads(text)
        except ValueError as error:
            example = '{"sql": "select 1"}'
            raise ConfigError(
                f"The arguments are not valid JSON ({error}); write them as {example}."
            ) from None

        if isinstance(value, dict):
            return value

    # as a shell splits: a value with spaces stands in quotes
    return parse_words(shlex.split(text))


def parse_words(words: Sequence[str]) -> dict[str, Any]:
    """Arguments written as `name=value` words; raises ConfigError."""
    arguments: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (equals and name.isidentifier()):
            raise ConfigError(
                'Write the arguments as JSON, {"sql": "select 1"}, or as name=value, '
                f"not {word!r}."
            )

        # `limit=5` is a number and `ids=[1,2]` a list; what is no JSON is a text.
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value

    return arguments


async def sql(
    notebook: Notebook,
    server: str,
    text: str,
    *,
    into: str = "",
    tool: str = "",
    timeout: float = 0,
    emit: Emit = lambda event: None,
) -> tuple[ToolResult, Any]:
    """Run SQL through a server's own query tool and return its result and DataFrame."""
    if not text.strip():
        raise ConfigError("The cell holds no SQL.")

    if server == OWN_SERVER:
        return await own_sql(notebook, text.strip(), into=into, emit=emit)

    session = await notebook.session(server)
    info, argument = query_tool(session, tool)
    return await call(
        notebook,
        server,
        info.name,
        {argument: text.strip()},
        into=into,
        timeout=timeout,
        emit=emit,
    )
