"""What lives as long as the kernel: sessions, tables, conversation, ledger, grants."""

from __future__ import annotations

import asyncio
import copy
import importlib
import itertools
import os
import threading
import weakref
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_notebook import loop, naming
from mcp_notebook.agent.backends import Clients, ModelFacts
from mcp_notebook.agent.call_values import Shaping
from mcp_notebook.agent.conversation import Conversation
from mcp_notebook.config import InProcessServer
from mcp_notebook.config.userfiles import user_folder
from mcp_notebook.display.call_view import show_times
from mcp_notebook.errors import ConfigError, DataError
from mcp_notebook.events import ToolCall, ToolResult
from mcp_notebook.freeze.call_log import Call, Facts, Kind, Trail
from mcp_notebook.ledger import Ledger
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.notebook.asker import Asker
from mcp_notebook.notebook.options import MCPNotebook
from mcp_notebook.notebook.server_requests import ServerRequests
from mcp_notebook.notebook.tape import Tape
from mcp_notebook.policy import Grants, Rules, Spent, Starts, matches_any, user_file
from mcp_notebook.replay.sidecar import (
    hold_cell,
    move_along,
    sidecar_for,
    sidecars_in,
)
from mcp_notebook.sessions import Sessions
from mcp_notebook.sessions.handover import new_folder
from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.veil import Veil, values_in

if TYPE_CHECKING:
    from mcp_notebook.agent.call_values import Origin, Shaping
    from mcp_notebook.results import Table
    from mcp_notebook.sessions import Session


MOST_ANSWERS = 50  # that are kept with their pictures and files
MAIN = "main"  # the branch in which a conversation starts


