"""One server's entry of a config file as a value: its fields checked and expanded,
every complaint names it.
"""

import difflib
import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcp_notebook.config.expand import expand, unexpanded
from mcp_notebook.config.specs import HttpServer, ServerSpec, StdioServer, check_name
from mcp_notebook.config.target import check_headers, check_url, notes_on
from mcp_notebook.errors import ConfigError
from mcp_notebook.secrets import NameLevel, has_secret_shape, is_secret_name

TRANSPORTS = {"http": "http", "streamable-http": "http", "streamableHttp": "http", "streamable_http": "http",
              "remote": "http", "sse": "sse"}  # fmt: skip
LOCAL = ("stdio", "local", "custom")
URLS = ("url", "serverUrl", "httpUrl")  # of most hosts, of Windsurf, of Gemini
OURS = (
    "command",
    "args",
    "env",
    "cwd",
    "envFile",
    "url",
    "headers",
    "type",
    "oauth",
    "certificate",
    "key",
    "ca",
)
# What OAuth settings are called elsewhere: Claude Code and Gemini, Cursor
OAUTH = {"clientId": "client_id", "CLIENT_ID": "client_id", "clientSecret": "client_secret", "scopes": "scope",
         "CLIENT_SECRET": "client_secret", "redirectUri": "redirect_uri", "callbackPort": "redirect_uri"}  # fmt: skip
OAUTH_KEYS = ("client_id", "client_secret", "scope", "issuer", "grant", "private_key", "algorithm", "redirect_uri",
              "client_metadata_url", "enabled", *OAUTH)  # fmt: skip
WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]")
SHELL = re.compile(r"&&|\|\||[|;<>]")


def read_entry(
    name: str, entry: Any, path: Path, environ: Mapping[str, str]
) -> ServerSpec:
    """One description as a value, with its variables expanded; ConfigError names the
    server and the fix.
    """
    where = f"server {name!a} in {path}"
    try:
        check_name(name)
    except ConfigError as error:
        suggestion = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[-64:] or "server"
        rule = "([A-Za-z0-9_-]{1,64})"
        raise ConfigError(
            f"{path}: {error.message[:-1]} {rule}; rename it, for example {suggestion!r}."
        ) from None
    if not isinstance(entry, dict):
        raise ConfigError(
            f'{where} should be an object with "command" and "args", or with "url", it is {kind(entry)}.'
        )
    for key in ("disabled", "enabled"):
        if not isinstance(entry.get(key, True), bool):
            raise ConfigError(
                f'{where}: "{key}" should be true or false, it is {kind(entry[key])}.'
            )
    reader = _Entry(entry, where, environ, _folder_of(path))
    return reader.http() if reader.is_http() else reader.stdio()


