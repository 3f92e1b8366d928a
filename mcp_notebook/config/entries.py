"""One server's entry of a config file as a value: its fields checked and expanded,
every complaint names it.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcp_notebook.config.options import OPTIONS, ConnectOptions, split_words
from mcp_notebook.config.specs import (
    HttpServer,
    ServerSpec,
    StdioServer,
    usable_names,
)
from mcp_notebook.config.target import (
    apply_options,
    expand,
    find_unexpanded,
    find_variables,
    notes_on,
)
from mcp_notebook.errors import ConfigError
from mcp_notebook.secrets import (
    NameLevel,
    has_secret_shape,
    is_public,
    is_secret_name,
)
from mcp_notebook.untrusted_text import visible

# What "type" is called by one host or another, as the transport that it means
TRANSPORTS = {
    "http": "http",
    "streamable-http": "http",
    "streamableHttp": "http",
    "streamable_http": "http",
    "remote": "http",
    "sse": "sse",
}
LOCAL = ("stdio", "local", "custom")
URLS = ("url", "serverUrl", "httpUrl")  # of most hosts, of Windsurf, of Gemini
FILES = ("certificate", "key", "ca")  # paths of PEM files
# What is read here, also where no option of %mcp_connect means the same
FOR_COMMANDS = ("command", "args", "env", "environment", "envFile", "cwd")
FOR_URLS = ("url", "headers", "oauth", "auth", *FILES)
OPTION_KEYS = tuple(option.entry for option in OPTIONS.values() if option.entry)
KNOWN = frozenset((*FOR_COMMANDS, *FOR_URLS, *URLS, *OPTION_KEYS, "tools"))
# Other hosts' words for what is called otherwise here are read, and not suggested.
NOT_SUGGESTED = {"auth", "environment", "tools", "serverUrl", "httpUrl"}
SUGGESTED = {key.lower(): key for key in sorted(KNOWN - NOT_SUGGESTED)}
# What OAuth settings are called elsewhere: Claude Code and Gemini, Cursor
OAUTH = {
    "clientId": "client_id",
    "CLIENT_ID": "client_id",
    "clientSecret": "client_secret",
    "CLIENT_SECRET": "client_secret",
    "scopes": "scope",
    "redirectUri": "redirect_uri",
    "callbackPort": "redirect_uri",
}
OAUTH_KEYS = (
    "client_id",
    "client_secret",
    "scope",
    "issuer",
    "grant",
    "private_key",
    "algorithm",
    "redirect_uri",
    "client_metadata_url",
    "enabled",
    *OAUTH,
)
OAUTH_NAMES = {key: key for key in OAUTH_KEYS}
WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]")
MARKUP = re.compile(r"[<>\[\]{}`\"\\]")
SHELL = re.compile(r"&&|\|\||[|;<>]")


def read_entry(
    key: str,
    entry: Any,
    path: Path,
    environ: Mapping[str, str],
    options: ConnectOptions | None = None,
    *,
    name: str = "",
) -> ServerSpec:
    """One description as a value, with its variables expanded; ConfigError names the
    server and the fix.

    `options`: what the person wants beside; it goes before what the file says. `name`:
    what it is called here, where its key in the file is no possible name.
    """
    where = f"server {key!a} in {path}"
    _check_key(key, path)
    _check_shape(entry, where)
    fields = _Fields(entry, where, environ, _folder_of(path))
    if _is_http(fields):
        spec = _http(fields)
    else:
        spec = _stdio(fields)

    if name and name != key:
        note = f"{visible(key)!r} of {path} is called {name} here"
        spec = replace(spec, alias=key, notes=(note, *spec.notes))

    wanted = ConnectOptions.from_entry(entry, where)
    if options is not None:
        wanted = wanted.overridden_by(options)

    return apply_options(spec, wanted, environ, where=where)


def _check_key(key: str, path: Path) -> None:
    """Refuse a name that no host's own dialog makes: it would draw or hide something
    wherever it is shown.
    """
    if key.strip() and key.isprintable() and not MARKUP.search(key):
        return

    (suggestion,) = usable_names([key]).values()
    raise ConfigError(
        f"{path}: server name {key!a} is not usable: 1 to 64 letters, digits, - or _ are "
        f"([A-Za-z0-9_-]{{1,64}}); rename it, for example {suggestion!r}."
    )


def _check_shape(entry: Any, where: str) -> None:
    if not isinstance(entry, dict):
        raise ConfigError(
            f'{where} should be an object with "command" and "args", or with "url", '
            f"it is {json_kind(entry)}."
        )

    for key in ("disabled", "enabled"):
        if not isinstance(entry.get(key, True), bool):
            raise ConfigError(
                f'{where}: "{key}" should be true or false, it is {json_kind(entry[key])}.'
            )


class _Fields:
    """The fields of one entry, checked and expanded as they are taken."""

    def __init__(
        self,
        entry: Mapping[str, Any],
        where: str,
        environ: Mapping[str, str],
        folder: Path,
    ) -> None:
        self.entry, self.where = entry, where
        self.environ, self.folder = environ, folder
        self.written: dict[str, str] = {}

    def wrong(self, words: str) -> ConfigError:
        """A complaint about the whole entry."""
        return ConfigError(f"{self.where} {words}")

    def wrong_key(self, words: str) -> ConfigError:
        """A complaint about one key."""
        return ConfigError(f"{self.where}: {words}")

    def inner(self, entry: Mapping[str, Any]) -> _Fields:
        """An object inside the entry, with fields of its own."""
        inner = _Fields(entry, self.where, self.environ, self.folder)
        inner.written = self.written
        return inner

    def text(self, key: str) -> str:
        value = self.entry[key]
        if not isinstance(value, str):
            raise self.wrong_key(
                f'"{key}" should be a string, it is {json_kind(value)}.'
            )

        return self.expand(value, key)

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.entry.get(key) or []
        if isinstance(values, str):
            # Where to cut is not known before a variable is replaced.
            if "${" in values:
                fix = ""
            else:
                fix = f"; write {json.dumps(split_words(values))}"

            raise self.wrong_key(
                f'"{key}" should be a list of strings, it is a string{fix}.'
            )

        if not isinstance(values, list):
            raise self.wrong_key(
                f'"{key}" should be a list of strings, it is {json_kind(values)}.'
            )

        for value in values:
            if not isinstance(value, str):
                fix = _fix_for(value, "each should be a string")
                raise self.wrong_key(f'"{key}" holds {json_kind(value)}; {fix}.')

        return tuple(self.expand(value, key) for value in values)

    def mapping(self, key: str) -> dict[str, str]:
        values = self.entry.get(key) or {}
        if not isinstance(values, dict):
            example = ' ({"NAME": "value"})'
            raise self.wrong_key(
                f'"{key}" should be an object of strings{example}, it is {json_kind(values)}.'
            )

        for name, value in values.items():
            if not isinstance(value, str):
                fix = _fix_for(value, "it should be a string")
                raise self.wrong_key(f'{name} in "{key}" is {json_kind(value)}; {fix}.')

        return {
            name: self.expand(value, f"{name} in {key}")
            for name, value in values.items()
        }

    def file(self, key: str) -> str | None:
        """The path of an existing PEM file."""
        if not self.entry.get(key):
            return None

        path = self.path(key)
        if not path.is_file():
            raise self.wrong_key(
                f'its "{key}" {path} is no file; it is the path of a PEM file.'
            )

        return str(path)

    def path(self, key: str) -> Path:
        """A path, which is relative to the file's folder."""
        return self.folder / os.path.expanduser(self.text(key))

    def expand(self, text: str, key: str) -> str:
        value = expand(text, self.environ, where=self.where, folder=self.folder)
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise self.wrong_key(
                f"{key} holds a character that no program can be given; remove it."
            )

        if value != text:
            self.written[value] = text

        return value


