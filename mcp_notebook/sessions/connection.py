"""One live connection: a task that enters the SDK's Client, waits, and exits it in the
same task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mcp import Client, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation

from mcp_notebook import __version__
from mcp_notebook.config import HttpServer, InProcessServer, ServerSpec, StdioServer
from mcp_notebook.errors import NotebookError
from mcp_notebook.sessions.http import HttpTrouble, make_client
from mcp_notebook.sessions.log import ServerLog, root_logger_kept
from mcp_notebook.sessions.oauth import make_auth
from mcp_notebook.sessions.process import STOP_GRACE, ServerProcess, server_environment
from mcp_notebook.sessions.reply_repair.tap import Tap, TappedRead, TappedWrite
from mcp_notebook.sessions.sign_in import AUTHORIZE_LIMIT, Authorize
from mcp_notebook.sessions.sse import SseTransport
from mcp_notebook.sessions.stdio import StdioTransport
from mcp_notebook.sessions.tools import SessionHooks

logger = logging.getLogger(__name__)

CLIENT = Implementation(name="mcp-notebook", version=__version__)
# seconds after which a connection that does not close is left to its lifeline
CLOSE_LIMIT = 8.0
# Versions are dates: 2026-07-28 is the first without sessions, and without
# notifications that nobody asked for.
NEWER_PROTOCOL = "2026"
LOG_EVERY = 30.0  # seconds between two looks at the size of the server's log


@dataclass(frozen=True)
class Attempt:
    """One way to connect: the SDK's mode of negotiation, and the transport."""

    mode: str
    transport: Literal["stdio", "http", "sse", "in-process"]


@dataclass
class Opening:
    """What a connection is made of; the same for the first start and for every restart."""

    name: str
    spec: ServerSpec
    log: ServerLog
    cap: int
    callbacks: dict[str, Any]
    # started ahead, while the SDK was still being imported
    process: Awaitable[ServerProcess] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    authorize: Authorize | None = None


class Connection:
    """A connected client with its transport; single use. `closed` is set when either
    side ended it.
    """

    def __init__(
        self, opening: Opening, attempt: Attempt, process: ServerProcess | None = None
    ) -> None:
        """`process`: one of another connection, whose address `opening` holds."""
        self.opening, self.attempt = opening, attempt
        self.trouble = HttpTrouble()
        self.tap = Tap(
            cap=opening.cap, noise=lambda line: opening.log.write(f"[stdout] {line}")
        )
        self.process = process
        # whether the process ends with this connection; two try at the same one
        self.owns_process = process is None
        self.cause: BaseException | None = None
        self.closed = asyncio.Event()
        self.log_start = opening.log.size()
        self._client: Client | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._grace = STOP_GRACE
        # a person is signing in: that takes longer than a server's start
        self._is_signing_in = False
        self._task = asyncio.create_task(self._own_client(), name="mcp-notebook-owner")

    @property
    def client(self) -> Client:
        assert self._client is not None
        return self._client

    @property
    def alive(self) -> bool:
        is_over = self.closed.is_set() or self.tap.closed.is_set()
        return self._client is not None and not is_over

    async def wait_until_ready(
        self, timeout: float, tick: Callable[[float], None]
    ) -> None:
        """Wait for the handshake, calling `tick` with the seconds waited once a second.

        Raises TimeoutError, or what ended the connection.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            while not self._ready.done():
                allowed = timeout
                if self._is_signing_in:
                    allowed += AUTHORIZE_LIMIT

                left = start + allowed - loop.time()
                if left <= 0:
                    raise TimeoutError

                await asyncio.wait([self._ready], timeout=min(left, 1.0))
                if not self._ready.done():
                    tick(loop.time() - start)

            self._ready.result()
        except BaseException:  # an interrupt, too: nothing half open is left
            await self._abandon()
            raise

    async def close(self, grace: float = STOP_GRACE) -> None:
        """End it; returns when the server is gone, or after a limit."""
        self._grace = grace
        self._stop.set()
        done, _ = await asyncio.wait([self._task], timeout=grace + CLOSE_LIMIT)
        if not done:
            await self._abandon()

    async def _abandon(self) -> None:
        self._task.cancel()
        if self.process is not None and self.owns_process:
            self.process.cut()
        await asyncio.wait([self._task], timeout=CLOSE_LIMIT)

    async def _own_client(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                server = await self._make_server(stack)
                options = {
                    "cache": None,
                    "client_info": CLIENT,
                    **self.opening.callbacks,
                    **self.opening.options,
                }
                client = Client(server, mode=self.attempt.mode, **options)
                await stack.enter_async_context(client)
                # We check output schemas ourselves: a mismatch is a warning there, a
                # lost result here.
                client.session.validate_tool_result = _no_validation  # type: ignore[method-assign]
                self._client = client
                self._ready.set_result(None)
                await self._wait_until_over()
                self.closed.set()
        except asyncio.CancelledError as error:
            self.cause = self.cause or error
        except BaseException as error:
            # boundary: the SDK raises groups of anything; `cause` says what it was
            logger.info("connection ended", exc_info=True)
            self.cause = error
        finally:
            self.closed.set()
            if not self._ready.done():
                self._ready.set_exception(self.cause or ConnectionError("closed"))
                self._ready.exception()  # the waiter may have gone

    async def _wait_until_over(self) -> None:
        events = (self._stop, self.tap.closed)
        over = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            while True:
                done, _ = await asyncio.wait(
                    over, timeout=LOG_EVERY, return_when=asyncio.FIRST_COMPLETED
                )
                if done:
                    return

                self.opening.log.trim()
        finally:
            for waiter in over:
                waiter.cancel()

    async def _make_server(self, stack: AsyncExitStack) -> Any:
        """What the SDK's Client is given: a transport or a server object."""
        spec = self.opening.spec
        if isinstance(spec, InProcessServer):
            with root_logger_kept():
                return await asyncio.to_thread(spec.build)

        if isinstance(spec, HttpServer):
            if self.process is not None:
                self._watch_process(stack, self.process)

            auth = None
            if spec.oauth is not None:
                auth = make_auth(self.opening.name, spec, self._make_authorize())

            client = await stack.enter_async_context(
                make_client(spec, self.trouble, self.opening.cap, auth)
            )
            if self.attempt.transport == "sse":
                return SseTransport(spec.url, client, self.tap, self.trouble)

            # The SDK's own cap of an event is 1 MiB: a larger result would end the call.
            transport = streamable_http_client(
                spec.url, http_client=client, max_sse_event_size=self.tap.cap
            )
            return self._tap_streams(transport)

        return await self._start_stdio(stack, spec)

    def _watch_process(self, stack: AsyncExitStack, process: ServerProcess) -> None:
        """The connection ends with the process, and the process with it when it is its."""

        async def watch() -> None:
            while await process.exit_code(LOG_EVERY) is None:
                pass

            self.tap.closed.set()

        async def stop() -> None:
            watching.cancel()
            if self.owns_process:
                await process.stop(self._grace)

        watching = asyncio.create_task(watch())
        stack.push_async_callback(stop)

    async def _start_stdio(self, stack: AsyncExitStack, spec: StdioServer) -> Any:
        if sys.platform == "win32":
            # Without process groups and inherited pipes there is no lifeline; the SDK
            # uses a job object.
            parameters = StdioServerParameters(
                command=spec.command, args=list(spec.args), cwd=spec.cwd
            )
            # The SDK adds the variables that servers inherit.
            parameters.env = server_environment(spec.env, {})
            # Its own default goes to the kernel's terminal, and fails without one.
            errlog = stack.enter_context(self.opening.log.writer())
            return self._tap_streams(stdio_client(parameters, errlog=errlog))

        # What was started ahead serves the first connection; a restart starts its own.
        ahead, self.opening.process = self.opening.process, None
        starting = asyncio.ensure_future(
            ahead or ServerProcess.start(spec, self.opening.log)
        )
        stack.push_async_callback(self._stop_process, starting)
        # Shielded: a process that is started and then belongs to nobody would live as
        # long as the kernel.
        process = await asyncio.shield(starting)
        self.process = process
        return StdioTransport(process, self.tap)

    def _make_authorize(self) -> Authorize | None:
        hook = self.opening.authorize
        if hook is None:
            return None

        def ask(server: str, url: str) -> Awaitable[str | None]:
            self._is_signing_in = True
            return hook(server, url)

        return ask

    async def _stop_process(self, starting: asyncio.Future[ServerProcess]) -> None:
        if not self.owns_process:
            return

        with contextlib.suppress(OSError):  # it never started
            await (await starting).stop(self._grace)

    @contextlib.asynccontextmanager
    async def _tap_streams(
        self, transport: Any
    ) -> AsyncIterator[tuple[TappedRead, TappedWrite]]:
        async with transport as (read, write):
            yield TappedRead(read, self.tap), TappedWrite(write, self.tap)


