"""Config files as people have them: of many hosts, with many mistakes. A mistake is one
sentence with the fix.
"""

import json
import os
import re
import shutil
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mcp_notebook.config import (
    ConnectOptions,
    HttpServer,
    StdioServer,
    discover,
    find_server,
    load_each,
    load_servers,
    resolve_command,
)
from mcp_notebook.config.hosts import unpack_bundle
from mcp_notebook.errors import ConfigError

X = {"command": "x"}


def one(entry: Any, name: str = "s") -> str:
    return json.dumps({"mcpServers": {name: entry}})


def url(text: str, **more: Any) -> str:
    return one({"url": text, **more})


WRONG_FILES = {
    "empty": ("", r"is empty; it should hold \{\"mcpServers\""),
    "blank": (" \n\n", "is empty"),
    "list": ('[{"command": "x"}]', "should hold an object"),
    "text": ('"mcpServers"', "should hold an object"),
    "null": ("null", "should hold an object"),
    "servers are a list": (
        '{"mcpServers": [{"name": "s", "command": "x"}]}',
        "one entry a server",
    ),
    "servers are null": ('{"mcpServers": null}', "one entry a server"),
    "key of another language": (
        '{"mcp_servers": {"s": {"command": "x"}}}',
        '"mcpServers", written like that',
    ),
    "key in lower case": (
        '{"mcpservers": {"s": {"command": "x"}}}',
        '"mcpServers", written like that',
    ),
    "one server without a name": ('{"command": "x", "args": []}', "without its name"),
    "something else": ('{"editor.fontSize": 12}', 'neither "mcpServers" nor "servers"'),
    "yaml": ("mcpServers:\n  s:\n    command: x\n", "it should hold|looks like"),
    "toml": ('[mcp_servers.s]\ncommand = "x"\n', "not valid JSON"),
    "single quotes": ("{'mcpServers': {}}", "double quotes only"),
    "python": (
        '{"mcpServers": {"s": {"command": "x", "disabled": True}}}',
        "JSON writes true",
    ),
    "backslashes": (
        r'{"mcpServers": {"s": {"command": "C:\Users\me\server.exe"}}}',
        "every backslash twice",
    ),
    "missing comma": (
        '{"mcpServers": {\n "a": {"command": "x"}\n "b": {"command": "x"}}}',
        "line 3, column 2",
    ),
    "two documents": ('{"mcpServers": {}} {"mcpServers": {}}', "Extra data at line 1"),
    "cut in the middle": ('{"mcpServers": {"s": {"comm', "not valid JSON"),
    "twice the same server": (
        '{"mcpServers": {"s": {"command": "a"}, "s": {"command": "b"}}}',
        "'s' twice",
    ),
    "in two places": (
        '{"mcpServers": {"s": {"command": "a"}}, "servers": {"s": {"command": "b"}}}',
        "in two places",
    ),
    "very deep": ("[" * 200_000, "nested too deeply|not valid JSON"),
    "endless number": (
        '{"mcpServers": {"s": {"command": "x", "timeout": ' + "9" * 5000 + "}}}",
        "too long",
    ),
}
WRONG_ENTRIES = {
    "no object": ([], "it is a list"),
    "a text": ("npx server", "it is a string"),
    "neither": ({"args": ["x"]}, 'neither "command" nor "url"; one of the two'),
    "cmd": ({"cmd": "npx"}, 'it has \'cmd\', and the key is "command"'),
    "Command": ({"Command": "npx"}, 'the key is "command"'),
    "uri": ({"uri": "https://example.com/mcp"}, 'the key is "url"'),
    "both": ({"command": "x", "url": "https://example.com"}, "has both"),
    "command is a number": ({"command": 5}, '"command" should be a string, it is a number'),
    "command is null": ({"command": None}, "it is null"),
    "command is blank": ({"command": "  "}, 'empty "command"'),
    "command is an empty list": ({"command": []}, '"command" should be a string, it is a list'),
    "command line": ({"command": "npx -y 'a b'"}, r'"command": "npx", "args": \["-y", "a b"\]'),
    "shell line": ({"command": "cd /x && npx y"}, r'"command": "sh", "args": \["-c", "cd /x && npx y"\]'),
    "args are a string": ({"command": "x", "args": "-m server"}, r'write \["-m", "server"\]'),
    "args are an object": ({"command": "x", "args": {"a": 1}}, "it is an object"),
    "args hold a list": ({"command": "x", "args": [["-m"]]}, "holds a list"),
    "args hold true": ({"command": "x", "args": [True]}, "holds true; write it in quotes"),
    "env is a list": ({"command": "x", "env": ["A=secret-value"]}, "it is a list"),
    "env value is a number": ({"command": "x", "env": {"PORT": 1}}, 'PORT in "env" is a number; write it in quotes'),
    "env value is null": ({"command": "x", "env": {"A": None}}, 'A in "env" is null'),
    "env value is an object": ({"command": "x", "env": {"A": {"b": 1}}}, "is an object"),
    "env name": ({"command": "x", "env": {"A=B": "c"}}, "no name of a variable"),
    "empty env name": ({"command": "x", "env": {"": "c"}}, "no name of a variable"),
    "NUL": ({"command": "x", "args": ["a\u0000b"]}, "args holds a character that no program"),
    "half a letter": ({"command": "x", "env": {"A": "\ud800"}}, "A in env holds a character"),
    "unset": ({"command": "x", "env": {"T": "${NO_SUCH}"}}, "environment variable NO_SUCH, which is not set"),
    "unset in env form": ({"command": "x", "args": ["${env:NO_SUCH}"]}, "environment variable NO_SUCH"),
    "unset inside a default": ({"command": "x", "args": ["${A:-${NO_SUCH}}"]}, "environment variable NO_SUCH"),
    "unfinished": ({"command": "x", "args": ["${HOME"]}, "without its closing }"),
    "no name": ({"command": "x", "args": ["${}"]}, "names no variable"),
    "input": ({"command": "x", "env": {"K": "${input:api-key}"}}, r"write \$\{API_KEY\} instead"),
    "editor's command": ({"command": "${command:python.interpreterPath}"}, "which a notebook cannot"),
    "no such cwd": ({"command": "x", "cwd": "/no/such/folder"}, 'its "cwd" /no/such/folder is no folder'),
    "no such envFile": ({"command": "x", "envFile": "no.env"}, "its envFile .*no.env cannot be read"),
    "type of another": ({"command": "x", "type": "http"}, 'with that type it needs a "url"'),
    "type stdio with url": ({"url": "https://example.com", "type": "stdio"}, 'with a url the type is "http"'),
    "unknown type": ({"url": "https://example.com", "type": "websocket"}, 'possible are "stdio", "http" and "sse"'),
    "type is a number": ({"command": "x", "type": 1}, '"type" should be'),
    "port": ({"url": "http://localhost:99999/mcp"}, "no number from 1 to 65535"),
    "port is a word": ({"url": "http://localhost:port/mcp"}, "no number from 1 to 65535"),
    "web socket": ({"url": "wss://example.com/mcp"}, "speak http:// or https://"),
    "no scheme": ({"url": "localhost:8000/mcp"}, "begins with https://, or http:// on this machine"),
    "file": ({"url": "file:///etc/passwd"}, "only http:// and https://"),
    "no host": ({"url": "https:///mcp"}, "should look like https://host/mcp"),
    "empty url": ({"url": ""}, "begins with https://"),
    "space": ({"url": "https://exa mple.com/mcp"}, "should look like"),
    "bad address": ({"url": "http://[::1/mcp"}, "should look like"),
    "listening address": ({"url": "http://0.0.0.0:8000/mcp"}, "clients use 127.0.0.1"),
    "clear text": ({"url": "http://example.com/mcp"}, "in clear text to example.com"),
    "password": ({"url": "https://me:hunter2@example.com/mcp"}, "remove it and send a header"),
    "header with a line break": ({"url": "https://a.example", "headers": {"A": "b\nX: y"}}, "break in the header 'A'"),
    "header name": ({"url": "https://example.com", "headers": {"A B": "c"}}, "unusable name 'A B'"),
    "headers are a list": ({"url": "https://example.com", "headers": ["A: b"]}, "should be an object of strings"),
    "header is a number": ({"url": "https://example.com", "headers": {"A": 1}}, 'A in "headers" is a number'),
    "header is not ASCII": ({"url": "https://example.com", "headers": {"A": "ключ"}}, "use ASCII"),
    "header of the connection": ({"url": "https://a.example", "headers": {"Content-Length": "5"}}, "to the connection"),
    "oauth is a string": ({"url": "https://example.com", "oauth": "yes"}, "should be true or an object"),
    "oauth holds a number": ({"url": "https://a.example", "oauth": {"client_id": 7}}, 'client_id in "oauth" is a'),
    "certificate": ({"url": "https://example.com", "certificate": "me.pem"}, "is the path of a PEM file"),
}  # fmt: skip
ODD_NAMES = ["a b", "a.b", "github.com/x/y", "naïve", "x" * 65, "名前", "1 st", "@a/b"]
WRONG_NAMES = ["", " ", "a\nb", "<b>", "![x](http://x)", "a\u202eb", "a`b"]


