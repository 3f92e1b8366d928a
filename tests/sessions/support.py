"""Small real things that session tests share."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from mcp_notebook.config import StdioServer

ROOT = Path(__file__).parent.parent.parent
SERVERS = Path(__file__).parent.parent / "servers"
ATTACKS = Path(os.environ.get("MCP_NOTEBOOK_ATTACKS", ROOT.parent / "shared" / "attacks"))


def misbehaving(mode: str = "ok", pid_file: Path | None = None, **env: str) -> StdioServer:
    """The raw server of tests/servers in one of its modes."""
    if pid_file is not None:
        env["PID_FILE"] = str(pid_file)
    return StdioServer(sys.executable, ("-S", str(SERVERS / "misbehaving.py"), mode), env)


def plain() -> StdioServer:
    """The well-behaved server of tests/servers over stdio."""
    return StdioServer(sys.executable, (str(SERVERS / "plain.py"),))


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(pid: int) -> bool:
    """Is the process there and not a zombie?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(status) and not status.startswith("Z")


def none_left(numbers: list[int], within: float) -> bool:
    """Are all these processes gone within so many seconds?"""
    deadline = time.monotonic() + within
    while any(alive(number) for number in numbers):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


class HttpProcess:
    """The plain server as a process on a loopback port; it can be killed and started again on the same port."""

    def __init__(self, kind: str, port: int | None = None) -> None:
        self.kind, self.port = kind, port or free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{'/sse' if self.kind == 'sse' else '/mcp'}"

    def start(self) -> None:
        command = [sys.executable, str(SERVERS / "plain.py"), self.kind, str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