def _is_http(fields: _Fields) -> bool:
    """Whether it has an address; ConfigError when it has both or neither, or says
    something else by its type.
    """
    entry, url = fields.entry, _url_key(fields.entry)
    has_url, has_command = url in entry, "command" in entry
    _check_type(fields)
    if has_url and has_command:
        raise fields.wrong(
            'has both "command" and "url"; one of the two says how to reach it.'
        )

    if not has_url and not has_command:
        raise fields.wrong(f'has neither "command" nor "url"{_meant_key(entry)}.')

    transport = _type_of(entry)
    if transport in TRANSPORTS and has_command:
        raise fields.wrong(
            f'has type {transport!a} and a "command"; with that type it needs a "url".'
        )

    if transport in LOCAL and has_url:
        raise fields.wrong(
            f'has type {transport!a} and a "{url}"; with a url the type is "http".'
        )

    return has_url


def _type_of(entry: Mapping[str, Any]) -> Any:
    return entry.get("type", entry.get("transport"))


def _check_type(fields: _Fields) -> None:
    written = _type_of(fields.entry)
    if written is not None and not isinstance(written, str):
        raise fields.wrong_key(
            f'"type" should be "stdio", "http" or "sse", it is {json_kind(written)}.'
        )

    if written and written not in (*TRANSPORTS, *LOCAL, "auto"):
        raise fields.wrong(
            f'has type {written!a}; possible are "stdio", "http" and "sse".'
        )


