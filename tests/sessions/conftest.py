"""Fixtures: a registry that closes its servers, and how to start the test servers."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from mcp_notebook.sessions import Sessions
from tests.sessions.support import HttpProcess, Odd


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    registry = Sessions()
    yield registry
    await registry.close_all(grace=0.2)


@pytest.fixture
def http_server() -> Iterator[Callable[..., HttpProcess]]:
    """Starts the plain server on a loopback port: `http_server("http" | "sse")`."""
    started: list[HttpProcess] = []

    def start(kind: str = "http", port: int | None = None) -> HttpProcess:
        started.append(HttpProcess(kind, port))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def pid_file(tmp_path: Path) -> Path:
    return tmp_path / "pids"


@pytest.fixture
def odd() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (Odd,), {"asked": asked})
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
