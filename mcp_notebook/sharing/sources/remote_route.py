"""Queries over tables of other engines for one runner of SQL: plan, run within the
deadline, bring over.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mcp_notebook.errors import DataError, ToolError
from mcp_notebook.kinds import is_table
from mcp_notebook.sharing.answer import TableAnswer
from mcp_notebook.sharing.engines.interface import quote
from mcp_notebook.sharing.sources import remote_plan
from mcp_notebook.sharing.sources.engine import Job, RemoteTable
from mcp_notebook.sharing.sources.engines import is_remote

if TYPE_CHECKING:
    from mcp_notebook.sharing.catalog import Catalog


CHECK_SECONDS = 5.0
PLAN_SECONDS = 10.0  # the first plan loads sqlglot
_AT_ONCE = 4  # statements of one runner on other engines
_LONG = 100_000  # characters of a request; the answers to longer ones are not kept

Ask = Callable[[dict[str, Any], float], Awaitable[dict[str, Any]]]
Hidden = Callable[[Sequence[str]], Sequence[str]]
"""Which of a table's columns are masked."""


@dataclass(frozen=True)
class Here:
    """A statement that runs on this machine: what the check said, and tables of other
    engines that were brought over.

    `empty` are tables of other engines that the statement only describes.
    """

    checked: Mapping[str, Any]
    brought: Mapping[str, TableAnswer]
    empty: Mapping[str, RemoteTable]


def nothing(names: Sequence[str]) -> Sequence[str]:
    """No column is masked."""
    return ()


@dataclass(frozen=True)
class Bounds:
    """What one answer may hold, take and show: rows, bytes, seconds, and the columns
    that it must not see.
    """

    rows: int
    bytes: int
    seconds: float
    hidden: Hidden = nothing


