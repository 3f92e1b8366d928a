"""However a kernel ends, nothing that it started is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mcp_notebook.sessions import Sessions
from mcp_notebook.sessions.log import sweep
from tests.sessions.support import ROOT, misbehaving, none_left, pids

KERNEL = """
import asyncio, os, sys, threading
from pathlib import Path
from mcp_notebook import loop
from mcp_notebook.sessions import Sessions
from mcp_notebook.sessions.log import sweep
from tests.sessions.support import misbehaving

mode, busy, path = sys.argv[1], sys.argv[2] == "busy", Path(sys.argv[3])
sessions = Sessions()
session = loop.run(sessions.connect("s", misbehaving(mode, path)))
loop.run(session.call("t", {"do": "offspring"}))
if busy:
    loop.submit(session.call("t", {"do": "hang"}))
print("ready", flush=True)
sys.stdin.readline()
how = Path(sys.argv[3] + ".how").read_text()
if how == "os._exit":
    os._exit(1)
"""
WAYS = {
    "kill -9": signal.SIGKILL,
    "SIGTERM": signal.SIGTERM,
    "SIGINT": signal.SIGINT,
    "exit": 0,
    "os._exit": 0,
}


def end_a_kernel(
    way: str, mode: str, activity: str, path: Path, **environ: str
) -> list[int]:
    """Start a process with a session, end it that way, and give the pids of the server
    and its children.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    command = [sys.executable, "-c", KERNEL, mode, activity, str(path)]
    kernel = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=ROOT,
    )
    assert kernel.stdin is not None
    assert kernel.stdout is not None
    assert kernel.stdout.readline() == b"ready\n"
    Path(f"{path}.how").write_text(way)
    if WAYS[way]:
        kernel.send_signal(WAYS[way])
    else:
        kernel.stdin.write(b"\n")
        kernel.stdin.flush()
    kernel.wait(30)
    return pids(path)


def some_started(path: Path) -> bool:
    deadline = time.monotonic() + 20
    while not pids(path) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(pids(path))


def ways() -> list[Any]:
    usual = ("kill -9", "exit")
    return [
        way if way in usual else pytest.param(way, marks=pytest.mark.slow)
        for way in WAYS
    ]


@pytest.mark.slow
@pytest.mark.parametrize("activity", ["idle", "busy"])
@pytest.mark.parametrize("way", ways())
def test_no_process_is_left_when_the_kernel_ends(
    way: str, activity: str, pid_file: Path
) -> None:
    numbers = end_a_kernel(way, "grandchild_ignores", activity, pid_file)
    assert len(numbers) == 3
    assert none_left(numbers, 5)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["ok", "ignore_term", "grandchild_ignores"])
def test_a_killed_kernel_leaves_no_private_log(
    mode: str, pid_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    numbers = end_a_kernel(
        "kill -9", mode, "busy", pid_file, TMPDIR=str(tmp_path / "tmp")
    )
    assert none_left(numbers, 5)
    deadline = time.monotonic() + 5
    while list((tmp_path / "tmp").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_next_kernel_removes_the_logs_of_dead_ones_and_leaves_those_in_use(
    tmp_path: Path,
) -> None:
    def log(name: str, age: float = 60) -> Path:
        path = tmp_path / f"mcp-notebook-log-{name}.log"
        path.write_text(name)
        os.utime(path, (time.time() - age,) * 2)
        return path

    dead, young, other = log("dead"), log("young", 0), tmp_path / "other.log"
    other.write_text("of somebody else")
    os.utime(other, (1, 1))
    target = tmp_path / "target"
    target.write_text("x")
    os.utime(target, (1, 1))
    (tmp_path / "mcp-notebook-log-link.log").symlink_to(target)
    held = log("held")
    holder = subprocess.Popen(
        [sys.executable, "-c", "import fcntl as f; f.flock(2, f.LOCK_EX); print(1, flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=held.open("r+"),
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline()
    assert sweep(tmp_path) == 1
    assert not dead.exists()
    assert all(path.exists() for path in (young, other, held, target))
    holder.communicate(b"\n")
    assert sweep(tmp_path) == 1
    assert not held.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode", ["ok", "ignore_term", "ignore_eof", "grandchild", "grandchild_ignores"]
)
async def test_no_process_is_left_after_a_disconnect(
    mode: str, sessions: Sessions, pid_file: Path
) -> None:
    await sessions.connect("s", misbehaving(mode, pid_file))
    async with asyncio.timeout(6):
        await sessions.disconnect("s")
    assert none_left(pids(pid_file), 2)


DETACHED = ["grandchild_session", "grandchild_forks_twice", "grandchild_forgets"]
only_on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="orphans are adopted on Linux only"
)


@only_on_linux
@pytest.mark.parametrize("mode", DETACHED)
async def test_what_left_the_servers_group_ends_at_a_disconnect(
    mode: str, sessions: Sessions, pid_file: Path
) -> None:
    await sessions.connect("s", misbehaving(mode, pid_file))
    await asyncio.to_thread(both_started, pid_file)
    async with asyncio.timeout(6):
        await sessions.disconnect("s")
    assert none_left(pids(pid_file), 2)


@only_on_linux
@pytest.mark.parametrize("mode", DETACHED)
async def test_what_left_the_servers_group_ends_when_the_server_crashes(
    mode: str, sessions: Sessions, pid_file: Path
) -> None:
    await sessions.connect("s", misbehaving(mode, pid_file))
    started = await asyncio.to_thread(both_started, pid_file)
    os.kill(started[0], signal.SIGKILL)
    assert none_left(started, 3)


@pytest.mark.slow
@only_on_linux
@pytest.mark.parametrize("mode", DETACHED)
def test_what_left_the_servers_group_ends_with_a_killed_kernel(
    mode: str, pid_file: Path
) -> None:
    numbers = end_a_kernel("kill -9", mode, "idle", pid_file)
    assert len(numbers) >= 2
    assert none_left(numbers, 5)


def both_started(path: Path) -> list[int]:
    deadline = time.monotonic() + 20
    while len(pids(path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(pids(path)) >= 2
    return pids(path)


async def test_what_a_server_left_behind_ends_when_it_crashes(
    sessions: Sessions, pid_file: Path
) -> None:
    session = await sessions.connect("s", misbehaving("grandchild", pid_file))
    os.kill(pids(pid_file)[0], signal.SIGKILL)
    assert none_left(pids(pid_file), 2)
    assert session.state in ("crashed", "ready")


async def test_a_connect_that_is_cancelled_leaves_no_process(
    sessions: Sessions, pid_file: Path
) -> None:
    connecting = asyncio.create_task(
        sessions.connect("s", misbehaving("hang_init", pid_file))
    )
    assert await asyncio.to_thread(some_started, pid_file)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert none_left(pids(pid_file), 5)
