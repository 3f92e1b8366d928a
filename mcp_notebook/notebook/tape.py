"""What the tools of a notebook gave, for its recording: kept with `%claude_record on
--tools`, traced where only turns are recorded, and played back where no server is
started (`MCPNotebook.offline`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_notebook.config import InProcessServer
from mcp_notebook.config.userfiles import lock_folder, write_whole
from mcp_notebook.errors import (
    BackendError,
    ConfigError,
    DataError,
    NotebookError,
    ReplayMiss,
)
from mcp_notebook.events import ToolAnswer, ToolResult
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.replay.keys import LiveTable, digest
from mcp_notebook.replay.sidecar import (
    KEPT_FILE,
    TABLES,
    SidecarContent,
    read_kept_file,
    read_sidecar,
    save,
    sidecars_in,
)
from mcp_notebook.secrets import (
    is_secret_name,
    mask_json,
    seal,
    seal_arguments,
    seal_text,
)
from mcp_notebook.veil import DIALECT, FAILED_ON_VALUES, NOT_TOLD, VIEWS

if TYPE_CHECKING:
    from mcp_notebook.agent.call_values import Sending
    from mcp_notebook.results import Reading, Table
    from mcp_notebook.sessions import Session, Sessions
    from mcp_notebook.veil import Veil

Files = tuple[Path | None, tuple[Path, ...]]

MOST_BYTES = 64 * 1024 * 1024  # of one result that is kept
_VALUE_HERE = 20_000  # bytes of a returned value that stand in the JSON
_ALL = 1 << 62  # rows in which secrets are looked for
_META = (DIALECT, VIEWS, FAILED_ON_VALUES)


# a call without an answer
_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("failure", "error", "value")),
    **dict.fromkeys(("text", "reader"), ""),
    "confidence": "none",
    **{name: [] for name in ("rejected", "notes", "warnings", "images", "files")},
    "meta": {},
    "bytes": 0,
    "tables": [],
}


class NotKept(Exception):
    """Why a result cannot be kept, in words for the person."""


class Tape:
    """The tool results of one kernel. `is_watching`: a recording or a replay wants to
    know the tables of calls; `is_keeping`: the results are recorded.
    """

    def __init__(
        self,
        veil: Veil,
        sessions: Sessions,
        recording: Callable[[], Path | None],
        files: Callable[[], Files],
    ) -> None:
        """`recording`: the file that is written, if any; `files`: the notebook's own
        recording and the others beside it.
        """
        self._veil, self._sessions = veil, sessions
        self._recording, self._files = recording, files
        self.is_keeping = False
        self.is_watching = False
        # the tables of the calls of the question that runs, by the calls' ids
        self._seen: dict[str, tuple[str, ToolAnswer]] = {}
        self._live: dict[str, tuple[LiveTable, ...]] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._mine: set[str] = set()  # keys recorded here, so not replaced but extended
        self._played: dict[str, int] = {}
        self._offline: set[str] = set()  # servers that are played
        self._read: dict[Path, tuple[int, SidecarContent]] = {}

    # ---- what came

    @property
    def is_wanted(self) -> bool:
        """Whether anybody asks for the calls' results."""
        return self.is_keeping or self.is_watching

    def begin_question(self, *, is_watching: bool) -> None:
        """Forget the tables of the question before."""
        self.is_watching = is_watching
        self._seen.clear()
        self._live.clear()
        self._names.clear()

    def key_of(self, server: str, tool: str, arguments: Mapping[str, Any]) -> str:
        """What makes two calls the same in a recording: masked values and secrets are
        not in it, nor can they be guessed from it.
        """
        told = self._tell_arguments(arguments)
        return digest([server, tool, json.loads(json.dumps(told, default=str))])

    def _tell_arguments(self, arguments: Mapping[str, Any]) -> Any:
        return self._veil.hide_json(seal_arguments(arguments))

    def take(self, sending: Sending, result: ToolResult) -> str:
        """Take note of a call that was answered; what is to be said of it, else ""."""
        server = sending.session.name
        answer = result.answer
        if answer is None or server == OWN_SERVER:
            return ""

        if self.is_watching and answer.reading is not None:
            key = self.key_of(server, sending.tool.name, sending.arguments)
            self._seen[result.id] = (key, answer)
            self._names[result.id] = result.names

        is_ours = isinstance(sending.session.spec, InProcessServer)
        path = self._recording()
        if not self.is_keeping or path is None or is_ours:
            return ""

        try:
            self._keep(path, sending, answer)
        except (NotKept, NotebookError, OSError) as why:
            return (
                f"The result of {server}.{sending.tool.name} is not recorded: "
                f"{str(why).rstrip('.')}. An offline replay will miss it."
            )

        return ""

    def tables(self, call_id: str) -> tuple[LiveTable, ...]:
        """The tables that a call of this question gave, without secrets and masked
        values.
        """
        if call_id in self._live or call_id not in self._seen:
            return self._live.get(call_id, ())

        key, answer = self._seen[call_id]
        assert answer.reading is not None
        names = self._names[call_id]
        found = []
        for at, table in enumerate(answer.reading.tables):
            hidden = self._hidden_columns(table, answer, at)
            data = self._seal(table, hidden)
            name = names[at] if at < len(names) else ""
            found.append(LiveTable(name, data, frozenset(hidden), key))

        self._live[call_id] = tuple(found)
        return self._live[call_id]

    def _hidden_columns(self, table: Table, answer: ToolAnswer, at: int) -> list[str]:
        """The columns of which nothing is kept: masked ones, those that SQL made from
        them, and those that are called like secrets.
        """
        of_sql = answer.masked[at] if answer.masked and at < len(answer.masked) else ()
        return [
            name
            for name in table.data.column_names
            if name in of_sql or self._veil.covers(name) or is_secret_name(name)
        ]

    def _seal(self, table: Table, hidden: Sequence[str]) -> Any:
        # both load pyarrow, which whoever made the table has
        sealing = import_module("mcp_notebook.agent.sealing")
        tables = import_module("mcp_notebook.replay.tables")
        data = tables.hide_columns(table.data, hidden)
        data = sealing.veil_table(data, self._veil)
        return sealing.seal_table(data, _ALL)

    # ---- kept in the file

    def start_keeping(self) -> None:
        """Keep results from now on, and what the servers that are here say of
        themselves.
        """
        self.is_keeping = True
        self._mine.clear()
        for session in self._sessions:
            self.keep_server(session)

    def keep_server(self, session: Session) -> None:
        """Keep what a server says of itself and its tools."""
        path = self._recording()
        is_ours = isinstance(session.spec, InProcessServer)
        if not self.is_keeping or path is None or is_ours:
            return

        veil = self._veil
        entry = {
            "title": seal_text(session.server_title),
            "instructions": seal_text(veil.hide(session.instructions)),
            "trusted": session.trusted,
            "tools": [veil.hide_schema(tool.definition) for tool in session.tools],
        }
        with _change(path) as content:
            content["servers"] = {**content["servers"], session.name: entry}

    def _keep(self, path: Path, sending: Sending, answer: ToolAnswer) -> None:
        if answer.received_bytes > MOST_BYTES:
            raise NotKept(f"it has more than {MOST_BYTES >> 20} MB, and none is cut")

        files: dict[str, bytes] = {}
        entry = self._entry(sending, answer, files)
        folder = path.parent / TABLES
        with _change(path) as content:
            # Under the lock: another kernel removes what no recording names yet.
            for name, data in files.items():
                folder.mkdir(exist_ok=True)
                # named by its content: what is there already is the same
                if not (folder / name).exists():
                    write_whole(folder / name, data)

            content["calls"] = self._merge(content["calls"], entry)

        _remove_unused(path.parent)
        self._mine.add(entry["key"])

    def _merge(
        self, calls: Sequence[dict[str, Any]], new: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The same call again in one recording gives a list that is played in order; the
        first of another recording takes the place of all.
        """
        old = [at for at, call in enumerate(calls) if call["key"] == new["key"]]
        if not old:
            return [*calls, new]
        if new["key"] not in self._mine:
            rest = [call for at, call in enumerate(calls) if at not in old[1:]]
            rest[old[0]] = new
            return rest

        last = calls[old[-1]]
        if {**last, "times": 1, "sum": ""} == {**new, "times": 1, "sum": ""}:
            again = {**last, "times": last["times"] + 1}
            return [*calls[: old[-1]], again, *calls[old[-1] + 1 :]]

        return [*calls[: old[-1] + 1], new, *calls[old[-1] + 1 :]]

    def _entry(
        self, sending: Sending, answer: ToolAnswer, files: dict[str, bytes]
    ) -> dict[str, Any]:
        """A call as it is kept; large parts go into `files`. Raises NotKept."""
        veil = self._veil
        reading = answer.reading
        head: dict[str, Any] = {
            "key": self.key_of(
                sending.session.name, sending.tool.name, sending.arguments
            ),
            "server": sending.session.name,
            "tool": sending.tool.name,
            "arguments": self._tell_arguments(sending.arguments),
            "times": 1,
        }
        if reading is None:
            return {**_NOTHING, **head, "failure": seal_text(answer.failure)}

        _refuse_unsearched(reading, answer, bool(veil))
        sealing = import_module("mcp_notebook.agent.sealing")

        def tell(text: str) -> str:
            return seal_text(sealing.veil_text(text, veil))

        told = tell(reading.text)
        if not answer.is_told and told.strip():
            told = NOT_TOLD

        texts = [veil.hide_values(note) for note in reading.notes]
        kept = {
            **_NOTHING,
            **head,
            "error": None if reading.error is None else tell(reading.error),
            "text": told,
            "reader": reading.reader,
            "confidence": reading.confidence,
            "rejected": [[who, tell(why)] for who, why in reading.rejected],
            "notes": [seal_text(note) for note in texts],
            "warnings": [tell(warning) for warning in answer.warnings],
            "images": [list(image) for image in reading.images],
            "files": [_write_file(file, tell) for file in answer.files],
            "value": self._value(answer, files),
            "meta": {name: answer.meta[name] for name in _META if name in answer.meta},
            "bytes": answer.received_bytes,
            "tables": [
                self._table(table, answer, at, files)
                for at, table in enumerate(reading.tables)
            ],
        }
        return json.loads(json.dumps(kept, default=str))

    def _value(
        self, answer: ToolAnswer, files: dict[str, bytes]
    ) -> dict[str, str] | None:
        """What the tool returned by its schema, as JSON."""
        if answer.structured is None:
            return None

        told = answer.structured if answer.is_told else NOT_TOLD
        sealed = seal(self._veil.hide_json(told))
        text = json.dumps(mask_json(sealed), ensure_ascii=False, default=str)
        if len(text) <= _VALUE_HERE:
            return {"json": text}

        return {"file": _add_file(files, text.encode("utf-8", "replace"), ".json")}

    def _table(
        self, table: Table, answer: ToolAnswer, at: int, files: dict[str, bytes]
    ) -> dict[str, Any]:
        hidden = self._hidden_columns(table, answer, at)
        tables = import_module("mcp_notebook.replay.tables")
        written = tables.write_table(self._seal(table, hidden))
        if written is None:
            raise NotKept("a table has columns of kinds that no file gives back")

        file = None
        if written.rows is None:
            file = _add_file(files, written.content, written.suffix)

        return {
            "columns": written.columns,
            "rows": written.rows,
            "file": file,
            "names": list(table.names),
            "types": dict(table.types),
            "notes": [seal_text(note) for note in table.notes],
            "truncated": table.truncated,
            "total_rows": table.total_rows,
            "approximate": table.approximate,
            "reader": table.reader,
            "masked": hidden,
        }

    # ---- played

    def plays(self, server: str) -> bool:
        """Whether a server is a recording."""
        return server in self._offline

    def play(self, sending: Sending) -> ToolAnswer:
        """The recorded answer of a call to a server that is not started. Raises
        ReplayMiss where none is recorded, BackendError where it is damaged.
        """
        server, tool = sending.session.name, sending.tool.name
        key = self.key_of(server, tool, sending.arguments)
        for path, content in self._contents():
            found = [call for call in content.calls if call["key"] == key]
            if found:
                return self._play_next(key, path, found)

        raise ReplayMiss(
            f"This call of {server}.{tool} is not recorded, and offline no server is "
            "asked: record it with %claude_record on --tools, or run without "
            "MCPNotebook.offline (--offline)."
        )

    def _play_next(
        self, key: str, path: Path, found: list[dict[str, Any]]
    ) -> ToolAnswer:
        in_order = [call for call in found for _ in range(call.get("times") or 1)]
        played = self._played.get(key, 0)
        self._played[key] = played + 1
        # more often than recorded: what stands at the end goes on
        call = in_order[min(played, len(in_order) - 1)]
        try:
            return _read_answer(call, path.parent)
        except DataError as error:
            raise BackendError(
                f"The recorded result of {call['server']}.{call['tool']} in {path.name} "
                f"cannot be played: {error.message}."
            ) from None

    def recorded_server(self, name: str) -> tuple[InProcessServer, bool]:
        """The server as it was recorded, and whether it is one of ours that is trusted;
        raises ConfigError where it is not recorded.
        """
        known: list[str] = []
        for _, content in self._contents():
            known += content.servers
            entry = content.servers.get(name)
            if entry is not None:
                self._offline.add(name)
                return _server_of(name, entry), bool(entry["trusted"])

        names = ", ".join(dict.fromkeys(known)) or "none"
        raise ConfigError(
            f"Server {name!r} is not recorded, and offline none is started; recorded "
            f"servers: {names}. Record with %claude_record on --tools."
        )

    def forget_server(self, name: str) -> None:
        """A server of that name is started: it is none of a recording any more."""
        self._offline.discard(name)

    def recorded_names(self) -> list[str]:
        """The servers of all recordings here."""
        names = [name for _, content in self._contents() for name in content.servers]
        return list(dict.fromkeys(names))

    def _contents(self) -> Iterator[tuple[Path, SidecarContent]]:
        """The recordings here, the notebook's own first; raises BackendError where the
        own cannot be read.
        """
        own, others = self._files()
        for path in [*([own] if own else []), *others]:
            try:
                stamp = path.stat().st_mtime_ns
                if self._read.get(path, (0,))[0] != stamp:
                    self._read[path] = (stamp, read_sidecar(path))
            except (BackendError, OSError):
                # What is not the notebook's own need not be a recording.
                if path == own:
                    raise
                continue

            yield path, self._read[path][1]


def _server_of(name: str, entry: Mapping[str, Any]) -> InProcessServer:
    def build() -> object:
        # loads mcp
        tools = import_module("mcp_notebook.sharing.tools")
        return tools.build_recorded_server(name, entry)

    return InProcessServer(build)


@contextlib.contextmanager
def _change(path: Path) -> Iterator[dict[str, Any]]:
    """The servers and calls of a file, written back at the end; two kernels may record
    into one.
    """
    with lock_folder(path.parent):
        content = read_sidecar(path) if path.exists() else SidecarContent()
        parts: dict[str, Any] = {
            "servers": dict(content.servers),
            "calls": list(content.calls),
        }
        yield parts
        save(path, content.turns, **parts)


def _remove_unused(folder: Path) -> None:
    """Remove the large tables that no recording of the folder names any more."""
    tables = folder / TABLES
    if not tables.is_dir():
        return

    with lock_folder(folder):
        # also of one that is damaged or half of a merge: it may be mended
        texts = [path.read_text("utf-8", "replace") for path in sidecars_in(folder)]
        for file in tables.iterdir():
            is_ours = KEPT_FILE.fullmatch(file.name)
            if is_ours and not any(file.name in text for text in texts):
                file.unlink(missing_ok=True)


def _add_file(files: dict[str, bytes], content: bytes, suffix: str) -> str:
    if len(content) > MOST_BYTES:
        raise NotKept(f"it has more than {MOST_BYTES >> 20} MB, and none is cut")

    name = f"{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    files[name] = content
    return name


def _refuse_unsearched(reading: Reading, answer: ToolAnswer, is_veiled: bool) -> None:
    """Raises NotKept for what cannot be searched for masked values, or written."""
    if reading.charts:
        raise NotKept("it is a chart of the server's own")

    blobs = [file for file in answer.files if file.blob is not None]
    if is_veiled and (blobs or reading.images):
        raise NotKept("its pictures and files cannot be searched for masked values")


def _write_file(file: Any, tell: Any) -> dict[str, str]:
    fields = {name: value for name, value in asdict(file).items() if value is not None}
    if "text" in fields:
        fields["text"] = tell(fields["text"])

    return {**fields, "uri": seal_text(file.uri)}


def _read_answer(call: Mapping[str, Any], folder: Path) -> ToolAnswer:
    """The answer of a recorded call; raises DataError."""
    # both load pyarrow, wanted at the first result
    results = import_module("mcp_notebook.results")
    content = import_module("mcp_notebook.results.content")
    if call.get("failure") is not None:
        return ToolAnswer(None, failure=call["failure"])

    tables = tuple(_read_table(table, folder) for table in call["tables"])
    reading = results.Reading(
        tables=tables,
        text=call["text"],
        error=call["error"],
        reader=call["reader"],
        confidence=call["confidence"],
        rejected=tuple((who, why) for who, why in call["rejected"]),
        images=tuple((kind, data) for kind, data in call["images"]),
        received_bytes=call["bytes"],
        notes=tuple(call["notes"]),
    )
    value = call["value"]
    structured = None
    if value is not None:
        name = value.get("file", "")
        text = value.get("json") or read_kept_file(folder, name).decode()
        structured = json.loads(text)

    return ToolAnswer(
        reading,
        meta=call["meta"],
        files=tuple(content.Resource(**file) for file in call["files"]),
        structured=structured,
        warnings=tuple(call["warnings"]),
        received_bytes=call["bytes"],
        masked=tuple(tuple(table["masked"]) for table in call["tables"]),
    )


def _read_table(entry: Mapping[str, Any], folder: Path) -> Table:
    # both load pyarrow
    tables = import_module("mcp_notebook.replay.tables")
    return import_module("mcp_notebook.results").Table(
        tables.read_entry(entry, folder),
        types=entry["types"],
        notes=tuple(entry["notes"]),
        truncated=entry["truncated"],
        total_rows=entry["total_rows"],
        approximate=entry["approximate"],
        reader=entry["reader"],
        names=tuple(entry["names"]),
    )