class Elsewhere:
    """`ask` answers `requests`. What was found of a statement is kept in `known` for
    the same text over tables of the same names, columns and engines: whatever a verdict
    depends on.
    """

    def __init__(
        self, ask: Ask, known: Remembered[dict[str, Any]] | None = None
    ) -> None:
        self._ask = ask
        self._known = known or Remembered()
        self._room: asyncio.Semaphore | None = None

    async def route(
        self, catalog: Catalog, sql: str, bounds: Bounds
    ) -> TableAnswer | Here:
        """The answer when the statement's tables are on one other engine, else what
        runs here; raises `ToolError`.
        """
        far = any(_is_away(catalog, name) for name in catalog.names_in(sql))
        if far:
            near = await asyncio.to_thread(
                _groups, remote_plan.find_mentioned, catalog, sql, bounds
            )
        else:
            near = []

        try:
            checked = await self._check_statement(
                sql, catalog.names(), near, bounds.seconds
            )
        except ToolError:
            if far:
                own = await self.in_own_dialect(catalog, sql, bounds)
            else:
                own = None

            if own is None:
                raise

            return own

        catalog.use(checked["tables"])
        if "refused" in checked:
            raise ToolError(checked["refused"])

        if "planned" in checked:
            group = next(
                group for group in near if group.found.keys() >= set(checked["tables"])
            )
            return await self._run(checked["planned"], group, bounds)

        if far:
            found = await asyncio.to_thread(
                remote_plan.remote_tables, catalog, checked["tables"]
            )
        else:
            found = {}

        if checked["describes"]:
            return Here(checked, {}, found)
        if remote_plan.one_engine(found, checked["tables"]):
            return await self.query(checked["sql"], found, bounds)

        return Here(
            checked,
            await self.bring(checked["sql"], found, bounds) if found else {},
            {},
        )

    async def _check_statement(
        self, sql: str, offered: tuple[str, ...], near: list[_Group], seconds: float
    ) -> Mapping[str, Any]:
        """DuckDB's own check of the statement with the tables that it names, and a plan
        where one engine has them.
        """
        request = {
            "check": sql,
            "offered": offered,
            "engines": [group.request for group in near],
        }
        return await self._ask_engine(
            request, PLAN_SECONDS if near else min(CHECK_SECONDS, seconds)
        )

    async def _ask_engine(
        self, request: dict[str, Any], seconds: float
    ) -> dict[str, Any]:
        question = json.dumps(request)
        known = self._known.get(question)
        if known is None:
            known = await self._ask(request, seconds)
            if len(question) < _LONG:
                self._known.put(question, known)

        return known

    async def query(
        self, sql: str, found: Mapping[str, RemoteTable], bounds: Bounds
    ) -> TableAnswer:
        """The bounded answer of a statement over tables of one engine; raises `ToolError`."""
        group = await asyncio.to_thread(_Group.of, found, bounds)
        return await self._run(
            await self._ask_engine({**group.request, "plan": sql}, PLAN_SECONDS),
            group,
            bounds,
        )

    async def _run(
        self, planned: Mapping[str, Any], group: _Group, bounds: Bounds
    ) -> TableAnswer:
        prepared = remote_plan.prepare(
            planned, group.found, group.hidden, bounds.seconds
        )
        self._room = self._room or asyncio.Semaphore(_AT_ONCE)
        async with self._room:
            try:
                table = await within(prepared.job, bounds.seconds, prepared.place.name)
            except (ToolError, DataError) as error:
                raise ToolError(str(error)) from error
            except Exception as error:  # boundary: every engine raises its own errors
                raise remote_plan.explain_failure(error, prepared.place) from error

        answer = await asyncio.to_thread(
            remote_plan.finish,
            table,
            prepared,
            limit=bounds.rows,
            max_bytes=bounds.bytes,
        )
        masked = list(
            dict.fromkeys(
                name
                for table in planned["tables"].values()
                for name in group.hidden[table]
            )
        )
        told = f"{', '.join(masked)}: masked, 'masked' stands in place of each value"
        if masked:
            return replace(answer, notes=(*answer.notes, told))

        return answer

    async def in_own_dialect(
        self, catalog: Catalog, sql: str, bounds: Bounds
    ) -> TableAnswer | None:
        """The answer of a statement that is no DuckDB SQL but an engine's own; None
        when no table's engine reads it.
        """
        names = [
            entry.name for entry in catalog.entries() if _is_away(catalog, entry.name)
        ]
        if not names:
            return None

        for group in _by_engine(
            await asyncio.to_thread(remote_plan.remote_tables, catalog, names)
        ):
            dialect = next(iter(group.values())).dialect
            if dialect == "duckdb" or not await self._is_in(sql, dialect):
                continue

            return await self.query(sql, group, bounds)

        return None

    async def bring(
        self, sql: str, found: Mapping[str, RemoteTable], bounds: Bounds
    ) -> dict[str, TableAnswer]:
        """Small tables of other engines, with the columns that the statement names;
        raises `ToolError`.
        """
        columns = {name: place.schema().names for name, place in found.items()}
        wanted = await self.find_needed(sql, columns)
        brought = {}
        for name, place in found.items():
            listed = ", ".join(
                quote(column) for column in wanted[name] or columns[name][:1]
            )
            part = f"SELECT {listed} FROM {quote(name)}"  # noqa: S608 - names are quoted
            most = replace(
                bounds, rows=remote_plan.MOST_ROWS, bytes=remote_plan.MOST_BYTES
            )
            answer = await self.query(part, {name: place}, most)
            if answer.truncated:
                raise remote_plan.refuse_large(name, answer.data.num_rows, place)

            note = remote_plan.brought_note(name, answer.data.num_rows, place)
            brought[name] = TableAnswer(
                answer.data, answer.types, notes=(note, *answer.notes[1:])
            )

        return brought

    async def find_needed(
        self, sql: str, columns: Mapping[str, Sequence[str]]
    ) -> dict[str, list[str]]:
        """Which columns of the tables the statement can need."""
        request = {
            "columns_of": sql,
            "tables": {name: list(names) for name, names in columns.items()},
        }
        return (await self._ask(request, PLAN_SECONDS))["columns"]

    async def _is_in(self, sql: str, dialect: str) -> bool:
        try:
            return bool(
                (await self._ask({"reads": sql, "dialect": dialect}, PLAN_SECONDS))[
                    "reads"
                ]
            )
        except ToolError:
            return False


def _is_away(catalog: Catalog, name: str) -> bool:
    try:
        value = catalog.resolve(name)
    except DataError:
        return False
    return is_table(value) and is_remote(value)


