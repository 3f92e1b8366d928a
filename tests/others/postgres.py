"""A private PostgreSQL cluster on loopback, made and removed by the tests. It refuses
root, so another user runs it.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEBIAN = Path("/usr/lib/postgresql")


@contextmanager
def cluster() -> Iterator[str]:
    """Start a cluster and give its URL; skips outside CI where no server programs are installed."""
    home = _programs()
    if home is None:
        reason = "no PostgreSQL server programs are installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    data = Path(tempfile.mkdtemp(prefix="postgres-"))
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:
        shutil.chown(data, user)
    port = _free_port()
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c fsync=off"
    try:
        _as(
            user,
            home / "initdb",
            "-D",
            data / "pg",
            "-U",
            "demo",
            "-A",
            "trust",
            "--no-sync",
        )
        _as(
            user,
            home / "pg_ctl",
            "-D",
            data / "pg",
            "-w",
            "-l",
            data / "log",
            "-o",
            options,
            "start",
        )
        yield f"postgresql://demo@127.0.0.1:{port}/postgres"
    finally:
        _as(
            user,
            home / "pg_ctl",
            "-D",
            data / "pg",
            "-m",
            "immediate",
            "stop",
            check=False,
        )
        shutil.rmtree(data, ignore_errors=True)


def _programs() -> Path | None:
    versions = sorted(DEBIAN.glob("*/bin/initdb"), reverse=True)
    if versions:
        return versions[0].parent
    found = shutil.which("initdb")
    return Path(found).parent if found else None


def _as(user: str, *command: object, check: bool = True) -> None:
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", *words]
    subprocess.run(words, check=check, capture_output=True, timeout=120, cwd="/")


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