async def _no_validation(name: str, result: Any) -> None:
    return None


def client_callbacks(
    server: str,
    hooks: SessionHooks,
    hold_clock: Callable[[], AbstractContextManager[None]],
) -> dict[str, Any]:
    """Keyword arguments for the SDK's Client; call timeouts stand still while a hook runs."""

    async def elicit(context: Any, params: Any) -> Any:
        if hooks.elicit is None:
            return types.ElicitResult(action="decline")

        try:
            with hold_clock():
                answer = await hooks.elicit(server, params)

            if isinstance(answer, tuple):
                action, content = answer
                reply = {"action": action, "content": content}
                return types.ElicitResult.model_validate(reply)

            return answer
        except Exception:
            # boundary: a failing form must not end the session; the server is told no
            logger.exception("the elicitation hook failed")
            return types.ElicitResult(action="cancel")

    async def sample(context: Any, params: Any) -> Any:
        assert hooks.sample is not None
        try:
            with hold_clock():
                reply = await hooks.sample(server, params)

            if isinstance(reply, dict):
                # Calls of the server's tools are a list beside the text.
                form: Any = types.CreateMessageResult
                if isinstance(reply["content"], list):
                    form = types.CreateMessageResultWithTools

                return form.model_validate(reply)

            return reply
        except NotebookError as error:
            # a budget is used up, the person said no, or no model answers
            logger.info("a turn for %s was not given: %s", server, error.message)
            return types.ErrorData(
                code=-1,
                message="The request was declined, or there is no budget or model for it",
            )
        except Exception:  # boundary: as above
            logger.exception("the sampling hook failed")
            return types.ErrorData(code=-1, message="The request was not allowed")

    async def roots(context: Any) -> Any:
        assert hooks.roots is not None
        folders = await hooks.roots(server)
        return types.ListRootsResult(
            roots=[
                types.Root.model_validate(_describe_root(Path(folder)))
                for folder in folders
            ]
        )

    callbacks: dict[str, Any] = {"elicitation_callback": elicit}
    if hooks.sample is not None:
        callbacks["sampling_callback"] = sample
        callbacks["sampling_capabilities"] = types.SamplingCapability(
            tools=types.SamplingToolsCapability()
        )

    if hooks.roots is not None:
        callbacks["list_roots_callback"] = roots

    return callbacks


def _describe_root(folder: Path) -> dict[str, str]:
    return {"uri": folder.absolute().as_uri(), "name": folder.name}