def complaint(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> str:
    path = tmp_path / "mcp.json"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(ConfigError) as caught:
        load_servers(path, environ or {})
    return caught.value.message


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_wrong_file_is_one_sentence_with_the_fix(case: str, tmp_path: Path) -> None:
    text, says = WRONG_FILES[case]
    message = complaint(tmp_path, text)
    assert re.search(says, message), message
    assert str(tmp_path / "mcp.json") in message
    assert "\n" not in message


@pytest.mark.parametrize("case", WRONG_ENTRIES)
def test_a_wrong_entry_is_one_sentence_that_names_the_server(
    case: str, tmp_path: Path
) -> None:
    entry, says = WRONG_ENTRIES[case]
    message = complaint(tmp_path, one(entry))
    assert re.search(says, message), message
    assert "server 's' in" in message
    assert "\n" not in message
    assert not any(secret in message for secret in ("hunter2", "secret-value"))


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_wrong_name_is_answered_with_one_that_is_possible(
    name: str, tmp_path: Path
) -> None:
    message = complaint(tmp_path, one(X, name))
    suggested = message.split("for example '")[1].split("'")[0]
    assert list(load_servers(_file(tmp_path, one(X, suggested)), {})) == [suggested]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_that_cannot_be_typed_connects_under_one_that_can(
    name: str, tmp_path: Path
) -> None:
    path = _file(tmp_path, one(X, name))
    ((usable, spec),) = load_servers(path, {}).items()
    assert re.fullmatch(r"[A-Za-z]\w{0,63}", usable, re.ASCII)
    assert spec.alias == name
    assert [note for note in spec.notes if usable in note]
    for written in (usable, name):
        named = ConnectOptions((written,))
        assert list(load_each(path, {}, named)) == [usable]


def test_names_that_become_the_same_get_numbers_and_possible_ones_stay(
    tmp_path: Path,
) -> None:
    names = ["a b", "a.b", "a_b", "my-server", "ａ b"]
    path = _file(tmp_path, json.dumps({"mcpServers": dict.fromkeys(names, X)}))
    found = {spec.alias or name: name for name, spec in load_servers(path, {}).items()}
    assert found == {
        "a_b": "a_b",
        "my-server": "my-server",
        "a b": "a_b_2",
        "a.b": "a_b_3",
        "ａ b": "a_b_4",
    }


def test_a_file_for_windows_is_named_as_one(tmp_path: Path) -> None:
    message = complaint(tmp_path, one({"command": r"C:\Program Files\nodejs\npx.cmd"}))
    assert "a command for Windows" in message


def test_a_folder_an_unreadable_and_a_huge_file_are_named_as_such(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match="is a folder; name the file in it"):
        load_servers(tmp_path)
    with pytest.raises(ConfigError, match="there is no file"):
        load_servers(tmp_path / "none.json")
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(20_000_000)
    with pytest.raises(ConfigError, match="larger than 8 MB"):
        load_servers(huge)
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\x00\x80{}")
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        load_servers(binary)
    with pytest.raises(ConfigError, match="should be an object"):
        load_servers(_file(tmp_path, "mcpServers:\n  s: x\n", "mcp.yaml"))
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_servers(_file(tmp_path, "mcpServers: [\n", "mcp.yaml"))
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_servers(_file(tmp_path, "[mcp_servers", "config.toml"))


def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path: Path) -> None:
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    with pytest.raises(ConfigError, match=r"cannot be read: Too many levels"):
        load_servers(loop)
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="no ordinary file"):
        load_servers(pipe)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_an_editor_saves_with_a_mark_at_its_beginning_is_read(
    encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(one({"command": "x", "args": ["grün"]}), encoding=encoding)
    (spec,) = load_servers(path, {}).values()
    assert isinstance(spec, StdioServer)
    assert spec.args == ("grün",)


def test_comments_and_trailing_commas_are_read_and_strings_left_alone(
    tmp_path: Path,
) -> None:
    text = """// first
    {"servers": { /* of VS Code */
      "s": {"type": "http", "url": "https://example.com/mcp", // not a comment: "//"
            "headers": {"A": "/* no comment */, ]",}, },
    }, "inputs": [],}"""
    (spec,) = load_servers(_file(tmp_path, text), {}).values()
    assert isinstance(spec, HttpServer)
    assert (spec.url, dict(spec.headers)) == (
        "https://example.com/mcp",
        {"A": "/* no comment */, ]"},
    )


OTHERS = {
    "VS Code settings": ({"mcp": {"servers": {"s": X}}}, ("x",)),
    "Zed": ({"context_servers": {"s": {"source": "custom", "command": "x", "args": ["-a"], "env": {}}}}, ("x", "-a")),
    "Zed, older": ({"context_servers": {"s": {"command": {"path": "x", "args": ["-a"]}, "settings": {}}}}, ("x", "-a")),
    "a plugin of Claude Code": ({"s": {"command": "x"}}, ("x",)),
    "a list of words": ({"mcpServers": {"s": {"type": "local", "command": ["x", "-a"]}}}, ("x", "-a")),
    "nothing where lists may be": ({"mcpServers": {"s": {"command": "x", "args": None, "env": None}}}, ("x",)),
}  # fmt: skip


@pytest.mark.parametrize("host", OTHERS)
def test_files_of_other_hosts_are_read(host: str, tmp_path: Path) -> None:
    document, words = OTHERS[host]
    (spec,) = load_servers(_file(tmp_path, json.dumps(document)), {}).values()
    assert isinstance(spec, StdioServer)
    assert (spec.command, *spec.args) == words


def test_addresses_of_windsurf_and_gemini_and_their_oauth_are_read(
    tmp_path: Path,
) -> None:
    servers = {
        "windsurf": {"serverUrl": "https://a.example/mcp"},
        "gemini": {
            "httpUrl": "https://b.example/mcp",
            "oauth": {"enabled": True, "scopes": ["a", "b"]},
        },
        "claude": {
            "type": "http",
            "url": "https://c.example/mcp",
            "oauth": {"clientId": "c", "callbackPort": 8123},
        },
        "plain": {"url": "https://d.example/mcp", "oauth": True},
        "off": {"url": "https://e.example/mcp", "oauth": False},
    }
    specs = load_servers(_file(tmp_path, json.dumps({"mcpServers": servers})), {})
    told = {
        name: spec.oauth for name, spec in specs.items() if isinstance(spec, HttpServer)
    }
    assert told == {
        "windsurf": None,
        "gemini": {"scope": "a b"},
        "claude": {"client_id": "c", "redirect_uri": "http://localhost:8123/callback"},
        "plain": {},
        "off": None,
    }


def test_references_have_defaults_that_may_hold_references(tmp_path: Path) -> None:
    args = [
        "${A:-d}",
        "${env:B}",
        "${env:NO:-e}",
        "${NO:-${B}}",
        "${NO:-}",
        "${workspaceFolder}/x",
        "$A",
        "{A}",
    ]
    path = _file(tmp_path, one({"command": "x", "args": args}))
    (spec,) = load_servers(path, {"A": "", "B": "b"}).values()
    assert isinstance(spec, StdioServer)
    assert spec.args == ("d", "b", "e", "b", "", f"{tmp_path}/x", "$A", "{A}")


def test_a_wrong_server_stops_none_of_the_others(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        json.dumps(
            {
                "mcpServers": {
                    "bad": {"url": "ftp://x"},
                    "good": X,
                    "off": {**X, "disabled": True},
                }
            }
        ),
    )
    found = load_each(path, {})
    assert list(found) == ["bad", "good"]
    assert isinstance(found["bad"], ConfigError)
    assert isinstance(found["good"], StdioServer)
    assert list(load_each(path, {}, ConnectOptions(("off",)))) == ["off"]
    with pytest.raises(ConfigError, match="no server 'nope'; it names: bad, good, off"):
        load_each(path, {}, ConnectOptions(("nope",)))


def test_what_looks_wrong_and_may_be_meant_is_a_note(tmp_path: Path) -> None:
    entry = {
        "command": "sudo",
        "arg": ["x"],
        "env": {"LD_PRELOAD": "/tmp/evil.so", "API_KEY": "k-123456", "T": "$T"},
    }
    (spec,) = load_servers(_file(tmp_path, one(entry)), {}).values()
    assert isinstance(spec, StdioServer)
    said = "\n".join(spec.notes)
    for words in ("LD_PRELOAD, which can load other code", "runs with sudo", "'arg' is not read; did you mean 'args'?",
                  "API_KEY stands in the file", "T is passed on as $T; ${T}"):  # fmt: skip
        assert words in said
    assert "k-123456" not in said


def test_a_project_of_claude_code_brings_its_own_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project" / "notebooks"
    project.mkdir(parents=True)
    document = {
        "mcpServers": {"all": X},
        "projects": {str(project.parent): {"mcpServers": {"mine": X}}, "/else": {}},
    }
    path = _file(tmp_path, json.dumps(document), ".claude.json")
    monkeypatch.chdir(project)
    assert list(load_servers(path, {})) == ["all", "mine"]
    assert [(f.host, f.name) for f in discover(project, tmp_path, {})] == [
        ("Claude Code", "all"),
        ("Claude Code (this project)", "mine"),
    ]


def test_files_of_every_host_are_discovered_and_nothing_starts(tmp_path: Path) -> None:
    places = {
        ".mcp.json": {"mcpServers": {"a": X}},
        ".vscode/mcp.json": {"servers": {"b": X}},
        ".cursor/mcp.json": {"mcpServers": {"c": {"command": ""}}},
        ".codeium/windsurf/mcp_config.json": {
            "mcpServers": {"d": {"serverUrl": "https://d.example"}}
        },
        ".gemini/settings.json": {"theme": "x", "mcpServers": {"e": X}},
        ".config/zed/settings.json": {"context_servers": {"f": X}},
        ".config/Code/User/settings.json": {"editor.fontSize": 3},
        ".config/Claude/claude_desktop_config.json": {
            "mcpServers": {"g": {**X, "disabled": True}}
        },
    }
    for name, document in places.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(document))
    found = {f.name: f for f in discover(tmp_path, tmp_path, {})}
    assert sorted(found) == (
        list("abcdefg") if sys.platform == "linux" else sorted(found)
    )
    assert "empty" in found["c"].problem
    if sys.platform == "linux":
        assert found["g"].notes == ("it is switched off in the file",)


