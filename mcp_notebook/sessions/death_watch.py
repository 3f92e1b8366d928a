"""Runs one server and ends it, with all that it started, when the notebook's kernel is gone.

A program of its own: `python -I -S death_watch.py FD LOG COMMAND ARGS...`, standard
library only, started by process.py. FD is the read end of a pipe whose write end only
the kernel holds: its end means "stop now", whether the kernel closed it or died by kill
-9. Because a fork of the kernel may hold the write end too, the parent's pid is looked
at as well. The server runs in a process group of its own; when it ends, what it left
behind in the group ends too. On Linux so does what made a session of its own: orphans
become children of this program, which finds them there. LOG is the server's private
log, removed when the kernel died without doing it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

GRACE = 1.0  # seconds between SIGTERM and SIGKILL for the group
POLL = 0.5  # seconds between two looks at the parent
LEFTOVERS = 0.3  # the same for what a server left behind when it ended by itself
CANNOT_START = 127
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>
KILLS = 100  # looks for processes that fork faster than they are ended
SIGNALLED = 128  # plus the number of the signal that ended the server, as shells do


def main() -> int:
    """Start the server, wait for its end or for the kernel's, and return the server's
    exit status.
    """
    lifeline, log, command, arguments = (
        int(sys.argv[1]),
        sys.argv[2],
        sys.argv[3],
        sys.argv[3:],
    )
    parent = os.getppid()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: None)
    for number in (lifeline, wake_read, wake_write):
        os.set_inheritable(number, False)

    try:
        server = os.posix_spawn(
            command,
            arguments,
            os.environ,
            setpgroup=0,
            setsigdef=[signal.SIGTERM, signal.SIGPIPE],
        )
    except OSError as error:
        sys.stderr.write(f"cannot start {command}: {error.strerror}\n")
        return CANNOT_START

    # Only the server may hold its pipes, or the kernel would not see them end.
    os.close(0)
    os.close(1)
    _adopt_orphans()
    status = _end_group(server, _watch(server, lifeline, wake_read, parent))
    if os.getppid() != parent:
        _remove(log)

    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code

    return SIGNALLED - code


def _adopt_orphans() -> None:
    """Ask Linux to make this program the parent of orphans that the server leaves."""
    if not sys.platform.startswith("linux"):
        return

    try:
        # After the server's start, which need not wait for it
        import ctypes

        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):  # a Python or a libc without it
        pass


def _watch(server: int, lifeline: int, wake: int, parent: int) -> int | None:
    """The server's wait status, or None when it has to be ended."""
    while True:
        status = _reap(server)
        if status is not None:
            return status

        ready = select.select([lifeline, wake], [], [], POLL)[0]
        if lifeline in ready or os.getppid() != parent:
            return None
        if wake in ready and signal.SIGTERM in os.read(wake, 64):
            return None


def _reap(server: int, found: int | None = None) -> int | None:
    """Take leave of children that ended; the server's wait status when it is one, else
    what was `found` before.
    """
    while True:
        try:
            done, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found

        if not done:
            return found
        if done == server:
            found = status


def _end_group(server: int, status: int | None) -> int:
    """Ask the whole group and the orphans to end, then make them end; the server's wait
    status.
    """
    deadline = time.monotonic() + (GRACE if status is None else LEFTOVERS)
    _signal(server, signal.SIGTERM)
    for pid in _descendants():
        _signal_one(pid, signal.SIGTERM)

    while time.monotonic() < deadline:
        # A zombie still counts as a member of its group.
        status = _reap(server, status)
        if status is not None and not _signal(server, 0) and not _descendants():
            return status

        time.sleep(0.01)

    for _ in range(KILLS):
        _signal(server, signal.SIGKILL)
        left = _descendants()
        for pid in left:
            _signal_one(pid, signal.SIGKILL)

        status = _reap(server, status)
        if status is not None and not left:
            return status

        time.sleep(0.01)

    return status if status is not None else signal.SIGKILL


def _descendants() -> list[int]:
    """Children of this program and theirs, as far as /proc tells; zombies are none."""
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []

    children: dict[int, list[int]] = {}
    for pid in numbers:
        parent = _parent_of(pid)
        if parent is not None:
            children.setdefault(parent, []).append(pid)

    found: list[int] = []
    ahead = [os.getpid()]
    while ahead:
        own = children.get(ahead.pop(), [])
        found += own
        ahead += own

    return found


def _parent_of(pid: int) -> int | None:
    """The parent of a process that runs; None for a zombie and for one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None

    # The program's name stands in brackets, and may hold brackets and blanks itself.
    state, parent = stat.rpartition(b")")[2].split()[:2]
    return None if state == b"Z" else int(parent)


def _signal_one(pid: int, number: int) -> None:
    try:  # noqa: SIM105
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _remove(path: str) -> None:
    # contextlib is an import more for a program that starts beside every server
    try:  # noqa: SIM105
        os.unlink(path)
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main())
