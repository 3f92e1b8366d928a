"""The registry, servers in this process, what servers may ask, and silence."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import mcp.client.stdio
import pytest
from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from mcp.shared.exceptions import UrlElicitationRequiredError
from mcp.types import (
    CreateMessageResult,
    ElicitRequestURLParams,
    ElicitResult,
    PromptReference,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel

from mcp_notebook.config import InProcessServer, StdioServer
from mcp_notebook.errors import ConfigError, ConnectError, SessionError
from mcp_notebook.sessions import SessionHooks, Sessions
from mcp_notebook.sessions.log import CUT_AT, KEEP, ServerLog
from mcp_notebook.sessions.process import INHERITED
from tests.servers.plain import build
from tests.sessions.support import ROOT, misbehaving, plain


class Choice(BaseModel):
    colour: str


def ask_colour() -> Elicit[Choice]:
    return Elicit("Which colour?", Choice)


def asking() -> MCPServer:
    """A server that asks for a colour, for a turn of the model and for the folders."""
    server = MCPServer("asking")

    @server.tool()
    async def paint(choice: Annotated[Choice, Resolve(ask_colour)]) -> str:
        return f"painted {choice.colour}"

    @server.tool()
    async def think(ctx: Context) -> str:
        said = [
            SamplingMessage(role="user", content=TextContent(type="text", text="why?"))
        ]
        result = await ctx.session.create_message(messages=said, max_tokens=10)
        return result.content.text

    @server.tool()
    async def folders(ctx: Context) -> str:
        return str((await ctx.session.list_roots()).roots[0].name)

    return server


def text_of(outcome: Any) -> str:
    return outcome.result.content[0].text


@pytest.mark.parametrize("legacy", [False, True])
async def test_a_server_in_this_process_is_called(
    legacy: bool, sessions: Sessions
) -> None:
    session = await sessions.connect("here", InProcessServer(build), legacy=legacy)
    outcome = await session.call("echo", {"text": "hi"})
    assert (text_of(outcome), outcome.received_bytes, session.transport) == (
        "hi",
        2,
        "in-process",
    )


async def test_resources_prompts_and_completions(sessions: Sessions) -> None:
    session = await sessions.connect("here", InProcessServer(build))
    assert [str(resource.uri) for resource in await session.list_resources()] == [
        "note://one"
    ]
    assert (await session.read_resource("note://one")).contents[0].text == "first note"
    assert await session.list_resource_templates() == []
    assert [prompt.name for prompt in await session.list_prompts()] == ["greet"]
    prompt = await session.get_prompt("greet", {"name": "Ann"})
    assert prompt.messages[0].content.text == "Say hello to Ann"
    with pytest.raises(SessionError, match="server 'here' said"):
        await session.read_resource("note://none")
    with pytest.raises(SessionError):
        await session.complete(
            PromptReference(type="ref/prompt", name="greet"), "name", "A"
        )


async def test_a_server_without_resources_has_none(sessions: Sessions) -> None:
    session = await sessions.connect("s", misbehaving())
    assert await session.list_resources() == []
    assert await session.list_prompts() == []


@pytest.mark.parametrize("legacy", [False, True])
async def test_a_question_of_a_server_reaches_the_person_and_the_clock_stands_still(
    legacy: bool,
) -> None:
    async def elicit(server: str, params: Any) -> ElicitResult:
        await asyncio.sleep(0.6)
        return ElicitResult(action="accept", content={"colour": f"red for {server}"})

    sessions = Sessions(hooks=SessionHooks(elicit=elicit))
    session = await sessions.connect("asking", InProcessServer(asking), legacy=legacy)
    assert text_of(await session.call("paint", timeout=0.4)) == "painted red for asking"
    await sessions.close_all()


@pytest.mark.parametrize("tells", [True, False])
async def test_a_call_that_needs_a_page_first_runs_once_the_page_was_visited(
    tells: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mcp_notebook.sessions.requests.AGAIN", 0.05 if not tells else 60
    )
    server, tried, opened = MCPServer("files"), [], []

    @server.tool()
    async def read(ctx: Context) -> str:
        tried.append(len(opened))
        if tells and opened:
            return "read"
        if not tells and len(tried) > 3:
            return "read"
        page = ElicitRequestURLParams(
            message="Link your files",
            url="https://files.example/link",
            elicitation_id="e1",
        )
        if tells:
            asyncio.get_running_loop().call_later(
                0.2, lambda: keep(ctx.session.send_elicit_complete("e1"))
            )
        raise UrlElicitationRequiredError([page])

    tasks: list[Any] = []

    def keep(coroutine: Any) -> None:
        tasks.append(asyncio.ensure_future(coroutine))

    async def elicit(name: str, params: Any) -> ElicitResult:
        opened.append(params.url)
        return ElicitResult(action="accept")

    sessions = Sessions(hooks=SessionHooks(elicit=elicit))
    session = await sessions.connect(
        "files", InProcessServer(lambda: server), legacy=True
    )
    assert text_of(await session.call("read", timeout=5)) == "read"
    assert opened == ["https://files.example/link"]
    assert len(tried) == (2 if tells else 4)
    await sessions.close_all()


async def test_a_page_that_the_person_declines_leaves_the_call_undone(
    sessions: Sessions,
) -> None:
    server = MCPServer("files")

    @server.tool()
    async def read() -> str:
        page = ElicitRequestURLParams(
            message="Link", url="https://files.example/link", elicitation_id="e1"
        )
        raise UrlElicitationRequiredError([page], "Link your files")

    session = await sessions.connect(
        "files", InProcessServer(lambda: server), legacy=True
    )
    with pytest.raises(
        SessionError, match=r"declined or not finished \(Link your files\)"
    ):
        await session.call("read")
    assert session.state == "ready"


async def test_without_a_person_every_question_is_declined(sessions: Sessions) -> None:
    session = await sessions.connect("asking", InProcessServer(asking))
    assert (await session.call("paint")).result.is_error


async def test_sampling_and_roots_are_there_only_when_given(
    sessions: Sessions, tmp_path: Path
) -> None:
    async def sample(server: str, params: Any) -> CreateMessageResult:
        return CreateMessageResult(
            role="assistant",
            content=TextContent(type="text", text="because"),
            model="m",
        )

    async def roots(server: str) -> list[Path]:
        return [tmp_path]

    without = await sessions.connect("without", InProcessServer(asking), legacy=True)
    assert (await without.call("think")).result.is_error
    assert (await without.call("folders")).result.is_error
    able = Sessions(hooks=SessionHooks(sample=sample, roots=roots))
    session = await able.connect("able", InProcessServer(asking), legacy=True)
    assert text_of(await session.call("think")) == "because"
    assert text_of(await session.call("folders")) == tmp_path.name
    await able.close_all()


@pytest.mark.parametrize("legacy", [False, True])
async def test_a_server_logs_from_the_level_that_it_is_asked_for_into_its_private_log(
    legacy: bool, sessions: Sessions
) -> None:
    def server() -> MCPServer:
        logging_server = MCPServer("chatty")

        @logging_server.tool()
        async def work(ctx: Context) -> str:
            await ctx.session.send_log_message("error", "the disk is full", "chatty")
            return "done"

        return logging_server

    session = await sessions.connect(
        "chatty", InProcessServer(server), legacy=legacy, log_level="warning"
    )
    assert text_of(await session.call("work")) == "done"
    await sessions.get("chatty").refresh_tools()  # what was sent before has arrived
    assert "[error] the disk is full" in session.log.tail()


async def test_a_failing_hook_does_not_end_the_session() -> None:
    async def elicit(server: str, params: Any) -> ElicitResult:
        raise RuntimeError("the form broke")

    sessions = Sessions(hooks=SessionHooks(elicit=elicit))
    session = await sessions.connect("asking", InProcessServer(asking))
    assert (await session.call("paint")).result.is_error
    assert session.state == "ready"
    await sessions.close_all()


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    sessions = Sessions()
    with pytest.raises(SessionError, match="connect one with %mcp_connect shop"):
        sessions.get("shop")
    sessions._sessions["shop"] = SimpleNamespace(spec=None)  # type: ignore[assignment]
    with pytest.raises(SessionError, match=r"did you mean 'shop'\? Connected: shop"):
        sessions.get("shpo")
    sessions._sessions.clear()  # nothing to end with the process


async def test_a_bad_name_or_command_is_refused_before_anything_starts(
    sessions: Sessions,
) -> None:
    with pytest.raises(ConfigError, match="not usable"):
        await sessions.connect("a b", plain())
    with pytest.raises(ConfigError, match="server 's' cannot start"):
        await sessions.connect("s", StdioServer("no-such-program-xyz"))


async def test_a_server_of_the_same_name_takes_the_place_when_it_works(
    sessions: Sessions,
) -> None:
    first = await sessions.connect("s", misbehaving())
    with pytest.raises(ConnectError):
        await sessions.connect("s", misbehaving("crash_start"))
    assert sessions.get("s") is first
    second = await sessions.connect("s", misbehaving())
    assert (first.state, second.state, sessions.names()) == ("closed", "ready", ["s"])
    with pytest.raises(SessionError, match="is disconnected"):
        await first.call("t")


async def test_servers_connect_side_by_side_each_with_its_own_failure(
    sessions: Sessions,
) -> None:
    specs = {
        "a": misbehaving(),
        "b": misbehaving("crash_start"),
        "c": InProcessServer(build),
    }
    done = await sessions.connect_all(specs)
    assert isinstance(done["b"], ConnectError)
    assert [session.name for session in sessions] == ["a", "c"]


async def test_status_is_a_row(sessions: Sessions) -> None:
    session = await sessions.connect("here", InProcessServer(build))
    await session.call("echo", {"text": "hi"})
    row = session.status()
    told = "name state transport era server tools changed uptime restarts calls p50_ms last_error"
    assert list(row) == told.split()
    assert (row["calls"], row["state"], row["tools"]) == (1, "ready", 5)


def test_servers_inherit_what_the_sdk_lets_them_inherit() -> None:
    assert list(INHERITED) == mcp.client.stdio.DEFAULT_INHERITED_ENV_VARS


def test_a_log_is_private_hides_secrets_and_is_cut() -> None:
    log = ServerLog("s", ["hunter22"])
    assert os.stat(log.path).st_mode & 0o777 == 0o600
    log.write("password is hunter22 at postgres://me:other@host/db")
    assert log.tail() == "password is ••• at postgres://•••@host/db"
    os.write(log.fileno(), b"x" * (CUT_AT + 1))
    log.trim()
    assert log.size() == KEEP
    log.close()
    assert not os.path.exists(log.path)


SILENT = """
import asyncio, logging
from mcp_notebook import loop
from mcp_notebook.config import InProcessServer
from mcp_notebook.errors import NotebookError
from mcp_notebook.sessions import Sessions
from tests.servers.plain import build
from tests.sessions.support import misbehaving, plain

