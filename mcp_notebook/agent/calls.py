"""One tool call: run it, and turn the server's answer into a table, a name and what
Claude is shown.
"""

from __future__ import annotations

import asyncio
import glob
import json
import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_notebook.agent.call_values import Emit, Keep, Origin, Sending, Shaping
from mcp_notebook.agent.sealing import (
    masked_values,
    secret_columns,
    veil_table,
    veil_text,
)
from mcp_notebook.charts.drawing import CARRIED, take_carried
from mcp_notebook.errors import NotebookError
from mcp_notebook.events import ToolAnswer, ToolProgress, ToolResult
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.policy.budgets import cut_text
from mcp_notebook.results import Reading, read
from mcp_notebook.results.content import describe_file, files_in, parts_of
from mcp_notebook.results.model_preview import preview
from mcp_notebook.secrets import seal_text
from mcp_notebook.sessions import handover
from mcp_notebook.sql_words import sql_of, tables_named
from mcp_notebook.veil import DIALECT, FAILED_ON_VALUES, NOT_TOLD, VIEWS, Veil

if TYPE_CHECKING:
    from mcp_notebook.results import Table
    from mcp_notebook.sessions import CallOutcome, Session, ToolInfo

logger = logging.getLogger(__name__)

# the arguments of a call, what tells the dialect of its SQL, and the queries of views
Asked = tuple[Mapping[str, Any], str, Mapping[str, str]]

# Results above this size are read on a worker thread: a second of parsing must not stop
# every other session.
READ_ASIDE_BYTES = 100_000
# a result that links to more is a listing: its links are read with %mcp_read
MOST_LINKS = 5


async def call_tool(
    sending: Sending,
    *,
    keep: Keep,
    shaping: Shaping,
    timeout: float,
    emit: Emit = lambda _: None,
) -> ToolResult:
    """Call the tool and shape its answer; failures of server and session become an
    `error` result.
    """
    call, session, tool = sending.call, sending.session, sending.tool
    started = time.monotonic()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")

    def progress(fraction: float | None, message: str) -> None:
        emit(ToolProgress(call.id, fraction, message))

    try:
        outcome = await session.call(
            tool.name, sending.arguments, timeout=timeout, on_progress=progress
        )
        origin = Origin(
            session.name,
            tool.name,
            call.arguments,
            call.id,
            stamp,
            round(outcome.seconds, 4),
            sending.arguments,
        )
        return await shape(outcome, tool, origin, keep, shaping, session)
    except NotebookError as error:
        # The detail (a server's stderr) is for the person; it may hold what must not
        # reach the model.
        said = shaping.veil.hide_error(error.message, sending.arguments)
        seconds = time.monotonic() - started
        answer = ToolAnswer(None, failure=said)
        return ToolResult(call.id, "error", said, seconds, answer=answer)
    except Exception as error:  # boundary: a server's odd answer must not end the cell
        # As logger.exception, but what the exception quotes may hold secrets.
        logger.error(
            "calling %s.%s\n%s",
            session.name,
            tool.name,
            seal_text(traceback.format_exc()),
        )
        return ToolResult(
            call.id,
            "error",
            f"The call failed inside the notebook ({type(error).__name__}).",
            time.monotonic() - started,
        )


async def give_recorded(
    sending: Sending, answer: ToolAnswer, *, keep: Keep, shaping: Shaping
) -> ToolResult:
    """The result of a call whose answer was recorded: nothing is sent."""
    call = sending.call
    if answer.reading is None:
        return ToolResult(call.id, "error", answer.failure, 0.0)

    origin = Origin(
        sending.session.name,
        sending.tool.name,
        call.arguments,
        call.id,
        time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        0.0,
        sending.arguments,
    )
    known = sending.session.known_columns
    return await asyncio.to_thread(
        _shape_answer, answer, sending.tool, origin, keep, shaping, known
    )


# tables of files that a result only links to: their bytes came beside the result
_FILES = ("arrow file", "arrow stream", "parquet")


async def shape(
    outcome: CallOutcome,
    tool: ToolInfo,
    origin: Origin,
    keep: Keep,
    shaping: Shaping,
    session: Session | None = None,
) -> ToolResult:
    """Read the server's answer, write what Claude is shown, and keep its tables in the
    notebook.
    """
    fetch = _follower(session, outcome)
    # a small file may take long: a workbook waits for the process that opens it
    has_file = any(block.type == "resource" for block in outcome.result.content)
    is_small = outcome.received_bytes <= READ_ASIDE_BYTES
    known = session.known_columns if session is not None else {}
    if is_small and fetch is None and not has_file:
        return _shape(outcome, tool, origin, keep, shaping, known)

    if session is not None:
        folders = handover.offered_folders(session.spec)
    else:
        folders = ()

    return await asyncio.to_thread(
        _shape, outcome, tool, origin, keep, shaping, known, fetch, folders
    )


