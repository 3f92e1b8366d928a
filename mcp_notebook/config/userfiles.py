"""Small files of this user's own: what the notebook remembers between kernels. Never
part of a notebook.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

NAME = "mcp-notebook"
DIRECTORY = "MCP_NOTEBOOK_CONFIG_DIR"
KEY_BYTES = 32
VERSION = 1  # of what is written; a file of a newer one is read by none of ours


def user_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where they are, by the platform's custom; MCP_NOTEBOOK_CONFIG_DIR overrides."""
    if environ.get(DIRECTORY):
        return Path(environ[DIRECTORY])

    # On macOS XDG_CONFIG_HOME leads elsewhere today; files that are there already count.
    before = Path.home() / "Library" / "Application Support" / NAME
    if sys.platform == "darwin" and before.is_dir():
        return before

    # Roaming and without an author: the folder in which these files always were.
    return platformdirs.user_config_path(NAME, appauthor=False, roaming=True)


def user_key() -> bytes:
    """The key of this user's digests; where no file can hold it, one of this kernel."""
    return _key_in(user_folder() / "identity.key")


@cache
def _key_in(path: Path) -> bytes:
    made = secrets.token_bytes(KEY_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _hold_lock(path):
            if path.is_file() and path.stat().st_size == KEY_BYTES:
                return path.read_bytes()

            write_whole(path, made)
    except OSError as error:
        logger.warning(
            "%s cannot be kept, so answers last this kernel: %s", path, error
        )

    return made


Change = Callable[[dict[str, Any]], dict[str, Any]]


class UserFile:
    """A JSON object in a file that several kernels read and write: the file alone says
    what holds, and every change reads it, changes it and writes it under a lock.

    A file that is damaged or of a newer version counts as empty and is left as it is.
    What cannot be written holds for this kernel, as a change of what the file holds by
    then: a copy of it would bring back what another kernel took back since. `None` is no
    file at all.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        # changes that could not be written, in order
        self._waiting: list[Change] = []
        self._seen: tuple[Any, dict[str, Any]] = (None, {})

    def get(self, key: str) -> Any:
        """What was last kept under the key, or None."""
        return self.read().get(key)

    def keep(self, key: str, value: Any) -> None:
        """Keep a value under the key."""
        self.change(lambda held: {**held, key: value})

    def read(self) -> dict[str, Any]:
        """Everything that is kept, as the file is now."""
        held = self._read_file()
        for make in self._waiting:
            held = make(held)

        return {key: value for key, value in held.items() if value is not None}

    def change(self, make: Change) -> None:
        """Replace what is kept by what `make` makes of it; nobody writes in between."""
        if self.path is None:
            self._seen = (None, make(self.read()))
            return

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _hold_lock(self.path):
                self._check_readable()
                write_whole(self.path, _as_bytes(make(self.read())))
                self._waiting.clear()
        except (OSError, ValueError) as error:
            logger.warning("%s is not changed, only this kernel: %s", self.path, error)
            self._waiting.append(make)

    def _check_readable(self) -> None:
        """Raises ValueError for a file that would be lost if it were written."""
        assert self.path is not None
        if self.path.exists():
            _parse(self.path.read_bytes())

    def _read_file(self) -> dict[str, Any]:
        if self.path is None:
            return self._seen[1]

        try:
            about = self.path.stat()
            stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
            if self._seen[0] != stamp:
                self._seen = (stamp, _parse(self.path.read_bytes()))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            # Fails closed: what cannot be read allows nothing.
            logger.warning(
                "%s cannot be read, so it counts as empty: %s", self.path, error
            )
            return {}

        return self._seen[1]


def _parse(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested without end; mend or remove it") from None

    if not isinstance(found, dict):
        raise ValueError("it holds no object; mend or remove it")

    version = found.pop("version", VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise ValueError(f"a newer release wrote it (version {version})")

    return found


def _as_bytes(held: dict[str, Any]) -> bytes:
    return json.dumps({"version": VERSION, **held}, indent=1).encode()


def write_whole(path: Path, content: bytes) -> None:
    """The file with this content, for the user alone, or as it was; nothing else is
    left in the folder.
    """
    # made with mode 0600
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

        os.replace(temporary, path)
    except BaseException:  # also an interrupt: the folder is left as it was
        with suppress(OSError):
            os.unlink(temporary)

        raise


def _hold_lock(path: Path) -> AbstractContextManager[None]:
    """While it lasts no other kernel changes the file. The lock is a file beside it:
    the file itself is replaced by every change.
    """
    return _lock(f"{path}.lock", os.O_RDWR | os.O_CREAT)


def lock_folder(folder: Path) -> AbstractContextManager[None]:
    """While it lasts no other kernel that asks for this lock is here. It is the folder's
    own: a file for it would stand among the person's files.
    """
    return _lock(str(folder), os.O_RDONLY)


@contextmanager
def _lock(path: str, flags: int) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return

    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)

        yield
    finally:
        os.close(handle)