def attempt(coroutine):
    try:
        return loop.run(coroutine)
    except NotebookError:
        return None

sessions = Sessions()
here = loop.run(sessions.connect("here", InProcessServer(build)))
old = loop.run(sessions.connect("old", plain(), legacy=True))
for session in (here, old):
    attempt(session.call("fail", {"text": "x"}))
    attempt(session.call("nonesuch", {}))
odd = loop.run(sessions.connect("odd", misbehaving("banner")))
for do in ("print", "flood", "raw", "shout", "die"):
    attempt(odd.call("t", {"do": do, "line": "password", "count": 100, "body": '{"jsonrpc":"2.0", bad', "size": 9}))
attempt(sessions.connect("bad", misbehaving("crash_start")))
assert logging.getLogger().handlers == []
"""


@pytest.mark.slow
def test_nothing_prints_into_a_cell() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SILENT],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_the_package_does_not_import_the_sdk() -> None:
    code = "import sys, mcp_notebook.sessions, mcp_notebook.sessions.registry; print('mcp' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.strip() == "False"


async def test_a_server_of_the_older_era_is_not_probed_again_by_the_next_kernel(
    tmp_path: Path,
) -> None:
    memory = tmp_path / "user" / "eras.json"
    for number in range(2):
        sessions = Sessions(memory=memory)
        session = await sessions.connect("s", misbehaving("die_on_probe"))
        assert session.state == "ready"
        assert ("trying again" in session.log.tail()) == (number == 0)
        await sessions.close_all(0.1)
    kept = json.loads(memory.read_text())
    # a month later it is asked again
    memory.write_text(json.dumps(dict.fromkeys(kept, 1.0)))
    sessions = Sessions(memory=memory)
    session = await sessions.connect("s", misbehaving("die_on_probe"))
    assert "trying again" in session.log.tail()
    await sessions.close_all(0.1)