def _follower(
    session: Session | None, outcome: CallOutcome
) -> Callable[[str], object] | None:
    """Reads what a result links to, from the server that sent the link; None when it
    links to nothing.
    """
    links = [block for block in outcome.result.content if block.type == "resource_link"]
    if session is None or not 0 < len(links) <= MOST_LINKS:
        return None

    loop = asyncio.get_running_loop()

    def fetch(uri: str) -> object:  # on the worker thread that reads the result
        return asyncio.run_coroutine_threadsafe(
            session.read_resource(uri), loop
        ).result()

    return fetch


def _shape(
    outcome: CallOutcome,
    tool: ToolInfo,
    origin: Origin,
    keep: Keep,
    shaping: Shaping,
    known: dict[tuple[Any, ...], Any],
    fetch: Callable[[str], object] | None = None,
    folders: tuple[Path, ...] = (),
) -> ToolResult:
    arguments = origin.exact or origin.arguments
    if folders:
        answer = handover.without_stand_ins(outcome.result)
    else:
        answer = outcome.result

    reading = _take_chart(answer, origin) or read(
        answer,
        output_schema=tool.output_schema,
        sql=sql_of(arguments),
        arguments=arguments,
        fetch=fetch,
        allowed_dirs=folders,
    )
    if folders:
        links = (b for b in outcome.result.content if b.type == "resource_link")
        handover.remove_handed_files((str(link.uri) for link in links), folders)

    answer = ToolAnswer(
        reading,
        meta=outcome.result.meta or {},
        files=files_in(outcome.result, reading.rejected),
        structured=getattr(outcome.result, "structured_content", None),
        warnings=tuple(outcome.warnings),
        seconds=outcome.seconds,
        received_bytes=outcome.received_bytes,
    )
    return _shape_answer(answer, tool, origin, keep, shaping, known)


def _shape_answer(
    answer: ToolAnswer,
    tool: ToolInfo,
    origin: Origin,
    keep: Keep,
    shaping: Shaping,
    known: dict[tuple[Any, ...], Any],
) -> ToolResult:
    """Write what Claude is shown of an answer, and keep its tables in the notebook."""
    arguments = origin.exact or origin.arguments
    reading = answer.reading
    assert reading is not None
    if reading.error is not None:
        of_values = bool(answer.meta.get(FAILED_ON_VALUES))
        said = shaping.veil.hide_error(reading.error, arguments, of_values=of_values)
        answer = replace(answer, reading=replace(reading, error=said))
        return _result(origin, answer, "error", cap_text(said, shaping))

    # the names of a statement's columns are its own
    if not sql_of(arguments):
        reading = _name_empty(reading, (tool.name, tuple(sorted(arguments))), known)

    asked = _what_was_asked(origin, answer.meta)
    if answer.masked is None:
        origin = _follow_masks(origin, reading, shaping.veil, asked)
    else:
        # Recorded values stand masked: there is nothing to be learnt of them.
        origin = replace(origin, masked=answer.masked)

    is_told = origin.server == OWN_SERVER or not shaping.veil.withholds_text(*asked)

    def say(text: str) -> str:
        return cap_text(veil_text(text, shaping.veil) if is_told else NOT_TOLD, shaping)

    structured = answer.structured

    def write(names: Sequence[str]) -> str:
        parts = previews(reading.tables, names, shaping, origin.masked)
        if reading.text.strip():
            parts.append(say(reading.text))

        parts += _say_same_names(names, origin, sql_of(arguments))
        parts += [f"Note: {warning}" for warning in answer.warnings]
        parts += [f"{describe_file(f)}: the person has it" for f in answer.files]
        if not parts and reading.images:
            parts.append(f"images: {', '.join(mime for mime, _ in reading.images)}")
        if not parts and structured is not None:
            parts.append(say(json.dumps(_unwrap(structured), ensure_ascii=False)))

        return "\n\n".join(parts) or "(the tool returned nothing)"

    names, shown = keep(reading.tables, origin, write)
    answer = replace(answer, reading=reading, masked=origin.masked, is_told=is_told)
    found = _result(origin, answer, "ok", shown, names)
    return replace(
        found,
        files=answer.files,
        value=_unwrap(structured),
        has_value=structured is not None,
    )