CODEX = """
model = "x"
[mcp_servers.docs]
command = "npx"
args = ["-y", "docs"]
env_vars = ["DOCS_TOKEN"]
tool_timeout_sec = 40
[mcp_servers."far away"]
url = "https://far.example/mcp"
bearer_token_env_var = "FAR"
enabled = false
"""
GOOSE = """
GOOSE_MODEL: x
extensions:
  developer: {type: builtin, name: developer, enabled: true}
  fetch: {type: stdio, cmd: uvx, args: [mcp-server-fetch], env_keys: [KEY], timeout: 300}
  far: {type: streamable_http, uri: "https://far.example/mcp", enabled: false}
"""
JUPYTER_AI = {
    "mcp_servers": [
        {"name": "files", "command": "uvx", "args": ["files"], "env": []},
        {
            "type": "http",
            "name": "far",
            "url": "https://far.example/mcp",
            "headers": [{"name": "X-Key", "value": "${FAR}"}],
        },
    ]
}
HERE = {"DOCS_TOKEN": "docs-value", "FAR": "far-value", "KEY": "key-value"}
MANIFEST = {
    "manifest_version": "0.3",
    "name": "my files",
    "version": "1.0.0",
    "server": {
        "type": "node",
        "entry_point": "server/index.js",
        "mcp_config": {
            "command": "node",
            "args": ["${__dirname}/server/index.js", "${user_config.folders}"],
            "env": {"KEY": "${user_config.api_key}", "MODE": "${user_config.mode}"},
        },
    },
    "user_config": {
        "api_key": {"type": "string", "sensitive": True, "required": True},
        "folders": {"type": "directory", "multiple": True},
        "mode": {"type": "string", "default": "read"},
    },
}