@dataclass(frozen=True)
class _Group:
    """Tables of one engine, their masked columns, and what a plan over them needs to know."""

    found: Mapping[str, RemoteTable]
    hidden: Mapping[str, Sequence[str]]
    request: dict[str, Any]

    @classmethod
    def of(cls, found: Mapping[str, RemoteTable], bounds: Bounds) -> _Group:
        hidden = {
            name: tuple(bounds.hidden(remote_plan.columns_of(place).names))
            for name, place in found.items()
        }
        return cls(found, hidden, remote_plan.request(found, hidden, bounds.rows + 1))


def _groups(
    look: Callable[..., Mapping[str, RemoteTable]],
    catalog: Catalog,
    sql: str,
    bounds: Bounds,
) -> list[_Group]:
    return [_Group.of(group, bounds) for group in _by_engine(look(catalog, sql))]


def _by_engine(found: Mapping[str, RemoteTable]) -> list[dict[str, RemoteTable]]:
    groups: dict[Any, dict[str, RemoteTable]] = {}
    for name, place in found.items():
        groups.setdefault(place.key, {})[name] = place
    return list(groups.values())


# The last answers of a question whose answer depends on nothing but what was asked.


Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Up to `most` answers, the least lately used goes first. It may be asked from any thread."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, Value] = OrderedDict()
        self._turn = threading.Lock()

    def get(self, question: Hashable) -> Value | None:
        """The answer, None when it is not known (any more)."""
        with self._turn:
            if question in self._known:
                self._known.move_to_end(question)
            return self._known.get(question)

    def put(self, question: Hashable, value: Value) -> None:
        """Keep an answer."""
        with self._turn:
            self._known[question] = value
            self._known.move_to_end(question)
            while len(self._known) > self._most:
                self._known.popitem(last=False)


# A job of another engine with a deadline: cancelled there, and left behind when the
# engine does not let go of it.


GRACE = 0.4  # seconds that an engine has for ending a cancelled statement
_AGAIN = 0.1
_KEPT = 4  # idle threads; one that hangs in an engine is not among them
_IDLE: list[_Hand] = []


async def within(job: Job, seconds: float, place: str) -> Any:
    """What `job.run()` gives; raises `ToolError` at the deadline and whatever the job raises.

    The job has a daemon thread to itself: one that an engine never ends must not hold
    up others or the kernel's exit.
    """
    working = _in_thread(job.run)
    try:
        done, _ = await asyncio.wait({working}, timeout=seconds)
        if done:
            return working.result()

        await _cancel_until_over(job, working)
    except asyncio.CancelledError:
        _in_thread(job.cancel)
        raise

    raise ToolError(
        f"The statement was stopped after {seconds:g} s on {place}. Filter or aggregate earlier."
    )


async def _cancel_until_over(job: Job, working: asyncio.Future[Any]) -> None:
    """Ask until it ends, since a cancel between two steps of the job has no effect."""
    loop = asyncio.get_running_loop()
    until = loop.time() + GRACE
    while not working.done() and loop.time() < until:
        await asyncio.wait({_in_thread(job.cancel)}, timeout=_AGAIN)
        await asyncio.wait({working}, timeout=_AGAIN)


def _in_thread(work: Callable[[], Any]) -> asyncio.Future[Any]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    future.add_done_callback(_look_at_failure)

    def settle(method: Callable[..., None], value: Any) -> None:
        if not future.done():
            method(value)

    def run_work() -> None:
        try:
            result = work()
        except BaseException as error:
            # boundary: it is raised where the future is awaited
            _call(loop, settle, future.set_exception, error)
        else:
            _call(loop, settle, future.set_result, result)

    try:
        hand = _IDLE.pop()
    except IndexError:
        hand = _Hand()

    hand.work.put(run_work)
    return future


class _Hand(threading.Thread):
    """A daemon thread for one job after the other: Spark opens a connection for every
    new thread.
    """

    def __init__(self) -> None:
        super().__init__(name="mcp-notebook-engine", daemon=True)
        self.work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        while True:
            self.work.get()()
            if len(_IDLE) >= _KEPT:
                return
            _IDLE.append(self)


def _call(loop: asyncio.AbstractEventLoop, *call: Any) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(*call)


def _look_at_failure(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