def _name_empty(
    reading: Reading, asked: tuple[Any, ...], known: dict[tuple[Any, ...], Any]
) -> Reading:
    """The reading with the columns of an earlier answer to what was asked in the same
    way, where no rows and no names came; and what came is known from now on.
    """
    tables = []
    for place, table in enumerate(reading.tables):
        at = (*asked, place)
        rows, columns = table.data.shape
        if rows and columns:
            known[at] = table.data.schema
        elif at in known and not (rows or columns):
            note = (
                "no rows came: the columns are those of an earlier answer of this tool"
            )
            schema = known[at].remove_metadata()
            table = replace(
                table,
                data=schema.empty_table(),
                names=tuple(schema.names),
                notes=(note,),
            )

        tables.append(table)

    return replace(reading, tables=tuple(tables))


def _take_chart(answer: Any, origin: Origin) -> Reading | None:
    """The chart that the notebook's own server drew; its words are no rows."""
    if origin.server != OWN_SERVER:
        return None

    parts = parts_of(answer)
    carried = [item.text for item in parts.resources if item.mime == CARRIED]
    if not carried or carried[0] is None:
        return None

    return Reading(
        text="\n".join(parts.texts),
        images=parts.images,
        reader="chart",
        confidence="high",
        received_bytes=parts.size,
        charts=(take_carried(carried[0]),),
    )


def _say_same_names(names: Sequence[str], origin: Origin, sql: str) -> list[str]:
    """A line for each table that is called like one of the database it came from: the
    rows of a statement are not that table.
    """
    if origin.server == OWN_SERVER or not sql:
        return []

    theirs = {table.lower() for table in tables_named(sql)}
    return [
        f"Note: in the notebook {name} is this result of {origin.server}, not the "
        f"table {name} of {origin.server}; ask {origin.server} for that one."
        for name in names
        if name.lower() in theirs
    ]


def _unwrap(value: Any) -> Any:
    """A structured value out of the object that SDKs wrap a bare one in."""
    if isinstance(value, dict) and list(value) == ["result"]:
        return value["result"]
    return value


def _what_was_asked(origin: Origin, told: Mapping[str, Any]) -> Asked:
    """What tells the columns of an answer. `told`: what our database server says of the
    views in the statement, and its dialect.
    """
    hint = str(told.get(DIALECT) or f"{origin.server} {origin.tool}")
    views = {str(name): str(sql) for name, sql in dict(told.get(VIEWS) or {}).items()}
    return origin.exact or origin.arguments, hint, views


def _follow_masks(origin: Origin, reading: Reading, veil: Veil, asked: Asked) -> Origin:
    """Learn the values of masked columns, whatever the statement called them; returns
    the origin with these columns.
    """
    # the notebook's own server masks before its SQL runs, and answers with tokens
    if not veil or origin.server == OWN_SERVER:
        return origin

    found = []
    for table in reading.tables:
        masked = veil.columns_of(table.data.column_names, *asked)
        for values in masked_values(table.data, masked, veil.covers):
            veil.learn(values)

        found.append(tuple(name for name in masked if not veil.covers(name)))

    return replace(origin, masked=tuple(found))


def previews(
    tables: Sequence[Table],
    names: Sequence[str],
    shaping: Shaping,
    masked: Sequence[Sequence[str]] = (),
) -> list[str]:
    """What Claude is shown of each table, under the name that it has in the notebook.
    `masked`: by table, further columns of which nothing is shown.
    """
    hidden = [*map(tuple, masked), *((),) * (len(tables) - len(masked))]
    return [
        shaping.veil.hide_values(
            preview(
                veil_table(table.data, shaping.veil),
                name,
                rows=shaping.rows,
                whole=shaping.whole,
                grant=shaping.grant,
                mask=(*shaping.mask, *map(glob.escape, more), *secret_columns(table)),
                notes=table.notes,
                truncated=table.truncated,
            )
        )
        for table, name, more in zip(tables, names, hidden, strict=True)
    ]


def _result(
    origin: Origin,
    answer: ToolAnswer,
    end: Any,
    shown: str,
    names: tuple[str, ...] = (),
) -> ToolResult:
    reading = answer.reading
    assert reading is not None
    files = [t.data.nbytes for t in reading.tables if t.reader in _FILES]
    return ToolResult(
        origin.call_id,
        end,
        shown,
        answer.seconds,
        received_bytes=answer.received_bytes + sum(files),
        names=names,
        reading=reading,
        images=tuple(i for i in reading.images if i[0].startswith("image/")),
        answer=answer,
    )


def cap_text(text: str, shaping: Shaping) -> str:
    size = len(text.encode("utf-8", "replace"))
    return cut_text(
        text, shaping.text_bytes, f"\n[cut: the first part of {size:,} bytes]"
    )
