"""From a description to a started session, with the slow import of the SDK beside the
server's own start.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mcp_notebook.config import (
    ServerSpec,
    StdioServer,
    check_name,
    resolve_command,
    secrets_of,
)
from mcp_notebook.config import spec_fingerprint as fingerprint_of
from mcp_notebook.sessions.eras import EraMemory
from mcp_notebook.sessions.log import ServerLog
from mcp_notebook.sessions.process import ServerProcess
from mcp_notebook.sessions.quiet import quiet_sdk

if TYPE_CHECKING:
    from mcp_notebook.sessions.session import Session


async def start_session(
    name: str,
    spec: ServerSpec,
    *,
    timeout: float,
    legacy: bool,
    eras: EraMemory,
    on_progress: Callable[[str], None],
    options: dict[str, Any],
) -> "Session":
    """A session that is ready; `eras` knows the servers that need the older handshake."""
    check_name(name)
    if isinstance(spec, StdioServer):
        spec = resolve_command(spec, where=f"server {name!r}")
    identity = fingerprint_of(spec)
    log = ServerLog(name, secrets_of(spec))
    ahead = _start_ahead(spec, log)
    try:
        module = await _import_sdk()
    except BaseException:
        await _give_up(ahead, log)
        raise
    session: Session = module.Session(
        name, spec, legacy=legacy or eras.needs_legacy(identity), log=log, **options
    )
    await session.start(timeout=timeout, on_progress=on_progress, process=ahead)
    # Not when the person chose it: that is for this time.
    if session.legacy and not legacy and isinstance(spec, StdioServer):
        await asyncio.to_thread(eras.remember, identity)
    return session


def _start_ahead(
    spec: ServerSpec, log: ServerLog
) -> "asyncio.Task[ServerProcess] | None":
    """The server starts while the SDK is still being imported."""
    if not isinstance(spec, StdioServer) or sys.platform == "win32":
        return None
    return asyncio.create_task(ServerProcess.start(spec, log))


async def _give_up(ahead: "asyncio.Task[ServerProcess] | None", log: ServerLog) -> None:
    if ahead is not None:
        with suppress(OSError):  # it never started
            await (await ahead).stop(grace=0)
    log.close()


async def _import_sdk() -> Any:
    """The session module, imported in a thread the first time: the MCP SDK takes more
    than a second.
    """
    module = await asyncio.to_thread(import_module, "mcp_notebook.sessions.session")
    quiet_sdk()
    (await asyncio.to_thread(import_module, "mcp_notebook.sessions.schema")).warm()
    return module
