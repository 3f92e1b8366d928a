"""One way for every call: what it keeps, when it binds, and where nothing may stand."""

import asyncio
import json
import random
import threading
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import mcp_notebook
from mcp_notebook import results
from mcp_notebook.agent import calls
from mcp_notebook.agent.caller import Caller
from mcp_notebook.agent.toolset import Toolset
from mcp_notebook.errors import CallError, DataError, SessionError
from mcp_notebook.events import ToolCall
from mcp_notebook.notebook import current
from mcp_notebook.notebook.asker import Asker, CallApprovals
from mcp_notebook.notebook.call_path import NotebookCalls
from mcp_notebook.notebook.options import MCPNotebook
from mcp_notebook.notebook.state import Notebook
from tests.fake_messages import use
from tests.servers.listener import Listener
from tests.servers.office import build
from tests.toy import ToySession

SECRET = "planted-0815-planted"


@pytest.fixture
def log(state, tmp_path: Path) -> Path:
    """The file of the log."""
    state.settings.log_file = str(tmp_path / "calls.jsonl")
    return tmp_path / "calls.jsonl"


@pytest.mark.parametrize("name", ["private_key", "token", "password"])
def test_a_secret_argument_reaches_the_server_and_no_file(
    state, log: Path, tmp_path: Path, name: str
):
    listener = Listener()
    mcp_notebook.connect("echo", listener.server)
    frame = mcp_notebook.call("echo.fetch", {name: SECRET, "max_tokens": 7})
    assert listener.received == [{name: SECRET, "max_tokens": 7}]
    shown = {name: "***", "max_tokens": 7}
    assert frame.attrs["mcp"]["arguments"] == shown
    assert json.loads(log.read_text())["arguments"] == shown
    frame.to_parquet(tmp_path / "frame.parquet")
    assert SECRET not in str(pq.read_schema(tmp_path / "frame.parquet").metadata)
    assert SECRET in state.trail.calls[-1].arguments.values()  # so it can be frozen


def test_calls_that_differ_in_a_secret_only_keep_their_own_tables(state):
    mcp_notebook.connect("echo", Listener().server)
    names = []
    for secret in ("one-secret", "two-secret", "one-secret"):
        result = mcp_notebook.loop.run(_by_hand(state, {"token": secret}))
        names += result.names
    assert names[0] == names[2] != names[1]


async def _by_hand(state, arguments):
    from mcp_notebook.notebook import by_hand

    return (await by_hand.call(state, "echo", "fetch", arguments))[0]


def test_a_resource_is_read_aside_and_stands_in_the_log(state, log: Path, monkeypatch):
    mcp_notebook.connect("office", build())
    threads = []

    def read(*given, **options):
        threads.append(threading.current_thread().name)
        return original(*given, **options)

    original = results.read
    monkeypatch.setattr(results, "read", read)
    desks = mcp_notebook.resource("office", "data://desks.csv")
    assert mcp_notebook.loop.THREAD not in threads
    row = state.ledger.frame().iloc[-1]
    assert (row.server, row.tool, row.outcome, row.rows) == ("office", "desks", "ok", 2)
    assert row.received_bytes == len("desk,floor\nD1,1\nD2,2\n")
    assert json.loads(log.read_text())["arguments"] == {"uri": "data://desks.csv"}
    assert desks.attrs["mcp"]["call_id"] == row.call_id


def test_a_resource_that_is_not_there_stands_in_the_log_as_an_error(state):
    mcp_notebook.connect("office", build())
    with pytest.raises(SessionError):
        mcp_notebook.resource("office", "data://nothing.csv")
    assert [call.outcome for call in state.ledger] == ["error"]


def test_sql_that_fails_stands_in_the_log_as_an_error(state):
    with pytest.raises(DataError):
        mcp_notebook.sql("select nothing from nowhere")
    assert [call.outcome for call in state.ledger] == ["error"]


def test_a_table_whose_preview_fails_is_not_bound(state, monkeypatch):
    mcp_notebook.connect("office", build())

    def fail(*_, **__):
        raise OverflowError

    monkeypatch.setattr(calls, "preview", fail)
    with pytest.raises(CallError, match="OverflowError"):
        mcp_notebook.loop.run(_people(state))
    assert state.shell.user_ns == {}
    assert not list(state.catalog.names())
    assert not state.trail.calls[-1].tables


def test_a_name_that_failed_is_free_again(state, monkeypatch):
    mcp_notebook.connect("office", build())
    with monkeypatch.context() as patched:
        patched.setattr(calls, "preview", lambda *_, **__: 1 / 0)
        with pytest.raises(CallError):
            mcp_notebook.loop.run(_people(state))
    result, value = mcp_notebook.loop.run(_people(state))
    assert result.names == ("people",)
    assert isinstance(value, pd.DataFrame)


async def _people(state):
    from mcp_notebook.notebook import by_hand

    return await by_hand.call(state, "office", "list_people", {})


SAME = ("SELECT a FROM m", "SELECT b FROM m", "SELECT count(*) FROM m", "SELECT c FROM k",
        "SELECT b FROM m WHERE b", "SELECT g, max(a) FROM m GROUP BY g", "SELECT d FROM k")  # fmt: skip


@pytest.mark.slow
def test_parallel_calls_name_their_tables_in_the_order_of_the_calls() -> None:
    """200 runs, each with other delays: one mapping of calls to names."""
    chance = random.Random(13)

    async def answer(sql: str) -> str:
        for _ in range(chance.randrange(9)):
            await asyncio.sleep(0)
        rows = [{"asked": sql, "n": n} for n in range(2)]
        return json.dumps(rows)

    orders: set[tuple[str, ...]] = set()

    async def one_run() -> tuple[tuple[str, ...], ...]:
        state = Notebook(current.PlainShell(), MCPNotebook())
        toolset = Toolset.of([ToySession("db", {"query": answer})])
        approvals = CallApprovals(Asker())
        books = NotebookCalls(state, cell="c")
        caller = Caller(toolset, books, approvals, promise=state.promise_name)
        ended: list[str] = []
        announced = [
            caller.announce(use("db__query", {"sql": sql}, id=f"toolu_{at}"))
            for at, sql in enumerate(SAME)
        ]

        async def perform(call: ToolCall) -> tuple[str, ...]:
            result = await caller.perform(call, lambda event: None)
            books.tell(result)
            ended.append(call.id)
            return result.names

        names = await asyncio.gather(*map(perform, announced))
        orders.add(tuple(ended))
        for sql, (name,) in zip(SAME, names, strict=True):
            assert list(state.shell.user_ns[name]["asked"]) == [sql, sql]
        return tuple(names)

    async def all_runs() -> set[tuple[tuple[str, ...], ...]]:
        return {await one_run() for _ in range(200)}

    (mapping,) = asyncio.run(all_runs())
    assert len(set(mapping)) == len(SAME)
    # they did end in other orders
    assert len(orders) > 50
