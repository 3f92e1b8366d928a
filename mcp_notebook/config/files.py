"""Config files of other hosts: `mcpServers` (.mcp.json, Claude, Cursor) and `servers` (VS Code)."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp_notebook.config.expand import expand
from mcp_notebook.config.specs import HttpServer, ServerSpec, StdioServer, check_name
from mcp_notebook.config.target import check_headers, check_url, notes_on
from mcp_notebook.errors import ConfigError

PROJECT_FILE = ".mcp.json"
TRANSPORTS = {"http": "http", "streamable-http": "http", "streamableHttp": "http", "sse": "sse"}
LITERAL_SECRET = re.compile(r"(sk-|ghp_|gho_|github_pat_|xox[abp]-|AKIA|eyJ)[\w-]{8,}")
SECRET_VARIABLE = re.compile(r"(token|secret|passw|api_?key|credential)", re.IGNORECASE)
# a string, or a comment, or a comma before a closing bracket: strings are kept, the others go
JSONC = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/|,(?=\s*(?://[^\n]*\s*|/\*.*?\*/\s*)*[}\]])', re.DOTALL)


def load_servers(path: Path, environ: Mapping[str, str] = os.environ) -> dict[str, ServerSpec]:
    """Every server of the file; ConfigError in one sentence that names the file, the server and the fix."""
    entries = read_entries(path)
    return {name: read_entry(name, entry, path, environ) for name, entry in entries.items()}


def find_server(name: str, start: Path, environ: Mapping[str, str] = os.environ) -> ServerSpec | None:
    """The server of that name in .mcp.json of `start` or the nearest parent that has it; other entries may be wrong."""
    for folder in (start.absolute(), *start.absolute().parents):
        path = folder / PROJECT_FILE
        if not path.is_file():
            continue
        entries = read_entries(path)
        if name in entries:
            return read_entry(name, entries[name], path, environ)
    return None


def read_entries(path: Path) -> dict[str, Any]:
    """The raw descriptions by server name, of either form of file."""
    document = read_json(path)
    if not isinstance(document, dict):
        raise ConfigError(f'{path} should hold an object with "mcpServers".')
    form = next((key for key in ("mcpServers", "servers") if key in document), None)
    if form is None and "projects" in document:
        return {}
    if form is None:
        raise ConfigError(f'{path} has neither "mcpServers" nor "servers"; the servers stand under one of them.')
    entries = document[form]
    if not isinstance(entries, dict):
        raise ConfigError(f'"{form}" in {path} should be an object with one entry a server.')
    for name in entries:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise ConfigError(
                f"{path} names a server {name!a}; a name is 1 to 64 letters, digits, - or _ ([A-Za-z0-9_-]{{1,64}})."
            )
    return entries


def read_json(path: Path) -> Any:
    """JSON with comments and trailing commas (VS Code's form), refusing a key that stands twice in one object."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {_reason(error)}.") from None
    try:
        return json.loads(JSONC.sub(_blank, text), object_pairs_hook=lambda pairs: _unique(pairs, path))
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply to be a list of servers.") from None


def read_entry(name: str, entry: Any, path: Path, environ: Mapping[str, str]) -> ServerSpec:
    """One description as a value, with its variables expanded."""
    check_name(name)
    where = f"server {name!r} in {path}"
    if not isinstance(entry, dict):
        raise ConfigError(f'{where} should be an object with "command" and "args", or with "url".')
    if ("command" in entry) == ("url" in entry):
        both = "has both" if "command" in entry else "has neither"
        raise ConfigError(f'{where} {both} "command" and "url"; one of the two says how to reach it.')
    reader = _Reader(entry, where, environ, _folder_of(path))
    return reader.http() if "url" in entry else reader.stdio()


class _Reader:
    """Takes fields out of one entry, checked and expanded; every complaint names the entry."""

    def __init__(self, entry: Mapping[str, Any], where: str, environ: Mapping[str, str], folder: Path) -> None:
        self.entry, self.where, self.environ, self.folder = entry, where, environ, folder

    def stdio(self) -> StdioServer:
        command = self.text("command")
        if not command.strip():
            raise ConfigError(f'{self.where} has an empty "command"; write the program that starts it.')
        if re.search(r"\s", command) and not Path(os.path.expanduser(command)).exists():
            first, *rest = command.split()
            raise ConfigError(
                f'{self.where} has a whole command line as "command"; write "command": {json.dumps(first)}, '
                f'"args": {json.dumps(rest)}.'
            )
        env = {**self._env_file(), **self.mapping("env")}
        spec = StdioServer(command, self.words("args"), env, self.text("cwd") if self.entry.get("cwd") else None)
        return StdioServer(spec.command, spec.args, spec.env, spec.cwd, (*notes_on(spec), *self.literal_secrets("env")))

    def http(self) -> HttpServer:
        insecure = self.entry.get("allowInsecure") is True
        url = check_url(self.text("url"), where=self.where, allow_insecure=insecure)
        headers = check_headers(self.mapping("headers"), where=self.where)
        kind = self.entry.get("type") or self.entry.get("transport") or "auto"
        if kind != "auto" and kind not in TRANSPORTS:
            raise ConfigError(f'{self.where} has type {kind!r}; with a "url" it is "http" or "sse".')
        oauth = self.mapping("oauth") if "oauth" in self.entry else None
        certificate = self.text("certificate") if self.entry.get("certificate") else None
        # "http" in these files often means "some HTTP transport", so the older one stays possible
        transport = "sse" if TRANSPORTS.get(kind) == "sse" else "auto"
        return HttpServer(url, headers, transport, insecure, certificate, oauth, self.literal_secrets("headers"))

    def text(self, key: str) -> str:
        value = self.entry[key]
        if not isinstance(value, str):
            raise ConfigError(f'{self.where}: "{key}" should be a string, it is {_kind(value)}.')
        return self._expand(value)

    def words(self, key: str) -> tuple[str, ...]:
        values = self.entry.get(key) or []
        if not isinstance(values, list):
            raise ConfigError(f'{self.where}: "{key}" should be a list of strings, it is {_kind(values)}.')
        for value in values:
            if not isinstance(value, str):
                raise ConfigError(f'{self.where}: "{key}" holds {_kind(value)}; write it in quotes.')
        return tuple(self._expand(value) for value in values)

    def mapping(self, key: str) -> dict[str, str]:
        values = self.entry.get(key) or {}
        if not isinstance(values, dict):
            raise ConfigError(f'{self.where}: "{key}" should be an object of strings, it is {_kind(values)}.')
        for name, value in values.items():
            if not isinstance(value, str):
                raise ConfigError(f'{self.where}: {name} in "{key}" is {_kind(value)}; write it in quotes.')
        return {name: self._expand(value) for name, value in values.items()}

    def literal_secrets(self, key: str) -> tuple[str, ...]:
        values = self.entry.get(key) or {}
        named = [name for name, value in values.items() if "${" not in value and _looks_secret(name, value)]
        return tuple(f"{name} stands in the file as it is; ${{{name}}} keeps it out of the file" for name in named)

    def _expand(self, text: str) -> str:
        return expand(text, self.environ, where=self.where, folder=self.folder)

    def _env_file(self) -> dict[str, str]:
        if not self.entry.get("envFile"):
            return {}
        path = Path(self.text("envFile"))
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.where}: its envFile {path} cannot be read: {_reason(error)}.") from None
        pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
        return {name.strip().removeprefix("export "): value.strip().strip("\"'") for name, value in pairs}


def _unique(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{path} has {twice!r} twice in one object; remove one of them.")
    return dict(pairs)


def _blank(match: re.Match[str]) -> str:
    # Line breaks stay, so that an error names the right line.
    return match[1] if match[1] is not None else re.sub(r"[^\n]", " ", match[0])


def _folder_of(path: Path) -> Path:
    folder = path.absolute().parent
    return folder.parent if folder.name in (".vscode", ".cursor") else folder


def _looks_secret(name: str, value: str) -> bool:
    return bool(LITERAL_SECRET.search(value) or (SECRET_VARIABLE.search(name) and len(value) >= 6))


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return {dict: "an object", list: "a list", str: "a string"}.get(type(value), "a number")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "it is not UTF-8 text"