def _url_key(entry: Mapping[str, Any]) -> str:
    """The key of the address: the first that holds one, else the first that is there."""
    filled = [key for key in URLS if entry.get(key)]
    present = [key for key in URLS if key in entry]
    return next(iter((*filled, *present)), "url")


def _stdio(fields: _Fields) -> StdioServer:
    command, args, env = _command(fields)
    env = {
        **_read_env_file(fields),
        **env,
        **fields.mapping("environment"),
        **fields.mapping("env"),
    }
    for name in env:
        if not name or re.search(r"[=\0]", name):
            raise fields.wrong_key(
                f'{name!a} in "env" is no name of a variable; rename it.'
            )

    words = (*args, *fields.texts("args"))
    spec = StdioServer(command, words, env, _cwd(fields), fields.written)
    notes = (
        *notes_on(spec),
        *_notes_on_secrets(fields.entry.get("env") or {}),
        *_notes_on_keys(fields.entry),
        *_notes_on_idle(fields.entry, "url", FOR_URLS),
    )
    return replace(spec, notes=notes)


def _http(fields: _Fields) -> HttpServer:
    entry = fields.entry
    transport = entry.get("type") or entry.get("transport") or "auto"
    certificate, key, ca = map(fields.file, FILES)
    return HttpServer(
        fields.text(_url_key(entry)).strip(),
        fields.mapping("headers"),
        # "http" in these files often means "some HTTP transport", so the older one stays possible
        "sse" if TRANSPORTS.get(transport) == "sse" else "auto",
        certificate=certificate,
        key=key,
        ca=ca,
        oauth=_oauth(fields),
        written=fields.written,
        sends=_sent_variables(fields),
        notes=(
            *_notes_on_secrets(entry.get("headers") or {}),
            *_notes_on_keys(entry),
            *_notes_on_idle(entry, "command", FOR_COMMANDS),
        ),
    )


def _sent_variables(fields: _Fields) -> tuple[str, ...]:
    """The variables whose values go into the address or a header, but for what is
    evidently no secret, such as a port.
    """
    headers = fields.entry.get("headers") or {}
    texts = (fields.entry[_url_key(fields.entry)], *headers.values())
    names = {name for text in texts for name in find_variables(text)}
    given = {name: fields.environ.get(name, "") for name in sorted(names)}
    return tuple(
        name
        for name, value in given.items()
        if value and (is_secret_name(name, NameLevel.VARIABLE) or not is_public(value))
    )


def _command(fields: _Fields) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """The program, and what the other ways to write it hold beside: a list of
    words, or Zed's older object.
    """
    written = fields.entry["command"]
    if isinstance(written, list) and written:
        first, *rest = fields.texts("command")
        return first, tuple(rest), {}

    if isinstance(written, dict) and isinstance(written.get("path"), str):
        inner = fields.inner({**written, "command": written["path"]})
        return inner.text("command"), inner.texts("args"), inner.mapping("env")

    command = fields.text("command")
    if not command.strip():
        raise fields.wrong('has an empty "command"; write the program that starts it.')

    if WINDOWS_PATH.match(command) and os.name != "nt":
        raise fields.wrong(
            f"has a command for Windows, {command!r}; write the program's path here."
        )

    if re.search(r"\s", command) and not Path(os.path.expanduser(command)).exists():
        raise fields.wrong(f"has a whole command line as {_as_command(command)}.")

    return command, (), {}


def _cwd(fields: _Fields) -> str | None:
    if not fields.entry.get("cwd"):
        return None

    folder = fields.path("cwd")
    if not folder.is_dir():
        raise fields.wrong_key(f'its "cwd" {folder} is no folder.')

    return str(folder)


