"""Where a file keeps its servers: `mcpServers` of most hosts, `servers` of VS Code, and
the others' own places.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcp_notebook.config.jsonc import SHAPE, read_json
from mcp_notebook.errors import ConfigError

# Claude, Cursor, Windsurf, Cline, Gemini · VS Code · VS Code's settings.json · Zed · Amp
PLACES = (
    ("mcpServers",),
    ("servers",),
    ("mcp", "servers"),
    ("context_servers",),
    ("amp.mcpServers",),
)
SAYS_HOW = ("command", "url", "serverUrl", "httpUrl")


def read_entries(path: Path, *, project: Path | None = None) -> dict[str, Any]:
    """The raw descriptions by server name, of any host's file; ConfigError when it is none.

    `project`: the folder whose own servers are looked for in Claude Code's file, which
    holds many projects.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        raise ConfigError(f"{path} should hold an object: {SHAPE}.")
    found: dict[str, Any] = {}
    for keys, entries in _held(document):
        if not isinstance(entries, dict):
            raise ConfigError(
                f'"{".".join(keys)}" in {path} should be an object with one entry a server.'
            )
        for name in entries:
            if name in found:
                raise ConfigError(
                    f"{path} names the server {name!a} in two places; remove one of them."
                )
        found |= entries
    if isinstance(document.get("projects"), dict):
        return {**found, **of_project(document, project or Path.cwd())}
    if found or any(True for _ in _held(document)):
        return found
    return _at_the_top(document) or _none(document, path)


def of_project(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The servers that Claude Code keeps for a project folder or the nearest one above it."""
    projects = document.get("projects")
    if not isinstance(projects, dict):
        return {}
    for one in (folder, *folder.parents):
        told = projects.get(str(one))
        entries = told.get("mcpServers") if isinstance(told, dict) else None
        if isinstance(entries, dict) and entries:
            return entries
    return {}


def is_off(entry: Any) -> bool:
    """Whether a host's file says that this server is switched off."""
    return isinstance(entry, dict) and (
        entry.get("disabled") is True or entry.get("enabled") is False
    )


def _held(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for keys in PLACES:
        held: Any = document
        for key in keys:
            held = held.get(key) if isinstance(held, dict) else None
        if held is not None or (len(keys) == 1 and keys[0] in document):
            yield keys, held


def _at_the_top(document: Mapping[str, Any]) -> dict[str, Any]:
    """Servers without anything around them, as a plugin of Claude Code has them."""
    good = bool(document) and all(
        isinstance(e, dict) and any(k in e for k in SAYS_HOW) for e in document.values()
    )
    return dict(document) if good else {}


def _none(document: Mapping[str, Any], path: Path) -> dict[str, Any]:
    near = next(
        (
            key
            for key in document
            if re.sub(r"[\W_]", "", key).lower() in ("mcpservers", "mcpserver")
        ),
        None,
    )
    if near is not None:
        raise ConfigError(
            f'{path} has {near!a}; the servers stand under "mcpServers", written like that.'
        )
    if any(key in document for key in SAYS_HOW):
        raise ConfigError(f"{path} describes a server without its name; write {SHAPE}.")
    raise ConfigError(
        f'{path} has neither "mcpServers" nor "servers"; the servers stand under one of them.'
    )
