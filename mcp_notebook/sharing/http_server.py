"""The shared tables for MCP clients outside the notebook: HTTP on loopback with a
token, on the background loop.

Only tables that the person shared are there, not what a conversation produced. Address
and token stand in a connection file that only this user can read; clients that speak
stdio start `mcp-notebook serve notebook --kernel NAME` (`bridge`), so that no token has
to stand in a client's configuration or in the notebook.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import mcp_types as types
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
)
from mcp.shared.exceptions import MCPError

from mcp_notebook import __version__
from mcp_notebook.config.target import OWN_START
from mcp_notebook.errors import ConnectError
from mcp_notebook.secrets import KnownValues
from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.sharing.masks import NOTHING_KNOWN
from mcp_notebook.sharing.notebook_server import HandshakeClients, build_notebook_server
from mcp_notebook.sharing.query import SqlRunner
from mcp_notebook.sharing.tools import (
    ChangingServer,
    build_app,
    http_server,
    listen,
    serve_stdio,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcp.server.lowlevel import Server


START_SECONDS = 10.0
STOP_SECONDS = 5.0


# A thread that waits for the interpreter asks for it only when a whole interval has
# passed without the holder letting go (`take_gil` in
# https://github.com/python/cpython/blob/3.11/Python/ceval_gil.h). A cell that lets go for
# an instant every millisecond, as for a file's time or a small NumPy call, begins that
# interval anew each time and mostly takes the interpreter back before the waiting thread
# is awake: with the usual 5 ms single answers took seconds to minutes. Two threads that
# compute at once lose no measurable time by the shorter one, and one alone none at all.
SWITCH_SECONDS = 0.0005

_switch_lock = threading.Lock()
_intervals_before: list[float] = []


@contextlib.contextmanager
def shorten_gil_turns() -> Iterator[None]:
    """The interpreter's switch interval is at most `SWITCH_SECONDS` within; the outermost
    restores what was there.
    """
    with _switch_lock:
        _intervals_before.append(sys.getswitchinterval())
        sys.setswitchinterval(min(_intervals_before[0], SWITCH_SECONDS))

    try:
        yield
    finally:
        with _switch_lock:
            usual = _intervals_before[0]
            _intervals_before.pop()
            if not _intervals_before:
                sys.setswitchinterval(usual)


def connection_folder() -> Path:
    """The private folder of this user for connection files."""
    base = os.environ.get("XDG_RUNTIME_DIR") or Path.home() / ".cache"
    folder = Path(base) / "mcp-notebook"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class Address:
    """Where the shared tables are. The token stands in the file alone and never in a repr."""

    url: str  # Streamable HTTP
    sse_url: str
    connection_file: Path


class OutsideServer:
    """Serves a catalog's shared tables; start and stop it on the same loop."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        mask: Callable[[], Sequence[str]] = tuple,
        known: KnownValues = NOTHING_KNOWN,
    ) -> None:
        self._catalog = catalog.only("shared")
        self._mask, self._known = mask, known
        self._runner: SqlRunner | None = None
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._while_serving = contextlib.ExitStack()
        self.address: Address | None = None

    async def start(
        self, folder: Path, *, port: int = 0, notebook: str = ""
    ) -> Address:
        """Listen on 127.0.0.1 (`port` 0: a free one) and write the connection file into `folder`.

        `notebook` is the path by which a bridge may name this kernel. Raises
        `ConfigError` when the port is taken; a server that runs already is left as it
        is.
        """
        if self.address is not None:
            return self.address

        listener = listen("127.0.0.1", port)
        bound = listener.getsockname()[1]
        token = secrets.token_urlsafe(32)
        self._runner = SqlRunner()
        tables = build_notebook_server(
            self._catalog,
            form="json",
            runner=self._runner,
            mask=self._mask,
            known=self._known,
        )
        server = http_server(
            build_app(tables, host="127.0.0.1", port=bound, token=token)
        )
        self._while_serving.enter_context(shorten_gil_turns())
        self._server, self._serving = (
            server,
            asyncio.ensure_future(server.serve(sockets=[listener])),
        )
        await self._until_started()
        base = f"http://127.0.0.1:{bound}"
        held = {
            "url": f"{base}/mcp",
            "token": token,
            "notebook": notebook,
            "pid": os.getpid(),
        }
        file = await asyncio.to_thread(
            write_connection, folder / f"notebook-{bound}.json", held
        )
        self.address = Address(f"{base}/mcp", f"{base}/sse", file)
        return self.address

    async def stop(self) -> None:
        """Close the port, end the worker and remove the connection file; a stopped
        server stays stopped.
        """
        address, self.address = self.address, None
        self._while_serving.close()
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._serving, STOP_SECONDS)

        if self._runner is not None:
            await self._runner.close()

        if address is not None:
            await asyncio.to_thread(address.connection_file.unlink, missing_ok=True)

        self._server = self._serving = self._runner = None

    async def _until_started(self) -> None:
        assert self._server is not None
        assert self._serving is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                # uvicorn has no event for it
                while not self._server.started and not self._serving.done():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

        if not self._server.started:
            await self.stop()
            raise ConnectError(
                "The server for outside clients did not start: try another port."
            )