def test_codex_keeps_its_servers_in_toml(tmp_path: Path) -> None:
    path = _file(tmp_path, CODEX, "config.toml")
    assert list(load_servers(path, HERE)) == ["docs"]
    found = load_each(path, HERE, ConnectOptions(("docs", "far away")))
    docs, far = found["docs"], found["far_away"]
    assert isinstance(docs, StdioServer)
    assert (docs.command, docs.args) == ("npx", ("-y", "docs"))
    assert docs.env == {"DOCS_TOKEN": "docs-value"}
    assert docs.options.timeout == 40
    assert isinstance(far, HttpServer)
    assert far.headers == {"Authorization": "Bearer far-value"}


def test_goose_keeps_its_servers_in_yaml_beside_parts_of_itself(tmp_path: Path) -> None:
    path = _file(tmp_path, GOOSE, "config.yaml")
    (fetch,) = load_servers(path, HERE).values()
    assert isinstance(fetch, StdioServer)
    assert (fetch.command, fetch.args) == ("uvx", ("mcp-server-fetch",))
    assert fetch.env == {"KEY": "key-value"}
    assert fetch.notes == ()
    far = load_each(path, HERE, ConnectOptions(("far",)))["far"]
    assert isinstance(far, HttpServer)


def test_jupyter_ai_keeps_its_servers_in_a_list(tmp_path: Path) -> None:
    path = _file(tmp_path, json.dumps(JUPYTER_AI), "mcp_settings.json")
    files, far = load_servers(path, HERE).values()
    assert isinstance(files, StdioServer)
    assert isinstance(far, HttpServer)
    assert far.headers == {"X-Key": "far-value"}


