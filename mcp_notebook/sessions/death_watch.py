"""Runs one server and ends it, with all that it started, when the notebook's kernel is gone.

A program of its own: `python -I -S death_watch.py FD LOG COMMAND ARGS...`, standard
library only, started by process.py. FD is the read end of a pipe whose write end only
the kernel holds: its end means "stop now", whether the kernel closed it or died by kill
-9. Because a fork of the kernel may hold the write end too, the parent's pid is looked
at as well. The server runs in a process group of its own; when it ends, what it left
behind in the group ends too. LOG is the server's private log, removed when the kernel
died without doing it.
"""

import os
import select
import signal
import sys
import time

GRACE = 1.0  # seconds between SIGTERM and SIGKILL for the group
POLL = 0.5  # seconds between two looks at the parent
LEFTOVERS = 0.3  # the same for what a server left behind when it ended by itself
CANNOT_START = 127
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
    status = _end_group(server, _watch(server, lifeline, wake_read, parent))
    if os.getppid() != parent:
        _remove(log)

    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code

    return SIGNALLED - code


def _watch(server: int, lifeline: int, wake: int, parent: int) -> "int | None":
    """The server's wait status, or None when it has to be ended."""
    while True:
        done, status = os.waitpid(server, os.WNOHANG)
        if done:
            return status

        ready = select.select([lifeline, wake], [], [], POLL)[0]
        if lifeline in ready or os.getppid() != parent:
            return None
        if wake in ready and signal.SIGTERM in os.read(wake, 64):
            return None


def _end_group(server: int, status: "int | None") -> int:
    """Ask the whole group to end, then make it end; the server's wait status."""
    deadline = time.monotonic() + (GRACE if status is None else LEFTOVERS)
    _signal(server, signal.SIGTERM)
    while time.monotonic() < deadline:
        if status is None:
            # A zombie still counts as a member of its group.
            done, code = os.waitpid(server, os.WNOHANG)
            if done:
                status = code
            else:
                status = None

        if status is not None and not _signal(server, 0):
            return status

        time.sleep(0.01)

    _signal(server, signal.SIGKILL)
    if status is None:
        return os.waitpid(server, 0)[1]

    return status


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