def _oauth(fields: _Fields) -> dict[str, str] | None:
    written = fields.entry.get("oauth", fields.entry.get("auth"))
    if written is None or written is False:
        return None

    if written is True:
        return {}

    if not isinstance(written, dict):
        raise fields.wrong_key(
            f'"oauth" should be true or an object, it is {json_kind(written)}.'
        )

    if written.get("enabled") is False:
        return None

    plain = {
        OAUTH.get(key, key): _oauth_text(key, value)
        for key, value in written.items()
        if key != "enabled"
    }
    return fields.inner({"oauth": plain}).mapping("oauth")


def _oauth_text(key: str, value: Any) -> Any:
    if key == "callbackPort" and isinstance(value, int):
        return f"http://localhost:{value}/callback"

    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return " ".join(value)

    return value


def _read_env_file(fields: _Fields) -> dict[str, str]:
    if not fields.entry.get("envFile"):
        return {}

    path = fields.path("envFile")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise fields.wrong_key(
            f"its envFile {path} cannot be read: {reason}."
        ) from None

    found: dict[str, str] = {}
    for line in lines:
        name, is_assigned, value = line.partition("=")
        if is_assigned and not line.lstrip().startswith("#"):
            found[name.strip().removeprefix("export ").strip()] = _strip_quotes(value)

    return found


def _notes_on_secrets(values: Mapping[str, str]) -> list[str]:
    """Notes on values that stand in the file and should come from the environment."""
    stays, passed = [], []
    for name, value in values.items():
        if found := find_unexpanded(value):
            passed.append(
                f"{name} is passed on as ${found}; ${{{found}}} is the variable's value"
            )
        elif "${" not in value and _looks_secret(name, value):
            stays.append(
                f"{name} stands in the file as it is; ${{{name}}} keeps it out of the file"
            )

    return [*stays, *passed]


def _notes_on_keys(entry: Mapping[str, Any]) -> list[str]:
    """Notes on keys that are not read and were probably meant to be others."""
    oauth = entry.get("oauth", entry.get("auth"))
    meant = [_near_key(key, SUGGESTED) for key in entry if key not in KNOWN]
    if isinstance(oauth, dict):
        meant += [_near_key(key, OAUTH_NAMES) for key in oauth if key not in OAUTH_KEYS]

    return [note for note in meant if note]


def _near_key(key: str, known: Mapping[str, str]) -> str:
    """A note on a key that is near to one of the known ones, which stand by their small
    letters.
    """
    near = difflib.get_close_matches(key.lower(), known, 1, 0.8)
    if near:
        return f"{key!a} is not read; did you mean {known[near[0]]!r}?"

    return ""


def _notes_on_idle(
    entry: Mapping[str, Any], kind: str, keys: tuple[str, ...]
) -> list[str]:
    """Notes on what stands there and means something only for the other kind of server."""
    return [
        f'"{key}" is only for a server with a "{kind}", and is not used'
        for key in keys
        if entry.get(key)
    ]


def _meant_key(entry: Mapping[str, Any]) -> str:
    """A key that was meant to be "command" or "url", as the rest of a complaint."""
    addresses = ("url", "uri", "endpoint")
    for key in entry:
        wanted = ("command", "cmd", *addresses)
        found = difflib.get_close_matches(key.lower(), wanted, 1, 0.75)
        if found:
            if found[0] in addresses:
                meant = "url"
            else:
                meant = "command"

            return f'; it has {key!a}, and the key is "{meant}"'

    return "; one of the two says how to reach it"


def json_kind(value: Any) -> str:
    """A JSON value's kind in words."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]

    words = {dict: "an object", list: "a list", str: "a string"}
    return words.get(type(value), "a number")


def _fix_for(value: Any, otherwise: str) -> str:
    is_number = isinstance(value, int | float)
    if is_number:
        return "write it in quotes"

    return otherwise


def _as_command(line: str) -> str:
    if SHELL.search(line):
        return f'"command"; write "command": "sh", "args": ["-c", {json.dumps(line)}]'

    first, *rest = split_words(line) or [line]
    return (
        f'"command"; write "command": {json.dumps(first)}, "args": {json.dumps(rest)}'
    )


def _strip_quotes(value: str) -> str:
    value = value.strip()
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    if is_quoted:
        return value[1:-1]

    return value


def _looks_secret(name: str, value: str) -> bool:
    is_named = is_secret_name(name, NameLevel.VARIABLE)
    return has_secret_shape(value) or (is_named and len(value) >= 6)


def _folder_of(path: Path) -> Path:
    folder = path.absolute().parent
    if folder.name in (".vscode", ".cursor", ".gemini"):
        return folder.parent

    return folder
