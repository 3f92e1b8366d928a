"""Small real things that session tests share."""

import json
import os
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from mcp_notebook.config import StdioServer
from tests.data import ATTACKS as ATTACKS

ROOT = Path(__file__).parent.parent.parent
SERVERS = Path(__file__).parent.parent / "servers"


def misbehaving(
    mode: str = "ok", pid_file: Path | None = None, **env: str
) -> StdioServer:
    """The raw server of tests/servers in one of its modes."""
    if pid_file is not None:
        env["PID_FILE"] = str(pid_file)
    return StdioServer(
        sys.executable, ("-S", str(SERVERS / "misbehaving.py"), mode), env
    )


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
    status = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True
    ).stdout.strip()
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


def wait_for_port(port: int) -> None:
    """Until something listens there."""
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


class HttpProcess:
    """The plain server as a process on a loopback port; it can be killed and started
    again on the same port.
    """

    def __init__(self, kind: str, port: int | None = None) -> None:
        self.kind, self.port = kind, port or free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{'/sse' if self.kind == 'sse' else '/mcp'}"

    def start(self) -> None:
        command = [sys.executable, str(SERVERS / "plain.py"), self.kind, str(self.port)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_port(self.port)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Odd(BaseHTTPRequestHandler):
    """Answers by its path: /html, /404, /401, /cut, /slowcut; notes what it was asked."""

    asked: list[str]

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer()

    def answer(self) -> None:
        self.asked.append(
            f"{self.command} {self.path} {self.headers.get('authorization', '')}".strip()
        )
        if self.path.startswith("/html"):
            self.reply(200, "text/html", b"<html>hello</html>")
        elif self.path.startswith("/cut"):
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b'{"jsonrpc"')
        elif self.path.startswith("/401"):
            self.reply(
                401,
                "text/plain",
                b"no",
                ("www-authenticate", 'Bearer resource_metadata="http://169.254.1.1/x"'),
            )
        elif self.path.startswith("/json"):
            self.reply(200, "application/json", json.dumps({"hello": "world"}).encode())
        else:
            self.reply(int(self.path[1:4]), "text/plain", b"sorry")

    def reply(
        self, status: int, kind: str, body: bytes, *headers: tuple[str, str]
    ) -> None:
        self.send_response(status)
        for name, value in (
            ("content-type", kind),
            ("content-length", str(len(body))),
            *headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        return
