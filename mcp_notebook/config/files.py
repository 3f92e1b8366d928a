"""Servers out of config files: of one file, or by name from the nearest `.mcp.json`."""

import os
from collections.abc import Mapping
from pathlib import Path

from mcp_notebook.config.documents import is_off, read_entries
from mcp_notebook.config.entries import read_entry
from mcp_notebook.config.specs import ServerSpec
from mcp_notebook.errors import ConfigError

PROJECT_FILE = ".mcp.json"


def load_servers(
    path: Path, environ: Mapping[str, str] = os.environ
) -> dict[str, ServerSpec]:
    """Every server of the file; ConfigError in one sentence that names the file, the
    server and the fix.
    """
    found: dict[str, ServerSpec] = {}
    for name, spec in load_each(path, environ).items():
        if isinstance(spec, ConfigError):
            raise spec
        found[name] = spec
    return found


def load_each(
    path: Path, environ: Mapping[str, str] = os.environ, *, only: tuple[str, ...] = ()
) -> dict[str, ServerSpec | ConfigError]:
    """The servers of the file (`only` these, when any are named), a wrong one as its ConfigError.

    Those that the file switches off are there only when they are named.
    """
    entries = read_entries(path)
    for name in only:
        if name not in entries:
            raise ConfigError(
                f"{path} names no server {name!r}; it names: {', '.join(entries) or 'none'}."
            )
    found: dict[str, ServerSpec | ConfigError] = {}
    for name in only or [name for name, entry in entries.items() if not is_off(entry)]:
        try:
            found[name] = read_entry(name, entries[name], path, environ)
        except ConfigError as error:
            found[name] = error
    return found


def find_server(
    name: str, start: Path, environ: Mapping[str, str] = os.environ
) -> ServerSpec | None:
    """The server of that name in .mcp.json of `start` or the nearest parent that has
    it; other entries may be wrong.
    """
    path = find_file(name, start)
    return (
        read_entry(name, read_entries(path)[name], path, environ)
        if path is not None
        else None
    )


def find_file(name: str, start: Path) -> Path | None:
    """The nearest .mcp.json, in `start` or above, that names the server."""
    for folder in (start.absolute(), *start.absolute().parents):
        path = folder / PROJECT_FILE
        if path.is_file() and name in read_entries(path):
            return path
    return None