class Notebook:
    """The state behind the magics of one kernel."""

    def __init__(self, shell: Any, settings: MCPNotebook) -> None:
        self.shell = shell
        self.settings = settings
        self.sessions = Sessions(memory=user_folder() / "eras.json")
        self.clients = Clients()  # those that we make for a model's service
        self.ledger = Ledger()
        self._write_log(settings.log_file)
        show_times(settings.timings)
        settings.observe(lambda change: show_times(change.new), names="timings")
        settings.observe(lambda change: self._write_log(change.new), names="log_file")
        settings.observe(
            lambda _: loop.submit(self.sessions.announce_roots()), names="roots"
        )
        self.veil = Veil(lambda: settings.mask)
        settings.observe(lambda _: self.learn_masked(), names="mask")
        self.grants = Grants(user_file())
        self.starts = Starts(user_folder() / "starts.json")
        self.spent = Spent()
        self.branches = {MAIN: Conversation()}
        self.branch = MAIN
        self.asker = Asker()  # every question to the person
        self.requests = ServerRequests(self)  # what servers may ask for
        # shared files and objects that no variable holds
        self.held: dict[str, Any] = {}
        self.catalog = Catalog(lambda: ChainMap(self.shell.user_ns, self.held))
        # patterns given at %mcp_connect, by server
        self.allowed: dict[str, tuple[str, ...]] = {}
        # what Claude was shown of each table, for %mcp_preview
        self.shown: dict[str, str] = {}
        # how each cell's question begins, by the cell's name in the ledger
        self.questions: dict[str, str] = {}
        # what the person says of servers' tables: server, table, column (an empty one:
        # of the table itself)
        self.server_words: dict[str, dict[str, dict[str, str]]] = {}
        # what the service said of models, by address and name
        self.model_facts: dict[tuple[str, str], ModelFacts] = {}
        self.recording: Path | None = None
        # what tools gave, for recordings and replays
        self.tape = Tape(
            self.veil, self.sessions, lambda: self.recording, self.replay_files
        )
        self.numbers = itertools.count(1)  # of questions
        self._renamed: Path | None = None  # the notebook, when its name changed
        # what was said of recordings that are not this notebook's own
        self.file_notes: set[str] = set()
        # what the last calls gave besides tables, by their ids
        self.answers: dict[str, ToolResult] = {}
        self.trail = Trail()  # what was called, exactly, for %mcp_freeze
        self._handed: list[weakref.ref[Any]] = []
        self._bound: dict[str, tuple[Any, weakref.ref[Any]]] = {}
        # names of tables that are being described, and are bound in a moment
        self._reserved: set[str] = set()
        # the names of calls that were announced, by the calls' ids
        self._promised: dict[str, str] = {}
        self._naming = threading.Lock()
        # views of tables that the next question tells of
        self.pointed: list[str] = []

    def keep(
        self,
        tables: Sequence[Table],
        origin: Origin,
        write: Callable[[Sequence[str]], str] = lambda names: "",
        *,
        into: str = "",
    ) -> tuple[tuple[str, ...], str]:
        """Put the tables of a call into the notebook's namespace; returns their names,
        and what `write` made of these before anything was bound.

        `into` is what the person asked the first one to be called. For the others a
        readable name is found that is free, or that the very same call was given
        before: running a cell again refreshes its table.
        """
        names = self._reserve_names(origin, len(tables), into)
        try:
            # Described before anything is bound: what cannot be written leaves no name.
            written = write(names)
            for index, (table, name) in enumerate(zip(tables, names, strict=True)):
                self._keep_table(table, origin, index, name)
        finally:
            self._reserved.difference_update(names)

        if into and tables:
            self.trail.note_name(into, self.shell.user_ns[into])

        return names, written

    def promise_name(self, call: ToolCall, arguments: Mapping[str, Any]) -> None:
        """Choose the name of a call's table when the call is announced, so that names
        follow the order of the calls and not who was ready first.
        """
        suggested = naming.suggest(call.server, call.tool, arguments)
        made_by = provenance_of(call.server, call.tool, arguments, 0)
        # Large results are named on worker threads, two at a time perhaps.
        with self._naming:
            name = self._free_name(suggested, made_by)
            self._reserved.add(name)
            self._promised[call.id] = name

    def release_name(self, call_id: str) -> None:
        """Give back the name of a call that ended without a table."""
        with self._naming:
            name = self._promised.pop(call_id, "")
            self._reserved.discard(name)

    def _reserve_names(self, origin: Origin, count: int, into: str) -> tuple[str, ...]:
        """Names that no other call is given while this one's tables are described."""
        suggested = naming.suggest(origin.server, origin.tool, origin.arguments)
        names: list[str] = []
        with self._naming:
            promised = self._promised.pop(origin.call_id, "") if count else ""
            # Further tables are called after the first: the names of the calls beside
            # this one are no part of theirs.
            suggested = promised or suggested
            for index in range(count):
                if index == 0:
                    wanted = into or promised
                else:
                    wanted = ""

                name = wanted or self._free_name(suggested, provenance(origin, index))
                self._reserved.add(name)
                names.append(name)

        return tuple(names)

    def _keep_table(self, table: Table, origin: Origin, index: int, name: str) -> None:
        frame = frame_of(table, origin, self.settings.types)
        made_by = provenance(origin, index)
        masked = origin.masked[index] if origin.masked else ()
        self.bind(name, frame, masked=masked)
        # the same call again: what was shared with new rows, not another table
        if self._bound.get(name, (None,))[0] == made_by:
            self.catalog.renew(name)

        # Weakly: a table that the person deleted is not kept alive by us.
        self._bound[name] = (made_by, weakref.ref(frame))
        self.trail.kept(origin.call_id, index, name, frame, table.truncated)

    def hand_out(self, table: Table, origin: Origin, index: int = 0) -> Any:
        """A table as a DataFrame for the person's own code, which gives it its name;
        see `adopt`.
        """
        frame = frame_of(table, origin, self.settings.types)
        self._handed = [
            reference for reference in self._handed if reference() is not None
        ]
        self._handed.append(weakref.ref(frame))
        self.trail.kept(origin.call_id, index, "", frame, table.truncated)
        return frame

    def keep_back(self, name: str, call_id: str) -> None:
        """Do not offer Claude a call's result, which may hold masked values under other names."""
        self.catalog.withhold(name)
        frames = [(reference, reference()) for reference in self._handed]
        self._handed = [
            r
            for r, frame in frames
            if frame is not None and frame.attrs["mcp"]["call_id"] != call_id
        ]

    def adopt(self) -> None:
        """Let Claude query the tables that were handed out by the names that the
        person's code gave them.
        """
        waiting = {
            id(frame): frame
            for reference in self._handed
            if (frame := reference()) is not None
        }
        for name, value in list(self.shell.user_ns.items()) if waiting else ():
            if waiting.get(id(value)) is value is not None and not name.startswith("_"):
                self.catalog.add(name, variable=name, origin="result")
                self.trail.note_name(name, value)
                self._handed = [
                    reference for reference in self._handed if reference() is not value
                ]

    def remember_call(
        self,
        call: ToolCall,
        arguments: Mapping[str, Any],
        *,
        facts: Facts,
        cell: str = "",
        kind: Kind = "tool",
        given: Mapping[str, Any] | None = None,
    ) -> None:
        """Remember a call exactly as it is sent, in memory only, so that it can be frozen.

        `given`: the tables that SQL was given by name, beside those of the notebook.
        """
        # IPython keeps a blank before its first input, so the running one is the last.
        at = len(self.shell.user_ns.get("In", ())) - 1
        # The person's own lists may change after the call.
        exact = copy.deepcopy(dict(arguments))
        tables: dict[str, Any] = {}
        # What a name stood for may be another table when the run is frozen.
        if call.server == OWN_SERVER:
            tables = {
                entry.name: self.shell.user_ns.get(entry.variable)
                for entry in self.catalog.entries()
            }
        # a table that is an argument knows its variable
        for value in exact.values():
            name = getattr(value, "code", "")
            if name:
                tables[name] = self.shell.user_ns.get(name)

        made = Call(call.id, call.server, call.tool, exact, facts, cell, kind, at=at)
        self.trail.sent(made, {**tables, **(given or {})})

    def remember_answer(self, result: ToolResult) -> None:
        """Keep what a call gave besides its tables, which are in the notebook."""
        reading = result.reading
        if reading is not None:
            reading = replace(reading, tables=())

        self.answers[result.id] = replace(result, reading=reading)
        if len(self.answers) > MOST_ANSWERS:
            del self.answers[next(iter(self.answers))]

    def bind(self, name: str, frame: Any, masked: tuple[str, ...] = ()) -> None:
        """Give a table a name in the notebook and let Claude query it there. `masked`:
        columns that were made from masked ones.
        """
        self.shell.user_ns[name] = frame
        self.catalog.add(name, variable=name, origin="result", masked=masked)

    def learn_masked(self) -> None:
        """Know the values of masked columns in the tables that are here: a mask that is
        set late also holds for what came before.
        """
        if not self.veil:
            return

        for entry in self.catalog.entries():
            value = self.catalog.value_of(entry)
            for values in values_in(value, self.veil.covers):
                self.veil.learn(values)

    def free_name(self, suggested: str) -> str:
        """A name like this one that nothing in the notebook has."""
        with self._naming:
            return self._free_name(suggested, None)

    def _free_name(self, suggested: str, made_by: Any) -> str:
        for name, (maker, reference) in self._bound.items():
            if maker != made_by or name in self._reserved:
                continue

            # The person may have given the name to something else since.
            if self.shell.user_ns.get(name) is reference() is not None:
                return name

        taken = {*self.shell.user_ns, *self.catalog.names(), *self._reserved}
        return naming.free(suggested, taken)

    def rules(self, allow: tuple[str, ...], *, attended: bool) -> Rules:
        """The rules of one cell: the settings, what was allowed at connect, and
        `allow`, what the settings and the cell itself allow.
        """
        return Rules(
            allow=allow,
            allow_of=dict(self.allowed),
            ask=tuple(self.settings.ask),
            deny=tuple(self.settings.deny),
            default=self.settings.approval,  # type: ignore[arg-type]
            attended=attended,
            unattended=self.settings.unattended,  # type: ignore[arg-type]
        )

    def repeatable(self, session: Session) -> set[str]:
        """The tools of a session that the person marked as safe to run twice
        (`MCPNotebook.retry`).
        """
        patterns = tuple(self.settings.retry)
        return {
            tool.name
            for tool in session.tools
            if matches_any(patterns, session.name, tool.name)
        }

    def _write_log(self, name: str) -> None:
        self.ledger.file = Path(name).expanduser() if name else None

    @property
    def conversation(self) -> Conversation:
        """The branch of the conversation that the next cell goes on with."""
        return self.branches[self.branch]

    def switch(self, name: str) -> None:
        """Go on in another branch of the conversation; a new one starts where this one is."""
        self.branches.setdefault(name, self.conversation.fork())
        self.branch = name

    def client(self) -> Any:
        """The person's own client: the setting is its variable's name, or the object;
        raises ConfigError.
        """
        client = self.settings.client
        if not isinstance(client, str):
            return client

        if client and client not in self.shell.user_ns:
            raise ConfigError(
                f"MCPNotebook.client names {client!r}, and there is no such variable "
                "in the notebook."
            )

        if client:
            return self.shell.user_ns[client]

        return None

    def make_shaping(self, rows: int | None = None) -> Shaping:
        """How much of a result goes to the model."""
        if rows is None:
            rows = self.settings.rows_to_model

        return Shaping(
            rows=rows,
            # Another number than the usual is the person's own limit, of every table.
            whole=rows == Shaping.rows,
            text_bytes=self.settings.text_bytes,
            mask=self.veil.patterns,
            veil=self.veil,
        )

    @cached_property
    def table_cards(self) -> Any:
        """The module that shows tables; by its name, for it needs this one."""
        return importlib.import_module("mcp_notebook.notebook.shown")

    async def load_compose(self) -> Any:
        """The module that composes a question: the door to the model's SDK, behind which
        everything imports it plainly.

        The SDK takes seconds to import: on a worker thread the heartbeat and other
        sessions go on meanwhile.
        """
        return await asyncio.to_thread(
            importlib.import_module, "mcp_notebook.notebook.compose"
        )

    async def own_session(self) -> Session:
        """The session with the notebook's own server, started at its first use."""
        if OWN_SERVER not in self.sessions.names():
            # loads mcp and duckdb
            from mcp_notebook.sharing.notebook_server import build_notebook_server

            folder = new_folder()
            spec = InProcessServer(
                lambda: build_notebook_server(
                    self.catalog,
                    mask=lambda: self.veil.patterns,
                    known=self.veil.known,
                    folder=folder,
                ),
                folder=folder,
            )
            await self.sessions.connect(OWN_SERVER, spec, trusted=True)

        return self.sessions.get(OWN_SERVER)

    def knows_server(self, name: str) -> bool:
        """Whether a server of that name, or that its file calls so, is there."""
        aliases = {getattr(one.spec, "alias", "") for one in self.sessions}
        return name in (OWN_SERVER, *self.sessions.names()) or name in aliases - {""}

    async def session(self, name: str) -> Session:
        """A session by name; the notebook's own starts when it is asked for."""
        if name == OWN_SERVER:
            return await self.own_session()

        return self.sessions.get(name)

    def table(self, name: str) -> Any:
        """A table of the notebook by name; raises DataError."""
        if name not in self.shell.user_ns:
            known = ", ".join(self.catalog.names()) or "none yet"
            raise DataError(
                f"There is no table {name!r} in this notebook; tables: {known}."
            )

        return self.shell.user_ns[name]

    def path(self) -> Path | None:
        """The notebook as it is called now, where the frontend told its name.

        That is of the kernel's start: a notebook that was renamed since is known by
        the cell that runs.
        """
        told = self._renamed or notebook_path(self.shell.user_ns)
        if told is None:
            return None

        folder = folder_of(told)
        if (folder / told.name).exists():
            return told

        holding = hold_cell(folder, cell_id(self.shell), cell_source(self.shell))
        # Of several (a copy has the same cells) none is known to be this one.
        if len(holding) == 1:
            self._renamed = holding[0]
            return holding[0]

        return told

    def replay_files(self) -> tuple[Path | None, tuple[Path, ...]]:
        """The recorded turns that belong to this notebook, and the other files of
        recorded turns in its folder, which may answer what that one does not hold.

        The setting's file stands alone. Raises ConfigError when it is not there.
        """
        setting = self.settings.replay_file
        if setting:
            path = Path(setting).expanduser()
            if path.exists():
                return path, ()

            raise ConfigError(
                f"MCPNotebook.replay_file names {setting!r}, which does not exist."
            )

        notebook = self.path()
        if notebook is None:
            return None, tuple(sidecars_in(Path.cwd()))

        folder = folder_of(notebook)
        own = sidecar_for(folder / notebook.name)
        others = [path for path in sidecars_in(folder) if path != own]
        return (own if own.exists() else None), tuple(others)

    def record_file(self) -> Path:
        """Where a recording of this notebook goes; raises ConfigError when its name is
        not known.
        """
        if self.recording is not None:
            return self.recording
        if self.settings.replay_file:
            return Path(self.settings.replay_file).expanduser()

        notebook = self.path()
        if notebook is None:
            raise ConfigError(
                "The notebook's file name is not known here; say where to record: "
                "%claude_record on FILE."
            )

        return Path(sidecar_for(notebook).name)

    def follow_rename(self) -> str:
        """Let a recording go on under the notebook's new name, when it was renamed
        while recording; what is to be said of that, else an empty text.
        """
        told = self._renamed or notebook_path(self.shell.user_ns)
        # A file that the person named is no notebook's.
        old = self.recording
        if told is None or old is None or old != Path(sidecar_for(told).name):
            return ""

        notebook = self.path()
        if notebook is None or notebook.name == told.name:
            return ""

        self.recording = Path(sidecar_for(notebook).name)
        folder = folder_of(notebook)
        moved = move_along(folder / old, folder / self.recording)
        words = f"{old} was renamed with it" if moved else f"{old} stays as it is"
        return (
            f"This notebook is called {notebook.name} now: recording goes on in "
            f"{self.recording}; {words}."
        )