class _Entry:
    """Takes fields out of one entry."""

    def __init__(
        self,
        entry: Mapping[str, Any],
        where: str,
        environ: Mapping[str, str],
        folder: Path,
    ) -> None:
        self.entry, self.where, self.environ, self.folder = (
            entry,
            where,
            environ,
            folder,
        )
        self.url = next(
            (key for key in URLS if entry.get(key)),
            next((key for key in URLS if key in entry), "url"),
        )

    def is_http(self) -> bool:
        """Whether it has an address; ConfigError when it has both or neither, or says
        something else by its type.
        """
        entry, has_url, has_command = (
            self.entry,
            self.url in self.entry,
            "command" in self.entry,
        )
        told = entry.get("type", entry.get("transport"))
        if told is not None and not isinstance(told, str):
            raise ConfigError(
                f'{self.where}: "type" should be "stdio", "http" or "sse", it is {kind(told)}.'
            )
        if told and told not in (*TRANSPORTS, *LOCAL, "auto"):
            raise ConfigError(
                f'{self.where} has type {told!a}; possible are "stdio", "http" and "sse".'
            )
        if has_url and has_command:
            raise ConfigError(
                f'{self.where} has both "command" and "url"; one of the two says how to reach it.'
            )
        if not has_url and not has_command:
            raise ConfigError(
                f'{self.where} has neither "command" nor "url"{self._near("command", "url")}.'
            )
        if told in TRANSPORTS and has_command:
            raise ConfigError(
                f'{self.where} has type {told!a} and a "command"; with that type it needs a "url".'
            )
        if told in LOCAL and has_url:
            raise ConfigError(
                f'{self.where} has type {told!a} and a "{self.url}"; with a url the type is "http".'
            )
        return has_url

    def stdio(self) -> StdioServer:
        command, args, env = self._command()
        env = {
            **self._env_file(),
            **env,
            **self.mapping("environment"),
            **self.mapping("env"),
        }
        for name in env:
            if not name or re.search(r"[=\0]", name):
                raise ConfigError(
                    f'{self.where}: {name!a} in "env" is no name of a variable; rename it.'
                )
        spec = StdioServer(command, (*args, *self.words("args")), env, self._cwd())
        idle = self._idle("url", "headers", "oauth", "auth", "certificate", "key", "ca")
        notes = (
            *notes_on(spec),
            *self.literal_secrets("env"),
            *self._odd_keys(),
            *idle,
        )
        return replace(spec, notes=notes)

    def http(self) -> HttpServer:
        insecure = self.entry.get("allowInsecure") is True
        url = check_url(
            self.text(self.url).strip(), where=self.where, allow_insecure=insecure
        )
        headers = check_headers(self.mapping("headers"), where=self.where)
        told = self.entry.get("type") or self.entry.get("transport") or "auto"
        # "http" in these files often means "some HTTP transport", so the older one stays possible
        transport = "sse" if TRANSPORTS.get(told) == "sse" else "auto"
        files = {
            field: self._file(key)
            for key, field in (
                ("certificate", "certificate"),
                ("key", "key"),
                ("ca", "ca"),
            )
        }
        idle = self._idle("command", "args", "env", "environment", "envFile", "cwd")
        notes = (*self.literal_secrets("headers"), *self._odd_keys(), *idle)
        return HttpServer(
            url, headers, transport, insecure, oauth=self._oauth(), notes=notes, **files
        )  # type: ignore[arg-type]

    def text(self, key: str) -> str:
        value = self.entry[key]
        if not isinstance(value, str):
            raise ConfigError(
                f'{self.where}: "{key}" should be a string, it is {kind(value)}.'
            )
        return self._expand(value, key)

    def words(self, key: str) -> tuple[str, ...]:
        values = self.entry.get(key) or []
        if isinstance(values, str):
            fix = f"; write {json.dumps(_split(values))}" if "${" not in values else ""
            raise ConfigError(
                f'{self.where}: "{key}" should be a list of strings, it is a string{fix}.'
            )
        return self._texts(key, values)

    def mapping(self, key: str) -> dict[str, str]:
        values = self.entry.get(key) or {}
        if not isinstance(values, dict):
            example = ' ({"NAME": "value"})'
            raise ConfigError(
                f'{self.where}: "{key}" should be an object of strings{example}, it is {kind(values)}.'
            )
        for name, value in values.items():
            if not isinstance(value, str):
                fix = (
                    "write it in quotes"
                    if isinstance(value, int | float)
                    else "it should be a string"
                )
                raise ConfigError(
                    f'{self.where}: {name} in "{key}" is {kind(value)}; {fix}.'
                )
        return {
            name: self._expand(value, f"{name} in {key}")
            for name, value in values.items()
        }

    def literal_secrets(self, key: str) -> tuple[str, ...]:
        values = self.entry.get(key) or {}
        named = [
            name
            for name, value in values.items()
            if "${" not in value and _looks_secret(name, value)
        ]
        bare = {
            name: found
            for name, value in values.items()
            if (found := unexpanded(value))
        }
        return (
            *(
                f"{n} stands in the file as it is; ${{{n}}} keeps it out of the file"
                for n in named
                if n not in bare
            ),
            *(
                f"{name} is passed on as ${found}; ${{{found}}} is the variable's value"
                for name, found in bare.items()
            ),
        )

    def _command(self) -> tuple[str, tuple[str, ...], dict[str, str]]:
        """The program, and what the other ways to write it hold beside: a list of
        words, or Zed's older object.
        """
        told = self.entry["command"]
        if isinstance(told, list) and told:
            first, *rest = self._texts("command", told)
            return first, tuple(rest), {}
        if isinstance(told, dict) and isinstance(told.get("path"), str):
            inner = _Entry(
                {**told, "command": told["path"]}, self.where, self.environ, self.folder
            )
            return inner.text("command"), inner.words("args"), inner.mapping("env")
        command = self.text("command")
        if not command.strip():
            raise ConfigError(
                f'{self.where} has an empty "command"; write the program that starts it.'
            )
        if WINDOWS_PATH.match(command) and os.name != "nt":
            raise ConfigError(
                f"{self.where} has a command for Windows, {command!r}; write the program's path here."
            )
        if re.search(r"\s", command) and not Path(os.path.expanduser(command)).exists():
            raise ConfigError(
                f"{self.where} has a whole command line as {_as_command(command)}."
            )
        return command, (), {}

    def _texts(self, key: str, values: Any) -> tuple[str, ...]:
        if not isinstance(values, list):
            raise ConfigError(
                f'{self.where}: "{key}" should be a list of strings, it is {kind(values)}.'
            )
        for value in values:
            if not isinstance(value, str):
                fix = (
                    "write it in quotes"
                    if isinstance(value, int | float)
                    else "each should be a string"
                )
                raise ConfigError(f'{self.where}: "{key}" holds {kind(value)}; {fix}.')
        return tuple(self._expand(value, key) for value in values)

    def _cwd(self) -> str | None:
        if not self.entry.get("cwd"):
            return None
        folder = self.folder / os.path.expanduser(self.text("cwd"))
        if not folder.is_dir():
            raise ConfigError(f'{self.where}: its "cwd" {folder} is no folder.')
        return str(folder)

    def _file(self, key: str) -> str | None:
        if not self.entry.get(key):
            return None
        path = self.folder / os.path.expanduser(self.text(key))
        if not path.is_file():
            raise ConfigError(
                f'{self.where}: its "{key}" {path} is no file; it is the path of a PEM file.'
            )
        return str(path)

    def _oauth(self) -> dict[str, str] | None:
        told = self.entry.get("oauth", self.entry.get("auth"))
        if (
            told is None
            or told is False
            or (isinstance(told, dict) and told.get("enabled") is False)
        ):
            return None
        if told is True:
            return {}
        if not isinstance(told, dict):
            raise ConfigError(
                f'{self.where}: "oauth" should be true or an object, it is {kind(told)}.'
            )
        plain = {
            OAUTH.get(key, key): _joined(key, value)
            for key, value in told.items()
            if key != "enabled"
        }
        return _Entry({"oauth": plain}, self.where, self.environ, self.folder).mapping(
            "oauth"
        )

    def _expand(self, text: str, key: str) -> str:
        value = expand(text, self.environ, where=self.where, folder=self.folder)
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ConfigError(
                f"{self.where}: {key} holds a character that no program can be given; remove it."
            )
        return value

    def _near(self, *wanted: str) -> str:
        """A key that was meant to be one of these, as the rest of a complaint."""
        for key in self.entry:
            found = difflib.get_close_matches(
                key.lower(), [*wanted, "cmd", "uri", "endpoint"], 1, 0.75
            )
            if found:
                meant = "url" if found[0] in ("url", "uri", "endpoint") else "command"
                return f'; it has {key!a}, and the key is "{meant}"'
        return "; one of the two says how to reach it"

    def _odd_keys(self) -> tuple[str, ...]:
        odd = [
            key
            for key in self.entry
            if key not in (*OURS, *URLS, "auth", "environment", "tools")
        ]
        near = {
            key: difflib.get_close_matches(
                key.lower(), [o.lower() for o in OURS], 1, 0.8
            )
            for key in odd
        }
        oauth = self.entry.get("oauth", self.entry.get("auth"))
        for key in oauth if isinstance(oauth, dict) else ():
            near[key] = (
                []
                if key in OAUTH_KEYS
                else difflib.get_close_matches(key.lower(), OAUTH_KEYS, 1, 0.8)
            )
        return tuple(
            f"{key!a} is not read; did you mean {found[0]!r}?"
            for key, found in near.items()
            if found
        )

    def _idle(self, kind: str, *keys: str) -> tuple[str, ...]:
        """Notes on what stands there and means something only for the other kind of server."""
        return tuple(
            f'"{key}" is only for a server with a "{kind}", and is not used'
            for key in keys
            if self.entry.get(key)
        )

    def _env_file(self) -> dict[str, str]:
        if not self.entry.get("envFile"):
            return {}
        path = self.folder / os.path.expanduser(self.text("envFile"))
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError(
                f"{self.where}: its envFile {path} cannot be read: {reason}."
            ) from None
        pairs = (
            line.split("=", 1)
            for line in lines
            if "=" in line and not line.lstrip().startswith("#")
        )
        return {
            name.strip().removeprefix("export ").strip(): _unquoted(value)
            for name, value in pairs
        }


def kind(value: Any) -> str:
    """A JSON value's kind in words."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return {dict: "an object", list: "a list", str: "a string"}.get(
        type(value), "a number"
    )


def _joined(key: str, value: Any) -> Any:
    if key == "callbackPort" and isinstance(value, int):
        return f"http://localhost:{value}/callback"
    is_list = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return " ".join(value) if is_list else value


def _as_command(line: str) -> str:
    if SHELL.search(line):
        return f'"command"; write "command": "sh", "args": ["-c", {json.dumps(line)}]'
    first, *rest = _split(line) or [line]
    return (
        f'"command"; write "command": {json.dumps(first)}, "args": {json.dumps(rest)}'
    )


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _unquoted(value: str) -> str:
    value = value.strip()
    return (
        value[1:-1]
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        else value
    )


def _looks_secret(name: str, value: str) -> bool:
    is_named = is_secret_name(name, NameLevel.VARIABLE)
    return has_secret_shape(value) or (is_named and len(value) >= 6)


def _folder_of(path: Path) -> Path:
    folder = path.absolute().parent
    return folder.parent if folder.name in (".vscode", ".cursor", ".gemini") else folder