def write_connection(path: Path, held: dict[str, Any]) -> Path:
    """Write a connection file that only this user can read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(held, file)

    return path


def read_connection(path: Path) -> tuple[str, str]:
    """URL and token of a connection file; raises `ConnectError` when the notebook no
    longer serves.
    """
    held = _read_file(path)
    if held is None:
        raise ConnectError(
            f"{path} is no connection file: serve the notebook's tables again with %mcp_serve."
        )

    return held["url"], held["token"]


def find_connection(folder: Path, name: str = "") -> Path:
    """The connection file of a running kernel that serves: of the notebook of that
    name, or the only one for "".

    `name` is a notebook's path, its name with or without `.ipynb`, or a kernel's
    process id. Raises `ConnectError`.
    """
    serving: dict[Path, dict[str, Any]] = {}
    for path in sorted(folder.glob("notebook-*.json")):
        held = _read_file(path)
        if held is None or not _is_alive(held.get("pid")):
            # a kernel that was killed could not take its file along
            path.unlink(missing_ok=True)
        else:
            serving[path] = held

    wanted = [
        path for path, held in serving.items() if not name or name in _names(held)
    ]
    if len(wanted) == 1:
        return wanted[0]

    known = ", ".join(_names(held)[-1] for held in serving.values())
    if wanted:
        raise ConnectError(
            f"Several kernels serve tables: name one with --kernel: {known}."
        )

    if name:
        what = f"No kernel {name!r} serves"
    else:
        what = "No kernel serves"

    raise ConnectError(
        f"{what} its tables: run %mcp_serve in the "
        f"notebook.{f' Serving now: {known}.' if known else ''}"
    )


def client_configuration(
    connection_file: Path, kernel: str = "", name: str = "notebook"
) -> dict[str, tuple[str, Any]]:
    """By client: where its configuration stands, and what to put there.

    With `kernel`, a notebook's name, the configuration stays good when that notebook's
    kernel starts anew.
    """
    if kernel:
        which = ["--kernel", kernel]
    else:
        which = ["--connection", str(connection_file)]

    command = {
        "command": sys.executable,
        "args": [*OWN_START, "serve", "notebook", *which],
    }
    typed = {"type": "stdio", **command}
    return {
        "Claude Desktop": (
            "claude_desktop_config.json (Settings, Developer)",
            {"mcpServers": {name: command}},
        ),
        "Claude Code": (".mcp.json in the project", {"mcpServers": {name: typed}}),
        "VS Code": (".vscode/mcp.json", {"servers": {name: typed}}),
        "Cursor": (".cursor/mcp.json", {"mcpServers": {name: command}}),
    }


def _read_file(path: Path) -> dict[str, Any] | None:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(held["url"], str) and isinstance(held["token"], str):
            return held

        return None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _names(held: dict[str, Any]) -> list[str]:
    path = Path(held.get("notebook") or "")
    return [
        str(held.get("pid")),
        *([str(path), path.name, path.stem] if path.name else []),
    ]


def _is_alive(pid: Any) -> bool:
    # there, signal 0 would end the process
    if not isinstance(pid, int) or os.name == "nt":
        return True

    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True

    return True


# `mcp-notebook serve notebook --kernel NAME`: a running notebook's shared tables for
# clients that speak stdio.


SECONDS = 120.0


async def serve_bridge(connection_file: Path) -> None:
    """Serve on stdio what the notebook of the connection file serves, until the client leaves.

    Raises `ConnectError` when there is no such file or nothing answers at its address.
    """
    url, token = read_connection(connection_file)
    http = httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {token}"}, timeout=SECONDS, trust_env=False
    )
    try:
        async with (
            http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            await serve_stdio(build_forwarding_server(client))
    except* (httpx2.HTTPError, ConnectionError, MCPError) as group:
        raise ConnectError(
            "The notebook does not answer: serve its tables again with %mcp_serve."
        ) from group


def build_forwarding_server(client: Client) -> Server[Any]:
    """A server whose every answer comes from the client's own server, and which passes
    on that its list changed.
    """
    answers, sessions = _Answers(client), HandshakeClients()
    bus = InMemorySubscriptionBus()
    server = ChangingServer(
        "mcp-notebook",
        title="The notebook's tables",
        instructions=client.instructions,
        version=__version__,
        lifespan=lambda server: _pass_on_while_open(client, bus, sessions),
        on_list_tools=answers.list_tools,
        on_call_tool=answers.call_tool,
        on_list_resources=answers.list_resources,
        on_list_resource_templates=answers.list_templates,
        on_read_resource=answers.read_resource,
        on_list_prompts=answers.list_prompts,
        on_get_prompt=answers.get_prompt,
        on_completion=answers.complete,
        on_subscriptions_listen=ListenHandler(bus),
    )
    server.middleware.append(sessions)
    return server


class _Answers:
    """What another server answers, a method for each request; each gets the request's
    context, which is ours alone.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list_tools(self, context: Any, params: Any) -> types.ListToolsResult:
        return await self._client.list_tools()

    async def call_tool(
        self, context: Any, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        return await self._client.call_tool(params.name, params.arguments)

    async def list_resources(
        self, context: Any, params: Any
    ) -> types.ListResourcesResult:
        return await self._client.list_resources(cache_mode="bypass")

    async def list_templates(
        self, context: Any, params: Any
    ) -> types.ListResourceTemplatesResult:
        return await self._client.list_resource_templates()

    async def read_resource(
        self, context: Any, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        return await self._client.read_resource(params.uri, cache_mode="bypass")

    async def list_prompts(self, context: Any, params: Any) -> types.ListPromptsResult:
        return await self._client.list_prompts()

    async def get_prompt(
        self, context: Any, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        return await self._client.get_prompt(params.name, params.arguments)

    async def complete(
        self, context: Any, params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        if params.context:
            known = params.context.arguments
        else:
            known = None

        argument = {"name": params.argument.name, "value": params.argument.value}
        return await self._client.complete(
            params.ref, argument, context_arguments=known
        )


@contextlib.asynccontextmanager
async def _pass_on_while_open(
    client: Client, bus: InMemorySubscriptionBus, sessions: HandshakeClients
) -> AsyncIterator[dict[str, Any]]:
    listening = asyncio.ensure_future(_pass_on(client, bus, sessions))
    try:
        yield {}
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _pass_on(
    client: Client, bus: InMemorySubscriptionBus, sessions: HandshakeClients
) -> None:
    async with client.listen(resources_list_changed=True) as events:
        async for _ in events:
            await bus.publish(ResourcesListChanged())
            await sessions.announce()