def provenance(origin: Origin, index: int) -> tuple[Any, ...]:
    """What makes a table the same as one that came before."""
    exact = origin.exact or origin.arguments
    return provenance_of(origin.server, origin.tool, exact, index)


def provenance_of(
    server: str, tool: str, arguments: Mapping[str, Any], index: int
) -> tuple[Any, ...]:
    """The same, from its parts: table `index` of a call with these exact arguments."""
    return server, tool, repr(sorted(arguments.items(), key=str)), index


def frame_of(table: Table, origin: Origin, types: str) -> Any:
    """A table as a DataFrame that says where it comes from; `types` is the setting."""
    return table.to_pandas(
        types=types,  # type: ignore[arg-type]
        attrs={
            "server": origin.server,
            "tool": origin.tool,
            "arguments": dict(origin.arguments),
            "call_id": origin.call_id,
            "time": origin.time,
            "seconds": origin.seconds,
        },
    )


# Which notebook this kernel runs.


def notebook_path(
    user_ns: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> Path | None:
    """The notebook's path where the frontend tells it: Jupyter servers do, VS Code
    does, nbclient does not.
    """
    said = (user_ns.get("__vsc_ipynb_file__"), environ.get("JPY_SESSION_NAME"))
    for path in map(str, said):
        if path.endswith(".ipynb"):
            return Path(path)

    return None


def folder_of(notebook: Path) -> Path:
    """Where a notebook stands. The server's path may not be the kernel's (containers):
    then the working directory, in which kernels start, is the notebook's folder.
    """
    if notebook.is_absolute() and notebook.exists():
        return notebook.parent
    if notebook.is_absolute() and sidecar_for(notebook).exists():
        return notebook.parent
    return Path.cwd()


def cell_id(shell: Any) -> str:
    """The id of the cell that runs, which JupyterLab, Notebook and VS Code send; empty
    where nobody does.
    """
    parent = getattr(shell, "get_parent", dict)() or {}
    return str(parent.get("metadata", {}).get("cellId", ""))


def execution_id(shell: Any) -> str:
    """What tells the running of a cell from every other, of the same cell too."""
    parent = getattr(shell, "get_parent", dict)() or {}
    said = parent.get("header", {}).get("msg_id", "")
    return str(said or getattr(shell, "execution_count", ""))


def cell_source(shell: Any) -> str:
    """What the cell that runs says, as it was written; empty where no history is kept."""
    inputs = getattr(getattr(shell, "history_manager", None), "input_hist_raw", ())
    return str(inputs[-1]) if inputs else ""