def extension(tmp_path: Path, **settings: Any) -> Path:
    """An extension as Claude Desktop lays it down, with what was set for it."""
    desktop = tmp_path / ".config" / "Claude"
    folder = desktop / "Claude Extensions" / "local.files"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    settings_folder = desktop / "Claude Extensions Settings"
    settings_folder.mkdir()
    (settings_folder / "local.files.json").write_text(json.dumps(settings))
    return folder / "manifest.json"


def test_an_installed_extension_starts_with_what_was_set_for_it(tmp_path: Path) -> None:
    folders = {"folders": ["/a", "/b b"], "api_key": "__encrypted__:xyz"}
    path = extension(tmp_path, isEnabled=True, userConfig=folders)
    with pytest.raises(ConfigError, match="variable API_KEY, which is not set"):
        load_servers(path, {})

    ((name, spec),) = load_servers(path, {"API_KEY": "a-key"}).items()
    assert name == "my_files"
    assert isinstance(spec, StdioServer)
    script = str(path.parent / "server" / "index.js")
    assert spec.args == (script, "/a", "/b b")
    assert spec.env == {"KEY": "a-key", "MODE": "read"}


@pytest.mark.skipif(sys.platform != "linux", reason="the folders are those of Linux")
def test_the_files_of_programs_beside_are_discovered(tmp_path: Path) -> None:
    texts = {
        ".codex/config.toml": CODEX,
        ".config/goose/config.yaml": GOOSE,
        ".jupyter/mcp_settings.json": json.dumps(JUPYTER_AI),
        ".jupyter/nbi/mcp.json": one(X, "nbi"),
        ".lmstudio/mcp.json": one(X, "studio"),
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    extension(tmp_path, isEnabled=False)
    found = discover(tmp_path, tmp_path, {**HERE, "API_KEY": "a-key"})
    assert {(f.host, f.name) for f in found if not f.problem} == {
        ("Codex", "docs"),
        ("Codex", "far_away"),
        ("Goose", "fetch"),
        ("Goose", "far"),
        ("jupyter-ai", "files"),
        ("jupyter-ai", "far"),
        ("notebook-intelligence", "nbi"),
        ("LM Studio", "studio"),
        ("Claude Desktop extension", "my_files"),
    }
    (off,) = [f for f in found if f.name == "my_files"]
    assert "it is switched off in the file" in off.notes


def bundle(tmp_path: Path, **files: str) -> Path:
    path = tmp_path / "files.mcpb"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("manifest.json", json.dumps(MANIFEST))
        for name, text in files.items():
            packed.writestr(name, text)

    return path


def test_a_bundle_is_read_and_unpacked_only_when_it_is_asked_for(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("MCP_NOTEBOOK_CONFIG_DIR", str(tmp_path / "settings"))
    path = bundle(tmp_path, **{"server/index.js": "//"})
    ((_, spec),) = load_servers(path, {"API_KEY": "a-key"}).items()
    assert isinstance(spec, StdioServer)
    script = Path(spec.args[0])
    assert not script.exists()
    assert unpack_bundle(path) == script.parents[1]
    assert script.read_text() == "//"
    assert unpack_bundle(path) == script.parents[1]


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "..\\out", "C:out"])
def test_a_bundle_writes_nothing_outside_of_its_folder(
    name: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("MCP_NOTEBOOK_CONFIG_DIR", str(tmp_path / "settings"))
    path = bundle(tmp_path, **{name: "x"})
    with pytest.raises(ConfigError, match="leads out of its folder"):
        unpack_bundle(path)

    assert not list(tmp_path.rglob("out"))


def test_python_is_the_python_of_the_kernel() -> None:
    for command in ("python", "python3"):
        spec = resolve_command(StdioServer(command, ("server.py",)))
        assert (spec.command, spec.args) == (sys.executable, ("server.py",))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("uvx", "pip install uv brings it"),
        ("npx", "Install Node.js"),
        ("node", "Install Node.js"),
        ("docker", "Install Docker"),
        ("java", "Install a Java runtime"),
    ],
)
def test_a_starter_that_is_missing_is_named_with_what_brings_it(
    command: str, says: str, monkeypatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ConfigError, match=says):
        resolve_command(StdioServer(command))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("pythn3", r"Did you mean 'python3"),
        ("localhost:8000/mcp", "write http://localhost:8000/mcp"),
        ("example.com:443", "write http://example.com:443"),
        ("cmd", "That is for Windows"),
        ("/no/such/program", "Correct the path"),
        ("no-such-program-at-all", "pip install no-such-program-at-all"),
    ],
)
def test_a_program_that_is_not_there_is_answered_with_a_suggestion(
    command: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        resolve_command(StdioServer(command))


def test_a_program_that_may_not_run_says_so(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text("print()")
    script.chmod(stat.S_IRUSR)
    with pytest.raises(ConfigError, match=r"chmod \+x"):
        resolve_command(StdioServer(str(script)))
    with pytest.raises(ConfigError, match="there is no folder /no/such"):
        resolve_command(StdioServer(sys.executable, cwd="/no/such"))


def test_the_nearest_project_file_that_names_it_is_taken(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    _file(tmp_path, one({"command": "outer"}))
    (tmp_path / ".mcp.json").write_text(one({"command": "outer"}))
    (inner.parent / ".mcp.json").write_text(one({"command": "other"}, "t"))
    spec = find_server("s", inner, {})
    assert isinstance(spec, StdioServer)
    assert spec.command == "outer"


def _file(folder: Path, text: str, name: str = "mcp.json") -> Path:
    path = folder / name
    path.write_text(text)
    return path
